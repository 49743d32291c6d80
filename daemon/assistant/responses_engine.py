"""The engine over the Responses API, for OpenAI and the many servers that implement it.

The whole input is sent with each request, and the answer is streamed. If the server keeps responses
(`background`), a response outlives its connection and this process: it is followed after a cut,
fetched after a restart, and cancelled explicitly. If not, closing the connection cancels it, and a
cut answer is lost.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from daemon.assistant.payloads import failures, responses
from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.assistant.port import Engine, LazyConnection, connection_to, has_stopped
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse
from daemon.errors import AssistantError, ModelRejected, ModelTemporary, ResponseGone


class Notices:
    """Wakes the calls that wait for a response. A notice without a waiting call is dropped."""

    def __init__(self) -> None:
        self._waiting: dict[str, trio.Event] = {}

    def ended(self, response_id: str) -> None:
        """A response has ended; never blocks."""
        event = self._waiting.get(response_id)
        if event is not None:
            event.set()

    @contextmanager
    def listening(self, response_id: str) -> Iterator[trio.Event]:
        """Yield an event for the end of a response.

        Enter the block before asking for the response's state, so that no notice is missed.
        """
        event = self._waiting[response_id] = trio.Event()
        try:
            yield event
        finally:
            if self._waiting.get(response_id) is event:
                del self._waiting[response_id]


if TYPE_CHECKING:
    from daemon.assistant.responses_connection import ModelConnection

ABANDON_SECONDS = 1.0
"""How long an ended call may still take to learn of its response, or to stop it."""

POLL_SECONDS = 1.0
NOTICE_SECONDS = 15.0
"""How long to wait for a webhook before asking the server instead."""

FOLLOW_DELAYS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Seconds before each try to resume a cut stream; they start again when a try brought events."""

JITTER = 0.25
"""Each delay is lengthened by a random share of up to this much."""


@asynccontextmanager
async def open_responses_engine(
    *,
    base_url: str,
    api_key: str,
    model: str,
    timeout_seconds: float,
    rng: random.Random,
    background: bool | None = None,
    options: Mapping[str, Any] | None = None,
    idle_seconds: float = 60,
    by_webhook: bool = False,
) -> AsyncIterator[Engine]:
    """Open the engine; its connections are closed at the end of the block.

    `background` None means: on where the server is known to support it. `timeout_seconds` bounds
    one call of the model as a whole, `idle_seconds` the silence between two events of its stream.
    `options` are further fields of the request, such as ``reasoning``, ``service_tier`` or hosted
    ``tools``. `by_webhook`: if the server keeps responses, no stream is held open; `Engine.notice`
    reports the end of a response, which is also polled in case the notice is lost. No call may be
    running when the block ends.
    """
    keeps = responses.keeps_responses(base_url) if background is None else background
    profile = responses.ServerProfile(
        model=model, background=keeps, openai=responses.is_openai(base_url), options=options or {}
    )

    connection = connection_to(base_url=base_url, api_key=api_key, idle_seconds=idle_seconds)
    notices = Notices() if keeps and by_webhook else None
    engine = ResponsesEngine(
        profile, connection, timeout_seconds=timeout_seconds, rng=rng, notices=notices
    )
    try:
        yield engine
    finally:
        await connection.aclose()


