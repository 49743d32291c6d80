"""The simulated model of the crash harness: its answers name the messages of its input."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.sandbox.model_wire import CallTool, Say
from support.crash_judges import FIRST_PART, SECOND_PART, references
from support.model import ScriptedModel
from support.model_script import Step

REMINDED_AFTER_SECONDS = 0.3

REMINDER = "Recordatorio: "
"""Begins the text of every reminder."""

NOTED = "Por nota: "
"""Begins what the model writes when a note is due."""

NOTE_REFERENCE = re.compile(r"n(\d+-m\d+)")
"""A reference in a note: not one that a customer wrote."""

BOOKING = "reserva"
"""A message with this word wants its reference booked."""


class NamingModel(ScriptedModel):
    """A model that names the references of the burst it was given, in order, and books rooms."""

    def __init__(self, *, spoil: Callable[[Step], Step], **how: Any) -> None:
        super().__init__(**how)
        self._spoil = spoil
        self._due: dict[str, str] = {}
        """When each reminder is due: a burst that is read again wants it at the same time."""

    def _take_step(self, body: dict[str, Any]) -> Step:
        return self._spoil(answer_to(body["input"], self._due_at))

    def _due_at(self, reference: str) -> str:
        moment = datetime.now(UTC) + timedelta(seconds=REMINDED_AFTER_SECONDS)
        return self._due.setdefault(reference, moment.isoformat())


def answer_to(items: list[dict[str, Any]], due_at: Callable[[str], str]) -> Step:
    """The model's reaction to an input: pending tool calls, else the answer.

    What is booked is also to be reminded of, by a text and by a note, at the time that ``due_at``
    gives.
    """
    newest = max(number for number, item in enumerate(items) if item.get("role") == "user")
    text = str(items[newest]["content"])
    due = [line for line in text.splitlines() if BOOKING in line]
    called = any(item.get("type") == "function_call_output" for item in items[newest:])
    if due and not called:
        booked = references("\n".join(due))
        calls = [CallTool("book", json.dumps({"reference": ref})) for ref in booked]
        for ref in booked:
            texts = {f"{REMINDER}{ref}": False, ref.replace("c", "n"): True}
            calls += [
                CallTool("remind", json.dumps(reminder_of(words, due_at(ref), is_note=is_note)))
                for words, is_note in texts.items()
            ]
        return Step(outputs=tuple(calls))
    named = " ".join(references(text))
    said = [f"{FIRST_PART}{named}", f"{SECOND_PART}{named}"] if named else []
    said += [f"{NOTED}c{place}" for place in NOTE_REFERENCE.findall(text)]
    return Step(outputs=(Say("\n\n".join(said)),))


def reminder_of(text: str, when: str, *, is_note: bool) -> dict[str, Any]:
    """The arguments of the tool that reminds of a booking."""
    return {"when": when, "text": text, "cancel_on": "nothing", "is_note": is_note}
