"""Figures of the store and of the machine, read every few seconds and shown from memory."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from daemon.conversation.services import ChatServices
from daemon.domain.dashboard_values import Sample
from daemon.domain.limits import day_of, used_ratios
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.process_records import Samples
from daemon.observability.counts import Counts, read_counts
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.observability.vitals import Vitals

ACTIVE_SECONDS = 7 * 24 * 3600.0
"""A thread counts as active for a week, as in the system that Recado replaces."""


@dataclass(slots=True)
class Figures:
    """The store's figures for probes and metrics, a few seconds old."""

    total_threads: int = 0
    active_threads: int = 0
    oldest_unanswered: float = 0
    """When the oldest message without an outcome came, Unix seconds; 0 if there is none."""
    oldest_for_bot: float = 0
    """Of those that the bot is to answer."""
    oldest_for_person: float = 0
    """Since when a customer waits for a person; 0 if nobody does."""
    chats_for_person: int = 0
    """How many chats wait for a person."""
    outbox: dict[str, int] = field(default_factory=dict)
    queue: dict[str, int] = field(default_factory=dict)
    """Customers' messages without an outcome, by state."""
    dead_letters: int = 0


async def keep_figures(services: ChatServices, figures: Figures, every_seconds: float) -> None:
    """Read the figures every so often, and check whether a full disk has room again.

    Runs until cancelled.
    """
    while True:
        try:
            await services.store.database.probe()
            await refresh(services, figures)
            await measure_disk(services.store.database, services.telemetry.metrics.vitals)
        except (StoreUnavailable, OSError) as error:
            services.telemetry.log.warning("the store is in trouble", error=str(error))
        await trio.sleep(every_seconds)


async def refresh(services: ChatServices, figures: Figures) -> None:
    """Read the store's figures once. Raises StoreUnavailable."""
    store, rules, telemetry = services.store, services.config.rules, services.telemetry
    now = telemetry.now()
    counts = await store.threads.counts(active_since=now - ACTIVE_SECONDS)
    figures.total_threads, figures.active_threads = counts
    figures.oldest_for_bot = await store.inbox.oldest_unanswered() or 0
    waiting = await store.handovers.waiting_chats()
    figures.chats_for_person = len(waiting)
    figures.oldest_for_person = waiting[0].since if waiting else 0
    oldest = [at for at in (figures.oldest_for_bot, figures.oldest_for_person) if at]
    figures.oldest_unanswered = min(oldest, default=0)
    figures.outbox = await store.outbox.counts()
    figures.queue, figures.dead_letters = await store.backlog.counts()
    used = await store.usage.total(services.number.name, day_of(now, rules.zone))
    for limit, ratio in used_ratios(rules.budget, used).items():
        telemetry.metrics.budget_used_ratio.labels(limit).set(ratio)


async def measure_disk(database: SqliteDatabase, vitals: Vitals) -> None:
    """Measure the size of the store and the free space of the disk. Raises OSError."""
    usage = await trio.to_thread.run_sync(shutil.disk_usage, database.path.parent)
    vitals.free_disk_bytes.set(usage.free)
    vitals.store_bytes.set(database.path.stat().st_size)
    vitals.store_wal_bytes.set(database.wal_bytes())


# -- figures for the dashboard's charts ----------------------------------------------------------
#
# Taken from the metrics once a minute and stored, so that the charts need no Prometheus and outlive
# a restart. The counts of the last minute before a crash are lost. Readers also get the current
# minute.

KEPT_SECONDS = 2 * 24 * 3600.0


@dataclass(slots=True)
class Sampler:
    """Turns growing counters into figures of one interval."""

    metrics: Metrics
    store: Samples
    log: Log
    now: Callable[[], float]
    seconds: float
    """Of one interval."""
    _last: Counts = field(init=False)
    """The counters at the start of the current interval."""
    _turn: trio.Lock = field(default_factory=trio.Lock, init=False)
    """Held over a read and a write, so that no reader sees an interval twice."""

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
                # The next sample includes the counts of this one.
                self.log.debug("figures wait for the store", error=str(error))

    async def _store(self) -> None:
        async with self._turn:
            counts = read_counts(self.metrics)
            sample = difference(self._last, counts, self.now())
            await self.store.add(sample, keep_seconds=KEPT_SECONDS)
            self._last = counts

    async def recent(self, seconds: float) -> tuple[Sample, ...]:
        """The samples of the last so many seconds, with the current interval.

        Any task may ask. Raises StoreUnavailable.
        """
        async with self._turn:
            stored = await self.store.since(self.now() - seconds)
            return (*stored, difference(self._last, read_counts(self.metrics), self.now()))


def difference(before: Counts, after: Counts, at: float) -> Sample:
    """The counts between two readings of the metrics."""
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
