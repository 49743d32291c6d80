"""Requests that were read whole, as most webhooks and probes are, and their answers.

They need no task of their own and no state between reads, which is most of what a request costs
in hypercorn's protocol. `daemon.http.connection` answers them in its reading task. All others (a
part of a request, two of them, a chunked body, an upgrade) go through hypercorn.
"""

from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import unquote

import httptools
import trio
from hypercorn.typing import AppWrapper, ASGISendEvent

from daemon.http.asgi import EdgeLog, Event, Headers, Scope, log_fault
from daemon.http.clients import CLIENT, Client

END = b"\r\n\r\n"
"""The end of the head of a request, and of a response."""

IsHot = Callable[[str], bool]
"""Whether the requests of a path may be answered in the connection's own task."""

METHODS = frozenset({"POST", "GET", "PUT", "PATCH", "DELETE"})
"""Answers to the others (HEAD, CONNECT …) have no body."""

UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers of requests that may go on after their bytes, or expect an answer in between."""

WHOLE = "recado.whole"
"""ASGI extension of a request whose first message has the whole body."""

STAYS = b"keep-alive"
"""The only value of ``Connection`` that changes nothing in HTTP/1.1."""


class WholeRequest(NamedTuple):
    """One request with all of its body."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: Headers
    body: bytes

    @property
    def scope(self) -> Scope:
        """A new ASGI scope of it, without the addresses of both ends."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.raw_path,
            "query_string": self.query,
            "root_path": "",
            "headers": self.headers,
            "extensions": {WHOLE: {}},
        }

    async def receive(self) -> Event:
        """Return the body as an ASGI message. May be called once."""
        return {"type": "http.request", "body": self.body, "more_body": False}


class _Parts:
    """The parts of a request, filled by the callbacks of the parser."""

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
    """True if the connection stays open and unchanged after the request."""
    return all(value.lower() == STAYS for name, value in headers if name == b"connection")


def is_webhook(path: str) -> bool:
    """True for ``/hook…`` and ``/n/<number>/hook…``."""
    return path == "/hook" or path.startswith(("/hook/", "/n/"))


def whole_request(data: bytes, is_hot: IsHot) -> WholeRequest | None:
    """Parse `data` as one whole, ordinary request of a path for which `is_hot` is true.

    None for everything else, faulty requests included: nothing is refused here. The parser is
    llhttp in its strict mode, so no body is ambiguous (RFC 9112, section 11.2).
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
    if not is_hot(readable):
        return None
    return WholeRequest(method, readable, path, query, parts.headers, parts.body)


FAILED: Headers = [(b"content-length", b"0"), (b"connection", b"close")]


class GatheredResponse:
    """One response, collected from the app's ASGI messages."""

    def __init__(self) -> None:
        self._status = 500
        self._headers = FAILED
        self._body = b""

    async def send(self, message: ASGISendEvent | None) -> None:
        """Collect a message of the app; nothing is written yet."""
        if message is not None:
            self.add(cast("Event", message))

    def add(self, message: Event) -> None:
        """Add a message."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    @property
    def closes(self) -> bool:
        """True if the connection is closed after it."""
        return (b"connection", b"close") in self._headers

    def encode(self, common: Headers, *, last: bool) -> bytes:
        """Write it as HTTP/1.1; ``last``: the connection will be closed."""
        headers = [*self._headers, *common]
        if last and not self.closes:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"HTTP/1.1 %d \r\n%b\r\n%b" % (self._status, b"".join(lines), self._body)


Answer = GatheredResponse | bytes
"""Bytes are a whole response that keeps the connection open, or its rest."""


async def run_app(
    app: AppWrapper, request: WholeRequest, client: Client, log: EdgeLog
) -> GatheredResponse:
    """Run the app for one request in the calling task; its failure is logged and becomes a 500.

    The app answers with a length, and without waiting for the client.
    """
    answer = GatheredResponse()
    try:
        await app(
            {**request.scope, CLIENT: client},  # type: ignore[arg-type]  # plain dictionaries, as ASGI has them
            request.receive,  # type: ignore[arg-type]
            answer.send,
            trio.to_thread.run_sync,
            trio.from_thread.run,
        )
    except Exception as error:  # noqa: BLE001 - the boundary of the app's code
        log_fault(log, "a request failed", error)
        return GatheredResponse()
    return answer
