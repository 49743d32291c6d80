"""The validators one after the other, and what comes of their verdicts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daemon.domain.validation.results import Block, Candidate, Doubt, Fix, Keep, Retry, Validator

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
