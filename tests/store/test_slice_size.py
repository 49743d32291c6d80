"""How much one write of forgetting does: the same for a large chat as for a small one.

Steps of SQLite's machine and parts of its index of words are counted, which no load changes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from support.ledgers import CHANNEL, LAURA, OPERATOR, accept, message
from support.place import cli_connection, store_in
from support.rows import insert

from daemon.ledger.drivers.port import CliConnection
from daemon.ledger.drivers.sqlite.opening import SqliteCliConnection
from daemon.ledger.forget.forget import look, moved, write
from daemon.ledger.forget.jobs import ask, ask_chat, next_work
from daemon.ledger.forget.stages import OVER, STAGES
from daemon.ledger.ledger import Store

pytestmark = pytest.mark.sqlite

SMALL, LARGE = 150, 600
"""Rows of each table: more than one write takes of most."""
STEPS = 10
"""In one count of SQLite's."""


class Slice(NamedTuple):
    """What one write has done."""

    stage: str
    steps: int
    parts: int
    """That it has added to the index of words."""


async def fill(store: Store, many: int) -> None:
    """Laura has so many messages, turns with an answer, items of a thread, and enquiries."""
    await accept(store, message("laura", "Zurriago"), verdicts=["not now"], now=10)
    key = {"channel": CHANNEL, "chat": LAURA.chat}
    turn = {"state": "done", "outcome": "answered", "opened_at": 10, "concluded_at": 10}
    insert(
        store,
        "turns",
        *[{**key, **turn, "id": n, "request_id": f"r-{n}", "closed_at": 10} for n in range(many)],
    )
    said = (
        '{"id":"m-%d","key":["%s","%s"],"kind":"text","content":{"type":"text","body":"Zurriago"}}'
    )
    texts = [said % (n, CHANNEL, LAURA.chat) for n in range(many)]
    known = {**key, "event_id": 1, "kind": "text", "from_me": 0, "sent_at": 10, "state": "answered"}
    insert(
        store,
        "messages",
        *[
            {**known, "id": f"m-{n}", "message": text, "turn_id": n, "received_at": 10 + n}
            for n, text in enumerate(texts)
        ],
    )
    sent = {**key, "body": "Zarzuela", "state": "sent", "attempts": 1, "created_at": 10}
    insert(
        store,
        "outbox",
        *[{**sent, "turn_id": n, "message_id": f"s-{n}", "sent_at": 10 + n} for n in range(many)],
    )
    item = {**key, "item": '{"role":"user","content":"Zurriago"}', "tokens": 9, "created_at": 10}
    insert(store, "thread_items", *[{**item, "turn_id": n} for n in range(many)])
    day = {**key, "day": "2026-03-01", "began_at": 10, "last_at": 10, "settled": 1}
    day |= {"outcome": "automatic"}
    insert(store, "enquiries", *[{**day, "first_seq": n, "last_seq": n} for n in range(many)])
    while await store.search.step():
        pass


def slices(connection: CliConnection, data_dir: Path, name: str) -> Iterator[Slice]:
    """Do the work of this name."""
    assert isinstance(connection, SqliteCliConnection)
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    work = next_work(connection, data_dir, name=name)
    while work is not None and work.stage != OVER:
        stage, batch = work.stage, look(connection, work)
        if not batch.rows:
            work = moved(work, batch)
            continue
        count, before = 0, parts(connection)
        connection.set_progress_handler(counted, STEPS)
        with connection.transaction():
            work = write(connection, work, batch, now=200)
        connection.set_progress_handler(None, STEPS)
        yield Slice(stage, count * STEPS, parts(connection) - before)


def parts(connection: CliConnection) -> int:
    """The parts of the index of words that are not merged."""
    (found,) = connection.execute("SELECT COUNT(DISTINCT segid) FROM search_index_idx").fetchone()
    return int(found)


async def largest(data_dir: Path, many: int, *, is_old: bool) -> dict[str, Slice]:
    """The largest write of each stage."""
    await trio.Path(data_dir).mkdir()
    async with store_in(data_dir) as store:
        await fill(store, many)
    with cli_connection(data_dir, read_only=False) as connection:
        with connection.transaction():
            name = (
                ask_chat(connection, LAURA, before=100, now=199)
                if is_old
                else ask(connection, [LAURA.chat], by=OPERATOR, now=199)
            )
        found: dict[str, Slice] = {}
        for one in slices(connection, data_dir, name):
            found[one.stage] = max(one, found.get(one.stage, one))
    return found


@pytest.mark.parametrize("is_old", [True, False], ids=["an old chat", "a person"])
async def test_a_write_does_no_more_in_a_large_chat(tmp_path: Path, *, is_old: bool) -> None:
    small = await largest(tmp_path / "small", SMALL, is_old=is_old)
    large = await largest(tmp_path / "large", LARGE, is_old=is_old)
    assert small.keys() == large.keys()
    assert {"cut", "thread", "messages", "turns", "enquiries"} <= large.keys()
    assert large.keys() <= {"cut", *(stage.name for stage in STAGES)}
    most = max(one.steps for one in small.values())
    for stage, one in large.items():
        assert one.steps <= 1.2 * max(most, 1), (stage, one.steps, most)


@pytest.mark.parametrize("is_old", [True, False], ids=["an old chat", "a person"])
async def test_a_write_adds_one_part_to_the_index_of_words(tmp_path: Path, *, is_old: bool) -> None:
    """Many parts are merged all at once, in somebody's write."""
    found = await largest(tmp_path / "large", LARGE, is_old=is_old)
    assert found["messages"].parts == 1
    assert max(one.parts for one in found.values()) == 1


async def test_a_step_of_the_search_adds_one_part(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        for number in range(30):
            await accept(store, message(f"m-{number}", f"Zurriago x{number}"), now=100)
        await store.search.step()
    with cli_connection(tmp_path) as connection:
        assert parts(connection) == 1
