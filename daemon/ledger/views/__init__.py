"""Views: what people are shown of the ledger, as plain JSON objects with times as Unix seconds.

Nothing is masked here; who shows it decides.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.drivers.port import Connection, Role, query
from daemon.ledger.nodes import NodeState, nodes
from daemon.ledger.recordings import RecordedTurn, recordings_until
from daemon.ledger.reminders import waiting_reminders
from daemon.ledger.views import bubbles, chat_list, found, traces, work
from daemon.ledger.views.bubbles import Before
from daemon.ledger.views.chat_list import Live, Wanted
from daemon.ledger.views.traces import MessageTrace
from daemon.ledger.webhook_deliveries import dead_deliveries

T = TypeVar("T")

DOUBTFUL_SECONDS = 7 * 86400.0
"""How long a doubted answer is listed."""


class Views(Role):
    """Queries for the dashboard. Any task may ask; all raise StoreUnavailable."""

    async def chats(
        self, wanted: Wanted, live: Mapping[ChatKey, Live], *, now: float
    ) -> JsonObject:
        """One page of the chats; see `chat_list.list_chats`."""
        return await self._read(partial(chat_list.list_chats, wanted=wanted, live=live, now=now))

    async def chat(
        self, key: ChatKey, live: Mapping[ChatKey, Live], *, now: float
    ) -> JsonObject | None:
        """One chat as the list has it; None if it is not known."""
        return await self._read(partial(chat_list.one_chat, key=key, live=live, now=now))

    async def bubbles(
        self, key: ChatKey, *, before: Before, limit: int
    ) -> tuple[list[JsonObject], Before | None]:
        """One page of a conversation; see `bubbles.bubbles`."""
        return await self._read(partial(bubbles.bubbles, key=key, before=before, limit=limit))

    async def found(
        self, wanted: Wanted, live: Mapping[ChatKey, Live], *, before: int, now: float
    ) -> JsonObject:
        """One page of the messages with some words; see `found.find_messages`."""
        read = partial(found.find_messages, wanted=wanted, live=live, before=before, now=now)
        return await self._read(read)

    async def place_of(self, key: ChatKey, name: str) -> Before | None:
        """Where the page with a message ends; see `found.place_of`."""
        return await self._read(partial(found.place_of, key=key, name=name))

    async def costs(self, key: ChatKey) -> JsonObject:
        """What a conversation has cost; see `work.costs_of`."""
        return await self._read(partial(work.costs_of, key=key))

    async def turns(self, key: ChatKey, *, limit: int) -> list[JsonObject]:
        """The last turns of a chat, newest first."""
        return await self._read(partial(traces.turns_of, key=key, limit=limit))

    async def chat_of_turn(self, request_id: str) -> ChatKey | None:
        """The chat of a turn, by the turn's name in the log."""
        return await self._read(partial(traces.chat_of_turn, request_id=request_id))

    async def recorded(self, key: ChatKey, request_id: str, *, most: int) -> list[RecordedTurn]:
        """The last answered turns of a chat up to one of them; see `recordings_until`."""
        read = partial(recordings_until, key=key, request_id=request_id, most=most)
        return await self._read(read)

    async def story(self, request_id: str) -> MessageTrace | None:
        """Everything about one turn, by its name in the log."""
        return await self._read(partial(traces.story_of, request_id=request_id))

    async def key_of(self, ref: str) -> ChatKey | None:
        """The chat with this public name."""
        return await self._read(partial(chat_list.key_of, ref=ref))

    @query
    def work(
        self,
        connection: Connection,
        live: Iterable[ChatKey],
        *,
        days: Mapping[str, str],
        since: float,
        now: float,
    ) -> JsonObject:
        """Work under way, waiting and failed, and the day's cost.

        ``people`` has the names of the chats in it, and of those in ``live``. ``days``: the day of
        each number. ``since``: when this process began, Unix seconds.
        """
        shown: JsonObject = {
            "runs": work.running(connection),
            "outbox": work.outbox_counts(connection),
            "sends": work.open_sends(connection),
            "dead_turns": work.dead_turns(connection),
            "doubtful": work.doubtful_turns(connection, now - DOUBTFUL_SECONDS),
            "failed_sends": work.failed_sends(connection),
            "dead_webhooks": dead_deliveries(connection),
            "reminders": waiting_reminders(connection, limit=work.SHOWN),
            "unreadable": work.unreadable_events(connection),
            "expired": work.expired_since(connection, since),
            "spending": work.spending(connection, days),
            "questions": work.questions(connection),
        }
        names = (
            "sends",
            "dead_turns",
            "doubtful",
            "failed_sends",
            "dead_webhooks",
            "reminders",
        )
        lists = [shown[name] for name in names]
        keys = set(live) | {entry["key"] for entries in lists for entry in entries}
        keys |= {entry["key"] for entry in shown["spending"]["chats"]} | set(shown["runs"])
        return {**shown, "people": work.people(connection, keys)}

    async def nodes(self, now: float) -> list[NodeState]:
        """The nodes of a cluster; see `daemon.ledger.nodes.nodes`."""
        return await self._read(partial(nodes, now=now))

    async def _read(self, read: Callable[[Connection], T]) -> T:
        return await self._database.read(read)
