"""The daemon's own figures of the last two days, for the dashboard's charts.

They are taken from the metrics once a minute and stored, so that the charts need no Prometheus and
outlive a restart; what the last minute before a crash counted is lost. Whoever asks is told of the
minute under way as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from daemon.errors import StoreUnavailable
from daemon.observe.counts import Counts, read_counts
from daemon.observe.logs import Log
from daemon.observe.metrics import Metrics
from daemon.store.samples import Samples
from daemon.watching import Sample

KEPT_SECONDS = 2 * 24 * 3600.0


@dataclass(slots=True)
class Sampler:
    """Turns counters that only grow into figures of one interval."""

    metrics: Metrics
    store: Samples
    log: Log
    now: Callable[[], float]
    seconds: float
    """The interval."""
    _last: Counts = field(init=False)
    """What was counted when the interval under way began."""
    _turn: trio.Lock = field(default_factory=trio.Lock, init=False)
    """Held over a read and a write, so that no reader sees a sample stored and still under way."""

    def __post_init__(self) -> None:
        """Begin to count."""
        self._last = read_counts(self.metrics)

    async def run(self) -> None:
        """Take a sample each interval. Runs until cancelled."""
        while True:
            await trio.sleep(self.seconds)
            try:
                await self._store()
            except StoreUnavailable as error:
                # The next sample has the counts of this one as well.
                self.log.debug("figures wait for the store", error=str(error))

    async def _store(self) -> None:
        async with self._turn:
            counts = read_counts(self.metrics)
            sample = difference(self._last, counts, self.now())
            await self.store.add(sample, keep_seconds=KEPT_SECONDS)
            self._last = counts

    async def recent(self, seconds: float) -> tuple[Sample, ...]:
        """The samples of the last so many seconds, the interval under way among them.

        Any task may ask. Raises StoreUnavailable.
        """
        async with self._turn:
            stored = await self.store.since(self.now() - seconds)
            return (*stored, difference(self._last, read_counts(self.metrics), self.now()))


def difference(before: Counts, after: Counts, at: float) -> Sample:
    """What was counted between two looks at the metrics."""
    return Sample(
        at=at,
        messages=after.messages - before.messages,
        answers=after.answers - before.answers,
        takeovers=after.takeovers - before.takeovers,
        dead=after.dead - before.dead,
        tokens=after.tokens - before.tokens,
        cost=after.cost - before.cost,
        memory_bytes=after.memory_bytes,
        acknowledgement=_buckets(before.acknowledgement, after.acknowledgement),
        turn=_buckets(before.turn, after.turn),
    )


def _buckets(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(new - old for old, new in zip(before, after, strict=True))
