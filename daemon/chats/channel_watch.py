"""The task that keeps an eye on our channel: it asks Whapi, and mends what a reconnect undid."""

import trio

from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.errors import WhapiError

AGAIN_SECONDS = 10.0
"""While the channel is not well it is asked for this often, so that held sends go on soon."""

GAP_SECONDS = 0.5
"""However much raises doubt, Whapi is not asked more often than this."""


async def watch_channel(needs: Dependencies, chats: ChatRegistry, interval_seconds: float) -> None:
    """Ask how the channel is: at the start, every so often, and at once when there is doubt.

    Whapi's events say it sooner, but they may be late, lost or out of order; this answer is the
    one that counts. Runs until cancelled.
    """
    state, channel = needs.channel_state, needs.channel
    renewed = 0
    while True:
        channel.doubt = trio.Event()
        try:
            state.asked((await needs.gateway.health()).status)
        except WhapiError as error:
            state.not_answered(error)
        state.look_at_the_clock()
        if state.reconnects != renewed:
            renewed = state.reconnects
            chats.renew_presences()
        await trio.sleep(GAP_SECONDS)
        well = state.view.state == "ok"
        with trio.move_on_after(interval_seconds if well else min(interval_seconds, AGAIN_SECONDS)):
            await channel.doubt.wait()
