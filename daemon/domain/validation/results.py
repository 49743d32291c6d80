"""Validators: what one is given, what it may return, and how they run one after the other. Pure.

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
"""Names appear in the log, the settings and a label of the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer on its way to the customer, and what it may be compared with."""

    text: str
    """The answer, as changed by the validators before this one."""
    inbound: str = ""
    """The customer's words that it answers."""
    instructions: str = ""
    """The model's instructions."""
    internal: tuple[str, ...] = ()
    """Texts for the model alone: the context line, notes."""
    agent_note: str = ""
    """The line over an agent's words in the thread, a template with ``{name}``."""
    tool_outputs: tuple[str, ...] = ()
    """The outputs of this turn's tools; empty if none was called."""
    remembered: tuple[str, ...] = ()
    """The earlier conversation, tools included, oldest first."""
    incomplete: str = ""
    """Why the model's output was cut, if it was."""
    language: str = "es"
    """Of the business, ``es`` or ``en``."""

    @property
    def heard(self) -> str:
        """The former name of ``inbound``, which goes on working in operators' validators."""
        return self.inbound

    @property
    def characters(self) -> int:
        """The length of all texts together."""
        texts = (self.text, self.inbound, self.instructions, *self.internal)
        return sum(map(len, (*texts, *self.tool_outputs, *self.remembered)))


@dataclass(frozen=True, slots=True)
class Keep:
    """No objection."""


@dataclass(frozen=True, slots=True)
class Fix:
    """The answer is replaced by this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The model should try again with this note, in English; the customer never sees it."""

    note: str
    instead: str = ""
    """Sent if there is no second try, or it is no better; empty: the safe text."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The model should try again with this note, but the answer may be sent.

    If there is no second try, or it is no better, the answer is sent and marked for review: in the
    dashboard, in `recado explain` and in the metrics.
    """

    note: str
    """In English; the customer never sees it."""


@dataclass(frozen=True, slots=True)
class Block:
    """The answer must not be sent, and a second try would not help: the safe text is sent."""

    reason: str
    """For the log; names no person and quotes no text."""


Verdict = Keep | Fix | Retry | Doubt | Block

KEEP = Keep()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A function that checks one aspect of an answer."""

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
"""The instruction that follows the note."""

Ruling = tuple[str, str]
"""A validator's name and its verdict in one word: keep, fix, retry, doubt, block or error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The result of all validators together."""

    text: str
    """The text that may be sent; empty: the safe text is sent instead."""
    notes: tuple[str, ...] = ()
    """Why the model should try again; empty if it need not."""
    rulings: tuple[Ruling, ...] = ()
    """One for each validator that ran, in order."""
    doubts: tuple[str, ...] = ()
    """The validators that doubt it; if it is sent, a person should review it."""
    faults: tuple[tuple[str, Exception], ...] = ()
    """Validators that raised, and what; they count as if they had kept the answer."""
    blocked: str = ""
    """Why it must not be sent in any case."""


def judge(candidate: Candidate, validators: Sequence[Validator]) -> Judgement:
    """Run the validators in order; each sees the text as changed by those before it.

    An exception of a validator is recorded and never raised.
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
    """Name a verdict; raises TypeError for anything else, such as a forgotten return."""
    if isinstance(verdict, Fix):
        return "keep" if verdict.text == text else "fix"
    for kind, word in ((Keep, "keep"), (Retry, "retry"), (Doubt, "doubt"), (Block, "block")):
        if isinstance(verdict, kind):
            return word
    raise TypeError(f"a validator returned {type(verdict).__name__} and no verdict")


def retry_note(notes: Sequence[str]) -> str:
    """Why an answer was not sent, for the model. It is data, since it may quote customers."""
    return f"[Your last answer was not sent to the customer. {' '.join(notes)}]"
