"""The live log: lines of the log are numbered, sent to readers, and stored in batches.

A line is sent at once and stored within a second, never before more important writes. While nobody
reads, lines are only gathered until then: in a rush that saves what each of them would cost. A
crash may lose lines that were sent but not stored; their numbers are not used again, so a cursor
stays valid over restarts.

Of several nodes each stores its lines, and reads what all have stored, its own among them: a line
is seen everywhere within a second, in the same order.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from daemon.domain.dashboard_values import FeedLost, LogLine, LogQuery
from daemon.domain.messages import ChatKey
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.port import Cluster
from daemon.ledger.process_records import DashboardLog, matches
from daemon.observability.events import DASHBOARD
from daemon.observability.lines import LogRecord
from daemon.observability.logs import Log

WRITE_SECONDS = 1.0
MOST_PENDING = 2_000
"""Lines that wait for a store that fails; beyond that the oldest are lost."""

MOST_WAITING = 1_000
"""Lines that wait for one reader; a slower one is dropped."""

MOST_NAMES = 10_000
"""Chats whose public name is remembered."""

_Named = tuple[ChatKey | None, str]


class Feed:
    """The new lines for one reader, who closes it."""

    def __init__(self, live: "LiveLog") -> None:
        self._live = live
        self._lines: list[LogLine] = []
        self._come = trio.Event()
        self._lost = False

    def put(self, line: LogLine) -> None:
        """Add a line; a reader with too many loses all."""
        if len(self._lines) >= MOST_WAITING:
            self._lost = True
            self._lines.clear()
        if not self._lost:
            self._lines.append(line)
        self._come.set()

    async def receive(self) -> list[LogLine]:
        """Wait for lines that are new since the last call, oldest first.

        Raises FeedLost if the reader was so slow that lines were dropped.
        """
        await self._come.wait()
        if self._lost:
            raise FeedLost
        self._come = trio.Event()
        lines, self._lines = self._lines, []
        return lines

    def close(self) -> None:
        """Collect no more lines."""
        self._live.drop(self)


class LiveLog:
    """Numbers lines. Made by the composer; `run` is a side task of the daemon."""

    def __init__(
        self, store: DashboardLog, *, keep: int, log: Log, cluster: Cluster | None = None
    ) -> None:
        """``keep`` lines stay in the store; 0 stores none.

        ``cluster``: where other nodes store theirs; None: there are none.
        """
        self._cluster = cluster if keep else None
        self._records: deque[LogRecord] = deque(maxlen=MOST_PENDING)
        self._store = store
        self._keep = keep
        self._log = log
        self._next = 0
        self._come = trio.Event()
        self._feeds: set[Feed] = set()
        self._pending: deque[LogLine] = deque(maxlen=MOST_PENDING)
        self._writable = trio.Event()
        self._numbering = trio.Lock()
        self._names: dict[ChatKey, tuple[ChatKey, str]] = {}

    def follow(self) -> Feed:
        """Begin to collect lines for one reader, until it closes its feed."""
        feed = Feed(self)
        self._feeds.add(feed)
        return feed

    @property
    def readers(self) -> int:
        """The number of readers."""
        return len(self._feeds)

    def drop(self, feed: Feed) -> None:
        """Collect no more lines for that reader."""
        self._feeds.discard(feed)

    async def lines(self, query: LogQuery) -> list[LogLine]:
        """Lines that a query matches, oldest first, also those that are not stored yet.

        Raises StoreUnavailable.
        """
        await self._number()
        pending = [line for line in self._pending if matches(line, query)]
        if self._cluster is not None:
            pending = []  # they get other ids
        lines = {line.id: line for line in await self._store.lines(query)}
        if query.after and len(lines) == query.limit:
            return list(lines.values())
        lines.update((line.id, line) for line in pending)
        found = [lines[number] for number in sorted(lines)]
        return found[: query.limit] if query.after else found[-query.limit :]

    async def run(self) -> None:
        """Number, send and store the lines of the log. Runs until cancelled.

        Raises StoreUnavailable if the store fails at the start; the supervisor tries again.
        """
        self._next = max(self._next, await self._store.start())
        token = trio.lowlevel.current_trio_token()

        def tap(record: LogRecord) -> None:
            self._records.append(record)
            come = self._come if self._feeds else self._writable
            if come.is_set():
                return
            if _runs_here(token):
                come.set()
            else:
                _wake(token, come.set)

        with self._log.tapped(tap, DASHBOARD):
            async with trio.open_nursery() as nursery:
                if self._cluster is not None:
                    nursery.start_soon(self._follow_all, self._cluster, name="lines of all nodes")
                nursery.start_soon(self._show, name="live log")
                nursery.start_soon(self._write, name="live log's memory")

    async def _show(self) -> None:
        """Send lines to the readers as they come. Runs until cancelled."""
        while True:
            self._come = trio.Event()
            await self._number()
            await self._come.wait()

    async def _number(self) -> None:
        """Number the lines that have come, for the readers and for the store."""
        async with self._numbering:
            while self._records:
                record = self._records.popleft()
                line = self._line(record, await self._name(record.chat))
                self._pending.append(line)
                self._writable.set()
                if self._cluster is None:
                    self._feed(line)

    def _feed(self, line: LogLine) -> None:
        for feed in self._feeds:
            feed.put(line)

    async def _follow_all(self, cluster: Cluster) -> None:
        """Send the stored lines of all nodes to the readers. Runs until cancelled."""
        after = await self._store.last_id()
        while True:
            with trio.move_on_after(WRITE_SECONDS):
                await cluster.noticed("log_lines")
            with suppress(StoreUnavailable):  # what is missing then comes with the next look
                after = await self._follow_from(after)

    async def _follow_from(self, after: int) -> int:
        """Send what came after a line, if there are readers; gives the newest."""
        if not self._feeds:
            newest = await self._store.last_id()
            return after if self._feeds else newest  # a reader may have come meanwhile
        for line in await self._store.lines(LogQuery(after=after, limit=MOST_WAITING)):
            self._feed(line)
            after = line.id
        return after

    async def _write(self) -> None:
        """Store lines, at most once a second, and at the end. Runs until cancelled."""
        try:
            while True:
                await self._writable.wait()
                self._writable = trio.Event()
                await self._store_pending()
                await trio.sleep(WRITE_SECONDS)
        finally:
            with trio.move_on_after(WRITE_SECONDS, shield=True):
                await self._store_pending()

    async def _store_pending(self) -> None:
        await self._number()
        lines = list(self._pending)
        if not lines:
            return
        if self._keep:
            try:
                store = self._store.add if self._cluster is None else self._store.add_in_order
                await store(lines, keep=self._keep)
            except StoreUnavailable as error:
                self._log.debug("lines of the live log wait for the store", error=str(error))
                return
        while self._pending and self._pending[0].id <= lines[-1].id:
            self._pending.popleft()

    def _line(self, record: LogRecord, named: _Named) -> LogLine:
        number, self._next = self._next, self._next + 1
        key, ref = named
        return LogLine(
            id=number,
            at=record.at.timestamp(),
            kind=record.kind.name,
            level=record.level,
            key=key,
            ref=ref,
            turn=record.turn,
            symbol=record.symbol,
            line=record.line,
        )

    async def _name(self, chat: ChatKey | None) -> _Named:
        """The key and public name of a chat.

        If the store does not know them, the key as it is: the line still belongs to a person and
        is erased with them.
        """
        if chat is None:
            return None, ""
        if known := self._names.get(chat):
            return known
        try:
            known = await self._store.chat_names(chat)
        except StoreUnavailable:
            return chat, ""
        if not known:
            return chat, ""
        if len(self._names) >= MOST_NAMES:
            self._names.clear()
        self._names[chat] = known
        return known


def _runs_here(token: trio.lowlevel.TrioToken) -> bool:
    """Whether this is the thread of that loop, where an event can be set directly.

    Waking the loop from another thread costs a write to a socket and a read, for each line.
    """
    try:
        return trio.lowlevel.current_trio_token() is token
    except RuntimeError:
        return False


def _wake(token: trio.lowlevel.TrioToken, rouse: Callable[[], None]) -> None:
    """Wake the loop from any thread, unless it has ended."""
    try:
        token.run_sync_soon(rouse, idempotent=True)
    except trio.RunFinishedError:
        return
