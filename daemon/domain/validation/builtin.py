"""The validators of every Recado, in order, and where an operator's own stand among them. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from daemon.domain.rendering.whatsapp_format import to_whatsapp
from daemon.domain.validation import facts, surface
from daemon.domain.validation.results import KEEP, Candidate, Doubt, Fix, Retry, Validator, Verdict
from daemon.errors import ValidatorError


def whatsapp(candidate: Candidate) -> Verdict:
    """Markdown becomes what WhatsApp shows."""
    text = to_whatsapp(candidate.text)
    return KEEP if text == candidate.text else Fix(text)


FIRST = (
    Validator(name="empty", judge=surface.empty),
    Validator(name="cut_off", judge=surface.cut_off),
    Validator(name="echo", judge=surface.echo),
    Validator(name="internal_ids", judge=surface.internal_ids),
    Validator(name="leaks", judge=surface.leaks),
    Validator(name="context_lines", judge=surface.context_lines),
    Validator(name="amounts", judge=facts.amounts),
)
LAST = (Validator(name="whatsapp", judge=whatsapp),)

BUILT_IN = tuple(validator.name for validator in (*FIRST, *LAST))
"""Their names, in order."""


def blocked_amounts(candidate: Candidate) -> Verdict:
    """What `facts.amounts` says, but a doubtful amount is not sent."""
    verdict = facts.amounts(candidate)
    return Retry(verdict.note) if isinstance(verdict, Doubt) else verdict


def in_order(
    own: Sequence[Validator],
    *,
    disabled: Sequence[str] = (),
    amounts: Literal["flag", "block"] = "flag",
) -> tuple[Validator, ...]:
    """All validators in their order: facts of the text, an operator's ``own``, then the format.

    ``disabled`` names those to leave out; ``amounts`` says what becomes of an answer with a
    doubtful amount after its second try. Raises ValidatorError for an unknown name in
    ``disabled``, or two validators of one name.
    """
    everyone = (*FIRST, *own, *LAST)
    if amounts == "block":
        everyone = tuple(
            replace(each, judge=blocked_amounts) if each.judge is facts.amounts else each
            for each in everyone
        )
    names = [validator.name for validator in everyone]
    for name in names:
        if names.count(name) > 1:
            raise ValidatorError(f"two validators are called {name}")
    for name in disabled:
        if name not in names:
            raise ValidatorError(
                f"validators.disabled: there is no validator {name}; there are {', '.join(names)}"
            )
    return tuple(validator for validator in everyone if validator.name not in disabled)
