"""The calls of a gateway's API over HTTP: each exchange, its repetitions, and what it came to.

Whether a failed request may have arrived is not guessed from the kind of error but noted while it
is made: before its first byte leaves, nothing can have happened.
"""

import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TypeVar, cast
from urllib.parse import quote, urlencode

import httpx
import msgspec
import trio

from daemon.domain.limits import delay
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    SettingsError,
)
from daemon.gateway.payloads.fields import (
    ApiCall,
    NothingDone,
    Refusal,
    RefusalOf,
    Unintelligible,
    retry_after,
    unpacked,
    without_surrogates,
)
from daemon.gateway.port import Before, Observe
from daemon.system.connections import Connections

Answer = TypeVar("Answer")

TRIES = 3
BACKOFF_BASE_SECONDS = 0.25
BACKOFF_CAP_SECONDS = 4.0

_OUTCOMES: Mapping[type[BaseException], str] = {
    GatewayTemporary: "temporary",
    OutcomeUnknown: "unknown",
    NumberTrouble: "channel_trouble",
    RefusedRecipient: "rejected",
    RefusedForm: "rejected",
}

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose body has a length even if there is none (RFC 9110, section 8.6)."""

_MOST_ANSWER_BYTES = 32 * 1024 * 1024


@dataclass(kw_only=True)
class Reply:
    """The result of a request; ``began`` is True once its first byte may have left."""

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

    def note_date(self, date: str | None) -> None:
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
    """A gateway's API as requests reach it: its address, and the headers of each request."""

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
        self._json_headers = self._with_type("application/json")

    def _with_type(self, content_type: str) -> httpx.Headers:
        return httpx.Headers([*self._headers.raw, (b"Content-Type", content_type.encode("ascii"))])

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
        # httpx's own ways to read and close would do more than is needed here.
        stream = cast("httpx.AsyncByteStream", answer.stream)
        try:
            reply.status = answer.status_code
            # One look at all headers: httpx would go through them for each that is asked for.
            headers = {name.lower(): value for name, value in answer.headers.raw}
            self.clock.note_date(_text_of(headers, b"date"))
            reply.retry_after = retry_after(_text_of(headers, b"retry-after"))
            body = await _whole_body(stream, reply)
        finally:
            await stream.aclose()
        coding = _text_of(headers, b"content-encoding") or "identity"
        reply.body = unpacked(body, coding, most_bytes=_MOST_ANSWER_BYTES)

    def _outgoing(self, call: ApiCall, trace: "_Beginning") -> httpx.Request:
        path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        # ``target`` is what httpx asks for in place of the URL's path, which it would parse.
        extensions = {"target": self._path + path.encode("ascii"), "trace": trace}
        headers, content = self._headers, b""
        if call.content is not None:
            headers, content = self._json_headers, msgspec.json.encode(call.content)
        elif call.body:
            headers, content = self._with_type(call.content_type), call.body
        # As a stream it is taken as it is, without a search for headers that may be missing.
        request = httpx.Request(
            call.method,
            self._url,
            headers=headers,
            stream=httpx.ByteStream(content),
            extensions=extensions,
        )
        if content or call.method in _WITH_BODY:
            request.headers["Content-Length"] = str(len(content))
        return request


