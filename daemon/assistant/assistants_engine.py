"""The engine over the Assistants API, for servers that still speak it.

Our store owns the history and sends it whole, so a thread lives for one answer: it is created from
the input, gets one run, and is deleted after the run. A run that asks for tools waits at the
server; the call that brings their outputs, found by the ids of the calls, continues it. If that run
is gone, as after a restart of ours, or if more than outputs was added, the whole input goes into a
new thread, with calls and outputs as text.

Elsewhere a response is known by the id of its thread: the list of a thread's runs is enough to find
everything again, whenever a crash came.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from daemon.assistant.payloads import assistants, failures
from daemon.assistant.payloads.responses import ServerProfile, is_openai
from daemon.assistant.port import Engine, LazyConnection, connection_to
from daemon.assistant.remote_threads import TIDY_SECONDS, RemoteThreads
from daemon.domain.messages import FunctionCall, JsonObject, ModelRequest, ModelResponse
from daemon.errors import ModelRejected, ModelTemporary, ResponseGone

POLL_SECONDS = 1.0
"""A run is polled each second."""

AFTER_TOOLS_SECONDS = 0.5
AFTER_TOOLS_CAP_SECONDS = 5.0
"""After tool outputs: this long, and as much longer each time, up to the cap."""

POLL_FAILURES = 3
"""Failed polls in a row that fail the call; the run goes on without them."""

ORPHAN_SECONDS = 600.0
"""A run whose tool outputs never come is given up; servers let it expire at the same age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A run that waits for the outputs of its calls."""

    thread_id: str
    run_id: str
    calls: frozenset[str]
    since: float


@asynccontextmanager
async def open_assistants_engine(
    *,
    base_url: str,
    api_key: str,
    assistant_id: str,
    model: str,
    timeout_seconds: float,
    polls: int = 30,
    tool_polls: int = 10,
    options: Mapping[str, Any] | None = None,
    idle_seconds: float = 60,
) -> AsyncIterator[Engine]:
    """Open the engine; its connections are closed at the end of the block.

    `timeout_seconds` bounds one call of the model. A run is given up after `polls` polls, or
    `tool_polls` polls after its tools' outputs. `options` are further fields of the run, such as
    ``temperature`` or hosted ``tools``. No call may be running when the block ends.
    """
    profile = ServerProfile(
        model=model, background=True, openai=is_openai(base_url), options=options or {}
    )
    connection = connection_to(base_url=base_url, api_key=api_key, idle_seconds=idle_seconds)
    engine = AssistantsEngine(
        profile,
        connection,
        assistant_id=assistant_id,
        timeout_seconds=timeout_seconds,
        polls=polls,
        tool_polls=tool_polls,
    )
    try:
        yield engine
    finally:
        with trio.move_on_after(TIDY_SECONDS, shield=True):
            await engine.give_up_waiting(older_than=0)
        await connection.aclose()


class AssistantsEngine:
    """An `Engine` for the Assistants API; made by `open_assistants_engine`."""

    can_resume = True
    waits_for_outputs = True

    def __init__(
        self,
        profile: ServerProfile,
        connection: LazyConnection,
        *,
        assistant_id: str,
        timeout_seconds: float,
        polls: int,
        tool_polls: int,
    ) -> None:
        self._profile = profile
        self._connection = connection
        self._assistant_id = assistant_id
        self._timeout_seconds = timeout_seconds
        self._polls = polls
        self._tool_polls = tool_polls
        self._threads = RemoteThreads(connection)
        self._waiting: dict[str, _Waiting] = {}
        """Runs that wait for tool outputs, by thread; bounded by ORPHAN_SECONDS."""

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        """Run the model once over the whole input; see `Engine.respond`."""
        await self.give_up_waiting(older_than=ORPHAN_SECONDS)
        waiting = self._take_waiting(request)
        begun: list[str] = [waiting.thread_id] if waiting else []
        with trio.move_on_after(self._timeout_seconds):
            try:
                run = await self._continue(waiting, request, on_started) if waiting else None
                if run is None:
                    begun.append(await self._threads.create(assistants.thread_body(request)))
                    run = await self._start(begun[-1], request, on_started)
                    waiting = None
                return await self._follow(begun[-1], run, after_tools=waiting is not None)
            except ResponseGone as error:
                await self._threads.drop(begun[-1])
                raise ModelTemporary(f"the run was lost: {error}") from None
            except ModelTemporary:
                raise  # the run may go on; `resume` finds it
            except trio.Cancelled:
                if waiting is not None:
                    self._waiting[waiting.thread_id] = waiting  # for `give_up_waiting`
                raise
            except BaseException:
                await self._threads.drop(*begun)
                raise
        await self._threads.drop(*begun)
        raise ModelTemporary(f"no answer of the model within {self._timeout_seconds:g} s")

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:  # noqa: ARG002 - of the protocol
        """Return the answer of the newest run of a thread; see `Engine.resume`."""
        with trio.move_on_after(self._timeout_seconds):
            runs = await self._threads.runs(response_id)
            if not runs:
                await self._threads.drop(response_id)
                raise ResponseGone("no run was made on the thread")
            try:
                return await self._follow(response_id, runs[0], after_tools=False)
            except (ModelRejected, _RunFailed):
                raise ResponseGone("the run failed") from None
        await self._threads.drop(response_id)
        raise ModelTemporary(f"no answer of the model within {self._timeout_seconds:g} s")

    async def cancel(self, response_id: str) -> bool:
        """Cancel what runs on a thread and delete it; see `Engine.cancel`. At most 5 seconds."""
        self._waiting.pop(response_id, None)
        return await self._threads.cancel(response_id)

    async def warm_up(self) -> None:
        """Import the SDK and build the client, on a worker thread."""
        await self._connection.get()

    async def list_models(self) -> Mapping[str, str]:
        """Ask which models the server offers; see `Engine.list_models`."""
        return await self._connection.list_models()

    def notice(self, response_id: str) -> None:
        """Does nothing: runs are polled."""

    async def give_up_waiting(self, *, older_than: float) -> None:
        """Cancel the runs that have waited this many seconds for tool outputs, and their threads.

        Threads that could not be deleted before are tried again.
        """
        now = trio.current_time()
        late = [w.thread_id for w in self._waiting.values() if now - w.since >= older_than]
        for thread_id in late:
            self._waiting.pop(thread_id, None)
        await self._threads.drop(*late)
        await self._threads.drop_left()

    # -- beginning a run -----------------------------------------------------------------------

    def _take_waiting(self, request: ModelRequest) -> _Waiting | None:
        """Find and remove the run that waits for the calls of this input."""
        called = {str(i.get("call_id")) for i in request.items if i.get("type") == "function_call"}
        for waiting in self._waiting.values():
            if waiting.calls <= called:
                return self._waiting.pop(waiting.thread_id)
        return None

    async def _continue(
        self,
        waiting: _Waiting,
        request: ModelRequest,
        on_started: Callable[[str], Awaitable[None]],
    ) -> JsonObject | None:
        """Submit its outputs to a waiting run; None if it cannot continue and is given up."""
        outputs = assistants.outputs_at_end(request)
        if waiting.calls == set(outputs):
            try:
                run = await self._threads.submit(waiting.thread_id, waiting.run_id, outputs)
            except (ResponseGone, ModelRejected):
                run = None  # it expired, or was cancelled
            if run is not None:
                await on_started(waiting.thread_id)
                return run
        await self._threads.drop(waiting.thread_id)
        return None

    async def _start(
        self,
        thread_id: str,
        request: ModelRequest,
        on_started: Callable[[str], Awaitable[None]],
    ) -> JsonObject:
        """Announce a new thread, then start the run on it, so that every run is known."""
        await on_started(thread_id)
        body = assistants.run_body(request, self._profile, self._assistant_id)
        return await self._threads.start_run(thread_id, body)

    # -- following it --------------------------------------------------------------------------

    async def _follow(self, thread_id: str, run: JsonObject, *, after_tools: bool) -> ModelResponse:
        """Poll a run until it has ended, asks for tools, or has used up its polls."""
        looks = failed = 0
        most = self._tool_polls if after_tools else self._polls
        run_id = str(run.get("id"))
        while True:
            status = run.get("status")
            if status == "requires_action":
                return self._calls(thread_id, run)
            if status in assistants.ENDED:
                return await self._ended(thread_id, run)
            if looks == most:
                await self._threads.drop(thread_id)
                raise ModelTemporary(f"no answer of the model after {looks} polls of its run")
            await trio.sleep(_pause(looks, after_tools=after_tools))
            looks += 1
            try:
                run = await self._threads.look(thread_id, run_id)
                failed = 0
            except ModelTemporary:
                failed += 1
                if failed == POLL_FAILURES:
                    raise

    def _calls(self, thread_id: str, run: JsonObject) -> ModelResponse:
        response = assistants.response_with_calls(thread_id, run)
        calls: tuple[FunctionCall, ...] = response.calls
        self._waiting[thread_id] = _Waiting(
            thread_id=thread_id,
            run_id=str(run["id"]),
            calls=frozenset(call.call_id for call in calls),
            since=trio.current_time(),
        )
        return response

    async def _ended(self, thread_id: str, run: JsonObject) -> ModelResponse:
        """Read the answer of a run that has ended, and delete its thread."""
        status = run.get("status")
        if status in {"cancelled", "expired"}:
            await self._threads.drop(thread_id)
            raise ResponseGone(f"the run is {status}")
        if status == "failed":
            await self._threads.drop(thread_id)
            error = failures.from_failed(run.get("last_error"))
            if isinstance(error, ModelTemporary):
                raise _RunFailed(str(error), retry_after=error.retry_after)
            raise error
        messages = await self._threads.words(thread_id, run)
        await self._threads.drop(thread_id, running=False)
        return assistants.response_with_words(thread_id, run, messages)


class _RunFailed(ModelTemporary):
    """The run failed for a temporary reason; there is nothing left to resume."""


def _pause(looks: int, *, after_tools: bool) -> float:
    """Return the seconds to wait before the next poll of a run."""
    if after_tools:
        return min((looks + 1) * AFTER_TOOLS_SECONDS, AFTER_TOOLS_CAP_SECONDS)
    return POLL_SECONDS
