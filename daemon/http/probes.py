"""``/health`` and ``/ready``: what supervisors and load balancers ask."""

from daemon.http.asgi import ASGIApp, Log, Receive, Scope, Send, answer_json
from daemon.http.facade import Daemon
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.lines import iso_utc


def create_probes(daemon: Daemon, log: Log) -> ASGIApp:
    """Return the ASGI app that answers both probes, without a framework in the way."""

    async def probes(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        if scope["method"] not in {"GET", "HEAD"}:
            await answer_json(
                send, 405, {"error": "method not allowed"}, [(b"allow", b"GET, HEAD")]
            )
        elif scope["path"] == "/health":
            await answer_json(send, 200, _health(daemon, log))
        elif reason := daemon.ready():
            await answer_json(send, 503, {"status": "unready", "reason": reason})
        else:
            await answer_json(send, 200, {"status": "ready"})

    return probes


def _health(daemon: Daemon, log: Log) -> dict[str, object]:
    """Return the daemon's health; a fault in finding it out is itself an answer, not a 500."""
    try:
        return daemon.health()
    except Exception as error:  # noqa: BLE001 - /health answers whatever is broken
        log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="health cannot be told",
            error=type(error).__name__,
            exc_info=error,
        )
        return {
            "status": "degraded",
            "timestamp": iso_utc(daemon.now()),
            "environment": daemon.environment,
            "error": type(error).__name__,
        }