def _text_of(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


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


async def _whole_body(stream: httpx.AsyncByteStream, reply: Reply) -> bytes:
    """Read the body to its end; one that is too large counts as a failure and is given up.

    It is given up by closing the connection under the loop, which ends with an error: leaving
    the loop instead would leave httpcore's generators behind unfinished.
    """
    chunks = bytearray()
    async for chunk in stream:
        chunks += chunk
        if len(chunks) > _MOST_ANSWER_BYTES:
            reply.failure = "the answer is too large"
            chunks.clear()
            await stream.aclose()
    return bytes(chunks)


class GatewayCalls:
    """The calls of one number's gateway. Any task may make them, all at the same time.

    `once` is for what may be done only once, `repeatable` for everything else. Only errors of
    ``daemon.errors.GatewayError`` leave them; their texts hold no token, no number and no words of
    anybody.
    """

    def __init__(
        self,
        api: Api,
        *,
        name: str,
        refusal_of: RefusalOf,
        timeout_seconds: float,
        rng: random.Random,
        observe: Observe | None,
    ) -> None:
        """``name``: the gateway's, in errors. ``timeout_seconds``: for one exchange."""
        self.clock = api.clock
        self._api = api
        self._name = name
        self._refusal_of = refusal_of
        self._timeout_seconds = timeout_seconds
        self._rng = rng
        self._observe = observe

    async def once(
        self, call: ApiCall, read: Callable[[bytes], Answer], *, before: Before | None = None
    ) -> Answer:
        """Make a call once and read its answer; a file that goes along adds to the time allowed.

        ``read`` raises Unintelligible for an answer without the required content, NothingDone
        for one that says that nothing was done. Raises OutcomeUnknown if the call may have
        happened, the other errors if it certainly did not, and what ``before`` raises.
        """
        seconds = self._timeout_seconds + call.extra_seconds
        with self._observed(call.operation):
            reply = await self._api.exchange(call, seconds=seconds, before=before)
            self._raise_unless_done(call, reply)
            try:
                return read(reply.body)
            except NothingDone as error:
                name = f"{self._name} {call.operation}"
                raise refused(error.refusal, name=name, reply=reply) from None
            except Unintelligible as error:
                words = f"{self._name} {call.operation}: the answer cannot be used: {error}"
                raise OutcomeUnknown(words, status=reply.status) from None

    async def repeatable(
        self,
        call: ApiCall,
        read: Callable[[bytes], Answer],
        *,
        instead: Mapping[int, Answer] | None = None,
    ) -> Answer:
        """Make a call that may be repeated, up to three times, and read its answer.

        ``instead`` gives the results of statuses that are no failure here. Ends within twice the
        time allowed for one exchange. Whatever may pass by itself raises GatewayTemporary, never
        OutcomeUnknown: nothing depends on whether a failed try did arrive.
        """
        with self._observed(call.operation):
            seconds = self._timeout_seconds + call.extra_seconds
            deadline = trio.current_time() + 2 * seconds
            attempt = 0
            while True:
                left = deadline - trio.current_time()
                reply = await self._api.exchange(call, seconds=min(left, seconds))
                if instead is not None and reply.status in instead:
                    return instead[reply.status]
                try:
                    return self._understood(call, reply, read)
                except GatewayTemporary as error:
                    pause = self._pause(attempt, error.retry_after)
                    attempt += 1
                    if attempt == TRIES or trio.current_time() + pause >= deadline:
                        raise
                await trio.sleep(pause)

    def _understood(self, call: ApiCall, reply: Reply, read: Callable[[bytes], Answer]) -> Answer:
        """Read the answer of a call that may be repeated, or raise the error of what came."""
        try:
            self._raise_unless_done(call, reply)
            return read(reply.body)
        except OutcomeUnknown as error:
            temporary = GatewayTemporary(
                str(error), status=error.status, retry_after=reply.retry_after
            )
        except Unintelligible as error:
            words = f"{self._name} {call.operation}: the answer cannot be used: {error}"
            temporary = GatewayTemporary(words, status=reply.status)
        raise temporary

    def _raise_unless_done(self, call: ApiCall, reply: Reply) -> None:
        raise_unless_done(call, reply, name=self._name, refusal_of=self._refusal_of)

    def _pause(self, attempt: int, asked_seconds: float | None) -> float:
        backoff = delay(
            attempt,
            base_seconds=BACKOFF_BASE_SECONDS,
            cap_seconds=BACKOFF_CAP_SECONDS,
            fraction=self._rng.random(),
        )
        return max(backoff, asked_seconds or 0)

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Report the outcome and seconds of a call; also of one that was cancelled."""
        started = trio.current_time()
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
        except GatewayError as error:
            outcome = _OUTCOMES.get(type(error), "rejected")
            raise
        finally:
            if self._observe is not None:
                self._observe(operation, outcome, trio.current_time() - started)


def raise_unless_done(call: ApiCall, reply: Reply, *, name: str, refusal_of: RefusalOf) -> None:
    """Raise the error of a reply that is not a whole success, as for a call made once."""
    refusal = refusal_of(reply.status, reply.body) if reply.status else None
    known = refusal is not None and refusal.error is not OutcomeUnknown
    if reply.failure and not known:
        words = f"{name} {call.operation}: {reply.failure}"
        if reply.began:
            raise OutcomeUnknown(words, status=reply.status)
        raise GatewayTemporary(words)
    if refusal is not None:
        raise refused(refusal, name=f"{name} {call.operation}", reply=reply)


def refused(refusal: Refusal, *, name: str, reply: Reply) -> GatewayError:
    """Make the error that a refusal stands for; ``name``: of the gateway and the call."""
    words, error = f"{name}: {refusal.words}", refusal.error
    if issubclass(error, GatewayTemporary):
        asked = refusal.retry_after if reply.retry_after is None else reply.retry_after
        return error(words, status=reply.status, retry_after=asked)
    if issubclass(error, RefusedForm):
        return error(words, status=reply.status, named=refusal.named)
    return error(words, status=reply.status)


@asynccontextmanager
async def open_calls(
    *,
    name: str,
    table: str,
    api_url: str,
    token: str,
    refusal_of: RefusalOf,
    timeout_seconds: float,
    most: int,
    rng: random.Random,
    now: Callable[[], float],
    observe: Observe | None,
    tls: ssl.SSLContext | None,
) -> AsyncIterator[GatewayCalls]:
    """Open the calls of one number's gateway; its connections close with the block.

    ``table``: its settings. ``most``: connections at the same time. ``now``: the wall clock, Unix
    seconds. ``tls``: whom to believe; None: httpx's own authorities, which take a while to read, if
    there is TLS at all. Proxies of the environment are used, except for an API on this machine.
    Raises SettingsError if address, token or proxy cannot be used at all.
    """
    url = usable_address(api_url, token, table)
    async with Connections(url, tls, most=most, unheard_seconds=timeout_seconds) as connections:
        yield GatewayCalls(
            Api(connections, token, now),
            name=name,
            refusal_of=refusal_of,
            timeout_seconds=timeout_seconds,
            rng=rng,
            observe=observe,
        )


def usable_address(api_url: str, token: str, table: str) -> httpx.URL:
    """Check what would otherwise fail in each call, with the token in the traceback."""
    problems = []
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        problems.append(f"{table}.token: not a token (empty, or with spaces or odd characters)")
    try:
        url = httpx.URL(api_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        problems.append(f"{table}.api_url: not an http or https address")
    if problems:
        raise SettingsError(problems)
    return url


def segment(name: str) -> str:
    """Make an id one segment of a path, whatever is in it."""
    return quote(without_surrogates(name), safe="@")


def nothing(_body: bytes) -> None:
    """Read nothing of an answer."""
