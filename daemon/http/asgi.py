"""The part of ASGI that HTTP uses, with types, and one way to answer.

Source: the ASGI 3.0 specification (HTTP and WebSocket messages 2.4). Scopes and messages are plain
dictionaries, as the server has them.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from daemon.observability.events import UNEXPECTED_ERROR, EventKind

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class EdgeLog(Protocol):
    """HTTP's part of a structured logger: an event's name and named fields."""

    def info(self, event: str, /, **fields: Any) -> Any:
        """Log what an operator may want to know."""

    def warning(self, event: str, /, **fields: Any) -> Any:
        """Log what an operator should look at."""

    def error(self, event: str, /, **fields: Any) -> Any:
        """Log a fault of ours."""

    def event(self, kind: EventKind, /, **fields: Any) -> Any:
        """Log an event of the vocabulary."""

    def together(self) -> AbstractContextManager[None]:
        """Write the lines of a block, in which no task waits, together."""


def log_fault(log: EdgeLog, what: str, error: Exception, **fields: Any) -> None:
    """Log an unexpected exception that has ended the work for a request."""
    name = type(error).__name__
    log.event(UNEXPECTED_ERROR, where="request", what=what, **fields, error=name, exc_info=error)


@lru_cache(1)
def http_date(second: int) -> bytes:
    """Format a Unix time for HTTP (RFC 9110, section 5.6.7)."""
    return formatdate(second, usegmt=True).encode("ascii")


def json_response(
    status: int,
    content: Mapping[str, object],
    headers: Headers | None = None,
    *,
    content_type: bytes = b"application/json",
) -> tuple[Event, Event]:
    """The messages of a whole response whose body is `content` as JSON.

    No cache may keep it. Raises TypeError if `content` cannot be encoded.
    """
    body = msgspec.json.encode(content)
    fixed: Headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": fixed + headers if headers else fixed,
    }
    return start, {"type": "http.response.body", "body": body, "more_body": False}


async def answer_json(
    send: Send,
    status: int,
    content: Mapping[str, object],
    headers: Headers | None = None,
    *,
    content_type: bytes = b"application/json",
) -> None:
    """Send a `json_response`. Raises what the server's `send` raises, and TypeError."""
    for message in json_response(status, content, headers, content_type=content_type):
        await send(message)


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Follow the lifespan protocol for an app that has nothing to start or stop.

    Runs until the server says that it is shutting down, or cancelled.
    """
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
