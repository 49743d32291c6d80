"""The list of housekeeping tasks, for the one nursery."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.housekeeping.figures import Figures, keep_figures
from daemon.housekeeping.forgetting import Forgetter
from daemon.housekeeping.retention import (
    keep_files_private,
    keep_media,
    keep_retention,
    keep_sent_files,
    keep_stages,
)
from daemon.housekeeping.sweeping import keep_sweeping
from daemon.housekeeping.upkeep import (
    MEGABYTE,
    keep_audit_head,
    keep_caches_small,
    keep_log_folded,
    watch_loop_lag,
    watch_memory,
)
from daemon.settings import Settings

MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3600.0


class Side(Protocol):
    """Starts a side task: its name, the task, and the task's arguments."""

    def __call__(
        self, name: str, task: Callable[..., Awaitable[None]], /, *arguments: object
    ) -> None:
        """Start it; it is begun again after a fault."""


def start_housekeeping(
    side: Side,
    settings: Settings,
    needs: Dependencies,
    chats: ChatRegistry,
    figures: Figures,
    forgetter: Forgetter,
) -> None:
    """Start every housekeeping task. Called once, by the composer, when chats can be woken."""
    every, kept = settings.housekeeping, settings.retention
    side("figures", keep_figures, needs, figures, every.figures_seconds)
    side("sweep", keep_sweeping, needs, chats, settings.recovery.delay_seconds, every.sweep_seconds)
    side("traces", needs.traces.run)
    side("event loop lag", watch_loop_lag, needs.metrics.vitals)

    retention_seconds = every.retention_minutes * MINUTE_SECONDS
    side("file modes", keep_files_private, needs)
    side("retention", keep_retention, needs, kept.event_days, retention_seconds)
    days = kept.conversations_days
    side("forgetting", forgetter.run, every.sweep_seconds, days, retention_seconds)
    side("old stages", keep_stages, needs, kept.event_days, retention_seconds)
    side("sent files", keep_sent_files, needs, kept.audio_hours, retention_seconds)
    side("old files", keep_media, needs, kept.media_days, retention_seconds)

    side(
        "caches",
        keep_caches_small,
        needs,
        chats,
        every.cache_minutes * MINUTE_SECONDS,
        every.chat_info_minutes * MINUTE_SECONDS,
        every.contact_hours * HOUR_SECONDS,
    )
    side("audit head", keep_audit_head, needs, retention_seconds)
    side("checkpoint", keep_log_folded, needs, every.checkpoint_minutes * MINUTE_SECONDS)
    watch = partial(
        watch_memory,
        alert_bytes=every.memory_alert_mb * MEGABYTE,
        limit_bytes=every.memory_limit_mb * MEGABYTE,
    )
    side("memory", watch, needs.log, needs.metrics.vitals, every.memory_minutes * MINUTE_SECONDS)
