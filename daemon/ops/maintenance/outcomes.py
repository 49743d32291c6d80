"""Keeps the outcome figures in step with the conversations."""

from datetime import UTC, datetime, timedelta
from functools import partial

import trio

from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.conversation.telemetry import Telemetry
from daemon.domain.outcomes import QUIET_SECONDS
from daemon.errors import StoreUnavailable
from daemon.ledger.enquiries import KEPT_DAYS, TAKEN_AT_ONCE, TakeInResult
from daemon.ledger.ledger import Store
from daemon.observability.logs import Log
from daemon.ops.maintenance.retention import write_slice

LOOK_SECONDS = 5.0
"""Between two looks: figures are so much behind."""

BEHIND_SECONDS = 0.2
"""The same while messages of an older store are taken in."""

COUNTED_SECONDS = 2 * QUIET_SECONDS
"""Enquiries that are settled later than this after their beginning are not counted as metrics."""

DROPPED_AT_ONCE = 50


async def keep_outcomes(process: Process, numbers: Numbers, log: Log) -> None:
    """Take new messages in and look again at what is open. Runs until cancelled."""
    while True:
        behind = False
        try:
            for number in numbers.served:
                behind |= await _step(number, process.telemetry.now())
        except StoreUnavailable as error:
            log.debug("outcome figures wait for the store", error=str(error))
        await trio.sleep(BEHIND_SECONDS if behind else LOOK_SECONDS)


async def drop_old_enquiries(store: Store, telemetry: Telemetry) -> None:
    """Delete the rows of years ago. Raises StoreUnavailable."""
    before = datetime.fromtimestamp(telemetry.now(), UTC).date() - timedelta(days=KEPT_DAYS)
    drop = partial(store.enquiries.drop_old, before_day=before.isoformat(), limit=DROPPED_AT_ONCE)
    while await write_slice(store, drop):
        pass


async def _step(number: NumberRuntime, now: float) -> bool:
    """Bring a number's enquiries in step; True if there are more messages to be taken in."""
    enquiries = number.services.store.enquiries
    metrics = number.services.telemetry.metrics
    taken = TakeInResult()
    if await enquiries.is_behind(number.name):
        taken = await enquiries.take_in(number.name, number.services.config.rules.zone)
    ids = taken.enquiries | {*await enquiries.due(number.name, now=now)}
    looked = await enquiries.look(ids, now=now) if ids else ()
    if looked:
        await enquiries.note(looked, now=now)
    for one in looked:
        if one.settled and now - one.began_at < COUNTED_SECONDS:
            metrics.enquiries.labels(one.outcome).inc()
            if one.first_answer_seconds is not None:
                metrics.first_answer.observe(one.first_answer_seconds)
    return taken.messages == TAKEN_AT_ONCE
