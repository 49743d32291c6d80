"""One HTTP exchange with Whapi: a request, what came of it, and the error that stands for that.

The one place that knows httpx's errors. Whether a failed request may have arrived is not guessed
from the kind of error but noted while it is made: httpcore's ``trace`` extension tells when the
first byte of the request goes out, and before that nothing can have happened.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

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

_MOST_ANSWER_BYTES = 32 * 1024 * 1024


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


async def exchange(http: httpx.AsyncClient, request: Request, *, seconds: float) -> Response:
    """Make one HTTP request; raises nothing but Cancelled."""
    response = Response()

    # httpcore says where it is in the exchange; once the headers go out, anything may have
    # happened at the other end.
    async def trace(event: str, _info: Mapping[str, object]) -> None:
        response.began = response.began or event.endswith("send_request_headers.started")

    with trio.move_on_after(seconds) as scope:
        try:
            await _stream(http, request, response, seconds=seconds, trace=trace)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            response.failure = response.failure or type(error).__name__
    if scope.cancelled_caught:
        response.failure = "no answer in time"
    return response


async def _stream(
    http: httpx.AsyncClient,
    request: Request,
    response: Response,
    *,
    seconds: float,
    trace: object,
) -> None:
    content = b"" if request.content is None else msgspec.json.encode(request.content)
    outgoing = http.build_request(
        request.method,
        request.path,
        params=request.query,
        content=content,
        headers={"Content-Type": "application/json"} if content else None,
        timeout=seconds,
        extensions={"trace": trace},
    )
    outgoing.stream = _Body(content)
    answer = await http.send(outgoing, stream=True)
    try:
        response.status = answer.status_code
        response.retry_after = retry_after(answer.headers.get("Retry-After"))
        response.body = await _whole_body(answer, response)
    finally:
        await answer.aclose()


async def _whole_body(answer: httpx.Response, response: Response) -> bytes:
    """Read the body to its end; one that is too large counts as a failure and is given up.

    It is given up by closing the connection under the loop, which ends with ReadError: leaving
    the loop instead would leave httpx's generators behind unfinished.
    """
    chunks = bytearray()
    async for chunk in answer.aiter_bytes():
        chunks += chunk
        if len(chunks) > _MOST_ANSWER_BYTES:
            response.failure = "the answer is too large"
            chunks.clear()
            await answer.aclose()
    return bytes(chunks)


class _Body(httpx.AsyncByteStream):
    """A request's body in one piece.

    httpx's own one iterates by an async generator, which a failed or cancelled write leaves
    behind unfinished; trio then warns of it when it is collected.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once:
    """An asynchronous iterator over one value."""

    def __init__(self, value: bytes) -> None:
        self._left = [value]

    def __aiter__(self) -> "_Once":
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def raise_unless_done(request: Request, response: Response) -> None:
    """Raise the error of a response that is not a whole success, as for a call made once."""
    said = verdict(response.status) if response.status else Verdict.UNKNOWN
    if response.failure and said in {Verdict.DONE, Verdict.UNKNOWN}:
        words = f"Whapi {request.operation}: {response.failure}"
        if response.began:
            raise WhapiUnknownOutcome(words, status=response.status)
        raise WhapiTemporary(words)
    words = f"Whapi {request.operation}: {explanation(response.status, response.body)}"
    match said:
        case Verdict.DONE:
            return
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
