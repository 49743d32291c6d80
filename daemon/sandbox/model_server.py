"""A model server without a model: the part of OpenAI's API that Recado uses, over real HTTP.

`recado sandbox` runs the daemon against it, and so do the tests: it answers sensibly by itself,
fails as scripted, refuses what the real one refuses, and keeps a ledger of what it was asked.
"""

import random
import re
from collections.abc import Callable
from itertools import count
from typing import Any

import trio

from daemon.sandbox import model_audio, model_wire, samples
from daemon.sandbox.asgi import (
    Answer,
    ClientGone,
    Receive,
    Request,
    Scope,
    Send,
    cut_connection,
    json_answer,
    read_request,
    send_answer,
)
from daemon.sandbox.assistants_server import AssistantsServer
from daemon.sandbox.model_generation import Generation, ModelCall
from daemon.sandbox.model_script import Step
from daemon.sandbox.model_streams import STREAM_END, send_events, start_stream, watch_client
from daemon.sandbox.model_wire import Refusal

MODELS = (
    {"id": "gpt-6-luna", "object": "model", "created": 1773000000, "owned_by": "sandbox"},
    {
        "id": "gpt-4o-mini",
        "object": "model",
        "created": 1721000000,
        "owned_by": "sandbox",
        "shutdown_date": "2027-01-14",
    },
    {
        "id": "sandbox-transcription",
        "object": "model",
        "created": 1773000000,
        "owned_by": "sandbox",
    },
    {"id": "sandbox-speech", "object": "model", "created": 1773000000, "owned_by": "sandbox"},
)
TRANSCRIPT = "Hola, quisiera saber si tienen disponibilidad para este fin de semana."
RESPONSES = "/responses"
_NO_SUCH_SCHEMA = Refusal(
    400,
    "Invalid schema for function 'example': schema must have type 'object'.",
    "invalid_function_parameters",
    "tools[0].parameters",
)


