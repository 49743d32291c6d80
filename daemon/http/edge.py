"""The app of the HTTP edge: the hot routes in bare ASGI, everything else in the pages' app.

A request through Quart costs about twice one through bare ASGI (measured), and Quart's own
requests have no size limit while a body arrives in chunks, so `_limited` adds one.
"""

import re
from collections.abc import Awaitable, Callable
from ipaddress import AddressValueError, IPv6Address

import msgspec
import trio

from daemon.http.access import Access
from daemon.http.api.problems import PROBLEM_TYPE, problem_document
from daemon.http.asgi import (
    ASGIApp,
    EdgeLog,
    Event,
    Headers,
    Receive,
    Scope,
    Send,
    answer_json,
    log_fault,
)
from daemon.http.hook import Hook, declared_size
from daemon.http.pages import BODY_WANTED
from daemon.http.request_context import EdgeSettings
from daemon.http.whole_request import is_webhook
from daemon.observability.lines import iso_utc
from daemon.ops.operations import Operations

Pages = Callable[..., Awaitable[None]]
"""An ASGI app; Quart has its own types for scopes and messages."""
PAGE_BODY_BYTES = 1024 * 1024
"""Largest body for anything but webhooks: forms and buttons of the dashboard."""
UPLOAD_BYTES = 16 * 1024 * 1024
"""Largest file that is sent by the API."""


_LETTER = r"[\w~!$&'()*+,;=%-]"
_HOST = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?:{_LETTER}{{1,63}}\.)*{_LETTER}{{0,63}})"
    r"(?::(?P<port>[0-9]{0,5}))?",
    re.ASCII,
)
"""``Host``: a name or address, and a port (RFC 3986, section 3.2.2, without its IPvFuture). Labels
have the length of those of DNS: werkzeug raises for others, outside of any error handler."""

PROBES = frozenset({"/health", "/ready"})


def is_hot_path(path: str) -> bool:
    """True for the bare routes, which `daemon.http.server.serve` may answer without a task."""
    return is_webhook(path) or path in PROBES


def create_hook(
    operations: Operations, settings: EdgeSettings, log: EdgeLog, access: Access
) -> Hook:
    """Return what answers webhooks."""
    return Hook(operations.numbers, operations.state, settings, log, access, now=operations.now)


def create_edge(
    operations: Operations, settings: EdgeSettings, pages: Pages, log: EdgeLog, hook: Hook
) -> ASGIApp:
    """Return the whole edge as one ASGI app, to be given to `daemon.http.server.serve`.

    `pages` gets every route that is not ``/hook``, ``/health`` or ``/ready``, the WebSockets, and
    the server's start and stop (lifespan).
    """
    probes = _create_probes(operations, settings, log)

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await pages(scope, receive, send)
            return
        path: str = scope["path"]
        if scope["type"] == "http" and path in PROBES:
            await probes(scope, receive, send)
        elif scope["type"] == "http" and is_webhook(path):
            await hook(scope, receive, send)
        elif fault := address_fault(scope):
            await _refuse(scope, send, fault)
        elif scope["type"] == "websocket":
            await pages(scope, receive, send)
        else:
            await _limited(pages, scope, receive, send)

    return edge


def _create_probes(operations: Operations, settings: EdgeSettings, log: EdgeLog) -> ASGIApp:
    """Return the app behind ``/health`` and ``/ready``, without a framework in the way."""
    state = operations.state

    def health() -> dict[str, object]:
        try:
            return state.health()
        except Exception as error:  # noqa: BLE001 - /health answers whatever is broken
            log_fault(log, "health cannot be determined", error)
            return {
                "status": "degraded",
                "timestamp": iso_utc(operations.now()),
                "environment": settings.environment,
                "error": type(error).__name__,
            }

    async def probes(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        if scope["method"] not in {"GET", "HEAD"}:
            allow: Headers = [(b"allow", b"GET, HEAD")]
            await answer_json(send, 405, {"error": "method not allowed"}, allow)
        elif scope["path"] == "/health":
            await answer_json(send, 200, health())
        elif reason := state.ready():
            await answer_json(send, 503, {"status": "unready", "reason": reason})
        else:
            await answer_json(send, 200, {"status": "ready"})

    return probes


def address_fault(scope: Scope) -> str:
    """Return what is wrong with the address that a request is for; empty if nothing is.

    Quart raises for a target that is no path, and pages compare what they read from ``Host``.
    """
    if not scope["path"].startswith("/"):
        return "the target is no path"
    return "" if _has_plain_host(scope) else "the Host header is no name and no address"


def _has_plain_host(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"host":
            host = _HOST.fullmatch(value.decode("latin-1"))
            return host is not None and _is_address(host["v6"]) and int(host["port"] or 0) < 65536
    return True


def _is_address(v6: str | None) -> bool:
    try:
        IPv6Address(v6 or "::")
    except AddressValueError:
        return False
    return True


async def _refuse(scope: Scope, send: Send, fault: str) -> None:
    """Answer 400, to a request or to a WebSocket's handshake."""

    async def answer(message: Event) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    close: Headers = [(b"connection", b"close")]
    await answer_json(send if scope["type"] == "http" else answer, 400, {"error": fault}, close)


async def _limited(app: Pages, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app` for a request with a body of a limited size, and answer 413 if it has more.

    A body that says so is refused beforehand. One that grows beyond it looks to `app` as if the
    client had left.
    """
    size, most = declared_size(scope["headers"]), _most_bytes(scope)
    started = False
    wanted = scope[BODY_WANTED] = trio.Event()

    async def counted_receive() -> Event:
        nonlocal size
        await wanted.wait()
        event = await receive()
        size += len(event.get("body", b""))
        return {"type": "http.disconnect"} if size > most else event

    async def noted_send(message: Event) -> None:
        nonlocal started
        started = True
        await send(message)

    if size <= most:
        size = 0
        await app(scope, counted_receive, noted_send)
    if size > most and not started:
        await _refuse_size(scope, send)


def _most_bytes(scope: Scope) -> int:
    is_upload = scope["path"].startswith("/api/v1/chats/") and scope["path"].endswith("/files")
    return UPLOAD_BYTES if is_upload else PAGE_BODY_BYTES


async def _refuse_size(scope: Scope, send: Send) -> None:
    close: Headers = [(b"connection", b"close")]
    if scope["path"].startswith("/api/"):
        document = msgspec.structs.asdict(problem_document(413))
        await answer_json(send, 413, document, close, content_type=PROBLEM_TYPE.encode())
    else:
        await answer_json(send, 413, {"error": "too large"}, close)
