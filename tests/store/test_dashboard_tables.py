"""What the dashboard keeps: lines of the live log, figures, and who is signed in."""

from pathlib import Path

from support.place import store_in
from support.rows import insert

from daemon.domain.accounts import Session
from daemon.domain.dashboard_values import LogLine, LogQuery, Sample
from daemon.domain.messages import ChatKey
from daemon.ledger.accounts import MOST_SESSIONS
from daemon.ledger.ledger import Store
from daemon.ledger.process_records import LINES_A_START

LAURA = ChatKey("C", "573001234567@s.whatsapp.net")


def line(number: int, words: str = "words", **fields: object) -> LogLine:
    values = {"at": float(number), "kind": "message", "level": "info", "line": words} | fields
    return LogLine(id=number, **values)  # type: ignore[arg-type]


async def introduce(store: Store, key: ChatKey) -> str:
    """Make a chat known; gives its public name."""
    times = {"first_seen_at": 1, "last_activity_at": 1}
    insert(store, "chats", {"channel": key.number, "chat": key.chat, **times})
    known = await store.dashboard_log.chat_names(key)
    assert known is not None
    return known[1]


async def ids(store: Store, **query: object) -> list[int]:
    found = await store.dashboard_log.lines(LogQuery(**query))  # type: ignore[arg-type]
    return [row.id for row in found]


async def test_lines_are_found_by_place_kind_time_and_words(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        rows = [
            line(1, "Hola"),
            line(2, "100% sí", kind="response", turn="turn_1"),
            line(3, "100 no", level="error"),
            line(4, "a_b"),
        ]
        await store.dashboard_log.add(rows, keep=10)
        assert await ids(store) == [1, 2, 3, 4]
        assert await ids(store, limit=2) == [3, 4]
        assert await ids(store, after=1, limit=2) == [2, 3]
        assert await ids(store, before=3, limit=1) == [2]
        assert await ids(store, kind="response") == [2]
        assert await ids(store, turn="turn_1") == [2]
        assert await ids(store, level="error") == [3]
        assert await ids(store, since=2, until=4) == [2, 3]
        assert await ids(store, text="hola") == [1]
        assert await ids(store, text="0%") == [2]
        assert await ids(store, text="a_") == [4]
        assert await ids(store, text="' OR 1=1 --") == []


async def test_only_the_newest_lines_are_kept(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        for first in range(0, 30, 10):
            rows = [line(number) for number in range(first + 1, first + 11)]
            await store.dashboard_log.add(rows, keep=12)
        assert await ids(store) == list(range(19, 31))


async def test_a_line_is_found_by_the_public_name_of_its_chat(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        ref = await introduce(store, LAURA)
        await store.dashboard_log.add([line(1, key=LAURA), line(2)], keep=10)
        (found,) = await store.dashboard_log.lines(LogQuery(ref=ref))
        assert (found.id, found.key, found.ref) == (1, LAURA, ref)
        assert "573001234567" not in ref
        assert await store.dashboard_log.chat_of(ref) == LAURA.chat
        assert await store.dashboard_log.chat_of("") == ""


async def test_lines_of_a_chat_that_is_not_there_are_not_stored(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await store.dashboard_log.add([line(1, key=LAURA), line(2)], keep=10)
        assert await ids(store) == [2]


async def test_no_two_processes_give_the_same_number(tmp_path: Path) -> None:
    starts = []
    for _ in range(3):
        async with store_in(tmp_path) as store:
            starts.append(await store.dashboard_log.start())
    assert starts == [LINES_A_START, 2 * LINES_A_START, 3 * LINES_A_START]


async def test_figures_are_kept_for_a_while(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        for at in (100, 200, 300):
            await store.samples.add(Sample(at=at, messages=at, turn=(1, 2)), keep_seconds=150)
        kept = await store.samples.since(0)
        assert [sample.at for sample in kept] == [200, 300]
        assert kept[0] == Sample(at=200, messages=200, turn=(1, 2))
        assert await store.samples.counters(0) == {"paused": 0, "deadLetters": 0}


async def test_sessions_outlive_a_restart_and_end(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await store.sessions.begin("old", ends_at=5, now=0)
        await store.sessions.begin("name", ends_at=50, now=10)
    async with store_in(tmp_path) as store:
        assert await store.sessions.find("name") == Session(ends_at=50)
        assert await store.sessions.find("old") is None
        await store.sessions.end("name")
        assert await store.sessions.find("name") is None


async def test_sessions_are_bounded(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        sessions = [{"name": str(n), "ends_at": 100 + n} for n in range(MOST_SESSIONS)]
        insert(store, "dashboard_sessions", *sessions)
        await store.sessions.begin("new", ends_at=99, now=0)
        assert await store.sessions.find("0") is None
        assert await store.sessions.find("1") == Session(ends_at=101)
        assert await store.sessions.find("new") == Session(ends_at=99)