class ResponsesEngine:
    """An `Engine` for the Responses API; made by `open_responses_engine`."""

    def __init__(
        self,
        profile: responses.ServerProfile,
        connection: LazyConnection,
        *,
        timeout_seconds: float,
        rng: random.Random,
        notices: Notices | None = None,
    ) -> None:
        """With `notices`, no stream is held open for a response that the server keeps."""
        self._profile = profile
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._rng = rng
        self._notices = notices

    waits_for_outputs = False

    @property
    def can_resume(self) -> bool:
        """True if the server keeps responses, so that `resume` and `cancel` can find them."""
        return self._profile.background

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        """Run the model once over the whole input; see `Engine.respond`."""
        reader = ResponseReader()
        body = responses.request_body(request, self._profile)
        if self._notices is not None:
            body["stream"] = False
        await self._bounded(partial(self._run, body, reader, on_started), reader)
        outcome = _final(reader)
        if outcome["status"] == "failed":
            raise failures.from_failed(outcome.get("error"))
        return responses.response_from(outcome)

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        """Return the answer of a response started earlier; see `Engine.resume`."""
        if not self.can_resume:
            raise ResponseGone("this model server does not keep responses")
        reader = ResponseReader(response_id, sequence=starting_after)
        await self._bounded(partial(self._follow, reader), reader)
        outcome = _final(reader)
        if outcome["status"] == "failed":
            raise ResponseGone("the response failed")
        return responses.response_from(outcome)

    async def cancel(self, response_id: str) -> bool:
        """Stop a response; see `Engine.cancel`. Takes 5 seconds at most."""

        async def stop() -> None:
            connection = await self._connection.get()
            await connection.cancel(response_id)

        return await has_stopped(stop)

    async def warm_up(self) -> None:
        """Import the SDK and build the client, on a worker thread."""
        await self._connection.get()

    async def list_models(self) -> Mapping[str, str]:
        """Ask which models the server offers; see `Engine.list_models`."""
        return await self._connection.list_models()

    def notice(self, response_id: str) -> None:
        """A response has ended; see `Engine.notice`."""
        if self._notices is not None:
            self._notices.ended(response_id)

    async def _bounded(self, work: Callable[[], Awaitable[None]], reader: ResponseReader) -> None:
        """Do `work` within the time limit, and stop the response at the limit or a fault.

        After one of our own errors, and when the caller is cancelled, a kept response is not
        stopped: it may be resumed, and only the caller knows whether it is still wanted.
        """
        with trio.move_on_after(self._timeout_seconds) as limit:
            try:
                await work()
            except (AssistantError, trio.Cancelled):
                raise
            except BaseException:
                await self._abandon(reader)
                raise
        if limit.cancelled_caught:
            await self._abandon(reader)
            raise ModelTemporary(f"no answer of the model within {self._timeout_seconds:g} s")

    async def _abandon(self, reader: ResponseReader) -> None:
        if self.can_resume and reader.response_id and reader.outcome is None:
            with trio.move_on_after(ABANDON_SECONDS, shield=True):
                await self.cancel(reader.response_id)

    async def _run(
        self,
        body: JsonObject,
        reader: ResponseReader,
        on_started: Callable[[str], Awaitable[None]],
    ) -> None:
        """Start a response and follow it until `reader` has its outcome."""
        connection = await self._connection.get()
        failure = await self._create(connection, body, reader, on_started)
        if reader.outcome is not None:
            return
        if self.can_resume and reader.response_id:
            await self._follow(reader)
        elif failure is not None:
            raise failure
        else:
            garbled = " and could not be read" if reader.unreadable else ""
            raise ModelTemporary(f"the model's answer ended before it was complete{garbled}")

    async def _create(
        self,
        connection: "ModelConnection",
        body: JsonObject,
        reader: ResponseReader,
        on_started: Callable[[str], Awaitable[None]],
    ) -> AssistantError | None:
        """Start a response and read its first stream; return the stream's error, if any.

        If the server keeps the response, two tasks run beside the reading and end with this call.
        One is `on_started`: reading must not wait for it, nor be interrupted by its error. The
        other bounds a shield: a kept response runs on when the connection closes, so a cancellation
        before its id is known waits for the id, a second at most.
        """
        if not self.can_resume:
            return await _first_stream(connection, body, reader, on_part=_ignore)
        failure: AssistantError | None = None
        guard = trio.CancelScope(shield=True)
        announced = False

        def look_for_id() -> None:
            nonlocal announced
            if reader.response_id and not announced:
                announced = True
                guard.shield = False
                nursery.start_soon(on_started, reader.response_id, name="announce response")

        async def bound_guard() -> None:
            try:
                await trio.sleep_forever()
            finally:
                guard.deadline = trio.current_time() + ABANDON_SECONDS

        try:
            async with trio.open_nursery() as nursery:
                bound = trio.CancelScope()
                nursery.start_soon(_within, bound, bound_guard, name="bound response shield")
                with guard:
                    failure = await _first_stream(connection, body, reader, on_part=look_for_id)
                bound.cancel()
        except BaseExceptionGroup as group:
            raise _first_error(group) from None
        return failure

    async def _follow(self, reader: ResponseReader) -> None:
        """Follow a stored response until `reader` has its outcome.

        Fetch it; if it is still running, read its stream after the last event seen; if the stream
        is cut, start over. A server that does not stream it again is polled.
        """
        connection = await self._connection.get()
        failure = ModelTemporary("the model's answer was cut and could not be picked up")
        pause = 0.0
        tries = 0
        while True:
            if tries == len(FOLLOW_DELAYS):
                raise failure
            await trio.sleep(self._jittered(pause + FOLLOW_DELAYS[tries]))
            seen, tries = reader.sequence, tries + 1
            try:
                if self._notices is not None:
                    await _until_notice(connection, reader, self._notices)
                    tries = 0
                else:
                    await connection.retrieve(reader)
                    if reader.outcome is None and not pause:
                        pause = await _stream_on(connection, reader)
            except ModelTemporary as error:
                failure = error
            if reader.outcome is not None:
                return
            if pause or reader.sequence > seen:
                tries = 0

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + JITTER * self._rng.random())


async def _first_stream(
    connection: "ModelConnection",
    body: JsonObject,
    reader: ResponseReader,
    *,
    on_part: Callable[[], None],
) -> AssistantError | None:
    try:
        await connection.create(body, reader, on_part=on_part)
    except AssistantError as error:
        return error
    return None


def _ignore() -> None:
    pass


async def _within(scope: trio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await work()


async def _until_notice(
    connection: "ModelConnection", reader: ResponseReader, notices: Notices
) -> None:
    """Fetch a response; if it is still running, wait for the notice of its end, or a while."""
    with notices.listening(reader.response_id) as ended:
        await connection.retrieve(reader)
        if reader.outcome is None:
            with trio.move_on_after(NOTICE_SECONDS):
                await ended.wait()


async def _stream_on(connection: "ModelConnection", reader: ResponseReader) -> float:
    """Read the stream of a running response again, if the server offers that.

    Returns the seconds to wait before asking again: none unless it must be polled.
    """
    try:
        await connection.follow(reader)
    except (ModelRejected, ResponseGone):
        return POLL_SECONDS
    return 0.0


def _final(reader: ResponseReader) -> JsonObject:
    """Return the outcome that was read; raises ResponseGone if the response was stopped."""
    outcome = reader.outcome or {"status": "expired"}
    if outcome["status"] in {"cancelled", "expired"}:
        raise ResponseGone(f"the response is {outcome['status']}")
    return outcome


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in a nursery's group that is no cancellation, else the group."""
    errors = group.subgroup(lambda error: not isinstance(error, trio.Cancelled))
    return errors.exceptions[0] if errors is not None else group
