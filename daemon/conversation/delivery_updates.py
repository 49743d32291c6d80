"""Telling people what became of our sends: counted, and a failure said aloud."""

from collections.abc import Iterable

from daemon.domain.records import SendFate
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics


def report_fates(fates: Iterable[SendFate], metrics: Metrics, log: Log) -> None:
    """Count what WhatsApp newly says of sends; one that could not be delivered is logged.

    A failure that is mended by saying it once more is a warning; one that leaves the customer
    without those words is an error, for somebody to look at with `recado explain`.
    """
    for fate in fates:
        metrics.statuses.labels(fate.status).inc()
        if fate.seconds is not None:
            metrics.delivery.observe(fate.seconds)
        if fate.status != "failed":
            continue
        metrics.send_failures.labels("said_again" if fate.again else "given_up").inc()
        if fate.again:
            log.warning(
                "WhatsApp could not deliver, saying it again",
                symbol="❌",
                chat=fate.key,
                outbox=fate.row_id,
                error=fate.error,
            )
        else:
            log.error(
                "WhatsApp could not deliver, given up",
                symbol="🚨",
                chat=fate.key,
                outbox=fate.row_id,
                error=fate.error,
            )
