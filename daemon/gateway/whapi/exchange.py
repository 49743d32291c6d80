"""One HTTP exchange with Whapi: a request, what came of it, and the error that stands for that.

Whether a failed request may have arrived is not guessed from the kind of error but noted while it
is made: before its first byte leaves, nothing can have happened.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlencode

import httpx
import msgspec
import trio

from daemon.errors import GatewayError, GatewayTemporary, OutcomeUnknown, RefusedForm, SettingsError
from daemon.gateway.port import Before
from daemon.gateway.whapi.connections import Connections
from daemon.gateway.whapi.payloads.answers import (
    Unintelligible,
    error_of,
    error_of_unsent,
    explanation,
    named_parts,
    read_sent,
    retry_after,
    unpacked,
)
from daemon.gateway.whapi.payloads.sends import ApiCall

_MOST_ANSWER_BYTES = 32 * 1024 * 1024


@dataclass(kw_only=True)
class Reply:
    """What came of a request; ``began`` is True once its first byte may have left."""

    began: bool = False
    status: int = 0
    body: bytes = b""
    retry_after: float | None = None
    failure: str = ""
    """Why there is no whole answer; empty if there is one."""


NOTICED_SECONDS = 60.0
"""A smaller difference counts as none: the header has whole seconds, and an answer takes time."""

ANSWERS = 5
"""Of the last answers the one nearest to our clock counts: a proxy may have kept an old one, and a
clock that was corrected is believed at once."""


class GatewayClock:
    """The gateway's clock beside ours, by the ``Date`` of its answers (RFC 9110, section 6.6.1)."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now``: our wall clock, Unix seconds."""
        self._now = now
        self._differences: deque[float] = deque(maxlen=ANSWERS)

    def heard(self, date: str | None) -> None:
        """Compare with the ``Date`` of an answer; anything but a date is ignored."""
        theirs = _unix_seconds(date or "")
        if theirs is not None:
            self._differences.append(theirs - self._now())

    @property
    def seconds_ahead(self) -> float | None:
        """By how much the gateway's clock is ahead of ours; negative if ours is, 0 if in step.

        None before the first answer.
        """
        if not self._differences:
            return None
        nearest = min(self._differences, key=abs)
        return nearest if abs(nearest) > NOTICED_SECONDS else 0.0


@lru_cache(1)
def _unix_seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


class Api:
    """Whapi's API as requests reach it: its address, and the headers of each request."""

    def __init__(
        self, connections: Connections, token: str, now: Callable[[], float] = time.time
    ) -> None:
        """``now``: our wall clock, Unix seconds."""
        self._connections = connections
        self.clock = GatewayClock(now)
        self._url = connections.url
        self._path = connections.url.raw_path.partition(b"?")[0].rstrip(b"/")
        self._headers = httpx.Headers(
            [
                (b"Host", connections.url.netloc),
                (b"Authorization", f"Bearer {token}".encode("ascii")),
                (b"Accept", b"application/json"),
                (b"Accept-Encoding", b"identity"),
                (b"User-Agent", b"recado"),
            ]
        )
        self._json_headers = httpx.Headers(
            [*self._headers.raw, (b"Content-Type", b"application/json")]
        )

    async def exchange(
        self, call: ApiCall, *, seconds: float, before: Before | None = None
    ) -> Reply:
        """Make one HTTP request; raises nothing but Cancelled, and what ``before`` raises."""
        reply = Reply()
        with trio.move_on_after(seconds) as scope:
            try:
                await self._exchange(call, reply, before)
            except Unintelligible as error:
                reply.failure = str(error)
            except httpx.ProxyError:
                reply.failure = "the proxy refuses"
            except httpx.ProtocolError:
                reply.failure = "no whole HTTP answer"
            except httpx.TransportError:
                broke = "the connection broke" if reply.began else "no connection"
                reply.failure = reply.failure or broke
        if scope.cancelled_caught:
            reply.failure = "no answer in time"
        return reply

    async def _exchange(self, call: ApiCall, reply: Reply, before: Before | None) -> None:
        answer = await self._connections.handle_async_request(
            self._outgoing(call, _Beginning(reply, before))
        )
        try:
            reply.status = answer.status_code
            self.clock.heard(answer.headers.get("date"))
            reply.retry_after = retry_after(answer.headers.get("retry-after"))
            body = await _whole_body(answer, reply)
        finally:
            await answer.aclose()
        coding = answer.headers.get("content-encoding", "identity")
        reply.body = unpacked(body, coding, most_bytes=_MOST_ANSWER_BYTES)

    def _outgoing(self, call: ApiCall, trace: "_Beginning") -> httpx.Request:
        path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        # ``target`` is what httpx asks for in the place of the URL's path, which it would parse.
        extensions = {"target": self._path + path.encode("ascii"), "trace": trace}
        headers, content = self._headers, None
        if call.content is not None:
            headers, content = self._json_headers, msgspec.json.encode(call.content)
        return httpx.Request(
            call.method, self._url, headers=headers, content=content, extensions=extensions
        )


