"""One HTTP exchange with Whapi: a request, what came of it, and the error that stands for that.

The one place that knows httpcore's errors. Whether a failed request may have arrived is not guessed
from the kind of error but noted while it is made: before its first byte leaves, nothing can have
happened.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpcore
import httpx
import msgspec
import trio

from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    SettingsError,
)
from daemon.gateway.port import Before
from daemon.gateway.whapi.clock import GatewayClock
from daemon.gateway.whapi.connections import Connections
from daemon.gateway.whapi.payloads.answers import Unintelligible, read_sent, retry_after, unpacked
from daemon.gateway.whapi.payloads.refusals import (
    NextStep,
    explanation,
    named_parts,
    next_step,
    next_step_of_error,
)

_MOST_ANSWER_BYTES = 32 * 1024 * 1024
_WITHOUT_CONTENT = frozenset({"GET", "DELETE"})
"""Methods whose requests need not say that they have no content (RFC 9110, section 8.6)."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request: ``operation`` is its name in errors and metrics."""

    operation: str
    method: str
    path: str
    content: Mapping[str, object] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Response:
    """What came of a request; ``began`` is True once its first byte may have left."""

    began: bool = False
    status: int = 0
    body: bytes = b""
    retry_after: float | None = None
    failure: str = ""
    """Why there is no whole answer; empty if there is one."""


class Api:
    """Whapi's API as requests reach it: its address, and the headers of each request."""

    def __init__(
        self, connections: Connections, token: str, now: Callable[[], float] = time.time
    ) -> None:
        """``now``: our wall clock, Unix seconds."""
        self._connections = connections
        self.clock = GatewayClock(now)
        url = connections.url
        self._url = url
        self._path = url.raw_path.partition(b"?")[0].rstrip(b"/")
        self._headers = [
            (b"Host", url.netloc),
            (b"Authorization", f"Bearer {token}".encode("ascii")),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"recado"),
        ]

    async def exchange(
        self, request: Request, *, seconds: float, before: Before | None = None
    ) -> Response:
        """Make one HTTP request; raises nothing but Cancelled, and what ``before`` raises."""
        response = Response()
        with trio.move_on_after(seconds) as scope:
            try:
                await self._exchange(request, response, before)
            except Unintelligible as error:
                response.failure = str(error)
            except httpcore.ProxyError:
                response.failure = "the proxy gives no way"
            except httpcore.ProtocolError:
                response.failure = "no whole HTTP answer"
            except (httpcore.NetworkError, httpcore.TimeoutException):
                broke = "the connection broke" if response.began else "no connection"
                response.failure = response.failure or broke
        if scope.cancelled_caught:
            response.failure = "no answer in time"
        return response

    async def _exchange(self, request: Request, response: Response, before: Before | None) -> None:
        outgoing = self._outgoing(request)
        connection = await self._connections.take()
        try:
            if before is None and connection.is_available():
                response.began = True
            else:  # it connects first, or somebody has a last word
                outgoing.extensions["trace"] = _Beginning(response, before)
            answer = await connection.handle_async_request(outgoing)
            response.status = answer.status
            headers = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
            self.clock.heard(headers.get(b"date"))
            response.retry_after = retry_after(headers.get(b"retry-after"))
            body = await _whole_body(answer, response)
        finally:
            await self._connections.give_back(connection)
        coding = headers.get(b"content-encoding", "identity")
        response.body = unpacked(body, coding, most_bytes=_MOST_ANSWER_BYTES)

    def _outgoing(self, request: Request) -> httpcore.Request:
        path = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        url = httpcore.URL(
            scheme=self._url.raw_scheme,
            host=self._url.raw_host,
            port=self._url.port,
            target=self._path + path.encode("ascii"),
        )
        content, headers = b"", self._headers
        if request.content is not None:
            content = msgspec.json.encode(request.content)
            headers = [*headers, (b"Content-Type", b"application/json")]
        if content or request.method not in _WITHOUT_CONTENT:
            headers = [*headers, (b"Content-Length", b"%d" % len(content))]
        return httpcore.Request(request.method, url, headers=headers, content=_Content(content))


