"""The typing indicator: shown while the model thinks, always taken away again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from daemon.chats.dependencies import Dependencies, Presence
from daemon.errors import GatewayError

T = TypeVar("T")

REFRESH_SECONDS = 10.0
"""WhatsApp hides an indicator that is not renewed after about 15 s to 25 s."""

CLEAR_SECONDS = 1.0
"""Taking it away may hold up what comes next this long, not longer."""


async def with_typing_shown(
    chat: str,
    needs: Dependencies,
    work: Callable[[], Awaitable[T]],
    *,
    name: str,
    presence: Presence = "typing",
) -> T:
    """Do ``work`` in a child task while the customer is shown that we are typing; its result.

    Or recording, if ``presence`` says so. Where nothing is to be shown, the caller does the work.

    The indicator is a courtesy: a fault of it is not a fault of the work. It is taken away if the
    work is cancelled or fails; after a result it stands, since a message follows, which ends it.
    ``name`` is the child's. What the work raises comes in a group if there is a child.
    """
    if not needs.rules.typing:
        return await work()
    results: list[T] = []

    async def child() -> None:
        results.append(await work())
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_typing, chat, needs, presence, name=f"typing of {name}")
            nursery.start_soon(child, name=name)
        return results[0]
    finally:
        if not results:
            await take_away(chat, needs)


async def take_away(chat: str, needs: Dependencies) -> None:
    """Show no more that we type, even if the caller is cancelled; takes a second at most."""
    with trio.CancelScope(shield=True) as scope:
        scope.deadline = trio.current_time() + CLEAR_SECONDS
        await show(chat, "pause", needs)


async def _keep_typing(chat: str, needs: Dependencies, presence: Presence) -> None:
    """Runs until cancelled."""
    while True:
        await show(chat, presence, needs)
        await trio.sleep(REFRESH_SECONDS)


async def show(chat: str, presence: Presence, needs: Dependencies) -> None:
    """Set the indicator; a failure is only noted."""
    try:
        await needs.gateway.set_presence(chat, presence)
    except GatewayError as error:
        needs.log.debug("typing indicator not set", error=str(error))
