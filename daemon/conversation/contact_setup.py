"""Meeting contacts: asking WhatsApp to tell us of them, beside the tasks of their chats."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.presence import Subscriptions
from daemon.domain.ids import chat_of, person_of, phone_digits
from daemon.domain.messages import ChatKey
from daemon.errors import GatewayError, StoreError
from daemon.observability.events import UNEXPECTED_ERROR

AT_ONCE = 4
"""Contacts asked about at the same time: a rush of new ones must not crowd out what is to be sent
(ten thousand at once kept the connections to the gateway busy for minutes)."""

PER_SECOND = 20
"""Contacts asked about in a second, of a rush that lasts: the answers go first."""

UNPACED = 20
"""So many at once are asked about without a pause, if there was none for a second before."""

SOON_SECONDS = 1.0
"""Who waits no longer than this for their turn is subscribed to in any case."""

MOST_WAITING = 1000
"""Contacts that wait to be asked about; those beyond are asked about when they write again."""


class SetupSlots:
    """Where contacts wait for their turn. Any task may come; times on trio's clock."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(AT_ONCE)
        self._paced_until = -float("inf")

    @property
    def full(self) -> bool:
        """True if nobody should wait in addition."""
        return self._places.statistics().tasks_waiting >= MOST_WAITING

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and for the pace: an empty bucket gets a drop at a time."""
        async with self._places:
            now = trio.current_time()
            earliest = now - UNPACED / PER_SECOND
            self._paced_until = max(self._paced_until, earliest) + 1 / PER_SECOND
            if self._paced_until > now:
                await trio.sleep_until(self._paced_until)
            yield


async def set_up_contact(
    keys: Sequence[ChatKey],
    subscriptions: Subscriptions,
    deps: Dependencies,
    places: SetupSlots,
    *,
    still_writing: Callable[[ChatKey], bool],
) -> None:
    """Ask to be told when contacts type, and by which other ids WhatsApp knows them.

    Both are courtesies, of which the first may be switched off: without them the window is a
    little less clever, and a person may be met a second time under the other id. One contact
    after the other, each in one of the `places` that all callers share; ends when all have been
    asked about. Whoever had to wait there for longer than their burst lasted is not subscribed to
    any more (`still_writing` tells), and if too many wait, nothing is asked.
    """
    for key in keys:
        if places.full:
            subscriptions.forget(key)
            continue
        began = trio.current_time()
        try:
            async with places.place():
                subscribes = trio.current_time() - began < SOON_SECONDS or still_writing(key)
                await _meet(key, deps, subscribes=subscribes)
                if not subscribes:
                    subscriptions.forget(key)
                if deps.rules.policy.groups == "mentions":
                    await _meet_ourselves(key.channel, subscriptions, deps)
        except GatewayError as error:
            subscriptions.forget(key)
            deps.log.debug("contact not met", chat=key, error=str(error))
        except StoreError as error:
            deps.log.warning("ids of one person not joined", chat=key, error=str(error))
        except Exception:  # noqa: BLE001 - a courtesy: it may not end what all chats run in
            subscriptions.forget(key)
            what = "contact not met"
            deps.log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)


async def _meet(key: ChatKey, deps: Dependencies, *, subscribes: bool) -> None:
    if subscribes and deps.rules.presence and deps.gateway.capabilities.sees_typing:
        await deps.gateway.subscribe_presence(person_of(key.chat))
    digits = phone_digits(key.chat)
    lid = await deps.gateway.find_alias(digits) if digits else ""
    if lid and await deps.store.identities.join(ChatKey(key.channel, lid), key.chat):
        deps.log.info("two ids of one person joined", chat=key)


async def _meet_ourselves(channel: str, subscriptions: Subscriptions, deps: Dependencies) -> None:
    """Learn our own lid, under which groups may mention us; asked for once in a while at most."""
    number = await deps.store.references.number_without_lid(channel)
    ours = ChatKey(channel, chat_of(number))
    if number and subscriptions.is_due(ours, trio.current_time()):
        lid = await deps.gateway.find_alias(number)
        if lid:
            await deps.store.references.learn_own_id(channel, lid)
