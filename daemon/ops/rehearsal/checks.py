"""Whether what must hold of a conversation does. Pure; a judge is asked elsewhere."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from daemon.domain.knowledge.words import language_of
from daemon.ops.rehearsal.cases import Expected, ExpectedCall, texts

ESCALATES = "escalate_to_human"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool, and its output."""

    tool: str
    arguments: str
    output: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The arguments by their names; none if they are no object."""
        try:
            read = json.loads(self.arguments or "{}")
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}


@dataclass(slots=True)
class PlayedTurn:
    """A burst as it was played."""

    says: list[str]
    answers: list[str] = field(default_factory=list)
    """The messages that were sent, in order."""
    calls: list[ToolCall] = field(default_factory=list)
    outcome: str = ""
    reason: str = ""
    tokens: int = 0
    seconds: float = 0.0


def failures(expected: Expected, turns: Sequence[PlayedTurn]) -> list[str]:
    """What does not hold of these turns, a sentence each."""
    words = "\n".join(answer for turn in turns for answer in turn.answers)
    calls = [call for turn in turns for call in turn.calls]
    found = [f"not said: {p}" for p in texts(expected.said) if not _is_in(p, words)]
    found += [f"said: {p}" for p in texts(expected.not_said) if _is_in(p, words)]
    for wanted in expected.called:
        found += _not_called(ExpectedCall(wanted) if isinstance(wanted, str) else wanted, calls)
    made = {call.tool for call in calls}
    found += [f"{name} was called" for name in texts(expected.not_called) if name in made]
    if expected.handed_over is not None and (ESCALATES in made) != expected.handed_over:
        found.append("not handed over" if expected.handed_over else "handed over")
    if expected.language and words and language_of(words, "") not in {expected.language, ""}:
        found.append(f"not in {expected.language}")
    for turn in turns:
        length = sum(map(len, turn.answers))
        if expected.longest is not None and length > expected.longest:
            found.append(f"{length} characters, more than {expected.longest}")
        if expected.messages is not None and len(turn.answers) > expected.messages:
            found.append(f"{len(turn.answers)} messages, more than {expected.messages}")
    return found


def _is_in(pattern: str, words: str) -> bool:
    return re.search(pattern, words, re.IGNORECASE) is not None


def _not_called(wanted: ExpectedCall, calls: Sequence[ToolCall]) -> list[str]:
    of_tool = [call for call in calls if call.tool == wanted.tool]
    fitting = [call for call in of_tool if _fits(wanted.arguments, call.values)]
    if wanted.times is not None and len(fitting) != wanted.times:
        return [f"{wanted.tool} called {len(fitting)} times, not {wanted.times}"]
    if fitting:
        return []
    if not of_tool:
        return [f"{wanted.tool} was not called"]
    return [f"{wanted.tool} called with {of_tool[-1].arguments}, not with {wanted.arguments}"]


def _fits(wanted: dict[str, Any], given: dict[str, Any]) -> bool:
    return all(
        _is_in(value, str(given.get(name, "")))
        if isinstance(value, str)
        else given.get(name) == value
        for name, value in wanted.items()
    )
