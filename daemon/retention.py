"""Letting go of what is kept only for a while."""

from functools import partial

import trio

from daemon.chats.dependencies import Dependencies
from daemon.errors import StoreUnavailable
from daemon.store.retention import expire

INTERVAL_SECONDS = 3600.0
DAY_SECONDS = 24 * 3600.0


async def keep_retention(needs: Dependencies, event_days: float) -> None:
    """Drop raw webhook events older than ``event_days``, at once and then every hour.

    0 keeps them for good. Runs until cancelled.
    """
    while event_days:
        try:
            await drop_old_events(needs, event_days=event_days)
        except StoreUnavailable as error:
            needs.log.warning("old events not dropped", error=str(error))
        await trio.sleep(INTERVAL_SECONDS)
    await trio.sleep_forever()


async def drop_old_events(needs: Dependencies, *, event_days: float) -> int:
    """Drop what is too old now, batch by batch; gives how many. Raises StoreUnavailable."""
    database = needs.store.database
    before = needs.now() - event_days * DAY_SECONDS
    verb = partial(expire, before=before, folder=database.path.parent / "events")
    events = files = 0
    more = True
    while more:
        expired = await database.write(verb)
        events, files, more = events + expired.events, files + expired.files, expired.more
    if events:
        needs.log.info("old events dropped", symbol="🧹", events=events, files=files)
    return events
