"""One response of the simulated model while it is generated, and the streams that carry it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import model_answers, model_wire
from daemon.sandbox.asgi import Receive, Send, wait_disconnect
from daemon.sandbox.model_wire import Output

STREAM_END = {"type": "http.response.body", "body": b"", "more_body": False}


@dataclass(eq=False, slots=True, kw_only=True)
class ModelCall:
    """One `POST /responses` as the server saw it."""

    response_id: str
    body: JsonObject
    started_at: float
    outcome: str = "running"
    """``running``, ``finished``, ``failed``, ``refused``, ``cancelled``, or ``cut``: lost since the
    connection of a foreground response closed or the server stopped."""
    ended_at: float = 0
    disconnects: int = 0
    """Streams of this response that the client closed before their end."""
    ended: trio.Event = field(default_factory=trio.Event)

    @property
    def items(self) -> list[JsonObject]:
        """The input items."""
        items = self.body.get("input") or []
        return items if isinstance(items, list) else [{"role": "user", "content": items}]

    @property
    def tool_names(self) -> list[str]:
        """The names of the function tools on offer, in order."""
        return [tool["name"] for tool in self.body.get("tools") or () if "name" in tool]

    @property
    def background(self) -> bool:
        """True if the response was to outlive its connection."""
        return bool(self.body.get("background"))

    @property
    def customer_texts(self) -> list[str]:
        """The customer's messages since the last answer."""
        return model_answers.customer_burst(self.items)[0]


class Generation:
    """A response being generated: its events so far, readable by any number of streams."""

    cut_after: int | None = None
    """The connection of a stream is cut after that many events; None: never."""

    def __init__(
        self, call: ModelCall, *, now: Callable[[], float], tokens_per_second: float
    ) -> None:
        """`tokens_per_second` is the pace of the deltas, 0 for none."""
        self.call = call
        self.response = model_wire.response_object(
            call.response_id, call.body, created_at=call.started_at
        )
        self._now = now
        self._token_seconds = 1 / tokens_per_second if tokens_per_second else 0.0
        self._events: list[JsonObject] = []
        self._news = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Generate. Ends at the end of the response, when `cancel` is called, or cancelled."""
        try:
            with self._scope:
                for event in self._plan():
                    await self._pause_before(event)
                    self._emit(event)
        finally:
            self._end("cancelled" if self.response["status"] == "cancelled" else "cut")

    def cancel(self) -> None:
        """Stop at once; does nothing if it has ended."""
        if self.call.outcome == "running":
            self.response = {**self.response, "status": "cancelled"}
            self._scope.cancel()
            self._end("cancelled")

    async def wait_event(self, index: int) -> JsonObject | None:
        """Return the event of that sequence number, or None if it never comes."""
        while index >= len(self._events) and not self.call.ended.is_set():
            await self._news.wait()
        return self._events[index] if index < len(self._events) else None

    def _end(self, outcome: str) -> None:
        if self.call.outcome == "running":
            self.call.outcome = outcome
            self.call.ended_at = self._now()
            self.call.ended.set()
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _pause_before(self, event: JsonObject) -> None:
        paced = self._token_seconds and event["type"].endswith(".delta")
        await trio.sleep(self._token_seconds if paced else 0)

    def _emit(self, event: JsonObject) -> None:
        if "response" in event:
            self.response = event["response"]
        self._events.append({**event, "sequence_number": len(self._events)})
        self._wake()
        if self.response["status"] in {"completed", "incomplete"}:
            self._end("finished")
        elif self.response["status"] == "failed" or event["type"] == "error":
            self._end("failed")

    def _plan(self) -> Iterator[JsonObject]:
        """Yield the events of the whole response, without their numbers."""
        yield {"type": "response.created", "response": self.response}
        started = {**self.response, "status": "in_progress"}
        yield {"type": "response.in_progress", "response": started}
        items: list[JsonObject] = []
        key = self.call.response_id.removeprefix("resp_")
        for event in self._item_events(key):
            if event["type"] == "response.output_item.done":
                items.append(event["item"])
            yield event
        yield self._last_event(started, items)

    def _item_events(self, key: str) -> Iterator[JsonObject]:
        """Yield the events of all output items; `key` makes their ids unique."""
        for index, output in enumerate(self._outputs()):
            yield from model_wire.item_events(output, index, key)

    def _outputs(self) -> tuple[Output, ...]:
        body = self.call.body
        instructions = str(body.get("instructions") or "")
        return model_answers.answer(self.call.items, body.get("tools") or (), instructions)

    def _last_event(self, started: JsonObject, items: list[JsonObject]) -> JsonObject:
        tokens = model_wire.tokens_of(self.call.items)
        response = model_wire.finished_response(
            started, items, status="completed", input_tokens=tokens
        )
        return {"type": "response.completed", "response": response}


async def watch_client(call: ModelCall, receive: Receive, nursery: trio.Nursery) -> None:
    """Cancel `nursery` when the client hangs up. Ends then, or cancelled with the answer's end."""
    await wait_disconnect(receive)
    call.disconnects += 1
    nursery.cancel_scope.cancel()


async def send_events(
    send: Send, generation: Generation, start: int, *, cut_after: int | None = None
) -> bool:
    """Stream the events from number `start` on; return False if the stream was cut.

    The end of the stream is left to the caller: while it is sent, the server already reports the
    client as gone. Left out, it makes hypercorn close the connection, which is the cut.
    """
    await start_stream(send)
    index = start
    while index != cut_after:
        event = await generation.wait_event(index)
        if event is None:
            return True
        chunk = event_bytes(event)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        index += 1
    return False


async def start_stream(send: Send) -> None:
    """Send the head of an event stream."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def event_bytes(event: dict[str, Any]) -> bytes:
    """Return an event as server-sent events carry it."""
    data = json.dumps(event, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data}\n\n".encode()
