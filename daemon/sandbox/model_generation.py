"""One response of the simulated model while it comes into being, and its line in the ledger."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import trio

from daemon.sandbox import model_wire, model_wit
from daemon.sandbox.model_script import Output, Say, Step
from daemon.sandbox.model_wire import JsonObject


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
        """What the customer said since anybody answered."""
        return model_wit.customer_burst(self.items)[0]


class Generation:
    """A response being generated: its events so far, readable by any number of streams."""

    def __init__(
        self, call: ModelCall, step: Step, *, now: Callable[[], float], tokens_per_second: float
    ) -> None:
        self.call = call
        self.step = step
        self.response = model_wire.response_object(
            call.response_id, call.body, created_at=call.started_at
        )
        self._now = now
        pace = tokens_per_second if step.tokens_per_second is None else step.tokens_per_second
        self._token_seconds = 1 / pace if pace else 0.0
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
        if self.step.gate is not None and len(self._events) == self.step.gate_at:
            await self.step.gate.wait()
        if len(self._events) == self.step.cut_after and not self.call.background:
            await trio.sleep_forever()  # the cut of the connection ends it here
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
        if self.step.error_event:
            message = "The stream failed."
            yield {"type": "error", "code": self.step.error_event, "message": message}
            return
        items: list[JsonObject] = []
        if not self.step.failed:
            key = self.call.response_id.removeprefix("resp_")
            for index, output in enumerate(self._outputs()):
                for event in model_wire.item_events(output, index, key):
                    if event["type"] == "response.output_item.done":
                        items.append(event["item"])
                    yield event
        if self.step.incomplete and items:
            items[-1] = {**items[-1], "status": "incomplete"}
        status = "incomplete" if self.step.incomplete else "completed"
        status = "failed" if self.step.failed else status
        response = model_wire.finished_response(
            started,
            items,
            status=status,
            error=self.step.failed,
            reason=self.step.incomplete,
            input_tokens=model_wire.tokens_of(self.call.items),
        )
        yield {"type": f"response.{status}", "response": response}

    def _outputs(self) -> tuple[Output, ...]:
        if self.step.outputs is not None:
            return self.step.outputs
        if self.step.echo:
            return (Say("\n".join(self.call.customer_texts)),)
        return model_wit.answer(self.call.items, self.call.body.get("tools") or ())
