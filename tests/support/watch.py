"""What the dashboard is shown in tests of the edge: a daemon's lines and figures in memory."""

from dataclasses import dataclass, field

import trio

from daemon.domain.audit_chain import Actor
from daemon.domain.dashboard_values import FeedLost, LogLine, LogQuery, Overview, Part, Sample
from daemon.ledger.process_records import matches

MOST_WAITING = 50


class MemoryFeed:
    """Lines for one reader, who loses them all if too many wait."""

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


@dataclass
class MemoryWatch:
    """Implements `daemon.http.facade.Watch`."""

    now: float = 1_769_860_800.25
    sessions: dict[str, float] = field(default_factory=dict)
    lines: list[LogLine] = field(default_factory=list)
    feeds: list[MemoryFeed] = field(default_factory=list)
    followed: trio.Event = field(default_factory=trio.Event)
    samples: tuple[Sample, ...] = ()
    parts: tuple[Part, ...] = ()
    numbers: dict[str, str] = field(default_factory=dict)
    revealed: list[tuple[Actor, str]] = field(default_factory=list)
    failure: Exception | None = None

    async def begin_session(self, name: str, ends_at: float) -> None:
        self.sessions[name] = ends_at

    async def session_end(self, name: str) -> float:
        return self.sessions.get(name, 0.0)

    async def end_session(self, name: str) -> None:
        self.sessions.pop(name, None)

    async def overview(self) -> Overview:
        if self.failure is not None:
            raise self.failure
        names = ("daemon", "channel", "model", "store")
        return Overview(
            at=self.now,
            started_at=self.now - 3600,
            parts=self.parts or tuple(Part(name=name, state="ok") for name in names),
            outbox={"pending": 2},
            oldest_unanswered=self.now - 30,
            dead=1,
            tokens_today=12_345,
            memory_bytes=99_000_000,
            samples=self.samples,
            acknowledgement_buckets=(0.01, 0.1),
            turn_buckets=(1.0, 10.0),
        )

    async def log_lines(self, query: LogQuery) -> list[LogLine]:
        if self.failure is not None:
            raise self.failure
        found = [line for line in self.lines if matches(line, query)]
        return found[: query.limit] if query.after else found[-query.limit :]

    def follow_log(self) -> MemoryFeed:
        feed = MemoryFeed(self)
        self.feeds.append(feed)
        self.followed.set()
        return feed

    async def phone_number(self, ref: str, *, by: Actor) -> str:
        self.revealed.append((by, ref))
        return self.numbers.get(ref, "")

    def say(self, words: str = "hello", **fields: object) -> LogLine:
        """Add a line, as the daemon would while it runs."""
        number = self.lines[-1].id + 1 if self.lines else 1
        values = {"at": self.now, "kind": "message", "level": "info", "line": words} | fields
        line = LogLine(id=number, **values)  # type: ignore[arg-type]
        self.lines.append(line)
        for feed in self.feeds:
            feed.waiting.append(line)
            feed.come.set()
        return line
