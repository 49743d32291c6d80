"""Presence: our typing, shown to customers, and theirs, subscribed to at WhatsApp.

All of it is a courtesy: a fault of it fails no turn and delays none.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from daemon.conversation.services import ChatServices
from daemon.domain.ids import chat_of, is_private, person_of, phone_digits
from daemon.domain.messages import ChatKey
from daemon.errors import GatewayError, StoreError
from daemon.gateway.port import Gateway, Indicator
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log

# -- ours: the typing indicator, and the blue ticks -------------------------------------------

T = TypeVar("T")

REFRESH_SECONDS = 10.0
"""WhatsApp hides an indicator that is not renewed after about 15 s to 25 s."""

CLEAR_SECONDS = 1.0
"""Taking it away may hold up what comes next this long, not longer."""

PATIENCE_SECONDS = 10.0
"""For marking all messages of a burst as read; what is not marked by then stays unread."""


class TypingIndicator:
    """Shows one chat that we are typing or recording. A failure is only noted."""

    def __init__(self, chat: str, gateway: Gateway, log: Log, *, shown: bool) -> None:
        """``shown``: False: nothing is ever shown."""
        self._chat = chat
        self._gateway = gateway
        self._log = log
        self._shown = shown and gateway.capabilities.shows_typing

    async def show(self, indicator: Indicator) -> None:
        """Set the indicator."""
        if not self._shown:
            return
        try:
            await self._gateway.set_presence(self._chat, indicator)
        except GatewayError as error:
            self._log.debug("typing indicator not set", error=str(error))

    async def take_away(self) -> None:
        """Show it no more, even if the caller is cancelled; takes a second at most."""
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + CLEAR_SECONDS
            await self.show("pause")

    async def shown_during(
        self, work: Callable[[], Awaitable[T]], *, name: str, indicator: Indicator
    ) -> T:
        """Do ``work`` in a child task while the indicator is shown; gives its result.

        Where nothing is to be shown, the caller does the work. The indicator is taken away if the
        work is cancelled or fails; after a result it stands, since a message follows, which ends
        it. ``name`` is the child's. What the work raises comes in a group if there is a child.
        """
        if not self._shown:
            return await work()
        results: list[T] = []

        async def child() -> None:
            results.append(await work())
            nursery.cancel_scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_showing, indicator, name=f"typing of {name}")
                nursery.start_soon(child, name=name)
            return results[0]
        finally:
            if not results:
                await self.take_away()

    async def _keep_showing(self, indicator: Indicator) -> None:
        """Runs until cancelled."""
        while True:
            await self.show(indicator)
            await trio.sleep(REFRESH_SECONDS)


async def mark_read(key: ChatKey, message_ids: Sequence[str], gateway: Gateway, log: Log) -> None:
    """Mark messages as read, the newest first, since phones show that one.

    Ends within its patience.
    """
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            for message_id in reversed(message_ids):
                await gateway.mark_read(message_id)
        except GatewayError as error:
            log.debug("not marked as read", chat=key, error=str(error))
        except Exception:  # noqa: BLE001 - a courtesy: it may not end what all chats run in
            what = "not marked as read"
            log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)


# -- theirs: subscribing to contacts, and learning their other ids ----------------------------

MAX_CONTACTS = 10_000
"""The contacts remembered as subscribed; asking one of them again is harmless (409)."""

REMEMBERED_SECONDS = 24 * 3600.0
"""A contact who has not written for so long is forgotten, and asked for again when they do."""

AT_ONCE = 4
"""Contacts set up at the same time: many new ones must not delay sends (ten thousand at once kept
the connections to the gateway busy for minutes)."""

PER_SECOND = 20
"""Contacts set up in a second while more are waiting: the answers go first."""

UNPACED = 20
"""At most this many contacts are set up without a pause after a quiet second."""

SOON_SECONDS = 1.0
"""A contact that waits no longer than this is subscribed to in any case."""

MOST_WAITING = 1000
"""Contacts that wait to be set up; further ones are set up when they write again."""


class Subscriptions:
    """The contacts subscribed to. Any task may ask. Times on trio's clock."""

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


class SetupSlots:
    """The queue of contacts for their setup. Any task may join; times on trio's clock."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(AT_ONCE)
        self._paced_until = -float("inf")

    @property
    def full(self) -> bool:
        """True if no further contact should wait."""
        return self._places.statistics().tasks_waiting >= MOST_WAITING

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place in this block, once there is one and the pace allows it."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()
        try:
            now = trio.current_time()
            earliest = now - UNPACED / PER_SECOND
            self._paced_until = max(self._paced_until, earliest) + 1 / PER_SECOND
            if self._paced_until > now:
                await trio.sleep_until(self._paced_until)
            yield
        finally:
            self._places.release()


class ContactSetup:
    """Subscribes to contacts, and learns by which other ids WhatsApp knows them.

    Without it the window is a little less clever, and one person may be kept as two.
    """

    def __init__(self, services: ChatServices) -> None:
        self._gateway = services.number.gateway
        self._identities = services.store.identities
        self._references = services.store.references
        self._config = services.config
        self._log = services.telemetry.log
        self._now = services.telemetry.now
        self._slots = SetupSlots()
        self.subscriptions = Subscriptions()

    async def run(
        self, keys: Sequence[ChatKey], *, still_writing: Callable[[ChatKey], bool]
    ) -> None:
        """Set up contacts one after the other, each in one of the slots that all callers share.

        A contact that waits there until its burst is over (`still_writing` says) is not subscribed
        to any more, and if too many wait, nothing is asked. Ends when all are set up.
        """
        for key in keys:
            if self._slots.full:
                self.subscriptions.forget(key)
                continue
            began = trio.current_time()
            try:
                async with self._slots.place():
                    subscribes = trio.current_time() - began < SOON_SECONDS or still_writing(key)
                    await self._set_up(key, subscribes=subscribes)
                    if not subscribes:
                        self.subscriptions.forget(key)
                    if self._config.rules.policy.groups == "mentions":
                        await self._learn_own_alias(key.number)
            except GatewayError as error:
                self.subscriptions.forget(key)
                self._log.debug("contact not set up", chat=key, error=str(error))
            except StoreError as error:
                self._log.warning("ids of one person not joined", chat=key, error=str(error))
            except Exception:  # noqa: BLE001 - a courtesy: it may not end what all chats run in
                self.subscriptions.forget(key)
                what = "contact not set up"
                self._log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)

    async def _set_up(self, key: ChatKey, *, subscribes: bool) -> None:
        gateway = self._gateway
        if subscribes and self._config.rules.presence and gateway.capabilities.sees_typing:
            await gateway.subscribe_presence(person_of(key.chat))
        digits = phone_digits(key.chat)
        alias = await gateway.find_alias(digits) if digits else ""
        other = ChatKey(key.number, alias)
        if alias and await self._identities.join(other, key.chat, now=self._now()):
            self._log.info("two ids of one person joined", chat=key)

    async def _learn_own_alias(self, channel: str) -> None:
        """Learn our own second id, by which groups may mention us; asked for once in a while."""
        number = await self._references.number_without_lid(channel)
        ours = ChatKey(channel, chat_of(number))
        if number and self.subscriptions.is_due(ours, trio.current_time()):
            alias = await self._gateway.find_alias(number)
            if alias:
                await self._references.learn_own_id(channel, alias)
