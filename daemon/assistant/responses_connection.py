"""The model server over HTTP: the SDK's client, its calls, and its errors turned into ours.

Importing this module imports `openai`, which costs 25 MB and a second: only
`daemon.assistant.port` does it, on a worker thread.

The SDK is used for requests, authentication and errors, but neither for connections, which are
those of `daemon.system.connections`, nor for event streams: its streams leave async generators
unfinished when an event is malformed or a `[DONE]` arrives, and build a model of every delta. So
streams are read here, to their end or to a cancellation.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, cast
from urllib.parse import quote

import httpx
import httpx2
import msgspec
import openai
import trio
from openai._types import RequestOptions

from daemon.assistant.payloads import failures
from daemon.assistant.payloads.assistants import ThreadBusy, is_race
from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.domain.messages import JsonObject
from daemon.errors import ModelTemporary, ResponseGone
from daemon.system.connections import Connections

CONNECT_SECONDS = 5.0
TAIL_SECONDS = 1.0
"""How long a stream may stay open after its last event; then the connection is given up."""

MAX_CONNECTIONS = 4000
MAX_IDLE_CONNECTIONS = 50
KNOWN_URLS = 16
"""Addresses whose parts are remembered."""

NO_KEY = "no-key"
"""Sent where no key is set: local servers want none, but an empty header is not valid HTTP."""


class _HttpClient(httpx.AsyncClient):
    """The SDK's HTTP client, over `Connections` to the one server. It keeps no cookies.

    Only what a redirect leads to is left to httpx.
    """

    def __init__(self, url: httpx.URL, idle_seconds: float) -> None:
        # As httpx2 does, believe whom the system believes; httpx has a list of its own.
        tls = httpx2.create_ssl_context()
        tls.set_alpn_protocols(["http/1.1"])
        super().__init__(verify=tls, follow_redirects=True)
        self._first = [
            ("Host", url.netloc.decode("ascii")),
            ("Accept-Encoding", self.headers["Accept-Encoding"]),
        ]
        self._known_url = lru_cache(KNOWN_URLS)(httpx.URL)
        self._connections = Connections(
            url,
            tls,
            most=MAX_CONNECTIONS,
            most_idle=MAX_IDLE_CONNECTIONS,
            unheard_seconds=idle_seconds,
        )

    def build_request(
        self, method: str, url: httpx.URL | str, *, content: Any = None, **more: Any
    ) -> httpx.Request:
        """Make a request; see httpx.

        A usual one of the SDK is whole, but for its length and the first headers. httpx would merge
        it with settings that nobody has made, which costs more than the whole exchange.
        """
        merged = ("params", "files", "data")
        if not isinstance(content, bytes) or any(more.get(name) for name in merged):
            return super().build_request(method, url, content=content, **more)
        return httpx.Request(
            method,
            self._known_url(url),
            headers=[*self._first, *more["headers"], ("Content-Length", str(len(content)))],
            stream=httpx.ByteStream(content),
            extensions={"timeout": more["timeout"].as_dict()},
        )

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        """Make a request; see httpx."""
        response = await self._connections.handle_async_request(request)
        try:
            if response.has_redirect_location:
                await response.aclose()
                return await super().send(request, stream=stream, **options)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()
        await super().aclose()


class ModelConnection:
    """A pool of connections to one model server. Any number of tasks may use it at once.

    All calls raise only ModelTemporary, ContextTooLong, ModelRejected or ResponseGone. Nothing is
    retried here.
    """

    def __init__(self, *, base_url: str, api_key: str, idle_seconds: float) -> None:
        """Build the client; call it off the event loop, since it reads certificates.

        `idle_seconds` is the longest silence allowed between two parts of an answer.
        """
        self._idle_seconds = idle_seconds
        timeout = httpx2.Timeout(idle_seconds, connect=CONNECT_SECONDS)
        self._stream_timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        """`_read` limits the silence of streams: one limit for all parts, moved with them."""
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or NO_KEY,
            max_retries=0,  # a POST that timed out may have run
            timeout=timeout,
            # The SDK takes clients of httpx too, which its annotations do not say.
            http_client=cast("Any", _HttpClient(httpx.URL(base_url), idle_seconds)),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def call(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        body: JsonObject | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        stored: bool = False,
    ) -> JsonObject:
        """Make one plain call of the API and return its JSON object.

        `stored` is for objects that the server should have: 404 then raises ResponseGone. A race of
        the Assistants API (see `is_race`) raises ThreadBusy.
        """
        options: RequestOptions = {"headers": dict(headers or {}), "params": dict(query or {})}
        with _errors_translated(stored=stored):
            if method == "GET":
                answer = await self._client.get(path, cast_to=httpx.Response, options=options)
            elif method == "DELETE":
                answer = await self._client.delete(path, cast_to=httpx.Response, options=options)
            else:
                answer = await self._client.post(
                    path,
                    content=msgspec.json.encode(body or {}),
                    cast_to=httpx.Response,
                    options=options,
                )
            return _object(answer.content)

    async def fetch(self, path: str, body: JsonObject) -> bytes:
        """POST a JSON object and return the file that comes as the answer."""
        with _errors_translated():
            answer = await self._client.post(
                path,
                content=msgspec.json.encode(body),
                cast_to=httpx.Response,
                options={"headers": {"Accept": "application/octet-stream"}},
            )
            return answer.content

    async def create(
        self, body: JsonObject, reader: ResponseReader, *, on_part: Callable[[], None]
    ) -> None:
        """POST a new response and read its stream into `reader` until the stream ends.

        `on_part` is called after each part of it. A stream that ends without an outcome is no
        error here.
        """
        with _errors_translated():
            asking = self._client.post(
                "/responses",
                content=msgspec.json.encode(body),
                options={"timeout": self._stream_timeout},
                cast_to=httpx.Response,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            await _read(asking, reader, on_part, self._idle_seconds)

    async def follow(self, reader: ResponseReader) -> None:
        """Read on the stream of a stored response, after the last event that `reader` has seen."""
        with _errors_translated(stored=True):
            asking = self._client.get(
                _path(reader.response_id),
                options={
                    "params": {"stream": "true", "starting_after": max(reader.sequence, 0)},
                    "timeout": self._stream_timeout,
                },
                cast_to=httpx.Response,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            await _read(asking, reader, _ignore, self._idle_seconds)

    async def retrieve(self, reader: ResponseReader) -> None:
        """GET a stored response as it is now."""
        with _errors_translated(stored=True):
            answer = await self._client.get(_path(reader.response_id), cast_to=httpx.Response)
            _take_whole(answer.content, reader)

    async def cancel(self, response_id: str) -> None:
        """POST the cancellation of a stored response."""
        with _errors_translated(stored=True):
            await self._client.post(_path(response_id) + "/cancel", cast_to=httpx.Response)

    async def transcribe(
        self, sound: tuple[str, bytes, str], *, model: str, language: str = ""
    ) -> str:
        """Transcribe a recording (name, bytes, type); ``language`` is a hint."""
        with _errors_translated():
            answer = await self._client.audio.transcriptions.create(
                file=sound,
                model=model,
                language=language or openai.omit,
                response_format="json",
            )
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise ModelTemporary("the model server's answer holds no transcript")
        return text.strip()


def _path(response_id: str) -> str:
    return "/responses/" + quote(response_id, safe="")


def _ignore() -> None:
    pass


async def _read(
    asking: Awaitable[object],
    reader: ResponseReader,
    on_part: Callable[[], None],
    idle_seconds: float,
) -> None:
    """Make a request and feed its answer to `reader` to its end.

    Nothing in the loop waits or raises: a generator of the HTTP library that is left early would be
    finished, with its connection, only by the garbage collector. Raises httpx.ReadTimeout after a
    silence of `idle_seconds`, or a tenth less.
    """
    with trio.CancelScope(deadline=trio.current_time() + idle_seconds) as limit:
        # With cast_to=httpx.Response the SDK returns an unread response, not its stream class.
        response = cast("httpx.Response", await asking)
        try:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                _take_whole(await response.aread(), reader)  # a server that does not stream
                on_part()
                return
            reader.start_stream()
            has_ended = False
            async for part in _parts(response):
                reader.feed(part)
                on_part()
                now = trio.current_time()
                if reader.outcome is None:
                    if now + idle_seconds * 0.9 > limit.deadline:
                        limit.deadline = now + idle_seconds
                elif not has_ended:
                    has_ended = True
                    limit.deadline = now + TAIL_SECONDS
        finally:
            await response.aclose()
    if limit.cancelled_caught and reader.outcome is None:
        raise httpx.ReadTimeout("the stream fell silent")


def _parts(response: httpx.Response) -> AsyncIterable[bytes]:
    """The parts of an answer; unpacked by httpx only if the server has packed it."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return cast("httpx.AsyncByteStream", response.stream)


