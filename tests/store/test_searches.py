"""No search of a message's way reads a table that grows for ever.

SQLite uses a partial index only where it sees that the index holds every row asked for, and says
nothing if it does not: so the plans of the statements that the verbs really run are looked at.
"""

import contextlib
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.ledgers import (
    HERE,
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    message,
    open_turn,
    own_message,
    queued,
    tool_call,
)
from support.place import sqlite_of, store_in

from daemon.domain.eligibility import A_REACTION, A_VOTE
from daemon.domain.limits import Charge, Use
from daemon.domain.messages import (
    Call,
    ChatKey,
    Deletion,
    Edit,
    Location,
    ModelResponse,
    Quote,
    Reaction,
    StatusUpdate,
    Vote,
)
from daemon.domain.records import NewPart
from daemon.domain.transitions.handover import AN_AGENT
from daemon.ledger.ledger import Store

pytestmark = pytest.mark.sqlite

STATEMENTS = ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")
SMALL_INDEXES = {
    *("messages_open", "outbox_open", "outbox_in_flight", "one_living_turn"),
    *("early_statuses_by_age", "messages_with_agent", "messages_to_note", "chats_escalated"),
}
"""Indexes that hold only what is open, or a thousand rows: reading one of them whole is cheap."""


async def _intake(store: Store) -> None:
    await accept(store, message("m-1"), message("m-1"), own_message("a-1", "Ya voy", source="web"))
    await accept(store, own_message("w-1", "Buenas", source="api"))
    await accept(
        store,
        statuses=(StatusUpdate(message_id="w-1", status="read"),),
        edits=(
            Edit(target="m-1", body="dos", origin=HERE),
            Edit(target="none", body="x", origin=HERE),
        ),
        deletions=(Deletion(target="m-1"),),
    )
    await store.inbox.waiting(LAURA, from_me=False)
    await store.inbox.waiting(LAURA, from_me=True)
    await store.inbox.chats_with_work()
    await store.inbox.oldest_unanswered()


