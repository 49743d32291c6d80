"""The list of housekeeping tasks, for the one nursery."""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import trio

from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.opening import Process
from daemon.errors import StoreUnavailable
from daemon.ledger.audit import Audit
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.media.files import FOLDER
from daemon.observability.logs import Log
from daemon.observability.vitals import Vitals
from daemon.ops.maintenance.figures import Figures, keep_figures
from daemon.ops.maintenance.forgetting import Forgetter
from daemon.ops.maintenance.retention import (
    keep_files_private,
    keep_media,
    keep_retention,
    keep_sent_files,
    keep_stages,
)
from daemon.settings import Settings
from daemon.system.process import memory_limit, resident_bytes

# Keeping memory and files small: caches, the store's log, and an eye on the process itself.


MEGABYTE = 1_000_000

NEAR_LIMIT = 0.95
"""The share of the limit of systemd or the container from which on it is said in any case."""

LAG_EVERY_SECONDS = 1.0
LAGS_KEPT = 60
"""The largest of the last minute is shown, so that no scrape misses it."""


async def keep_caches_small(
    number: NumberRuntime,
    log: Log,
    every_seconds: float,
    chat_info_seconds: float,
    contact_seconds: float,
) -> None:
    """Forget what is remembered of contacts who are not there any more. Runs until cancelled.

    All of it is bounded by itself; this is for the quiet hours after a busy one.
    """
    while True:
        await trio.sleep(every_seconds)
        forgotten = number.forget_idle(chat_info_seconds, contact_seconds)
        if forgotten:
            log.debug("caches made smaller", entries=forgotten)


async def keep_log_folded(database: SqliteDatabase, log: Log, every_seconds: float) -> None:
    """Fold the store's write-ahead log into its file every so often. Runs until cancelled.

    SQLite does it by itself after a number of writes; this is for what a quiet time leaves there.
    """
    while True:
        await trio.sleep(every_seconds)
        try:
            await database.checkpoint()
        except StoreUnavailable as error:
            log.warning("the store's log was not folded in", error=str(error))


async def keep_audit_head(audit: Audit, log: Log, every_seconds: float) -> None:
    """Put the head of the audit's chain into the log when it has moved. Runs until cancelled.

    The log lies elsewhere than the store: it shows later whether the chain was cut or made anew.
    """
    last = 0
    while True:
        try:
            head = await audit.head()
            if head.id != last:
                last = head.id
                log.info("audit head", head=f"{head.id}:{head.hash}")
        except StoreUnavailable as error:
            log.warning("the audit's head was not read", error=str(error))
        await trio.sleep(every_seconds)


async def watch_memory(
    log: Log, vitals: Vitals, every_seconds: float, *, alert_bytes: float, limit_bytes: float
) -> None:
    """Say so in the log when the process uses too much memory. Runs until cancelled.

    Ending it is left to systemd (``MemoryMax=``): a daemon that ends itself on a wrong guess loses
    more than one that is slow for a while. 0: no such line. Near the limit that systemd or a
    container has set, which counts all processes of the service, there is a line in any case.
    """
    while True:
        await trio.sleep(every_seconds)
        used = resident_bytes()
        megabytes = round(used / MEGABYTE)
        if (allowed := memory_limit()) is not None:
            share = allowed.used_bytes() / max(1, allowed.limit_bytes)
            vitals.memory_limit_ratio.set(share)
            if share >= NEAR_LIMIT:
                log.critical(
                    "memory is almost at the limit of the service",
                    percent=round(100 * share),
                    limit_megabytes=round(allowed.limit_bytes / MEGABYTE),
                    megabytes=megabytes,
                )
                continue
        if limit_bytes and used > limit_bytes:
            log.critical("memory is over the limit", megabytes=megabytes)
        elif alert_bytes and used > alert_bytes:
            log.warning("memory is high", symbol="🚨", megabytes=megabytes)


async def watch_loop_lag(vitals: Vitals) -> None:
    """Measure each second by how much the event loop is late. Runs until cancelled."""
    recent: deque[float] = deque(maxlen=LAGS_KEPT)
    while True:
        due = trio.current_time() + LAG_EVERY_SECONDS
        await trio.sleep_until(due)
        lag = max(0.0, trio.current_time() - due)
        recent.append(lag)
        vitals.event_loop_lag.observe(lag)
        vitals.event_loop_lag_max.set(max(recent))


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
    process: Process,
    number: NumberRuntime,
    figures: Figures,
    forgetter: Forgetter,
) -> None:
    """Start every housekeeping task. Called once, by the composer, when chats can be woken."""
    every, kept = settings.housekeeping, settings.retention
    store, telemetry, log = process.store, process.telemetry, process.telemetry.log
    vitals = telemetry.metrics.vitals
    side("figures", keep_figures, number.services, figures, every.figures_seconds)
    side("traces", telemetry.traces.run)
    side("event loop lag", watch_loop_lag, vitals)

    retention_seconds = every.retention_minutes * MINUTE_SECONDS
    side("file modes", keep_files_private, store, log)
    side("retention", keep_retention, store, telemetry, kept.event_days, retention_seconds)
    days = kept.conversations_days
    side("forgetting", forgetter.run, every.sweep_seconds, days, retention_seconds)
    side("old stages", keep_stages, store, telemetry, kept.event_days, retention_seconds)
    side("sent files", keep_sent_files, store, telemetry, kept.audio_hours, retention_seconds)
    folder = settings.data_dir / FOLDER
    side("old files", keep_media, store, telemetry, folder, kept.media_days, retention_seconds)

    side(
        "caches",
        keep_caches_small,
        number,
        log,
        every.cache_minutes * MINUTE_SECONDS,
        every.chat_info_minutes * MINUTE_SECONDS,
        every.contact_hours * HOUR_SECONDS,
    )
    side("audit head", keep_audit_head, store.audit, log, retention_seconds)
    side(
        "checkpoint",
        keep_log_folded,
        store.database,
        log,
        every.checkpoint_minutes * MINUTE_SECONDS,
    )
    watch = partial(
        watch_memory,
        alert_bytes=every.memory_alert_mb * MEGABYTE,
        limit_bytes=every.memory_limit_mb * MEGABYTE,
    )
    side("memory", watch, log, vitals, every.memory_minutes * MINUTE_SECONDS)
