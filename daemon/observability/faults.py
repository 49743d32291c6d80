"""Counts the faults that nobody expected, wherever they are logged."""

from contextlib import AbstractContextManager

from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.lines import LogRecord
from daemon.observability.logs import Log
from daemon.observability.metrics import FAULT_PLACES, Metrics


def counted_faults(log: Log, metrics: Metrics) -> AbstractContextManager[None]:
    """Count each `UNEXPECTED_ERROR` by its ``where``, also those left out as noise."""

    def count(record: LogRecord) -> None:
        where = str(record.fields.get("where", ""))
        metrics.unexpected_errors.labels(where if where in FAULT_PLACES else "core").inc()

    return log.tapped(count, {UNEXPECTED_ERROR})
