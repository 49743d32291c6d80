"""Requests that came whole in one read, as most webhooks and probes do.

They need no task of their own and no state between reads, which is most of what a request costs
in hypercorn's protocol. `daemon.http.connection` answers them at once; whatever is out of the
ordinary (a part of a request, two of them, a chunked body, an upgrade) goes through hypercorn.
"""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

import httptools
import trio
from hypercorn.typing import AppWrapper, ASGISendEvent

from daemon.http.asgi import EdgeLog, Event, Headers, Scope
from daemon.observability.events import UNEXPECTED_ERROR

AtOnce = Callable[[str], bool]
"""Says whether the requests of a path are to be answered in the connection's own task."""

METHODS = frozenset({"POST", "GET", "PUT", "PATCH", "DELETE"})
"""Answers to the rest (HEAD, CONNECT …) have no body, or are none of ours."""

UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers of requests that are not over when their bytes are, or want an answer in between."""

WHOLE = "recado.whole"
"""ASGI extension of a request whose body is at hand: the first message has all of it."""

STAYS = b"keep-alive"
"""The only word in ``Connection`` that changes nothing in HTTP/1.1."""


class WholeRequest(NamedTuple):
    """One request with all of its body."""

    scope: Scope
    """ASGI's, but for the addresses of both ends."""
    body: bytes

    async def receive(self) -> Event:
        """Give the body as the ASGI message that it is. To be asked once."""
        return {"type": "http.request", "body": self.body, "more_body": False}


class _Parts:
    """What the parser finds, in the callbacks that it looks for by their names."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: Headers = []
        self.body = b""
        self.begun = 0
        self.complete = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        self.complete = True


def _stays(headers: Headers) -> bool:
    """True if the connection is as usual after the request."""
    return all(value.lower() == STAYS for name, value in headers if name == b"connection")


def whole_request(data: bytes, at_once: AtOnce) -> WholeRequest | None:
    """The one request that `data` consists of, if it is whole and ordinary and `at_once` wants it.

    None for everything else, faulty requests included: nothing is refused here. The parser is
    llhttp in its strict mode, so no body has two readings (RFC 9112, section 11.2).
    """
    parts = _Parts()
    parser = httptools.HttpRequestParser(parts)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if not parts.complete or parts.begun != 1:
        return None
    path, _, query = parts.url.partition(b"?")
    names = [name for name, _ in parts.headers]
    method = parser.get_method().decode("ascii")
    if (
        method not in METHODS
        or parser.get_http_version() != "1.1"
        or not path.startswith(b"/")
        or not parts.url.isascii()
        or names.count(b"host") != 1
        or not UNUSUAL.isdisjoint(names)
        or (b"connection" in names and not _stays(parts.headers))
    ):
        return None
    readable = path.decode("ascii")
    if "%" in readable:
        readable = unquote(readable)
    if not at_once(readable):
        return None
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": readable,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": parts.headers,
        "extensions": {WHOLE: {}},
    }
    return WholeRequest(scope, parts.body)


# Answers that are known whole before their first byte is written.


FAILED: Headers = [(b"content-length", b"0"), (b"connection", b"close")]


class GatheredResponse:
    """One response, gathered from the app's ASGI messages."""

    def __init__(self) -> None:
        self._status = 500
        self._headers = FAILED
        self._body = b""

    async def send(self, message: ASGISendEvent | None) -> None:
        """Take in what the app sends; nothing of it is written yet."""
        if message is None:
            return
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    @property
    def closes(self) -> bool:
        """True if the connection is to be closed behind it."""
        return (b"connection", b"close") in self._headers

    def encode(self, common: Headers, *, last: bool) -> bytes:
        """Write it as HTTP/1.1; ``last`` says that the connection will be closed."""
        headers = [*self._headers, *common]
        if last and not self.closes:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"HTTP/1.1 %d \r\n%b\r\n%b" % (self._status, b"".join(lines), self._body)


async def answered_at_once(
    app: AppWrapper, request: WholeRequest, log: EdgeLog
) -> GatheredResponse:
    """Run the app for one request in the calling task; its failure is logged and becomes a 500.

    The app answers with a length, and without waiting for the client.
    """
    answer = GatheredResponse()
    try:
        await app(
            request.scope,  # type: ignore[arg-type]  # plain dictionaries, as ASGI has them
            request.receive,  # type: ignore[arg-type]
            answer.send,
            trio.to_thread.run_sync,
            trio.from_thread.run,
        )
    except Exception as error:  # noqa: BLE001 - the boundary of the app's code
        log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a request failed",
            error=type(error).__name__,
            exc_info=error,
        )
        return GatheredResponse()
    return answer
