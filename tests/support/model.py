"""The sandbox's model server for tests: scripted, with a record of its requests."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from daemon.sandbox.asgi import Receive, Request, Send, cut_connection, send_answer
from daemon.sandbox.model_generation import Generation, ModelCall, start_stream
from daemon.sandbox.model_server import TRANSCRIPT, ModelServer, refuse
from daemon.sandbox.model_wire import ApiRefusal
from support.assistants_server import AssistantsServer
from support.model_schemas import broken_schema
from support.model_script import ScriptedGeneration, Step


class ScriptedModel(ModelServer):
    """Answers as scripted, else as the sandbox does, and keeps its requests."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[ModelCall] = []
        """Every call of the model, refused ones too, in the order of arrival."""
        self.hits: list[tuple[str, str]] = []
        """Every request as (method, path)."""
        self.running = 0
        """How many responses are being generated now."""
        self.most_running = 0
        """The most responses that were ever being generated at once."""
        self.transcript = TRANSCRIPT
        """Changed, it is what every voice note says."""
        self.streams_again = True
        """Set to False, kept responses can be asked for but not streamed again."""
        self._steps: list[Step] = []
        self._changed = trio.Event()
        self.assistants = AssistantsServer(
            now=self._now,
            take_step=self._take_step,
            note_call=self._note_call,
            generate=self._start_background,
            context_tokens=lambda: self.context_tokens,
        )
        """The older API, under ``/threads``."""

    def script(self, *steps: Step) -> None:
        """Script the next requests: each takes the first step that accepts it."""
        self._steps.extend(steps)

    @property
    def unused_steps(self) -> tuple[Step, ...]:
        """The scripted steps that no request has taken yet."""
        return tuple(self._steps)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something changes here."""
        while not condition():
            await self._changed.wait()

    async def wait_requests(self, number: int) -> list[ModelCall]:
        """Wait until that many calls of the model have arrived, and return all of them."""
        await self.wait_for(lambda: len(self.calls) >= number)
        return self.calls

    async def _serve(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        self.hits.append((request.method, path))
        self._note_change()
        await super()._serve(request, path, receive, send)

    async def _dispatch(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        if re.match(r"/threads\b", path) and "openai-beta" in request.headers:
            answer = self.assistants.answer(request, path)
            await (cut_connection(send) if answer is None else send_answer(send, answer))
        else:
            await super()._dispatch(request, path, receive, send)

    async def _serve_call(
        self, call: ModelCall, refusal: ApiRefusal | None, receive: Receive, send: Send
    ) -> None:
        refusal = refusal or broken_schema(call.body.get("tools") or ())
        step = Step() if refusal else self._take_step(call.body)
        if step.status != 200:
            refusal = ApiRefusal(step.status, step.message, step.code)
        self._note_call(call)
        if refusal or step.hang_up or step.garbage:
            call.outcome, call.ended_at = "refused", self._now()
            call.ended.set()
            await _fail(send, step, refusal)
            return
        pace = self.tokens_per_second
        generation = ScriptedGeneration(call, step, now=self._now, tokens_per_second=pace)
        await self._answer(generation, receive, send)

    async def _generate(self, generation: Generation) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self._note_change()
        try:
            await super()._generate(generation)
        finally:
            self.running -= 1
            self._note_change()

    def _can_stream_again(self, generation: Generation) -> bool:
        return self.streams_again and super()._can_stream_again(generation)

    def _transcript(self, form: bytes) -> str:
        return super()._transcript(form) if self.transcript == TRANSCRIPT else self.transcript

    def _start_background(self, generation: Generation) -> None:
        if self._nursery is None:
            raise RuntimeError("the simulated server is not running")
        self._nursery.start_soon(self._generate, generation, name="background response")

    def _take_step(self, body: dict[str, Any]) -> Step:
        for step in self._steps:
            if step.when is None or step.when(body):
                self._steps.remove(step)
                return step
        return Step()

    def _note_call(self, call: ModelCall) -> None:
        self.calls.append(call)
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def served(server: ModelServer) -> AsyncIterator[str]:
    """Serve the API on a free port for the length of the block; gives its URL."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 1
    config.errorlog = None
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        serving = partial(serve, server, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
        urls: list[str] = await nursery.start(serving)
        yield urls[0] + "/v1"
        stop.set()
        nursery.cancel_scope.cancel()


async def _fail(send: Send, step: Step, refusal: ApiRefusal | None) -> None:
    if refusal is not None:
        await refuse(send, refusal, step.headers)
    elif step.hang_up:
        await cut_connection(send)
    else:
        await start_stream(send)
        await send({"type": "http.response.body", "body": b"event: x\ndata: {no json\n\n"})