class _Beginning:
    """Notes that a request begins: httpcore calls its ``trace`` extension at each step."""

    def __init__(self, reply: Reply, before: Before | None) -> None:
        self._reply = reply
        self._before = before

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        """Once the headers go out, anything may have happened at the other end.

        The connection stands then. What ``before`` raises here ends the request before its first
        byte; httpcore closes the connection.
        """
        if not event.endswith("send_request_headers.started"):
            return
        if getattr(info.get("request"), "method", b"") == b"CONNECT":
            return  # a proxy is asked for a tunnel, which is not yet the request
        if self._before is not None:
            await self._before()
        self._reply.began = True


async def _whole_body(answer: httpx.Response, reply: Reply) -> bytes:
    """Read the body to its end; one that is too large counts as a failure and is given up.

    It is given up by closing the connection under the loop, which ends with an error: leaving
    the loop instead would leave httpcore's generators behind unfinished.
    """
    chunks = bytearray()
    async for chunk in answer.aiter_raw():
        chunks += chunk
        if len(chunks) > _MOST_ANSWER_BYTES:
            reply.failure = "the answer is too large"
            chunks.clear()
            await answer.aclose()
    return bytes(chunks)


def raise_unless_done(call: ApiCall, reply: Reply) -> None:
    """Raise the error of a reply that is not a whole success, as for a call made once."""
    status = reply.status
    error = error_of(status, reply.body) if status else OutcomeUnknown
    if reply.failure and error in {None, OutcomeUnknown}:
        words = f"Whapi {call.operation}: {reply.failure}"
        if reply.began:
            raise OutcomeUnknown(words, status=status)
        raise GatewayTemporary(words)
    if error is not None:
        raise _made(error, f"Whapi {call.operation}: {explanation(status, reply.body)}", reply)


def _made(error: type[GatewayError], words: str, reply: Reply) -> GatewayError:
    if issubclass(error, GatewayTemporary):
        return error(words, status=reply.status, retry_after=reply.retry_after)
    if issubclass(error, RefusedForm):
        return error(words, status=reply.status, named=named_parts(reply.body))
    return error(words, status=reply.status)


def sent_id(call: ApiCall, reply: Reply) -> str:
    """Give the id of the message that a send has made; raises what stands for anything else.

    Empty for a reaction: Whapi says that it is done, and names no message.
    """
    raise_unless_done(call, reply)
    if call.operation == "reaction":
        return ""
    try:
        message_id = read_sent(reply.body)
    except Unintelligible as error:
        words = f"Whapi {call.operation}: the answer cannot be used: {error}"
        raise OutcomeUnknown(words, status=reply.status) from None
    if not message_id:
        words = f"Whapi {call.operation}: not sent: {explanation(reply.status, reply.body)}"
        raise _made(error_of_unsent(reply.body), words, reply)
    return message_id


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
