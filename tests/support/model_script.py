"""Scripted answers and failures of the simulated model."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import model_wire
from daemon.sandbox.model_generation import Generation, ModelCall
from daemon.sandbox.model_wire import CallTool, Output, Say


@dataclass(frozen=True, slots=True)
class Think:
    """A reasoning item, as reasoning models put before what they say or call."""

    summary: str = ""


@dataclass(frozen=True, slots=True)
class OutputItem:
    """Any other output item, or a message of unusual parts, as it is."""

    fields: dict[str, Any]


class Gate(Protocol):
    """An awaitable gate, such as a trio.Event."""

    def wait(self) -> Awaitable[Any]:
        """Return once it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The treatment of one request. The default step answers as the sandbox does.

    Faults are checked in the order of the fields; they may be combined where that makes
    sense (`gate` with `cut_after`, say).
    """

    when: Callable[[dict[str, Any]], bool] | None = None
    """Takes only requests whose body it returns True for; None takes the next one."""

    status: int = 200
    """Any status but 200 is answered at once, with an error of `code` and `message`."""
    code: str | None = None
    message: str = "This is a scripted fault."
    headers: dict[str, str] = field(default_factory=dict)

    hang_up: bool = False
    """Close the connection without any answer."""
    garbage: bool = False
    """Answer 200 with a stream that is no JSON."""

    outputs: tuple[Output | Think | OutputItem, ...] | None = None
    """The texts of the model; None: the usual answer; (): none."""
    echo: bool = False
    """Repeat the customer's last text."""

    gate: Gate | None = None
    """Waited for before event number `gate_at`; a gate that never opens is a model that hangs."""
    gate_at: int = 2
    """The default is after ``response.created`` and ``response.in_progress``."""
    tokens_per_second: float | None = None
    """Pace of the deltas; None is the server's own, 0 is no pace."""
    cut_after: int | None = None
    """The connection is cut after that many events. A background response runs on."""

    failed: str = ""
    """End with ``response.failed`` and this code."""
    error_event: str = ""
    """End with an ``error`` event of this code, and nothing after it."""
    incomplete: str = ""
    """End with ``response.incomplete`` for this reason."""


def say(text: str, **how: Any) -> Step:
    """Return a step that answers with one text."""
    return Step(outputs=(Say(text),), **how)


def call(name: str, arguments: str = "{}", **how: Any) -> Step:
    """Return a step that asks for one function call."""
    return Step(outputs=(CallTool(name, arguments),), **how)


class ScriptedGeneration(Generation):
    """A response that is generated as its step says."""

    def __init__(
        self, call: ModelCall, step: Step, *, now: Callable[[], float], tokens_per_second: float
    ) -> None:
        pace = tokens_per_second if step.tokens_per_second is None else step.tokens_per_second
        super().__init__(call, now=now, tokens_per_second=pace)
        self.step = step
        self.cut_after = step.cut_after

    async def _pause_before(self, event: JsonObject) -> None:
        if self.step.gate is not None and len(self._events) == self.step.gate_at:
            await self.step.gate.wait()
        if len(self._events) == self.step.cut_after and not self.call.background:
            await trio.sleep_forever()  # the cut connection ends it here
        await super()._pause_before(event)

    def _plan(self) -> Iterator[JsonObject]:
        for number, event in enumerate(super()._plan()):
            if number == 2 and self.step.error_event:
                message = "The stream failed."
                yield {"type": "error", "code": self.step.error_event, "message": message}
                return
            yield event

    def _item_events(self, key: str) -> Iterator[JsonObject]:
        if self.step.failed:
            return
        if self.step.outputs is None:
            yield from super()._item_events(key)
            return
        for index, output in enumerate(self.step.outputs):
            if isinstance(output, Think):
                yield from _thought(output, index, key)
            elif isinstance(output, OutputItem):
                item = {"id": f"item_{key}{index}", "status": "completed", **output.fields}
                yield {"type": "response.output_item.added", "output_index": index, "item": item}
                yield {"type": "response.output_item.done", "output_index": index, "item": item}
            else:
                yield from model_wire.item_events(output, index, key)

    def _outputs(self) -> tuple[Output, ...]:
        if self.step.echo:
            return (Say("\n".join(self.call.customer_texts)),)
        return super()._outputs()

    def _last_event(self, started: JsonObject, items: list[JsonObject]) -> JsonObject:
        step = self.step
        if not (step.failed or step.incomplete):
            return super()._last_event(started, items)
        if step.incomplete and items:
            items[-1] = {**items[-1], "status": "incomplete"}
        status = "failed" if step.failed else "incomplete"
        response = model_wire.finished_response(
            started,
            items,
            status=status,
            error=step.failed,
            reason=step.incomplete,
            input_tokens=model_wire.tokens_of(self.call.items),
        )
        return {"type": f"response.{status}", "response": response}


def _thought(output: Think, index: int, key: str) -> Iterator[JsonObject]:
    summary = [{"type": "summary_text", "text": output.summary}] if output.summary else []
    item: JsonObject = {"id": f"rs_{key}{index}", "type": "reasoning", "summary": summary}
    yield {"type": "response.output_item.added", "output_index": index, "item": item}
    item = {**item, "encrypted_content": f"sealed-{key}{index}"}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}
