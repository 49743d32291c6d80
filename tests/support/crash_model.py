"""The simulated model of the crash harness: its answers name the messages of its input."""

from collections.abc import Callable
from typing import Any

from daemon.sandbox.model_wire import CallTool, Say
from support.crash_judges import FIRST_PART, SECOND_PART, references
from support.model import ScriptedModel
from support.model_script import Step

BOOKING = "reserva"
"""A message with this word wants its reference booked."""


class NamingModel(ScriptedModel):
    """A model that names the references of the burst it was given, in order, and books rooms."""

    def __init__(self, *, spoil: Callable[[Step], Step], **how: Any) -> None:
        super().__init__(**how)
        self._spoil = spoil

    def _take_step(self, body: dict[str, Any]) -> Step:
        return self._spoil(answer_to(body["input"]))


def answer_to(items: list[dict[str, Any]]) -> Step:
    """The model's reaction to an input: pending tool calls, else the answer."""
    newest = max(number for number, item in enumerate(items) if item.get("role") == "user")
    text = str(items[newest]["content"])
    due = [line for line in text.splitlines() if BOOKING in line]
    called = any(item.get("type") == "function_call_output" for item in items[newest:])
    if due and not called:
        calls = [
            CallTool("book", f'{{"reference": "{ref}"}}') for ref in references("\n".join(due))
        ]
        return Step(outputs=tuple(calls))
    named = " ".join(references(text))
    return Step(outputs=(Say(f"{FIRST_PART}{named}\n\n{SECOND_PART}{named}"),))
