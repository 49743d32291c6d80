"""One HTTP exchange with Whapi: a request, what came of it, and the error that stands for that.

The one place that knows what a connection may raise. Whether a failed request may have arrived is
not guessed from the kind of error but noted while it is made: before its first byte leaves, nothing
can have happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
import msgspec
import trio

from daemon.errors import (
    SettingsError,
    WhapiChannelTrouble,
    WhapiRejected,
    WhapiTemporary,
    WhapiUnknownOutcome,
)
from daemon.whapi.answers import (
    Unintelligible,
    Verdict,
    explanation,
    read_sent,
    retry_after,
    verdict,
)
from daemon.whapi.connections import Connections
from daemon.whapi.http_answer import HttpAnswer, UnusableAnswer
from daemon.whapi.route import NoWay

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
    """Whapi's API as requests reach it: the way there, and the headers of each of them."""

    def __init__(self, connections: Connections, token: str) -> None:
        self._connections = connections
        self._headers = (
            connections.route.own_headers()
            + f"Authorization: Bearer {token}\r\n".encode("ascii")
            + b"Accept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: recado\r\n"
        )

    async def exchange(self, request: Request, *, seconds: float) -> Response:
        """Make one HTTP request; raises nothing but Cancelled."""
        response = Response()
        with trio.move_on_after(seconds) as scope:
            try:
                await self._exchange(request, response)
            except UnusableAnswer as error:
                response.failure = str(error)
            except NoWay:
                response.failure = "the proxy gives no way"
            except (OSError, trio.BrokenResourceError):
                response.failure = "the connection broke" if response.began else "no connection"
        if scope.cancelled_caught:
            response.failure = "no answer in time"
        return response

    async def _exchange(self, request: Request, response: Response) -> None:
        outgoing = self._bytes(request)
        connection = await self._connections.take()
        answer = HttpAnswer(most_body_bytes=_MOST_ANSWER_BYTES)
        try:
            response.began = True
            await connection.exchange(outgoing, answer)
        finally:
            response.status = answer.status
            response.retry_after = retry_after(answer.header(b"retry-after"))
            answer.release()
            await self._connections.give_back(connection, reusable=answer.reusable)
        response.body = answer.body()

    def _bytes(self, request: Request) -> bytes:
        path = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        head = f"{request.method} {self._connections.route.target(path)} HTTP/1.1\r\n"
        content, about = b"", b""
        if request.content is not None:
            content = msgspec.json.encode(request.content)
            about = b"Content-Type: application/json\r\n"
        if content or request.method not in _WITHOUT_CONTENT:
            about += b"Content-Length: %d\r\n" % len(content)
        return b"".join((head.encode("ascii"), self._headers, about, b"\r\n", content))


def raise_unless_done(request: Request, response: Response) -> None:
    """Raise the error of a response that is not a whole success, as for a call made once."""
    said = verdict(response.status) if response.status else Verdict.UNKNOWN
    if response.failure and said in {Verdict.DONE, Verdict.UNKNOWN}:
        words = f"Whapi {request.operation}: {response.failure}"
        if response.began:
            raise WhapiUnknownOutcome(words, status=response.status)
        raise WhapiTemporary(words)
    if said is Verdict.DONE:
        return
    words = f"Whapi {request.operation}: {explanation(response.status, response.body)}"
    match said:
        case Verdict.LATER:
            raise WhapiTemporary(words, status=response.status, retry_after=response.retry_after)
        case Verdict.UNKNOWN:
            raise WhapiUnknownOutcome(words, status=response.status)
        case Verdict.CHANNEL:
            raise WhapiChannelTrouble(words, status=response.status)
        case Verdict.REFUSED:
            raise WhapiRejected(words, status=response.status)


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
        raise WhapiUnknownOutcome(words, status=response.status) from None
    if sent.refused:
        words = explanation(response.status, response.body)
        words = f"Whapi {request.operation}: not sent: {words}"
        raise WhapiRejected(words, status=response.status)
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