class _Beginning:
    """Notes that a request begins: httpcore's ``trace`` extension is told of each step of it."""

    def __init__(self, response: Response, before: Before | None) -> None:
        self._response = response
        self._before = before

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        """Once the headers go out, anything may have happened at the other end.

        The connection stands then. What ``before`` raises here ends the request before its first
        byte; httpcore closes the connection.
        """
        if not event.endswith("send_request_headers.started"):
            return
        sent = info.get("request")
        if isinstance(sent, httpcore.Request) and sent.method == b"CONNECT":
            return  # a proxy is asked for a tunnel, which is not yet the request
        if self._before is not None:
            await self._before()
        self._response.began = True


async def _whole_body(answer: httpcore.Response, response: Response) -> bytes:
    """Read the body to its end; one that is too large counts as a failure and is given up.

    It is given up by closing the connection under the loop, which ends with ReadError: leaving
    the loop instead would leave httpcore's generators behind unfinished.
    """
    chunks = bytearray()
    async for chunk in answer.aiter_stream():
        chunks += chunk
        if len(chunks) > _MOST_ANSWER_BYTES:
            response.failure = "the answer is too large"
            chunks.clear()
            await answer.aclose()
    await answer.aclose()  # now its connection can take the next request
    return bytes(chunks)


class _Content:
    """A request's content in one piece, or nothing: an iterable that is its own iterator.

    httpcore's own one iterates by an async generator, which a failed or cancelled write leaves
    behind unfinished; trio then warns of it when it is collected.
    """

    def __init__(self, content: bytes) -> None:
        self._left = [content] if content else []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def raise_unless_done(request: Request, response: Response) -> None:
    """Raise the error of a response that is not a whole success, as for a call made once."""
    status = response.status
    step = next_step(status, response.body) if status else NextStep.UNKNOWN
    if response.failure and step in {NextStep.DONE, NextStep.UNKNOWN}:
        words = f"Whapi {request.operation}: {response.failure}"
        if response.began:
            raise OutcomeUnknown(words, status=status)
        raise GatewayTemporary(words)
    if step is not NextStep.DONE:
        words = f"Whapi {request.operation}: {explanation(status, response.body)}"
        raise _error_of(step, words, response)


def _error_of(step: NextStep, words: str, response: Response) -> GatewayError:
    status = response.status
    match step:
        case NextStep.TEMPORARY:
            return GatewayTemporary(words, status=status, retry_after=response.retry_after)
        case NextStep.NUMBER:
            return NumberTrouble(words, status=status)
        case NextStep.RECIPIENT:
            return RefusedRecipient(words, status=status)
        case NextStep.FORM:
            return RefusedForm(words, status=status, named=named_parts(response.body))
        case _:
            return OutcomeUnknown(words, status=status)


def sent_id(request: Request, response: Response) -> str:
    """Give the id of the message that a send has made; raises what stands for anything else.

    Empty for a reaction: Whapi says that it is done, and names no message.
    """
    raise_unless_done(request, response)
    if request.operation == "reaction":
        return ""
    try:
        sent = read_sent(response.body)
    except Unintelligible as error:
        words = f"Whapi {request.operation}: the answer cannot be used: {error}"
        raise OutcomeUnknown(words, status=response.status) from None
    if sent.refused:
        words = explanation(response.status, response.body)
        words = f"Whapi {request.operation}: not sent: {words}"
        raise _error_of(next_step_of_error(response.body), words, response)
    return sent.message_id


def usable_address(api_url: str, token: str) -> httpx.URL:
    """Check what would otherwise fail in each call, with the token in the traceback."""
    problems = []
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        problems.append("whapi.token: not a token (empty, or with spaces or odd characters)")
    try:
        url = httpx.URL(api_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        problems.append("whapi.api_url: not an http or https address")
    if problems:
        raise SettingsError(problems)
    return url
