"""The app that is served when the daemon itself cannot be: it says why, and takes no webhooks.

It imports nothing that may be what is broken.
"""

from collections.abc import Callable

from daemon.http.asgi import ASGIApp, Receive, Scope, Send, answer_json, answer_lifespan
from daemon.observability.lines import iso_utc


def minimal_app(reason: str, environment: str, port: int, now: Callable[[], float]) -> ASGIApp:
    """Return an app whose ``/health`` is a 200 with `reason` and all else a 503.

    `now` returns Unix seconds. The gateway repeats later what it is refused here.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
        elif scope["path"] == "/health":
            health: dict[str, object] = {
                "status": "minimal",
                "reason": reason,
                "error": reason,
                "timestamp": iso_utc(now()),
                "environment": environment,
                "port": port,
                "initialized": False,
            }
            await answer_json(send, 200, health)
        elif scope["path"] == "/ready":
            await answer_json(send, 503, {"status": "unready", "reason": reason})
        else:
            await answer_json(
                send,
                503,
                {"error": "the daemon could not start; see /health"},
                [(b"connection", b"close"), (b"retry-after", b"10")],
            )

    return app
