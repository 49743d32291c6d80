"""Simulated customers: what a persona writes next, by its script or by a model."""

import re
from collections.abc import Sequence
from random import Random
from typing import Protocol

import msgspec

from daemon.domain.knowledge.words import language_of
from daemon.domain.messages import JsonObject
from daemon.ops.rehearsal.cases import Case, CaseTurn, Customer, CustomerMessage, Habits
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
    """The turns of a case."""

    leaves = False

    def __init__(self, turns: Sequence[CaseTurn]) -> None:
        self._left = list(turns)

    async def next(self, lines: Sequence[JsonObject]) -> CaseTurn | None:
        """See `TurnSource`."""
        del lines
        return self._left.pop(0) if self._left else None


class Persona:
    """A customer: what they say is in their script or comes from a model; dice say how."""

    def __init__(self, customer: Customer, rng: Random, player: Judge | None = None) -> None:
        """``player`` asks the model that plays them; None: their script does."""
        self._customer, self._rng, self._player = customer, rng, player
        most = customer.turns if player else len(customer.script)
        is_lost = rng.random() < customer.habits.wrong_number
        self.leaves = most + is_lost > 1 and rng.random() < customer.habits.silence
        """See `TurnSource`."""
        self._left = rng.randrange(1, most + is_lost) if self.leaves else most + is_lost
        self._lost = list(NOT_FOR_US[language_of(_words_of(customer))]) if is_lost else []
        self._script = list(customer.script)

    async def next(self, lines: Sequence[JsonObject]) -> CaseTurn | None:
        """See `TurnSource`."""
        if not self._left:
            return None
        self._left -= 1
        if self._lost:
            says, self._lost = self._lost, []
            return CaseTurn(says=list(says))
        if self._player is None:
            written = [self._script.pop(0)]
        else:
            written = await self._asked(self._player, lines)
        if not written:
            return None
        return CaseTurn(says=_habitual(written, self._customer.habits, self._rng))

    async def _asked(self, player: Judge, lines: Sequence[JsonObject]) -> list[str]:
        """The next messages of a customer whom a model plays."""
        so_far = "\n".join(f"{one['who']}: {one['text']}" for one in lines if one["who"] != "tool")
        mood = self._customer.mood or "friendly"
        you = f"<you>\nGoal: {self._customer.goal}\nMood: {mood}\n</you>"
        answer = await player.ask(PLAYS, f"{you}\n<so_far>\n{so_far}\n</so_far>")
        written = [line.strip() for line in answer.splitlines() if line.strip()]
        if END in written:
            self._left = 0
        return [line for line in written if line != END]


def without_goal(case: Case) -> Case:
    """What must hold where the customer has left: nothing that takes the whole conversation."""
    return msgspec.structs.replace(case, said=[], called=[], handed_over=None, judge=[], check="")


def _habitual(lines: Sequence[str], habits: Habits, rng: Random) -> list[str | CustomerMessage]:
    """Lines as somebody with these habits sends them."""
    parts: list[str | CustomerMessage] = list(lines)
    if rng.random() < habits.bursts:
        parts = [part for line in lines for part in re.split(r"(?<=[,.;:?!]) ", line)]
    speaks, edits = rng.random() < habits.voice, rng.random() < habits.edits
    last = str(parts[-1])
    if speaks:
        words = re.sub(r"[¡!¿?;:]|[,.](?= |$)", "", " ".join(lines)).lower()
        parts = [CustomerMessage(text=words, voice=True)]
    elif edits and " " in last:
        parts[-1] = CustomerMessage(text=last.rpartition(" ")[0], edit=last)
    if rng.random() < habits.second_language:
        parts.insert(0, GREETINGS[language_of(" ".join(lines))])
    return parts


def _words_of(customer: Customer) -> str:
    """Words by which the customer's language is known."""
    return " ".join(customer.script) or customer.goal
