"""The list of housekeeping tasks, for the one nursery, and what restarts a side task."""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Protocol

import trio

from daemon.conversation.knowledge.folder import folders_of, knowledge_folder
from daemon.conversation.mcp_servers import approval
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.limits import delay
from daemon.errors import StoreUnavailable, store_fault
from daemon.ledger.audit import Audit
from daemon.ledger.ledger import Store
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log
from daemon.observability.vitals import Vitals
from daemon.ops.maintenance.figures import Figures, keep_figures
from daemon.ops.maintenance.outcomes import drop_old_enquiries, keep_outcomes
from daemon.ops.maintenance.retention import (
    Forgetter,
    delete_files,
    drop_copies,
    drop_deleted_copies,
    drop_media,
    drop_old_events,
    drop_old_stages,
    drop_old_webhooks,
    drop_sent_files,
    keep_files_private,
    repeat,
    write_slice,
)
from daemon.ops.maintenance.topics import keep_topics
from daemon.settings import Settings
from daemon.system.process import memory_limit, resident_bytes

MEGABYTE = 1_000_000

NEAR_LIMIT = 0.95
"""The share of the limit of systemd or the container above which there is always a log line."""

LAG_EVERY_SECONDS = 1.0
LAGS_KEPT = 60
"""The largest of the last minute is shown, so that no scrape misses it."""

SEARCH_SECONDS = 1.0
"""A new message is found within this time, except in a rush or in a store older than the search."""

RESTS = 3
"""The index rests three times as long as each of its steps took: webhooks go first."""

LONGEST_REST_SECONDS = 0.05

RUSH_A_SECOND = 100
"""Messages; the index waits while more come. Putting them in takes a quarter of the writer's time,
and so a third of what webhooks could have."""

LONGEST_RUSH_SECONDS = 60.0
"""After that the index goes on beside it."""


async def keep_caches_small(
    numbers: Numbers,
    log: Log,
    every_seconds: float,
    chat_info_seconds: float,
    contact_seconds: float,
) -> None:
    """Shrink caches of contacts who no longer write. Runs until cancelled.

    Every cache has its own bound; this frees memory after busy hours.
    """
    while True:
        await trio.sleep(every_seconds)
        forgotten = numbers.forget_idle(chat_info_seconds, contact_seconds)
        if forgotten:
            log.debug("caches made smaller", entries=forgotten)


async def keep_audit_head(audit: Audit, log: Log, every_seconds: float) -> None:
    """Log the head of the audit's chain when it has changed. Runs until cancelled.

    The log is kept elsewhere than the store, so it shows later whether the chain was cut or forged.
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
    """Log when the process uses too much memory. Runs until cancelled.

    Only systemd ends it (``MemoryMax=``): a daemon that ends itself by mistake loses more than one
    that is slow for a while. 0: no such line. Near the limit of systemd or of the container, which
    counts all processes of the service, there is always a line.
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
    """Measure the delay of the event loop each second. Runs until cancelled."""
    recent: deque[float] = deque(maxlen=LAGS_KEPT)
    while True:
        due = trio.current_time() + LAG_EVERY_SECONDS
        await trio.sleep_until(due)
        lag = max(0.0, trio.current_time() - due)
        recent.append(lag)
        vitals.event_loop_lag.observe(lag)
        vitals.event_loop_lag_max.set(max(recent))


class Rush:
    """Tells whether so many messages come that the index waits. Times are in seconds."""

    def __init__(self) -> None:
        """It begins with a look, not with a rush."""
        self._newest, self._looked_at, self._calm_at = 0, -math.inf, -math.inf

    def is_on(self, newest: int, now: float) -> bool:
        """Note the number of the newest message now; gives whether there is a rush."""
        came, since = newest - self._newest, self._looked_at
        self._newest, self._looked_at = newest, now
        if came <= RUSH_A_SECOND * (now - since):
            self._calm_at = now
        return 0 < now - self._calm_at <= LONGEST_RUSH_SECONDS


async def keep_search_index(store: Store, log: Log) -> None:
    """Put into the search's index what is new or has changed. Runs until cancelled."""
    rush = Rush()
    while True:
        lags = False
        try:
            now = trio.current_time()
            if not rush.is_on(await store.search.newest(), now) and await store.search.lags():
                lags = await _put_in(store, until=now + SEARCH_SECONDS)
        except StoreUnavailable as error:
            log.warning("the search waits for the store", error=str(error))
        if not lags:
            await trio.sleep(SEARCH_SECONDS)


async def _put_in(store: Store, *, until: float) -> bool:
    """Put rows into the index until then; False if none are left."""
    while (began := trio.current_time()) < until:
        if not await write_slice(store, store.search.step):
            return False
        took = trio.current_time() - began
        await trio.sleep(min(RESTS * took, LONGEST_REST_SECONDS))
    return True


MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3600.0


class Side(Protocol):
    """Starts a side task: its name, the task, and the task's arguments."""

    def __call__(
        self, name: str, task: Callable[..., Awaitable[None]], /, *arguments: object
    ) -> None:
        """Start it; it is restarted after a fault."""


