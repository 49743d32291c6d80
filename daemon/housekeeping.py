"""What is done every so often: looking for work left lying, and keeping the figures fresh."""

from dataclasses import dataclass, field

import trio

from daemon.budget import day_of, used_ratios
from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.errors import StoreUnavailable
from daemon.recovery import sweep

SWEEP_SECONDS = 2.0
"""So soon the daemon notices what the command line has put into its store."""

SWEEP_GRACE_SECONDS = 2.0
"""Younger messages are on their way to their chat."""

FIGURES_SECONDS = 5.0
ACTIVE_SECONDS = 7 * 24 * 3600.0
"""A thread counts as active for a week, as in the system that Recado replaces."""


@dataclass(slots=True)
class Figures:
    """What the probes and metrics show of the store, as of a few seconds ago."""

    total_threads: int = 0
    active_threads: int = 0
    oldest_unanswered: float = 0
    outbox: dict[str, int] = field(default_factory=dict)


async def keep_figures(needs: Dependencies, figures: Figures) -> None:
    """Read the figures anew every few seconds, and see whether a full disk has room again.

    Runs until cancelled.
    """
    while True:
        try:
            await needs.store.database.probe()
            await refresh(needs, figures)
        except StoreUnavailable as error:
            needs.log.warning("the store is in trouble", error=str(error))
        await trio.sleep(FIGURES_SECONDS)


async def refresh(needs: Dependencies, figures: Figures) -> None:
    """Read the figures once. Raises StoreUnavailable."""
    store = needs.store
    counts = await store.threads.counts(active_since=needs.now() - ACTIVE_SECONDS)
    figures.total_threads, figures.active_threads = counts
    figures.oldest_unanswered = await store.inbox.oldest_unanswered() or 0
    figures.outbox = await store.outbox.counts()
    used = await store.usage.total(day_of(needs.now(), needs.rules.zone))
    for limit, ratio in used_ratios(needs.rules.budget, used).items():
        needs.metrics.budget_used_ratio.labels(limit).set(ratio)


async def keep_sweeping(needs: Dependencies, chats: ChatRegistry, delay_seconds: float) -> None:
    """Find work that nobody is doing, from when recovery has had its turn. Runs until cancelled."""
    await trio.sleep(delay_seconds)
    while True:
        await trio.sleep(SWEEP_SECONDS)
        try:
            await sweep(needs, chats, older_than=needs.now() - SWEEP_GRACE_SECONDS)
        except StoreUnavailable as error:
            needs.log.warning("sweep failed", error=str(error))
