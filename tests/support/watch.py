"""A daemon's log lines and figures in memory, for tests of the HTTP edge."""

import trio

from daemon.domain.accounts import Session
from daemon.domain.audit_chain import Actor
from daemon.domain.dashboard_values import (
    ComponentState,
    FeedLost,
    LogLine,
    LogQuery,
    Overview,
    Sample,
)
from daemon.ledger.accounts import Accounts, Sessions
from daemon.ledger.process_records import matches
from daemon.ops.live_log import Feed, LiveLog

MOST_WAITING = 50


class MemoryFeed(Feed):
    """Lines for one reader; all are dropped if too many wait."""

    def __init__(self, watch: "MemoryWatch") -> None:
        self._watch = watch
        self.waiting: list[LogLine] = []
        self.come = trio.Event()

    async def receive(self) -> list[LogLine]:
        await self.come.wait()
        self.come = trio.Event()
        if len(self.waiting) > MOST_WAITING:
            raise FeedLost
        lines, self.waiting = self.waiting, []
        return lines

    def close(self) -> None:
        self._watch.feeds.remove(self)


class MemorySessions(Sessions):
    """The sessions and their ends."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}

    async def begin(
        self,
        name: str,
        *,
        ends_at: float,
        now: float,  # noqa: ARG002
        account: int | None = None,
    ) -> None:
        assert account is None  # accounts are tested on whole daemons
        self.ends[name] = ends_at

    async def find(self, name: str) -> Session | None:
        return Session(ends_at=self.ends[name]) if name in self.ends else None

    async def end(self, name: str) -> None:
        self.ends.pop(name, None)


class NoAccounts(Accounts):
    """No accounts."""

    def __init__(self) -> None:
        """Have no database."""

    async def exist(self) -> bool:
        return False

    async def password_of(self, name: str) -> None:
        del name


class MemoryWatch(LiveLog):
    """The live log, the sessions and the figures of a daemon in memory."""

    def __init__(self) -> None:
        self.now = 1_769_860_800.25
        self.sessions = MemorySessions()
        self.stored: list[LogLine] = []
        self.feeds: list[MemoryFeed] = []
        self.followed = trio.Event()
        self.samples: tuple[Sample, ...] = ()
        self.parts: tuple[ComponentState, ...] = ()
        self.is_priced = True
        self.numbers: dict[str, str] = {}
        self.revealed: list[tuple[Actor, str]] = []
        self.failure: Exception | None = None

    async def overview(self) -> Overview:
        if self.failure is not None:
            raise self.failure
        names = ("daemon", "channel", "model", "store")
        return Overview(
            at=self.now,
            started_at=self.now - 3600,
            parts=self.parts or tuple(ComponentState(name=name, state="ok") for name in names),
            outbox={"pending": 2},
            oldest_unanswered=self.now - 30,
            counts={
                "windows": 3,
                "runs": 1,
                "paused": 2,
                "deadLetters": 1,
                "memoryBytes": 99_000_000,
            },
            tokens_today=12_345,
            is_priced=self.is_priced,
            samples=self.samples,
            acknowledgement_buckets=(0.01, 0.1),
            turn_buckets=(1.0, 10.0),
        )

    async def lines(self, query: LogQuery) -> list[LogLine]:
        if self.failure is not None:
            raise self.failure
        found = [line for line in self.stored if matches(line, query)]
        return found[: query.limit] if query.after else found[-query.limit :]

    def follow(self) -> MemoryFeed:
        feed = MemoryFeed(self)
        self.feeds.append(feed)
        self.followed.set()
        return feed

    def say(self, words: str = "hello", **fields: object) -> LogLine:
        """Add a line, as the daemon would while it runs."""
        number = self.stored[-1].id + 1 if self.stored else 1
        values = {"at": self.now, "kind": "message", "level": "info", "line": words} | fields
        line = LogLine(id=number, **values)  # type: ignore[arg-type]
        self.stored.append(line)
        for feed in self.feeds:
            feed.waiting.append(line)
            feed.come.set()
        return line
