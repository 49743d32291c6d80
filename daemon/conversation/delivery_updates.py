"""Telling people what became of our sends: counted, and a failure said aloud."""

from collections.abc import Iterable

from daemon.domain.records import DeliveryUpdate
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics


def report_delivery_updates(
    delivery_updates: Iterable[DeliveryUpdate], metrics: Metrics, log: Log
) -> None:
    """Count what WhatsApp newly says of sends; one that could not be delivered is logged.

    A failure that is mended by saying it once more is a warning; one that leaves the customer
    without those words is an error, for somebody to look at with `recado explain`.
    """
    for delivery_update in delivery_updates:
        metrics.statuses.labels(delivery_update.status).inc()
        if delivery_update.seconds is not None:
            metrics.delivery.observe(delivery_update.seconds)
        if delivery_update.status != "failed":
            continue
        metrics.send_failures.labels("said_again" if delivery_update.again else "given_up").inc()
        if delivery_update.again:
            log.warning(
                "WhatsApp could not deliver, saying it again",
                symbol="❌",
                chat=delivery_update.key,
                outbox=delivery_update.row_id,
                error=delivery_update.error,
            )
        else:
            log.error(
                "WhatsApp could not deliver, given up",
                symbol="🚨",
                chat=delivery_update.key,
                outbox=delivery_update.row_id,
                error=delivery_update.error,
            )
