"""Letting go of what is kept only for a while."""

from functools import partial
from pathlib import Path

import trio

from daemon.conversation.telemetry import Telemetry
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.files import expire
from daemon.ledger.ledger import Store, tighten_files
from daemon.ledger.media import BATCH, drop_unnamed, expire_media
from daemon.media.files import old_names
from daemon.observability.logs import Log

INTERVAL_SECONDS = 3600.0
UNNAMED_SECONDS = 3600.0
"""A file that no message has after an hour is left over from something that was cut."""

DAY_SECONDS = 24 * 3600.0

REST_SECONDS = 0.002
"""Between two writes, so that webhooks never wait behind several of them."""

COMMITS = 8
"""After so many the log is folded in beside the writes, before a write has to do it: SQLite does it
in the COMMIT that finds more than 1000 pages."""


async def rest_after_write(database: SqliteDatabase) -> None:
    """Let others write before the next write of something long. Raises StoreUnavailable."""
    if database.commits >= COMMITS:
        await database.checkpoint()
    await trio.sleep(REST_SECONDS)


async def keep_retention(
    store: Store, telemetry: Telemetry, event_days: float, every_seconds: float = INTERVAL_SECONDS
) -> None:
    """Drop raw webhook events older than ``event_days``, at once and then every so often.

    0 keeps them for good, but for those that were to disappear. Runs until cancelled.
    """
    while True:
        try:
            await drop_old_events(store, telemetry, event_days=event_days)
        except StoreUnavailable as error:
            telemetry.log.warning("old events not dropped", error=str(error))
        await trio.sleep(every_seconds)


async def keep_stages(
    store: Store, telemetry: Telemetry, event_days: float, every_seconds: float = INTERVAL_SECONDS
) -> None:
    """Delete the stages of turns older than ``event_days``, at once and then every so often.

    0 keeps them for good. Runs until cancelled.
    """
    while event_days:
        before = telemetry.now() - event_days * DAY_SECONDS
        try:
            while await store.stages.drop_old(before=before):
                await rest_after_write(store.database)
        except StoreUnavailable as error:
            telemetry.log.warning("old stages not deleted", error=str(error))
        await trio.sleep(every_seconds)
    await trio.sleep_forever()


async def keep_sent_files(
    store: Store, telemetry: Telemetry, audio_hours: float, every_seconds: float = INTERVAL_SECONDS
) -> None:
    """Delete sent voice notes and files older than ``audio_hours``, again and again.

    0 keeps them for good. Runs until cancelled.
    """
    while audio_hours:
        try:
            await drop_sent_files(store, telemetry, audio_hours=audio_hours)
        except (StoreUnavailable, OSError) as error:
            telemetry.log.warning("old voice notes not deleted", error=str(error))
        await trio.sleep(every_seconds)
    await trio.sleep_forever()


async def drop_sent_files(store: Store, telemetry: Telemetry, *, audio_hours: float) -> int:
    """Delete what is too old now and not still to be sent; gives how many files."""
    before = telemetry.now() - audio_hours * 3600
    in_use = await store.outbox.files_in_use()
    dropped = await store.files.drop_old(before=before, in_use=in_use)
    if dropped:
        telemetry.log.info("old voice notes deleted", symbol="🧹", files=dropped)
    return dropped


async def keep_files_private(store: Store, log: Log) -> None:
    """Take away what others may do with files that an earlier version, or somebody, left wider.

    Ends when all have been looked at.
    """
    folder = store.database.path.parent
    tightened = await trio.to_thread.run_sync(tighten_files, folder)
    if tightened:
        log.warning("files were readable for others, and are not any more", files=tightened)


async def keep_media(
    store: Store,
    telemetry: Telemetry,
    folder: Path,
    media_days: float,
    every_seconds: float = INTERVAL_SECONDS,
) -> None:
    """Delete files that people sent more than ``media_days`` ago, at once and then every so often.

    0 keeps them for good, but for those that were to disappear. Runs until cancelled.
    """
    while True:
        try:
            await drop_media(store, telemetry, folder, media_days=media_days)
        except (StoreUnavailable, OSError) as error:
            telemetry.log.warning("old files not deleted", error=str(error))
        await trio.sleep(every_seconds)


async def drop_media(store: Store, telemetry: Telemetry, folder: Path, *, media_days: float) -> int:
    """Delete what is too old now, and files that no message has; gives how many.

    Raises StoreUnavailable or OSError.
    """
    database, now = store.database, telemetry.now()
    before = now - media_days * DAY_SECONDS if media_days else 0.0
    verb = partial(expire_media, before=before, folder=folder)
    dropped, more = 0, True
    while more:
        expired = await database.write(verb)
        dropped, more = dropped + expired.items, expired.more
        await rest_after_write(database)
    list_old = partial(old_names, folder, before=now - UNNAMED_SECONDS)
    unnamed = await trio.to_thread.run_sync(list_old)
    for start in range(0, len(unnamed), BATCH):
        names = unnamed[start : start + BATCH]
        dropped += await database.write(partial(drop_unnamed, names=names, folder=folder))
        await rest_after_write(database)
    if dropped:
        telemetry.log.info("old files deleted", symbol="🧹", files=dropped)
    return dropped


async def drop_old_events(store: Store, telemetry: Telemetry, *, event_days: float) -> int:
    """Drop what is too old now, batch by batch; gives how many. Raises StoreUnavailable."""
    database = store.database
    before = telemetry.now() - event_days * DAY_SECONDS if event_days else 0.0
    verb = partial(expire, before=before, folder=database.path.parent / "events")
    events = files = 0
    more = True
    while more:
        expired = await database.write(verb)
        events, files, more = events + expired.events, files + expired.files, expired.more
        await rest_after_write(database)
    if events:
        telemetry.log.info("old events dropped", symbol="🧹", events=events, files=files)
    return events
