"""A model server without a model: the part of OpenAI's API that Recado uses, over real HTTP.

`recado sandbox` runs the daemon against it: it answers sensibly and refuses what the real one
refuses. The tests extend it.
"""

import random
from collections.abc import Callable
from itertools import count

import trio

from daemon.sandbox import audio, embeddings, model_wire, samples
from daemon.sandbox.asgi import (
    Answer,
    ClientGone,
    Receive,
    Request,
    Scope,
    Send,
    follow_lifespan,
    json_answer,
    read_request,
    send_answer,
)
from daemon.sandbox.model_generation import (
    STREAM_END,
    Generation,
    ModelCall,
    send_events,
    watch_client,
)
from daemon.sandbox.model_wire import ApiRefusal

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
    {
        "id": embeddings.MODEL,
        "object": "model",
        "created": 1773000000,
        "owned_by": "sandbox",
    },
    {"id": "sandbox-speech", "object": "model", "created": 1773000000, "owned_by": "sandbox"},
)
TRANSCRIPT = "Hola, quisiera saber si tienen disponibilidad para este fin de semana."
"""The transcript of a voice note that is no sample."""
RESPONSES = "/responses"
_NO_SUCH_SCHEMA = ApiRefusal(
    400,
    "Invalid schema for function 'example': schema must have type 'object'.",
    "invalid_function_parameters",
    "tools[0].parameters",
)


class ModelServer:
    """The ASGI application. `run` must be running while it serves."""

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
        self.context_tokens = context_tokens
        self.tokens_per_second = tokens_per_second
        self.refuses = False
        """Set to True, every request is refused with 400, as for a tool with a wrong schema."""
        self.is_down = False
        """Set to True, everything is answered 503, as by a server that is overloaded."""
        self._api_key = api_key
        self._now = now
        self._rng = rng
        self._numbers = count(1)
        self._kept: dict[str, Generation] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the background responses. Runs until cancelled, and they end with it."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            request = await read_request(scope, receive)
        except ClientGone:
            return
        await self._serve(request, request.path.removeprefix("/v1"), receive, send)

    async def _serve(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.is_down:
            overloaded = ApiRefusal(503, "The server is overloaded.", "server_is_overloaded")
            await refuse(send, overloaded)
        elif self._api_key and key != self._api_key:
            refusal = ApiRefusal(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
            await refuse(send, refusal)
        else:
            await self._dispatch(request, path, receive, send)

    async def _dispatch(self, request: Request, path: str, receive: Receive, send: Send) -> None:
        """Answer a request that is authorised."""
        if (request.method, path) == ("POST", RESPONSES):
            await self._create(request, receive, send)
        elif path.startswith(RESPONSES + "/"):
            await self._serve_kept(request, path.removeprefix(RESPONSES + "/"), receive, send)
        else:
            await send_answer(send, self._plain_answer(request, path))

    async def _create(self, request: Request, receive: Receive, send: Send) -> None:
        body = request.json_object()
        if body is None:
            await refuse(send, ApiRefusal(400, "We could not parse the JSON body of your request."))
            return
        response_id = f"resp_{next(self._numbers):04d}{self._rng.getrandbits(96):024x}"
        call = ModelCall(response_id=response_id, body=body, started_at=self._now())
        refusal = model_wire.refusal_of(body, context_tokens=self.context_tokens)
        await self._serve_call(call, _NO_SUCH_SCHEMA if self.refuses else refusal, receive, send)

    async def _serve_call(
        self, call: ModelCall, refusal: ApiRefusal | None, receive: Receive, send: Send
    ) -> None:
        """Refuse a call or answer it."""
        if refusal is not None:
            await refuse(send, refusal)
            return
        pace = self.tokens_per_second
        generation = Generation(call, now=self._now, tokens_per_second=pace)
        await self._answer(generation, receive, send)

    async def _answer(self, generation: Generation, receive: Receive, send: Send) -> None:
        """Generate, in the background if asked for, and send the stream or the whole."""
        call = generation.call
        if call.background:
            if self._nursery is None:
                await refuse(send, ApiRefusal(503, "The simulated server is not running."))
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
                complete = await send_events(send, generation, 0, cut_after=generation.cut_after)
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
        await generation.run()

    async def _serve_kept(self, request: Request, rest: str, receive: Receive, send: Send) -> None:
        """Answer what is asked about a response that is kept: GET, DELETE, POST …/cancel."""
        response_id, _, action = rest.partition("/")
        generation = self._kept.get(response_id)
        if generation is None:
            text = f"Response with id '{response_id}' not found."
            await refuse(send, ApiRefusal(404, text, None, "id"))
        elif (request.method, action) == ("GET", "") and request.query.get("stream") == "true":
            await self._stream_kept(generation, request, receive, send)
        elif (request.method, action) == ("GET", ""):
            await send_answer(send, json_answer(generation.response))
        elif (request.method, action) == ("DELETE", ""):
            del self._kept[response_id]
            gone = {"id": response_id, "object": "response", "deleted": True}
            await send_answer(send, json_answer(gone))
        elif (request.method, action) == ("POST", "cancel"):
            if not generation.call.background:
                await refuse(send, ApiRefusal(400, "Cannot cancel a synchronous response."))
                return
            generation.cancel()
            await send_answer(send, json_answer(generation.response))
        else:
            await send_answer(send, _no_such_url(request))

    async def _stream_kept(
        self, generation: Generation, request: Request, receive: Receive, send: Send
    ) -> None:
        if not self._can_stream_again(generation):
            text = "Only responses created with background and stream can be streamed again."
            await refuse(send, ApiRefusal(400, text, None, "stream"))
            return
        start = int(request.query.get("starting_after", "-1")) + 1
        call, complete = generation.call, False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_client, call, receive, nursery, name="model client watch")
            complete = await send_events(send, generation, start)
            nursery.cancel_scope.cancel()
        if complete:
            await send(STREAM_END)

    def _can_stream_again(self, generation: Generation) -> bool:
        return generation.call.background

    def _plain_answer(self, request: Request, path: str) -> Answer:
        match request.method, path:
            case "GET", "/models":
                return json_answer({"object": "list", "data": list(MODELS)})
            case "POST", "/audio/transcriptions":
                return audio.transcription_answer(request.body, self._transcript(request.body))
            case "POST", "/embeddings":
                return embeddings.embeddings_answer(request.json_object() or {})
            case "POST", "/audio/speech":
                return audio.speech_answer(request.json_object() or {})
        return _no_such_url(request)

    def _transcript(self, form: bytes) -> str:
        """Return the transcript of an uploaded voice note."""
        return samples.words_of_voice(form) or audio.words_in(form) or TRANSCRIPT


async def refuse(send: Send, refusal: ApiRefusal, headers: dict[str, str] | None = None) -> None:
    """Send a refusal."""
    answer = json_answer(refusal.body(), refusal.status)
    await send_answer(send, Answer(answer.status, answer.body, answer.content_type, headers or {}))


def _no_such_url(request: Request) -> Answer:
    text = f"Invalid URL ({request.method} {request.path})"
    return json_answer(ApiRefusal(404, text).body(), 404)
