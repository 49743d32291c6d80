"""The task that watches our number: it asks the gateway, and renews what a reconnect undid."""

import math

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.number_state import ChannelState
from daemon.conversation.own_ids import learn_own_ids
from daemon.conversation.registry import ChatRegistry
from daemon.domain.messages import NumberHealth
from daemon.errors import GatewayError, StoreError

AGAIN_SECONDS = 5.0
SELDOM_SECONDS = 30.0
SOON_SECONDS = 300.0
"""While the channel is not well it is asked for every 5 s, so that held sends go on soon, and after
five minutes every 30 s."""

GAP_SECONDS = 0.5
"""However much raises doubt, the gateway is not asked more often than this."""


async def watch_channel(deps: Dependencies, chats: ChatRegistry, interval_seconds: float) -> None:
    """Ask how the channel is: at the start, every so often, and at once when there is doubt.

    The gateway's events say it sooner, but they may be late, lost or out of order; this answer is
    the one that counts. Runs until cancelled.
    """
    state, channel = deps.channel_state, deps.channel
    renewed, number, clock = 0, "", 0.0
    while True:
        channel.doubt = trio.Event()
        try:
            health = await deps.gateway.health()
        except GatewayError as error:
            state.not_answered(error)
        else:
            state.asked(health)
            if health.number != number:
                number = await _learned(health, deps)
        state.look_at_the_clock()
        clock = _compared(clock, deps)
        if state.reconnects != renewed:
            renewed = state.reconnects
            chats.renew_presences()
        await trio.sleep(GAP_SECONDS)
        with trio.move_on_after(min(interval_seconds, _again(state))):
            await channel.doubt.wait()


async def _learned(health: NumberHealth, deps: Dependencies) -> str:
    """Keep who we are; gives the number, or nothing if that has to be tried again."""
    try:
        await learn_own_ids(health, deps)
    except (GatewayError, StoreError) as error:
        deps.log.debug("our own number is not known yet", error=str(error))
        return ""
    return health.number


def _compared(before: float, deps: Dependencies) -> float:
    """Say when the gateway's clock and ours begin or cease to differ; gives by how much they do."""
    ahead = deps.gateway.seconds_ahead or 0.0
    deps.metrics.vitals.gateway_clock.set(ahead)
    if ahead and not before:
        deps.log.warning("our clock differs from the gateway's", seconds_behind=round(ahead))
    elif before and not ahead:
        deps.log.info("our clock and the gateway's are in step again")
    return ahead


def _again(state: ChannelState) -> float:
    """Seconds until the channel is asked for again, if nothing else says when."""
    if state.view.state == "ok":
        return math.inf
    return AGAIN_SECONDS if state.seconds_since_change < SOON_SECONDS else SELDOM_SECONDS
