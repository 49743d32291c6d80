"""Simulated customers: what a persona writes next, by its script or by a model."""

import re
from collections.abc import Sequence
from random import Random
from typing import Protocol

import msgspec

from daemon.domain.knowledge.words import language_of
from daemon.domain.messages import JsonObject
from daemon.ops.rehearsal.cases import Case, CaseTurn, Customer, EditedMessage, Habits
from daemon.ops.rehearsal.judge import Judge

GREETINGS = {"es": "Hello!", "en": "¡Hola!"}
"""In the other language."""

NOT_FOR_US = {
    "es": ["Pedro, ya salí para tu casa", "perdón, no era para ustedes"],
    "en": ["Pete, I am on my way to your place", "sorry, that was not for you"],
}

END = "END"

PLAYS = (
    "You play a customer who writes to a business on WhatsApp, to test its assistant. You get who"
    " you are and the conversation so far. Write only what you would write next, as people do on a"
    " phone: short, a line for each message. Do not help the assistant, and do not step out of your"
    f" role. When your goal is reached, or clearly cannot be, write {END} alone."
)


class TurnSource(Protocol):
    """Gives the bursts of one conversation."""

    @property
    def leaves(self) -> bool:
        """True if the customer goes before the goal can be reached."""

    async def next(self, lines: Sequence[JsonObject]) -> CaseTurn | None:
        """The next burst, after these lines of the conversation; None at its end.

        Raises AssistantError.
        """


class Script:
    """The turns of a case, or of a customer's script."""

    def __init__(self, turns: Sequence[CaseTurn], *, leaves: bool = False) -> None:
        self.leaves = leaves
        self._left = list(turns)

    @classmethod
    def of(cls, customer: Customer, rng: Random) -> "Script":
        """The script of a customer, written with their habits."""
        habits, lines = customer.habits, list(customer.script)
        turns = [CaseTurn(says=_habitual(line, habits, rng)) for line in lines]
        if rng.random() < habits.wrong_number:
            language = language_of(" ".join(lines))
            turns.insert(0, CaseTurn(says=list(NOT_FOR_US[language])))
        leaves = len(turns) > 1 and rng.random() < habits.silence
        if leaves:
            turns = turns[: rng.randrange(1, len(turns))]
        return cls(turns, leaves=leaves)

    async def next(self, lines: Sequence[JsonObject]) -> CaseTurn | None:
        """See `TurnSource`."""
        del lines
        return self._left.pop(0) if self._left else None


class ModelCustomer:
    """A customer whom a model plays."""

    leaves = False

    def __init__(self, customer: Customer, judge: Judge) -> None:
        self._customer = customer
        self._judge = judge
        self._turns = 0

    async def next(self, lines: Sequence[JsonObject]) -> CaseTurn | None:
        """See `TurnSource`."""
        if self._turns >= self._customer.turns:
            return None
        self._turns += 1
        said = "\n".join(f"{one['who']}: {one['text']}" for one in lines if one["who"] != "tool")
        text = (
            f"<you>\nGoal: {self._customer.goal}\nMood: {self._customer.mood or 'friendly'}\n"
            f"Habits: {_told(self._customer.habits)}\n</you>\n<so_far>\n{said}\n</so_far>"
        )
        answer = await self._judge.ask(PLAYS, text)
        written = [line.strip() for line in answer.splitlines() if line.strip()]
        ended = END in written
        written = [line for line in written if line != END]
        if ended:
            self._turns = self._customer.turns
        return CaseTurn(says=list(written)) if written else None


def without_goal(case: Case) -> Case:
    """What must hold where the customer has left: nothing that takes the whole conversation."""
    return msgspec.structs.replace(case, said=[], called=[], handed_over=None, judge=[], check="")


def _habitual(line: str, habits: Habits, rng: Random) -> list[str | EditedMessage]:
    """A line as somebody with these habits writes it: one message or more."""
    parts: list[str | EditedMessage] = [line]
    if rng.random() < habits.bursts:
        parts = list(re.split(r"(?<=[,.;:?!]) ", line))
    if rng.random() < habits.dictation:
        parts = [re.sub(r"[¡!¿?;:]|[,.](?= |$)", "", str(part)).lower() for part in parts]
    last = str(parts[-1])
    if rng.random() < habits.edits and " " in last:
        parts[-1] = EditedMessage(text=last.rpartition(" ")[0], edit=last)
    if rng.random() < habits.second_language:
        parts.insert(0, GREETINGS[language_of(line)])
    return parts


def _told(habits: Habits) -> str:
    """The habits for a model."""
    names = [name for name in habits.__struct_fields__ if getattr(habits, name) > 0]
    return ", ".join(f"{name.replace('_', ' ')} {getattr(habits, name):g}" for name in names) or "-"
