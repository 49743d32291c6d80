"""The model of the benchmarks: how long it takes is known, and it streams as the real one does."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import trio

from daemon.sandbox import model_wire
from daemon.sandbox.model_wire import CallTool, Say

TOKEN = re.compile(rb"consulta (\d+-\d+)")
"""What names a customer's question in every text about it, the model's answer included."""
ANSWER = (
    "Con mucho gusto. Sobre su consulta %s: sí tenemos cupo para dos personas el viernes, con"
    " desayuno incluido, y puede entrar desde las tres de la tarde. ¿Desea que le reserve?"
)
GOLDEN = 0.6180339887
"""Multiples of it, less their whole part, are spread evenly."""

SendPart = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Manner:
    """How the model behaves from now on; times in seconds."""

    shortest: float = 0.5
    longest: float = 1.5
    tool: bool = False
    """Whether the first round of each question asks for a tool."""
    tool_every: int = 0
    """If not 0: each so many questions one asks for a tool."""
    dribble: float = 0
    """If not 0: from the first word on, one more each so many seconds, until it is released."""

    def seconds(self, token: str) -> float:
        """The duration of one round of this question."""
        number = int(token.partition("-")[0]) if token else 0
        return self.shortest + (self.longest - self.shortest) * (number * GOLDEN % 1)


@dataclass(slots=True)
class Kept:
    """A response that its client asks for again and again."""

    token: str
    begun: dict[str, Any]
    finished: dict[str, Any]
    ready_at: float
    seconds: float


class Model:
    """Answers ``/v1/responses``; told by `note` how long each round of a question really took."""

    def __init__(self, note: Callable[[str, float], None]) -> None:
        self.manner = Manner()
        self.streaming = 0
        """Responses that are under way now."""
        self.released = trio.Event()
        self._note = note
        self._numbers = count(1)
        self._asked_anew = count(1)
        self._kept: dict[str, Kept] = {}

    def hold(self, seconds: float) -> None:
        """Dribble one word each so many seconds, and do not end, until `release`."""
        self.manner.dribble = seconds
        self.released = trio.Event()

    async def pace(self, seconds: float) -> None:
        """Dribble at another pace; ends when all that is held has taken it up."""
        before, self.manner.dribble = self.manner.dribble, seconds
        await trio.sleep(before)

    def release(self) -> None:
        """Let everything end that is held."""
        self.manner.dribble = 0
        self.released.set()

    async def stream(self, body: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the server-sent events of a new response, each when it is time."""
        began = trio.current_time()
        token, response, outputs = self._asked(body)
        self.streaming += 1
        try:
            yield _event({"type": "response.created", "response": response})
            seconds = self.manner.seconds(token)
            if self.manner.dribble:
                async for event in self._dribble(outputs[-1], response["id"]):
                    yield event
            else:
                await trio.sleep(seconds)
            items, events = _spoken(outputs, response["id"])
            final = _finished(response, items)
            whole = [*events, {"type": "response.completed", "response": final}]
            self._note(token, trio.current_time() - began)
            yield b"".join(_event(event) for event in whole)
        finally:
            self.streaming -= 1

    def begin(self, body: bytes) -> dict[str, Any]:
        """Begin a response that is asked for with `look`; gives it as it is at first."""
        token, response, outputs = self._asked(body)
        seconds = self.manner.seconds(token)
        items, _events = _spoken(outputs, response["id"])
        final = _finished(response, items)
        ready = trio.current_time() + seconds
        self._kept[response["id"]] = Kept(token, response, final, ready, seconds)
        return response

    def look(self, response_id: str) -> dict[str, Any]:
        """The present state of a response; a finished one is forgotten."""
        kept = self._kept[response_id]
        if trio.current_time() < kept.ready_at:
            return kept.begun
        del self._kept[response_id]
        self._note(kept.token, kept.seconds)
        return kept.finished

    def _asked(self, body: bytes) -> tuple[str, dict[str, Any], tuple[Say | CallTool, ...]]:
        found = TOKEN.findall(body)
        token = found[-1].decode() if found else ""
        asked = json.loads(body)
        response_id = f"resp_{next(self._numbers):032x}"
        # What the real server repeats of the request is left out: it costs both sides alike.
        told = {"model": asked.get("model"), "background": asked.get("background")}
        response = model_wire.response_object(response_id, told, created_at=0)
        if asked["input"][-1].get("type") != "function_call_output" and self._wants_tool():
            fact = json.dumps({"fact": "Prefiere los viernes"})
            return token, response, (CallTool("remember", fact),)
        return token, response, (Say(ANSWER % token),)

    def _wants_tool(self) -> bool:
        every = self.manner.tool_every
        return self.manner.tool or bool(every and next(self._asked_anew) % every == 0)

    async def _dribble(self, output: Say | CallTool, response_id: str) -> AsyncIterator[bytes]:
        """One word after the other, until `release`; the text is none of the final answer's."""
        key = response_id.removeprefix("resp_")
        for event in model_wire.item_events(output, 0, key):
            yield _event(event)
            if event["type"].endswith(".delta"):
                word = event
                break
        else:
            return
        while not self.released.is_set():
            with trio.move_on_after(self.manner.dribble):
                await self.released.wait()
            yield _event(word)


def _spoken(
    outputs: tuple[Say | CallTool, ...], response_id: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    for index, output in enumerate(outputs):
        key = response_id.removeprefix("resp_")
        events += model_wire.item_events(output, index, key)
    return list(_items(events)), events


def _items(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event["type"] == "response.output_item.done":
            yield event["item"]


def _finished(response: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    return model_wire.finished_response(response, items, status="completed", input_tokens=900)


def _event(event: dict[str, Any]) -> bytes:
    event = {"sequence_number": 0, **event}
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