async def _turns(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    wanted = Charge("2026-03-01", Use(10, 10))
    run, _ = await store.runs.start(turn, attempt=1, wanted=wanted, now=101)
    await store.runs.round_started(run, 0, now=101)
    await store.runs.round_named(run, 0, "resp-1", now=102)
    await store.runs.abandon_response(turn.id, now=101)
    await store.runs.round_failed(run, 0, "cut", lost=False, now=101)
    await store.runs.round_completed(run, 0, ModelResponse(id="resp-1", items=()), now=101)
    row = await store.runs.call_started(run, 0, tool_call(), effects=True, now=101)
    await store.runs.call_ended(row, "{}", failed=False, now=101)
    turn = await store.turns.join(turn, limit=5, counts=True, now=102)
    await store.turns.apologise(turn, NewPart("Disculpa"), now=103)
    await store.turns.close(turn, "dead", now=104)
    await store.turns.end(turn)
    await store.turns.active(LAURA)
    await store.snapshots.of(LAURA, since=0)
    await store.turns.all_active()


async def _sends(store: Store) -> None:
    first, second, third = await queued(store, "uno", "dos", "tres")
    await store.outbox.sending(first, now=103)
    await store.outbox.unknown(first, "timeout")
    await store.outbox.repeat(first)
    await store.outbox.pending(first, "429")
    await store.outbox.sent(first, "w-1", now=104)
    for status in ("delivered", "failed"):
        update = StatusUpdate(message_id="w-3", status=status)
        await store.outbox.sending(third, now=104)
        await accept(store, statuses=(update,))
        await store.outbox.sent(third, "w-3", now=104)
    await store.outbox.sent(second, "w-2", now=104)
    for times in range(2):
        failed = StatusUpdate(message_id=f"w-2{times}", status="failed")
        await store.outbox.sent(second, f"w-2{times}", now=104)
        await accept(store, statuses=(failed,), resend_since=times)
        await accept(store, statuses=(StatusUpdate(message_id="w-20", status="read"),))
    await accept(store, statuses=(StatusUpdate(message_id="w-21", status="read"),))
    await store.outbox.failed(second, "no")
    await store.outbox.row(third.id)
    await store.outbox.known_ids(["w-1"])
    await store.outbox.sent_since(LAURA, ("text", "uno"), 1)
    await store.outbox.chats_with_work()
    await store.outbox.counts()
    await store.outbox.repair()
    await store.outbox.drop(LAURA, "agent")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.turns.finish(turn, now=105)


async def _references(store: Store) -> None:
    """What is looked up for signs, quotes, groups, places and calls, and what disappears."""
    group = ChatKey(LAURA.number, "120363012345678901@g.us")
    place = Location(latitude=0, longitude=0, live=True)
    new = (
        message("g-1", key=group, author="57300", quote=Quote(id="w-1")),
        message("r-1", Reaction(target="m-1", emoji="x")),
        message("v-1", Vote(target="m-1", options=("a",))),
        message("l-1", place, kind="live_location", author="57300"),
    )
    await store.references.know(new, own_ids=frozenset({"57399"}), now=100)
    await accept(store, *new, verdicts=["", A_REACTION, A_VOTE, ""])
    turn = await open_turn(store, group)
    await store.references.unaddressed(turn, limit=5)
    await accept(store, message("e-1", ephemeral=True), verdicts=["no"])
    await store.turns.close(turn, "answered", now=104)
    call = Call(id="c-1", key=LAURA, status="missed")
    await store.calls.take_in([call], reply=NewPart("No"), now=105)


async def _threads(store: Store) -> None:
    await accept(store, message("p-1", key=PEDRO))
    await store.threads.history(PEDRO, tokens=100)
    await store.threads.recent_lines(PEDRO, 10)
    await store.threads.chat(PEDRO)
    await store.threads.note_waiting(PEDRO, [1], [], state="ignored", reason="", now=101)


async def _handovers(store: Store) -> None:
    """A chat that an agent has, from the takeover to the end of the pause."""
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    await accept(store, own_message("a-1", "Ya voy", source="web"), pause_until=900)
    await store.turns.close(turn, "handed_off", reason=AN_AGENT, now=102)
    await accept(store, message("m-2"))
    await store.handovers.to_note(LAURA, waiting_too=False)
    await store.handovers.signals(LAURA)
    await store.handovers.waiting_chats(before=50)
    await store.handovers.waiting_chats()
    await store.handovers.chats_with_work(now=1000)
    await store.handovers.pauses(now=103)
    await store.handovers.hold(LAURA, now=103)
    await store.handovers.end_pause(LAURA, NewPart("Disculpa"), now=1000)
    await store.operator_actions.done(LAURA.chat, channel=LAURA.number, by=OPERATOR, now=1001)
    await store.operator_actions.give_back(LAURA.chat, channel=LAURA.number, by=OPERATOR, now=1002)


def _full_reads(connection: sqlite3.Connection, statement: str) -> list[str]:
    """The steps of a statement's plan that read a table, or a channel, from end to end.

    On a connection that does not check references: those that an INSERT might have to check are
    in its plan, but read only where one is already broken.
    """
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    found = []
    for step in plan:
        index = re.search(r"INDEX (\w+)", step)
        table = re.match(r"(SCAN|SEARCH) (?:main\.)?(\w+)", step)
        if table is None or table[2] in {
            "CONSTANT",
            "SUBQUERY",
            "sqlite_schema",
            "json_each",
            "own_ids",
            "audit_head",
            "newest",
            "search_index_config",
        }:
            continue
        if index is not None and index[1] in SMALL_INDEXES:
            continue
        if table[1] == "SCAN" or step.endswith("(channel=?)"):
            found.append(f"{step}: {statement}")
    return found


@pytest.mark.parametrize("scene", [_intake, _turns, _sends, _references, _threads, _handovers])
async def test_no_search_reads_everything(
    tmp_path: Path, scene: Callable[[Store], Awaitable[None]]
) -> None:
    statements: list[str] = []
    async with store_in(tmp_path) as store:
        connections = [
            sqlite_of(store)._connection,
            *(s.use() for s in sqlite_of(store)._readers.sources),
        ]
        for connection in connections:
            connection.set_trace_callback(statements.append)
        await scene(store)
        for connection in connections:
            connection.set_trace_callback(None)
    asked = {s for s in statements if s.startswith(STATEMENTS)}
    assert len(asked) >= 4
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        assert [read for s in sorted(asked) for read in _full_reads(connection, s)] == []


def test_the_check_above_sees_a_full_read() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE messages (channel TEXT, chat TEXT, state TEXT)")
        connection.execute("CREATE INDEX messages_by_channel ON messages (channel)")
        for condition in ("state = 'received'", "channel = 'c' AND state = 'received'"):
            statement = f"SELECT * FROM messages WHERE {condition}"  # noqa: S608 - of this list
            assert len(_full_reads(connection, statement)) == 1
