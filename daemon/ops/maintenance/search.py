"""The task that keeps the search in step with what is written."""

import trio

from daemon.errors import StoreUnavailable
from daemon.ledger.ledger import Store
from daemon.observability.logs import Log
from daemon.ops.maintenance.retention import rest_after_write

LOOK_SECONDS = 1.0
"""So late a message is found at most, but in a rush, and for a store from before the search."""

RESTS = 3
"""So many times as long as a step it rests after it: the rest of the time is the webhooks'."""

LONGEST_REST_SECONDS = 0.05


async def keep_search_index(store: Store, log: Log) -> None:
    """Put into the search's index what is new or has changed. Runs until cancelled."""
    while True:
        try:
            if await store.search.lags():
                began = trio.current_time()
                while await store.search.step():
                    await rest_after_write(store.database)
                    took = trio.current_time() - began
                    await trio.sleep(min(RESTS * took, LONGEST_REST_SECONDS))
                    began = trio.current_time()
        except StoreUnavailable as error:
            log.warning("the search waits for the store", error=str(error))
        await trio.sleep(LOOK_SECONDS)
