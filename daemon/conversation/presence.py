"""Asking WhatsApp to tell us when a contact types: once a contact, within bounds."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from daemon.conversation.deps import Dependencies
from daemon.domain.ids import is_private
from daemon.domain.messages import ChatKey
from daemon.errors import GatewayError
from daemon.gateway.port import Indicator
from daemon.observability.events import UNEXPECTED_ERROR

MAX_CONTACTS = 10_000
"""The contacts remembered as subscribed; asking one of them again is harmless (409)."""

REMEMBERED_SECONDS = 24 * 3600.0
"""A contact who has not written for so long is forgotten, and asked for anew when they do."""


class Subscriptions:
    """Which contacts have been subscribed to. Any task may ask. Times on trio's clock."""

    def __init__(self, *, limit: int = MAX_CONTACTS) -> None:
        self._known: OrderedDict[ChatKey, float] = OrderedDict()
        """When each was last asked for, the longest ago first."""
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def is_due(self, key: ChatKey, now: float = 0) -> bool:
        """True, once, for a person's chat that has not been subscribed to lately."""
        if not is_private(key.chat):
            return False
        known = key in self._known
        self._known[key] = now
        self._known.move_to_end(key)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return not known

    def forget(self, key: ChatKey) -> None:
        """The subscription failed: try again with the contact's next message."""
        self._known.pop(key, None)

    def forget_all(self) -> None:
        """WhatsApp has a new session of ours, which knows of no subscription."""
        self._known.clear()

    def prune(self, now: float, seconds: float = REMEMBERED_SECONDS) -> int:
        """Forget the contacts who have not written for so long; gives how many."""
        before = len(self._known)
        while self._known and next(iter(self._known.values())) < now - seconds:
            self._known.popitem(last=False)
        return before - len(self._known)


# The typing indicator: shown while the model thinks, always taken away again.


T = TypeVar("T")

REFRESH_SECONDS = 10.0
"""WhatsApp hides an indicator that is not renewed after about 15 s to 25 s."""

CLEAR_SECONDS = 1.0
"""Taking it away may hold up what comes next this long, not longer."""


async def with_typing_shown(
    chat: str,
    deps: Dependencies,
    work: Callable[[], Awaitable[T]],
    *,
    name: str,
    presence: Indicator = "typing",
) -> T:
    """Do ``work`` in a child task while the customer is shown that we are typing; its result.

    Or recording, if ``presence`` says so. Where nothing is to be shown, the caller does the work.

    The indicator is a courtesy: a fault of it is not a fault of the work. It is taken away if the
    work is cancelled or fails; after a result it stands, since a message follows, which ends it.
    ``name`` is the child's. What the work raises comes in a group if there is a child.
    """
    if not deps.rules.typing or not deps.gateway.capabilities.shows_typing:
        return await work()
    results: list[T] = []

    async def child() -> None:
        results.append(await work())
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_typing, chat, deps, presence, name=f"typing of {name}")
            nursery.start_soon(child, name=name)
        return results[0]
    finally:
        if not results:
            await take_away(chat, deps)


async def take_away(chat: str, deps: Dependencies) -> None:
    """Show no more that we type, even if the caller is cancelled; takes a second at most."""
    with trio.CancelScope(shield=True) as scope:
        scope.deadline = trio.current_time() + CLEAR_SECONDS
        await show(chat, "pause", deps)


async def _keep_typing(chat: str, deps: Dependencies, presence: Indicator) -> None:
    """Runs until cancelled."""
    while True:
        await show(chat, presence, deps)
        await trio.sleep(REFRESH_SECONDS)


async def show(chat: str, presence: Indicator, deps: Dependencies) -> None:
    """Set the indicator; a failure is only noted."""
    try:
        await deps.gateway.set_presence(chat, presence)
    except GatewayError as error:
        deps.log.debug("typing indicator not set", error=str(error))


# Letting customers see that what they wrote has been read: the blue ticks.


PATIENCE_SECONDS = 10.0
"""For all messages of a burst; what is not marked by then stays unread."""


async def mark_read(key: ChatKey, message_ids: Sequence[str], deps: Dependencies) -> None:
    """Mark messages as read, the newest first, since phones show that one.

    A courtesy beside the answer: it fails no turn and delays none. Ends within its patience.
    """
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            for message_id in reversed(message_ids):
                await deps.gateway.mark_read(message_id)
        except GatewayError as error:
            deps.log.debug("not marked as read", chat=key, error=str(error))
        except Exception:  # noqa: BLE001 - a courtesy: it may not end what all chats run in
            what = "not marked as read"
            deps.log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)