class ModelServer:
    """The ASGI application. `run` must be running while it serves.

    It is the judge in tests: `calls` has every `POST /responses`, refused ones too, in the order of
    arrival; `hits` every request as (method, path).
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        rng: random.Random,
        api_key: str = "",
        context_tokens: int = 128_000,
        tokens_per_second: float = 0,
    ) -> None:
        """Set it up; `api_key` empty accepts any, `tokens_per_second` 0 does not pace."""
        self.calls: list[ModelCall] = []
        self.hits: list[tuple[str, str]] = []
        self.most_running = 0
        """The most responses that were ever being generated at once."""
        self.transcript = TRANSCRIPT
        self.context_tokens = context_tokens
        self.tokens_per_second = tokens_per_second
        self.streams_again = True
        """Set to False, kept responses can be asked for but not streamed again."""
        self.refuses = False
        """Set to True, every request is refused with 400, as for a tool with a wrong schema."""
        self.is_down = False
        """Set to True, everything is answered 503, as by a server that is overloaded."""
        self._api_key = api_key
        self._now = now
        self._rng = rng
        self._numbers = count(1)
        self._steps: list[Step] = []
        self._kept: dict[str, Generation] = {}
        self._running = 0
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self.assistants = AssistantsServer(
            now=now,
            take_step=self._take_step,
            note_call=self._note_call,
            generate=self._start_background,
            context_tokens=lambda: self.context_tokens,
        )
        """The older API, under ``/threads``."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the background responses. Runs until cancelled, and they end with it."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def script(self, *steps: Step) -> None:
        """Say how the next requests are treated: each takes the first step that accepts it.

        Requests that no step accepts are answered by the model's own wit.
        """
        self._steps.extend(steps)

    @property
    def unused_steps(self) -> tuple[Step, ...]:
        """The scripted steps that no request has taken yet."""
        return tuple(self._steps)

    @property
    def running(self) -> int:
        """How many responses are being generated now."""
        return self._running

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever the ledger changes."""
        while not condition():
            await self._changed.wait()

    async def wait_requests(self, number: int) -> list[ModelCall]:
        """Wait until that many calls of the model have arrived, and return all of them."""
        await self.wait_for(lambda: len(self.calls) >= number)
        return self.calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        if scope["type"] != "http":
            return
        try:
            request = await read_request(scope, receive)
        except ClientGone:
            return
        path = request.path.removeprefix("/v1")
        self.hits.append((request.method, path))
        self._note_change()
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.is_down:
            await _refuse(send, Refusal(503, "The server is overloaded.", "server_is_overloaded"))
        elif self._api_key and key != self._api_key:
            refusal = Refusal(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
            await _refuse(send, refusal)
        elif (request.method, path) == ("POST", RESPONSES):
            await self._create(request, receive, send)
        elif re.match(r"/threads\b", path) and "openai-beta" in request.headers:
            answer = self.assistants.answer(request, path)
            await (cut_connection(send) if answer is None else send_answer(send, answer))
        elif path.startswith(RESPONSES + "/"):
            await self._serve_kept(request, path.removeprefix(RESPONSES + "/"), receive, send)
        else:
            await send_answer(send, self._plain_answer(request, path))

    async def _create(self, request: Request, receive: Receive, send: Send) -> None:
        body = request.json_object()
        if body is None:
            await _refuse(send, Refusal(400, "We could not parse the JSON body of your request."))
            return
        response_id = f"resp_{next(self._numbers):04d}{self._rng.getrandbits(96):024x}"
        call = ModelCall(response_id=response_id, body=body, started_at=self._now())
        self.calls.append(call)
        refusal = model_wire.refusal_of(body, context_tokens=self.context_tokens)
        refusal = _NO_SUCH_SCHEMA if self.refuses else refusal
        step = Step() if refusal else self._take_step(body)
        if step.status != 200:
            refusal = Refusal(step.status, step.message, step.code)
        self._note_change()
        if refusal or step.hang_up or step.garbage:
            call.outcome, call.ended_at = "refused", self._now()
            call.ended.set()
            await _fail(send, step, refusal)
            return
        generation = Generation(call, step, now=self._now, tokens_per_second=self.tokens_per_second)
        await self._answer(generation, receive, send)

    async def _answer(self, generation: Generation, receive: Receive, send: Send) -> None:
        """Generate, in the background if asked for, and send the stream or the whole."""
        call, step = generation.call, generation.step
        if call.background:
            if self._nursery is None:
                await _refuse(send, Refusal(503, "The simulated server is not running."))
                return
            self._kept[call.response_id] = generation
            self._nursery.start_soon(self._generate, generation, name="background response")
            if not call.body.get("stream"):
                await send_answer(send, json_answer(generation.response))
                return
        complete = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_client, call, receive, nursery, name="model client watch")
            if not call.background:
                nursery.start_soon(self._generate, generation, name="foreground response")
            if call.body.get("stream"):
                complete = await send_events(send, generation, 0, cut_after=step.cut_after)
            else:
                await call.ended.wait()
                complete = True
            nursery.cancel_scope.cancel()
        if complete and call.body.get("stream"):
            await send(STREAM_END)
        elif complete:
            await send_answer(send, json_answer(generation.response))
        if not call.background and call.outcome == "finished" and call.body.get("store", True):
            self._kept[call.response_id] = generation

    async def _generate(self, generation: Generation) -> None:
        self._running += 1
        self.most_running = max(self.most_running, self._running)
        self._note_change()
        try:
            await generation.run()
        finally:
            self._running -= 1
            self._note_change()

    async def _serve_kept(self, request: Request, rest: str, receive: Receive, send: Send) -> None:
        """Answer what is asked about a response that is kept: GET, DELETE, POST …/cancel."""
        response_id, _, verb = rest.partition("/")
        generation = self._kept.get(response_id)
        if generation is None:
            text = f"Response with id '{response_id}' not found."
            await _refuse(send, Refusal(404, text, None, "id"))
        elif (request.method, verb) == ("GET", "") and request.query.get("stream") == "true":
            await self._stream_kept(generation, request, receive, send)
        elif (request.method, verb) == ("GET", ""):
            await send_answer(send, json_answer(generation.response))
        elif (request.method, verb) == ("DELETE", ""):
            del self._kept[response_id]
            gone = {"id": response_id, "object": "response", "deleted": True}
            await send_answer(send, json_answer(gone))
        elif (request.method, verb) == ("POST", "cancel"):
            if not generation.call.background:
                await _refuse(send, Refusal(400, "Cannot cancel a synchronous response."))
                return
            generation.cancel()
            self._note_change()
            await send_answer(send, json_answer(generation.response))
        else:
            await send_answer(send, _no_such_url(request))

    async def _stream_kept(
        self, generation: Generation, request: Request, receive: Receive, send: Send
    ) -> None:
        if not (generation.call.background and self.streams_again):
            text = "Only responses created with background and stream can be streamed again."
            await _refuse(send, Refusal(400, text, None, "stream"))
            return
        start = int(request.query.get("starting_after", "-1")) + 1
        call, complete = generation.call, False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_client, call, receive, nursery, name="model client watch")
            complete = await send_events(send, generation, start)
            nursery.cancel_scope.cancel()
        if complete:
            await send(STREAM_END)

    def _plain_answer(self, request: Request, path: str) -> Answer:
        match request.method, path:
            case "GET", "/models":
                return json_answer({"object": "list", "data": list(MODELS)})
            case "POST", "/audio/transcriptions":
                return model_audio.transcription_answer(request.body, self._heard(request.body))
            case "POST", "/audio/speech":
                return model_audio.speech_answer(request.json_object() or {})
        return _no_such_url(request)

    def _heard(self, form: bytes) -> str:
        """Return what a sample says, unless somebody has scripted what everything says."""
        words = samples.words_of_voice(form) if self.transcript == TRANSCRIPT else ""
        return words or self.transcript

    def _note_call(self, call: ModelCall) -> None:
        self.calls.append(call)
        self._note_change()

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

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


async def _fail(send: Send, step: Step, refusal: Refusal | None) -> None:
    if refusal is not None:
        await _refuse(send, refusal, step.headers)
    elif step.hang_up:
        await cut_connection(send)
    else:
        await start_stream(send)
        await send({"type": "http.response.body", "body": b"event: x\ndata: {no json\n\n"})


async def _refuse(send: Send, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
    answer = json_answer(refusal.body(), refusal.status)
    await send_answer(send, Answer(answer.status, answer.body, answer.content_type, headers or {}))


def _no_such_url(request: Request) -> Answer:
    text = f"Invalid URL ({request.method} {request.path})"
    return json_answer(Refusal(404, text).body(), 404)
