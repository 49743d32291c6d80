"""The server's answers while the daemon starts, and when it cannot start.

The port is open before the store is checked and migrated, which takes minutes for a large one.
Probes are answered meanwhile. Webhooks wait for the end of a usual start, as they would in the
listen queue, and are then refused with 503: the gateway repeats them.
"""

from collections.abc import Callable

import trio

from daemon.http.asgi import ASGIApp, Headers, Receive, Scope, Send, answer_json, answer_lifespan
from daemon.http.usual_webhooks import Webhooks
from daemon.observability.lines import iso_utc

PATIENCE_SECONDS = 3.0
"""For so long a call waits for the end of the start; a usual restart takes less."""

LATER: Headers = [(b"connection", b"close"), (b"retry-after", b"5")]


class Front:
    """An ASGI app that passes requests on to another one, once there is one."""

    def __init__(
        self,
        *,
        version: str,
        environment: str,
        public_url: str,
        port: int,
        now: Callable[[], float],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """``now``: wall clock, Unix seconds. ``port``: that of the settings."""
        self.port = port
        """Shown by ``/health``; the composer sets the real one."""
        self._version = version
        self._environment = environment
        self._public_url = public_url
        self._now = now
        self._patience_seconds = patience_seconds
        self._app: ASGIApp | None = None
        self.webhooks: Webhooks | None = None
        """What stores the usual webhooks; None before `open`."""
        self._opened = trio.Event()

    def open(self, app: ASGIApp, webhooks: Webhooks | None = None) -> None:
        """Pass requests on from now on, also those that wait; usual webhooks past the app."""
        self._app, self.webhooks = app, webhooks
        self._opened.set()

    def give_up(self) -> None:
        """There will be no app: refuse requests that wait. Does nothing after `open`."""
        self._opened.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on. Follows the server's lifespan itself."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/health":
            await answer_json(send, 200, self._health())
        elif path == "/":
            await answer_json(send, 200, self._about())
        elif path == "/ready":
            await answer_json(send, 503, {"status": "unready", "reason": "initializing"})
        else:
            with trio.move_on_after(self._patience_seconds):
                await self._opened.wait()
            if self._app is not None:
                await self._app(scope, receive, send)
            else:
                await answer_json(send, 503, {"error": "the daemon is starting"}, LATER)

    def _health(self) -> dict[str, object]:
        return {
            "status": "starting",
            "timestamp": iso_utc(self._now()),
            "environment": self._environment,
            "port": self.port,
            "initialized": False,
            "activeBuffers": 0,
            "activeProcessing": 0,
            "threadStats": {"totalThreads": 0, "activeThreads": 0},
            "waitingForPerson": {"chats": 0, "oldestSeconds": 0},
            "reasons": ["the store is being opened"],
        }

    def _about(self) -> dict[str, object]:
        return {
            "service": "Recado",
            "version": self._version,
            "environment": self._environment,
            "status": "initializing",
            "webhookUrl": self._public_url,
            "threads": {"totalThreads": 0, "activeThreads": 0},
        }


# -- when the daemon cannot start ----------------------------------------------------------------
#
# Nothing is imported here that may be broken.


def minimal_app(reason: str, environment: str, port: int, now: Callable[[], float]) -> ASGIApp:
    """Return an app whose ``/health`` is a 200 with `reason` and all else a 503.

    `now` returns Unix seconds. The gateway repeats later what is refused here.
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
