"""Candidates, verdicts and validators: what a validator is given, and what it may say. Pure.

@validator
def no_competitors(candidate: Candidate) -> Verdict:
    \"\"\"Never name the hotel next door.\"\"\"
    if "Hotel Vecino" in candidate.text:
        return Retry("Do not name other hotels.")
    return KEEP
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from daemon.errors import ValidatorError

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""Names go into the log, the settings and a label of the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer on its way to the customer, and what it may be held against."""

    text: str
    """The answer, as the validators before this one have left it."""
    heard: str = ""
    """The words of the customer that it answers."""
    instructions: str = ""
    internal: tuple[str, ...] = ()
    """What only the model is told: the context line, notes."""
    agent_note: str = ""
    """The line over an agent's words in the thread, a template with ``{name}``."""
    tool_outputs: tuple[str, ...] = ()
    """What the tools said in this turn; empty if none was called."""
    remembered: tuple[str, ...] = ()
    """What was said in the conversation before, tools included, oldest first."""
    incomplete: str = ""
    """Why the model's output was cut, if it was."""
    language: str = "es"

    @property
    def characters(self) -> int:
        """How much there is to be looked at."""
        texts = (self.text, self.heard, self.instructions, *self.internal)
        return sum(map(len, (*texts, *self.tool_outputs, *self.remembered)))


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to say against it."""


@dataclass(frozen=True, slots=True)
class Fix:
    """The answer is good with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The model should try again, told this note, in English, which the customer never sees."""

    note: str
    instead: str = ""
    """Sent if there is no second try, or it is no better; empty: the safe text."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The model should try again, told this note; but the answer may be sent.

    If there is no second try, or it is no better, it is sent and marked for a person's eye: in the
    dashboard, in `recado explain` and in the metrics.
    """

    note: str
    """In English; the customer never sees it."""


@dataclass(frozen=True, slots=True)
class Block:
    """This answer must not be sent, and asking again is of no use: the safe text is sent."""

    reason: str
    """For the log; names no person and quotes no text."""


Verdict = Keep | Fix | Retry | Doubt | Block

KEEP = Keep()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A function that looks at one side of an answer."""

    name: str
    judge: Callable[[Candidate], Verdict]
    blocking: bool = False
    """True if it may take more than a few milliseconds; it then runs in a thread."""


@overload
def validator(function: Callable[[Candidate], Verdict], /) -> Validator: ...
@overload
def validator(
    *, name: str = ..., blocking: bool = ...
) -> Callable[[Callable[[Candidate], Verdict]], Validator]: ...
def validator(
    function: Callable[[Candidate], Verdict] | None = None,
    /,
    *,
    name: str = "",
    blocking: bool = False,
) -> Validator | Callable[[Callable[[Candidate], Verdict]], Validator]:
    """Make a plain function a validator.

    ``name`` is the function's own unless given; ``blocking`` lets it run in a thread. Raises
    ValidatorError for a name that is none, or a function that is async.
    """

    def declare(function: Callable[[Candidate], Verdict]) -> Validator:
        own = name or function.__name__
        if not NAME.fullmatch(own):
            raise ValidatorError(f"validator {own}: a name is lower-case letters, digits and _")
        if _is_async(function):
            raise ValidatorError(f"validator {own}: a validator is a plain function, not async")
        return Validator(name=own, judge=function, blocking=blocking)

    return declare if function is None else declare(function)


def _is_async(function: Any) -> bool:
    # CO_COROUTINE; the inspect module is slow to import, and callable objects have no code.
    code = getattr(function, "__code__", None)
    return bool(code is not None and code.co_flags & 0x80)


# -- running the validators ------------------------------------------------------------------------


EMPTY_NOTE = "Your answer had no text for the customer. Answer the customer now."

RETRY = (
    "[Your last answer was not sent; the note before this one says why. Write the whole answer"
    " again for the customer, and do not mention these notes.]"
)
"""What the model is told to do then."""

Ruling = tuple[str, str]
"""A validator's name and its verdict in one word: keep, fix, retry, doubt, block or error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What all validators together say of an answer."""

    text: str
    """What may be sent; empty if nothing may: then the safe text is sent."""
    notes: tuple[str, ...] = ()
    """Why the model should try again; empty if it need not."""
    rulings: tuple[Ruling, ...] = ()
    """One for each validator that was asked, in order."""
    doubts: tuple[str, ...] = ()
    """The validators that doubt it; if it is sent, a person should look at it."""
    faults: tuple[tuple[str, Exception], ...] = ()
    """Validators that failed, and with what; they count as if they had kept the answer."""
    blocked: str = ""
    """Why it must not be sent in any case."""


def judge(candidate: Candidate, validators: Sequence[Validator]) -> Judgement:
    """Ask each validator in order; each sees the text as those before it have left it.

    Never raises for what a validator does wrong.
    """
    text, usable = candidate.text, True
    shown = candidate
    notes: list[str] = []
    rulings: list[Ruling] = []
    faults: list[tuple[str, Exception]] = []
    for validator in validators:
        if shown.text != text:
            shown = replace(candidate, text=text)
        try:
            verdict = validator.judge(shown)
            word = _word(verdict, text)
        except Exception as error:  # noqa: BLE001 - an operator's code may fail in any way
            faults.append((validator.name, error))
            rulings.append((validator.name, "error"))
            continue
        rulings.append((validator.name, word))
        if isinstance(verdict, Block):
            return Judgement(
                text="", rulings=tuple(rulings), faults=tuple(faults), blocked=verdict.reason
            )
        if isinstance(verdict, Fix):
            text = verdict.text
        elif isinstance(verdict, Retry):
            notes.append(verdict.note)
            usable = usable and bool(verdict.instead.strip())
            text = verdict.instead or text
        elif isinstance(verdict, Doubt):
            notes.append(verdict.note)
    if not text.strip() and not notes:
        notes.append(EMPTY_NOTE)
        rulings.append(("empty", "retry"))
    return Judgement(
        text=text.strip() if usable else "",
        notes=tuple(notes),
        rulings=tuple(rulings),
        doubts=tuple(name for name, word in rulings if word == "doubt"),
        faults=tuple(faults),
    )


def _word(verdict: object, text: str) -> str:
    """Name a verdict; raises TypeError for what is none, such as a forgotten return."""
    if isinstance(verdict, Fix):
        return "keep" if verdict.text == text else "fix"
    for kind, word in ((Keep, "keep"), (Retry, "retry"), (Doubt, "doubt"), (Block, "block")):
        if isinstance(verdict, kind):
            return word
    raise TypeError(f"a validator returned {type(verdict).__name__} and no verdict")


def retry_note(notes: Sequence[str]) -> str:
    """Why an answer was not sent, for the model: data, since it may quote what customers wrote."""
    return f"[Your last answer was not sent to the customer. {' '.join(notes)}]"
