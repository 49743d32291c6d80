"""The daemon's own figures of the last two days, for the dashboard's charts.

They are taken from the metrics once a minute and stored, so that the charts need no Prometheus and
outlive a restart; what the last minute before a crash counted is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass

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

    async def run(self) -> None:
        """Take a sample each interval. Runs until cancelled."""
        last = read_counts(self.metrics)
        while True:
            await trio.sleep(self.seconds)
            counts = read_counts(self.metrics)
            try:
                sample = difference(last, counts, self.now())
                await self.store.add(sample, keep_seconds=KEPT_SECONDS)
            except StoreUnavailable as error:
                # The next sample has the counts of this one as well.
                self.log.debug("figures wait for the store", error=str(error))
            else:
                last = counts

    async def recent(self, seconds: float) -> tuple[Sample, ...]:
        """The samples of the last so many seconds. Raises StoreUnavailable."""
        return await self.store.since(self.now() - seconds)


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