def start_housekeeping(
    side: Side, settings: Settings, process: Process, numbers: Numbers, figures: Figures
) -> None:
    """Start the housekeeping of this process. Called once, by the composer."""
    every = settings.housekeeping
    store, telemetry, log = process.store, process.telemetry, process.telemetry.log
    vitals = telemetry.metrics.vitals
    side("figures", keep_figures, process, numbers, figures, every.figures_seconds)
    side("outcomes", keep_outcomes, process, numbers, log)
    side("topics", keep_topics, process, numbers, log)
    side("traces", telemetry.traces.run)
    side("event loop lag", watch_loop_lag, vitals)
    side("file modes", keep_files_private, store, log)
    if store.file_store.is_shared:
        hourly = every.retention_minutes * MINUTE_SECONDS
        copies = partial(drop_copies, store, telemetry)
        side("copies of files", repeat, copies, hourly, log, "old copies of files not deleted")
    if store.cluster is not None:
        if settings.retention.audio_hours:
            hours = settings.retention.audio_hours
            sent = partial(drop_sent_files, store, telemetry, audio_hours=hours)
            hourly = every.retention_minutes * MINUTE_SECONDS
            side("sent files", repeat, sent, hourly, log, "old voice notes not deleted")
        deleted, often = partial(drop_deleted_copies, store), every.sweep_seconds
        side("copies of deleted files", repeat, deleted, often, log, "copies not deleted yet")
        for folder, number in folders_of(settings).items():  # the node that leads reads them
            look = partial(store.passages.look, folder)
            often, unread = number.knowledge.check_seconds, "documents were not looked at"
            side("known documents", repeat, look, often, log, unread)
    # The store also does it after a number of writes; this is for quiet times.
    seconds, fault = every.checkpoint_minutes * MINUTE_SECONDS, "no checkpoint of the store's log"
    side("checkpoint", repeat, store.database.checkpoint, seconds, log, fault)

    for server in process.mcp:
        approve = approval(store.mcp_lists, telemetry.now)
        side(f"MCP server {server.settings.name}", server.run, approve)
    side(
        "caches",
        keep_caches_small,
        numbers,
        log,
        every.cache_minutes * MINUTE_SECONDS,
        every.chat_info_minutes * MINUTE_SECONDS,
        every.contact_hours * HOUR_SECONDS,
    )
    watch = partial(
        watch_memory,
        alert_bytes=every.memory_alert_mb * MEGABYTE,
        limit_bytes=every.memory_limit_mb * MEGABYTE,
    )
    side("memory", watch, log, vitals, every.memory_minutes * MINUTE_SECONDS)


def start_leading(side: Side, settings: Settings, process: Process, forgetter: Forgetter) -> None:
    """Start what belongs to no single number: of several nodes the one that leads does it."""
    every, kept = settings.housekeeping, settings.retention
    store, telemetry, log = process.store, process.telemetry, process.telemetry.log

    def regularly(
        name: str, work: Callable[[], Awaitable[object]], every_seconds: float, failed: str
    ) -> None:
        side(name, repeat, work, every_seconds, log, failed)

    hourly = every.retention_minutes * MINUTE_SECONDS
    events = partial(drop_old_events, store, telemetry, event_days=kept.event_days)
    regularly("retention", events, hourly, "old events not dropped")
    side("forgetting", forgetter.run, every.sweep_seconds, kept.conversations_days, hourly)
    if store.cluster is not None:
        side("requests to forget", forgetter.listen, store.cluster)
    if kept.event_days:
        stages = partial(drop_old_stages, store, telemetry, event_days=kept.event_days)
        regularly("old stages", stages, hourly, "old stages not deleted")
        webhooks = partial(drop_old_webhooks, store, telemetry, event_days=kept.event_days)
        regularly("old webhooks", webhooks, hourly, "old outgoing webhooks not deleted")
    if kept.audio_hours and store.cluster is None:
        sent = partial(drop_sent_files, store, telemetry, audio_hours=kept.audio_hours)
        regularly("sent files", sent, hourly, "old voice notes not deleted")
    media = partial(drop_media, store, telemetry, media_days=kept.media_days)
    regularly("old files", media, hourly, "old files not deleted")
    deleted = partial(delete_files, store, telemetry)
    enquiries = partial(drop_old_enquiries, store, telemetry)
    regularly("old enquiries", enquiries, hourly, "old enquiries not deleted")
    regularly("deleted files", deleted, every.sweep_seconds, "files given up are not deleted yet")
    for number in folders_of(settings).values():
        documents = knowledge_folder(number, store.passages, telemetry.now)
        side("documents", documents.keep_in_step, number.knowledge.check_seconds, log)
    side("audit head", keep_audit_head, store.audit, log, hourly)
    side("search", keep_search_index, store, log)


BASE_SECONDS = 1.0
CAP_SECONDS = 60.0

QUIET_SECONDS = 300.0
"""After running this long without a fault, a task restarts soon after its next one."""


async def supervise(
    run: Callable[[], Awaitable[None]], *, name: str, log: Log, random: Random
) -> None:
    """Run a task that the daemon can do without for a while.

    An exception is logged and the task starts again, with a growing delay if it fails soon. Runs
    until cancelled, or until ``run`` returns.
    """
    failures = 0
    while True:
        began = trio.current_time()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - the boundary of the task
            if fault := store_fault(error):  # which the store itself reports
                log.warning("the store is away, the task begins again", task=name, error=fault)
            else:
                log.event(
                    UNEXPECTED_ERROR,
                    where="side_task",
                    what="task failed, beginning again",
                    task=name,
                    exc_info=True,
                )
        else:
            return
        if trio.current_time() - began >= QUIET_SECONDS:
            failures = 0
        wait = delay(
            failures, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS, fraction=random.random()
        )
        failures += 1
        await trio.sleep(wait)
