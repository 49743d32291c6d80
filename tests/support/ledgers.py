"""Values for tests of the store: messages, webhook calls, and a look at the rows themselves."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import trio

from daemon.domain.audit_chain import Actor
from daemon.domain.messages import (
    AnyContent,
    ChangeOrigin,
    ChatKey,
    FunctionCall,
    Message,
    Text,
    Webhook,
)
from daemon.domain.records import Accepted, NewPart, OutboxRow, Turn
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.ledger import Store
from daemon.ledger.statuses import NEVER
from support.rows import select

CHANNEL = "MANTIS-M72HC"
LAURA = ChatKey(CHANNEL, "573001234567@s.whatsapp.net")
OPERATOR = Actor(name="user maria")
PEDRO = ChatKey(CHANNEL, "573007654321@s.whatsapp.net")


class Commits:
    """A meter that keeps the size of each transaction."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def committed(self, *, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self.rows.append(rows)


HERE = ChangeOrigin(chat=LAURA.chat)
"""Where Laura's own changes come from."""


def message(
    message_id: str, content: AnyContent | str = "Hola", *, key: ChatKey = LAURA, **fields: Any
) -> Message:
    """One message of a customer, unless the fields say otherwise."""
    if isinstance(content, str):
        content = Text(body=content)
    return Message(
        id=message_id, key=key, kind=fields.pop("kind", "text"), content=content, **fields
    )


def own_message(
    message_id: str, content: AnyContent | str, *, source: str, key: ChatKey = LAURA
) -> Message:
    """One message that left our own number."""
    return message(message_id, content, key=key, from_me=True, source=source)


async def accept(
    store: Store,
    *messages: Message,
    now: float = 100.0,
    pause_until: float = 0,
    verdicts: Sequence[str] | None = None,
    resend_since: float = NEVER,
    **fields: Any,
) -> Accepted:
    """Accept one webhook call with these messages, or with these further parts."""
    webhook = Webhook(channel=CHANNEL, event="messages.post", messages=messages, **fields)
    return await store.inbox.accept(
        webhook,
        json.dumps([m.id for m in messages]).encode(),
        verdicts=[""] * len(messages) if verdicts is None else verdicts,
        now=now,
        pause_until=pause_until,
        resend_since=resend_since,
    )


async def open_turn(store: Store, key: ChatKey = LAURA, *, limit: int = 50) -> Turn:
    """Open a turn on the waiting messages, of which there are some."""
    turn = await store.turns.open(key, request_id="r-1", limit=limit, quotes=False, now=101)
    assert turn is not None
    return turn


async def answered_turn(store: Store, *message_ids: str, answer: str = "Claro que sí") -> Turn:
    """A turn on new messages with these ids, answered and finished."""
    for message_id in message_ids:
        await accept(store, message(message_id))
    turn, (row,), _ = await store.turns.conclude(
        await open_turn(store), items=[], parts=[NewPart(answer)], now=102
    )
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, f"sent-{row.id}", now=104)
    assert (await store.turns.finish(turn, now=105)).outcome == "answered"
    return turn


async def queued(store: Store, *bodies: str, key: ChatKey = LAURA) -> tuple[OutboxRow, ...]:
    """The outbox rows of a new turn with this answer."""
    await accept(store, message(f"for-{'-'.join(bodies)}", key=key))
    turn = await open_turn(store, key)
    parts = [NewPart(body) for body in bodies]
    return (await store.turns.conclude(turn, items=[], parts=parts, now=102)).to_send


def tool_call(arguments: str = "{}", *, name: str = "book", call_id: str = "c-1") -> FunctionCall:
    """A call that the model asked for."""
    return FunctionCall(call_id=call_id, name=name, arguments=arguments)


def message_state(store: Store, message_id: str) -> tuple[str, str]:
    """State and reason of one message."""
    ((state, reason),) = select(store, "messages", "state, reason", where={"id": message_id})
    return state, reason


def outbox_states(store: Store) -> list[str]:
    """The states of everything that was ever in the outbox, oldest first."""
    return [state for (state,) in select(store, "outbox", "state", order="id")]


async def thread_of(store: Store, key: ChatKey = LAURA) -> list[Any]:
    """The items of a whole thread, oldest first."""
    return [entry.item for entry in await store.threads.history(key, tokens=10**9)]


def insert_event(event: str) -> Callable[[Connection], None]:
    """A verb that writes one row of events."""

    def method(connection: Connection) -> None:
        connection.execute(
            "INSERT INTO events (received_at, channel, event) VALUES (0, '', ?)", (event,)
        )

    return method


async def events(store: Store) -> list[str]:
    """The texts that `insert_event` wrote, in order, as the ledger's own readers see them."""
    query = "SELECT event FROM events ORDER BY id"
    found = await store.database.read(lambda connection: connection.execute(query).fetchall())
    return [event for (event,) in found]


class HeldWriter:
    """The writer thread, stopped inside a verb until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._go = threading.Event()

    def let_go(self) -> None:
        self._go.set()

    def method(self, connection: Any) -> None:
        """Stand in the writer thread; a verb for `SqliteDatabase.write`."""
        assert connection.in_transaction
        self.begun.set()
        assert self._go.wait(90)


@contextmanager
def held_writer() -> Iterator[HeldWriter]:
    """A hold on the writer that ends with the block, whatever happens in it."""
    held = HeldWriter()
    try:
        yield held
    finally:
        held.let_go()


async def hold(database: SqliteDatabase, held: HeldWriter, nursery: trio.Nursery) -> None:
    """Make the writer stand still, and wait until it does."""
    nursery.start_soon(database.write, held.method, name="held write")
    assert await trio.to_thread.run_sync(held.begun.wait, 90)
