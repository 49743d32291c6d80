"""The app of the HTTP edge: the hot routes in bare ASGI, everything else in the pages' app.

A request through Quart costs about twice one through bare ASGI (measured), and Quart's own
requests have no limit while a body arrives in chunks; so one is put round it here.
"""

from collections.abc import Awaitable, Callable

from daemon.web.asgi import (
    ASGIApp,
    Event,
    Log,
    Receive,
    Scope,
    Send,
    answer_json,
)
from daemon.web.facade import Daemon, EdgeSettings
from daemon.web.hook import Hook, declared_size
from daemon.web.probes import create_probes

__all__ = ["PAGE_BODY_BYTES", "Daemon", "EdgeSettings", "create_edge"]

Pages = Callable[..., Awaitable[None]]
"""An ASGI app, too: Quart's has types of its own for scopes and messages."""
PAGE_BODY_BYTES = 1024 * 1024
"""Largest body for anything but webhooks: forms and buttons of the dashboard."""


PROBES = frozenset({"/health", "/ready"})


def answered_at_once(path: str) -> bool:
    """True for the bare routes, which `daemon.web.server.serve` may answer without a task."""
    return path == "/hook" or path.startswith("/hook/") or path in PROBES


def create_edge(daemon: Daemon, settings: EdgeSettings, pages: Pages, log: Log) -> ASGIApp:
    """Return the whole edge as one ASGI app, to be given to `daemon.web.server.serve`.

    `pages` gets every route that is not ``/hook``, ``/health`` or ``/ready``, the WebSockets, and
    the server's start and stop (lifespan).
    """
    hook = Hook(daemon, settings, log)
    probes = create_probes(daemon, log)

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await pages(scope, receive, send)
            return
        path: str = scope["path"]
        if path in PROBES:
            await probes(scope, receive, send)
        elif answered_at_once(path):
            await hook(scope, receive, send)
        else:
            await _limited(pages, scope, receive, send)

    return edge


async def _limited(app: Pages, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app` for a request whose body may have PAGE_BODY_BYTES, and answer 413 if it has more.

    A body that says so is refused beforehand. One that grows beyond it looks to `app` as if the
    client had left.
    """
    size = declared_size(scope["headers"])
    started = False

    async def counted_receive() -> Event:
        nonlocal size
        event = await receive()
        size += len(event.get("body", b""))
        return {"type": "http.disconnect"} if size > PAGE_BODY_BYTES else event

    async def noted_send(message: Event) -> None:
        nonlocal started
        started = True
        await send(message)

    if size <= PAGE_BODY_BYTES:
        size = 0
        await app(scope, counted_receive, noted_send)
    if size > PAGE_BODY_BYTES and not started:
        await answer_json(send, 413, {"error": "too large"}, [(b"connection", b"close")])
