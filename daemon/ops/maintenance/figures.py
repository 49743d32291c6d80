"""Figures of the store and of the machine, read every few seconds and shown from memory."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.dashboard_values import Sample
from daemon.domain.limits import day_of, used_ratios
from daemon.errors import StoreUnavailable
from daemon.ledger.ledger import Store
from daemon.ledger.process_records import Samples
from daemon.observability.counts import Counts, read_counts
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.observability.vitals import Vitals

ACTIVE_SECONDS = 7 * 24 * 3600.0
"""A thread counts as active for a week, as in the system that Recado replaces."""


@dataclass(slots=True)
class NumberFigures:
    """The backlog of one number's chats. Times are Unix seconds; 0 if nothing waits."""

    oldest_for_bot: float = 0
    """When the oldest message came that the bot is to answer."""
    oldest_for_person: float = 0
    """Since when a customer waits for a person."""
    chats_for_person: int = 0
    """How many chats wait for a person."""
    outbox: dict[str, int] = field(default_factory=dict)
    queue: dict[str, int] = field(default_factory=dict)
    """Customers' messages without an outcome, by state."""
    dead_letters: int = 0

    @property
    def oldest_unanswered(self) -> float:
        """When the oldest message without an outcome came."""
        return min(filter(None, (self.oldest_for_bot, self.oldest_for_person)), default=0)


NOTHING = NumberFigures()


@dataclass(slots=True)
class Figures:
    """The store's figures for probes and metrics, as of a few seconds ago."""

    total_threads: int = 0
    active_threads: int = 0
    numbers: dict[str, NumberFigures] = field(default_factory=dict)
    """Of each number in whose chats something waits."""

    def of(self, number: str) -> NumberFigures:
        """The backlog of a number's chats."""
        return self.numbers.get(number, NOTHING)

    def publish(self, number: str, metrics: Metrics, *, is_served: Callable[[], bool]) -> None:
        """Let the gauges of a number be read when they are scraped, by the node that serves it."""

        def mine() -> NumberFigures:
            return self.of(number) if is_served() else NOTHING

        metrics.read_backlog(
            oldest_unanswered=lambda: mine().oldest_unanswered,
            oldest_waiting=lambda waits_for: (
                mine().oldest_for_bot if waits_for == "bot" else mine().oldest_for_person
            ),
            chats_waiting_for_person=lambda: mine().chats_for_person,
            outbox_rows=lambda state: mine().outbox.get(state, 0),
            queue=lambda state: mine().queue.get(state, 0),
            dead_letters=lambda: mine().dead_letters,
        )

    def total(self, numbers: Iterable[str]) -> NumberFigures:
        """The backlog of these numbers together."""
        found = [self.of(number) for number in numbers]
        return NumberFigures(
            oldest_for_bot=min(filter(None, (f.oldest_for_bot for f in found)), default=0),
            oldest_for_person=min(filter(None, (f.oldest_for_person for f in found)), default=0),
            chats_for_person=sum(f.chats_for_person for f in found),
            outbox=dict(sum((Counter(f.outbox) for f in found), Counter())),
            queue=dict(sum((Counter(f.queue) for f in found), Counter())),
            dead_letters=sum(f.dead_letters for f in found),
        )


async def keep_figures(
    process: Process, numbers: Numbers, figures: Figures, every_seconds: float
) -> None:
    """Read the figures every so often, and check whether a full disk has room again.

    Runs until cancelled.
    """
    store, telemetry = process.store, process.telemetry
    while True:
        try:
            await store.database.probe()
            await refresh(process, numbers, figures)
            await measure_disk(store, telemetry.metrics.vitals)
        except (StoreUnavailable, OSError) as error:
            telemetry.log.warning("the store is in trouble", error=str(error))
        await trio.sleep(every_seconds)


async def refresh(process: Process, numbers: Numbers, figures: Figures) -> None:
    """Read the store's figures once. Raises StoreUnavailable."""
    store, now = process.store, process.telemetry.now()
    counts = await store.threads.counts(active_since=now - ACTIVE_SECONDS)
    figures.total_threads, figures.active_threads = counts
    found: defaultdict[str, NumberFigures] = defaultdict(NumberFigures)
    for number, backlog in (await store.backlog.by_number()).items():
        found[number] = NumberFigures(
            oldest_for_bot=backlog.oldest_for_bot,
            outbox=backlog.outbox,
            queue=backlog.queue,
            dead_letters=backlog.dead_letters,
        )
    for chat in await store.handovers.waiting_chats():
        one = found[chat.key.number]
        one.chats_for_person += 1
        one.oldest_for_person = one.oldest_for_person or chat.since  # the longest wait comes first
    figures.numbers = dict(found)
    for runtime in numbers.served:
        rules, metrics = runtime.services.config.rules, runtime.services.telemetry.metrics
        if not (rules.budget.total_tokens or rules.budget.total_cost):
            continue
        used = await store.usage.total(runtime.name, day_of(now, rules.zone))
        for limit, ratio in used_ratios(rules.budget, used).items():
            metrics.budget_used_ratio.labels(limit).set(ratio)


async def measure_disk(store: Store, vitals: Vitals) -> None:
    """Measure the store and the free space of the disk. Raises OSError or StoreUnavailable."""
    usage = await trio.to_thread.run_sync(shutil.disk_usage, store.data_dir)
    vitals.free_disk_bytes.set(usage.free)
    vitals.store_bytes.set(await store.database.size_bytes())
    vitals.store_wal_bytes.set(store.database.wal_bytes())


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
    counted = ("messages", "answers", "takeovers", "dead", "tokens", "cost")
    return Sample(
        at=at,
        **{name: getattr(after, name) - getattr(before, name) for name in counted},
        memory_bytes=after.memory_bytes,
        acknowledgement=_buckets(before.acknowledgement, after.acknowledgement),
        turn=_buckets(before.turn, after.turn),
    )


def _buckets(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(new - old for old, new in zip(before, after, strict=True))
