"""The live log by itself: numbers, readers, and a store that takes nothing for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import trio
import trio.testing
from support.place import store_in

from daemon.domain.dashboard_values import FeedLost, LogQuery
from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.ledger.ledger import Store
from daemon.observability.events import RESPONSE, TYPING
from daemon.observability.logs import Log, open_log
from daemon.ops.live_log import MOST_WAITING, LiveLog

pytestmark = pytest.mark.usefixtures("noted_statements")

LAURA = ChatKey("C", "573001234567@s.whatsapp.net")


def new_log() -> Log:
    return open_log(
        stream=StringIO(), level="error", redactor=Redactor(), now=lambda: datetime.now(UTC)
    )


@asynccontextmanager
async def running(store: Store, log: Log, *, keep: int = 100) -> AsyncIterator[LiveLog]:
    live = LiveLog(store.dashboard_log, keep=keep, log=log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live.run)
        feed = live.follow()
        # The first line that arrives shows that the tap is in place, the last that no other comes.
        with trio.fail_after(30):
            while not feed._lines:
                say(log, "begin")
                await trio.testing.wait_all_tasks_blocked(0.005)
            say(log, "begun")
            while "begun" not in feed._lines[-1].line:
                await trio.testing.wait_all_tasks_blocked(0.005)
        feed.close()
        yield live
        nursery.cancel_scope.cancel()


def say(log: Log, words: str) -> None:
    log.event(RESPONSE, chat=LAURA, name="Laura", text=words, seconds=1)


async def test_only_conversation_lines_are_tapped_at_any_level(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store, running(store, log) as live:
        feed = live.follow()
        log.event(TYPING, chat=LAURA, name="Laura")
        say(log, "hello")
        with trio.fail_after(30):
            (line,) = await feed.receive()
        assert line.kind == "response"
        assert "hello" in line.line
        assert "573001234567" not in line.line


async def test_the_name_of_a_turn_stays_whole_although_it_may_look_like_a_number(
    tmp_path: Path,
) -> None:
    log = new_log()
    async with store_in(tmp_path) as store, running(store, log) as live:
        feed = live.follow()
        log.event(RESPONSE, turn="turn_734412346412", name="Laura", text="a", seconds=1)
        with trio.fail_after(30):
            (line,) = await feed.receive()
        assert line.turn == "turn_734412346412"


async def test_lines_of_other_threads_are_included(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store, running(store, log) as live:
        feed = live.follow()
        await trio.to_thread.run_sync(say, log, "from a thread")
        with trio.fail_after(30):
            (line,) = await feed.receive()
        assert "from a thread" in line.line


async def test_a_reader_that_does_not_read_is_lost_and_keeps_nothing(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store, running(store, log) as live:
        slow, quick = live.follow(), live.follow()
        for number in range(MOST_WAITING + 1):
            say(log, str(number))
            if number % 100 == 0:
                with trio.fail_after(30):
                    await quick.receive()
        with trio.fail_after(100):  # a thousand lines, stored and read again on PostgreSQL
            while not slow._lost:  # noqa: ASYNC110 - it is lost without a sign
                await trio.sleep(0.01)
            with pytest.raises(FeedLost):
                await slow.receive()
        assert not slow._lines
        assert await quick.receive()


async def test_lines_not_yet_stored_are_found_and_are_stored_at_the_end(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store:
        async with running(store, log) as live:
            feed = live.follow()
            log.event(RESPONSE, name="Laura", text="one", seconds=1)
            log.event(RESPONSE, name="Laura", text="two", seconds=1)
            with trio.fail_after(30):
                lines = await feed.receive()
                while len(lines) < 2:
                    lines += await feed.receive()
            found = await live.lines(LogQuery(after=lines[0].id - 1))
            assert [line.id for line in found] == [line.id for line in lines]
        stored = await store.dashboard_log.lines(LogQuery(text="two"))
        assert [line.id for line in stored] == [lines[1].id]


async def test_no_line_is_kept_if_none_is_wanted(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store:
        async with running(store, log, keep=0):
            log.event(RESPONSE, name="Laura", text="one", seconds=1)
        assert await store.dashboard_log.lines(LogQuery()) == []


async def test_lines_that_nobody_reads_wait_for_the_store_or_for_who_asks(tmp_path: Path) -> None:
    log = new_log()
    async with store_in(tmp_path) as store:
        async with running(store, log) as live:
            log.event(RESPONSE, name="Laura", text="asked for", seconds=1)
            (line,) = await live.lines(LogQuery(limit=1))
            assert "asked for" in line.line
            log.event(RESPONSE, name="Laura", text="stored at the end", seconds=1)
        (line,) = await store.dashboard_log.lines(LogQuery(limit=1))
        assert "stored at the end" in line.line
