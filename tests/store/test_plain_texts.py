"""Texts that wait together are stored as if each had come alone."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, cast

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.ledgers import CHANNEL, LAURA, PEDRO, message

from daemon.domain.eligibility import Policy, verdict
from daemon.domain.messages import ChangeOrigin, ChatKey, Edit, Webhook
from daemon.domain.records import Accepted
from daemon.ledger.drivers.sqlite.database import (
    SqliteConnection,
    SqliteDatabase,
    run_together,
    transaction,
)
from daemon.ledger.intake import Inbox
from daemon.ledger.migrations import migrate
from daemon.ledger.references import Judging

pytestmark = pytest.mark.sqlite

GROUP = ChatKey(CHANNEL, "120363000000000001@g.us")
ALIAS = ChatKey(CHANNEL, "200000000000001@lid")
FEW = 3
OTHER_NUMBER = ChatKey("second", LAURA.chat)
Write = Callable[[SqliteConnection], Accepted]


# Mostly new messages of the same few chats: those are what is stored together.
chats = st.sampled_from([LAURA, PEDRO, GROUP] * 6 + [ALIAS, OTHER_NUMBER])
numbers = st.one_of(*[st.integers(0, 1_000_000)] * 30, st.integers(0, 9))
texts = st.builds(
    lambda key, number, body, **fields: Webhook(
        channel=key.number,
        event="messages.post",
        messages=(message(f"m{number}", body, key=key, **fields),),
        unreadable=("statuses[0]: no id",) if number == 7 else (),
    ),
    chats,
    numbers,
    st.sampled_from(["Hola", "¿Hay cupo?", " ", "😀"]),
    author_name=st.sampled_from(["", "Laura", "Laura M."]),
    chat_name=st.sampled_from(["", "Laura Cliente"]),
    sent_at=st.sampled_from([0, 50, 99, 4_000]),
    ephemeral=st.sampled_from([False] * 30 + [True]),
    from_me=st.sampled_from([False] * 30 + [True]),
)
edits = st.builds(
    lambda key, number: Webhook(
        channel=key.number,
        event="messages.patch",
        edits=(Edit(target=f"m{number}", body="Otra", origin=ChangeOrigin(chat=key.chat)),),
    ),
    chats,
    numbers,
)
calls = st.one_of(*[texts] * 15, edits)
PAUSED = "UPDATE chats SET paused_until = 110 WHERE chat LIKE '5730%'"
FORGOTTEN = "UPDATE chats SET forgotten_at = 60 WHERE chat LIKE '5730%'"
FOLLOWED = "INSERT INTO webhook_subscriptions VALUES ('message.received', '', 'crm')"
states = st.sampled_from(["", PAUSED, FORGOTTEN, f"{FOLLOWED} ON CONFLICT DO NOTHING"])


@settings(deadline=None, max_examples=40, phases=[Phase.generate])
@given(st.lists(st.tuples(st.lists(calls, min_size=9, max_size=30), states), max_size=5))
def test_both_ways_store_the_same(batches: list[tuple[list[Webhook], str]]) -> None:
    _assert_same(batches)


@pytest.mark.parametrize("state", [PAUSED, FORGOTTEN, FOLLOWED, ""])
def test_both_ways_store_the_same_in_an_unusual_chat(state: str) -> None:
    early = Edit(target="m12", body="Otra", origin=ChangeOrigin(chat=LAURA.chat))
    edit = Webhook(channel=CHANNEL, event="messages.patch", edits=(early,))
    first = [_text(number, LAURA) for number in range(FEW)]
    second = [_text(number + 10, LAURA) for number in range(FEW)]
    _assert_same([([*first, *([] if state else [edit])], state), (second, "")])


def _assert_same(batches: list[tuple[list[Webhook], str]]) -> None:
    """Compare the results and the rows of both ways; each batch is followed by a statement."""
    with closing(_store()) as together, closing(_store()) as alone:
        for number, (webhooks, state) in enumerate(batches):
            now = 100.0 + number
            writes = [_write(webhook, now + place / 100) for place, webhook in enumerate(webhooks)]
            results = run_writes(together, writes)
            assert results == [_alone(alone, write) for write in writes]
            for connection in (together, alone):
                connection.execute(state or "SELECT 1")
        assert _rows(together) == _rows(alone)


def test_usual_texts_share_their_statements() -> None:
    """Were they all stored one by one, the test above would prove nothing."""
    with closing(_store()) as connection:
        first = [_write(_text(number, LAURA), 100) for number in range(FEW)]
        run_writes(connection, first)
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        run_writes(connection, [_write(_text(number + 20, LAURA), 101) for number in range(30)])
        connection.set_trace_callback(None)
        assert sum(statement.startswith("SELECT") for statement in statements) == 1
        assert sum(statement.startswith("INSERT") for statement in statements) == 3 * 4
        assert not any("RETURNING" in statement for statement in statements)
        stored = connection.execute("SELECT COUNT(*), COUNT(DISTINCT event_id) FROM messages")
        assert stored.fetchone() == (FEW + 30, FEW + 30)


def test_a_message_that_is_stored_already_is_counted() -> None:
    with closing(_store()) as connection:
        run_writes(connection, [_write(_text(number, LAURA), 100) for number in range(FEW)])
        again = [_write(_text(number, LAURA), 101) for number in (0, 10, 11, 12)]
        results = run_writes(connection, again)
        assert [(one.stored, one.duplicates) for one in results] == [(0, 1), (1, 0), (1, 0), (1, 0)]


def _text(number: int, key: ChatKey) -> Webhook:
    one = message(f"m{number}", key=key, author_name="Laura", sent_at=50)
    return Webhook(channel=key.number, event="messages.post", messages=(one,))


class _Taking:
    """A database that only keeps the write that it is given."""

    def __init__(self) -> None:
        self.taken: Any = None

    async def write(self, operation: Write) -> Any:
        self.taken = operation


def _write(webhook: Webhook, now: float) -> Write:
    """The write of a call, as the intake hands it over."""
    database, policy = _Taking(), Policy(groups="off")
    judging = Judging(
        verdict=lambda known: verdict(known, policy), own_ids=frozenset(), mentions=False
    )
    inbox = Inbox(cast("SqliteDatabase", database), None, b"key")
    body = msgspec.json.encode(webhook)
    coroutine = inbox.accept(webhook, body, verdicts=judging, now=now, pause_until=now + 5)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    return cast("Write", database.taken)


def run_writes(connection: SqliteConnection, writes: Sequence[Write]) -> list[Accepted]:
    """Commit writes that wait together, as the database's thread does."""
    try:
        with transaction(connection):
            return cast("list[Accepted]", run_together(connection, writes))
    except sqlite3.IntegrityError:
        return [_alone(connection, write) for write in writes]


def _alone(connection: SqliteConnection, write: Write) -> Accepted:
    with transaction(connection):
        return write(connection)


@lru_cache(1)
def _empty() -> SqliteConnection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    migrate(connection)
    return connection


def _store() -> SqliteConnection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    _empty().backup(connection)
    return connection


def _rows(connection: SqliteConnection) -> dict[str, list[tuple[object, ...]]]:
    """All rows, without the names that are drawn at random."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'knowledge%'"
        " AND name NOT LIKE 'search_index%'"
    )
    connection.execute("UPDATE chats SET ref = channel || chat")
    return {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608
        if table != "log_starts"
        else []
        for (table,) in tables.fetchall()
    }