def _object(content: bytes) -> JsonObject:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ModelTemporary("the model server's answer is not JSON") from None


def _take_whole(content: bytes, reader: ResponseReader) -> None:
    body = _object(content)
    reader.take_response(body, status="completed" if "output" in body else "")


@contextmanager
def _errors_translated(*, stored: bool = False) -> Iterator[None]:
    """Turn errors of the SDK and of the HTTP library into ours.

    `stored` is for calls about a response that the server should have: 404 means that it is gone.
    The originals are not chained: their texts may quote the key or the request.
    """
    try:
        yield
    except openai.APIStatusError as error:
        if stored and error.status_code in {404, 405, 410}:
            raise ResponseGone(f"the model server answered {error.status_code}") from None
        if error.status_code == 400 and is_race(error.message):
            raise ThreadBusy("a run is active on this thread") from None
        headers = _lower(error.response.headers)
        raise failures.from_status(error.status_code, error.body, headers) from None
    except (openai.APITimeoutError, httpx.TimeoutException):
        raise ModelTemporary("the model server did not answer in time") from None
    except (openai.APIConnectionError, httpx.RequestError) as error:
        cause = type(error.__cause__ or error).__name__
        raise ModelTemporary(f"no connection to the model server, or cut: {cause}") from None
    except openai.OpenAIError as error:
        raise ModelTemporary(f"the model client failed: {type(error).__name__}") from None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
