"""Validators of what an answer claims: codes and amounts must have been said by somebody. Pure.

They look only at answers for which a tool was called: there the model had the facts before it, and
what it altered is an error and no small talk.
"""

import re
from collections import defaultdict

from daemon.validation.amounts import read_sources, strange_amounts
from daemon.validation.verdicts import KEEP, Candidate, Fix, Retry, Verdict

_CODE = re.compile(
    r"(?<![\w-])(?P<digits>\d{2,5})(?P<dash>\s?[-\u2010-\u2013]\s?)(?P<letter>[A-Za-z])(?![\w-])"
)
"""A room or apartment: digits, a dash, one letter, such as 1722-B."""

_PLACE = re.compile(
    r"\b(?:apartamentos?|apartaestudios?|aptos?|apts?|apartments?|habitaci[oó]n(?:es)?|rooms?|suites?"
    r"|caba[nñ]as?|unidad(?:es)?|units?|villas?|casas?|lofts?|studios?)\.?\s*(?:n[oº°]\.?|#)?\s*$",
    re.IGNORECASE,
)
"""What stands before a code that must be somewhere; elsewhere it may be part of an address."""


def _sources(candidate: Candidate) -> tuple[str, ...]:
    return (
        *candidate.tool_outputs,
        candidate.instructions,
        candidate.heard,
        *candidate.remembered,
        *candidate.internal,
    )


def codes(candidate: Candidate) -> Verdict:
    """A code with the right digits and a wrong letter is mended; an invented one is not sent."""
    if not candidate.tool_outputs:
        return KEEP
    known: defaultdict[str, set[str]] = defaultdict(set)
    for source in _sources(candidate):
        for match in _CODE.finditer(source):
            known[match["digits"]].add(match["letter"].upper())
    strange: list[str] = []

    def mend(match: re.Match[str]) -> str:
        letters = known.get(match["digits"], set())
        if match["letter"].upper() in letters:
            return match[0]
        if len(letters) == 1:
            return f"{match['digits']}{match['dash']}{next(iter(letters))}"
        if letters or _PLACE.search(candidate.text, max(0, match.start() - 40), match.start()):
            strange.append(match[0])
        return match[0]

    text = _CODE.sub(mend, candidate.text)
    if strange:
        return Retry(f"It names {_listed(strange)}, which no tool said. {_EXACT}")
    return Fix(text) if text != candidate.text else KEEP


def amounts(candidate: Candidate) -> Verdict:
    """An amount of money that nobody said, and that does not follow from what was, is wrong."""
    if not candidate.tool_outputs:
        return KEEP
    sources = read_sources(
        heard=candidate.heard,
        tools=candidate.tool_outputs,
        instructions=(candidate.instructions, *candidate.internal),
        before=candidate.remembered,
    )
    strange = strange_amounts(candidate.text, sources)
    if not strange:
        return KEEP
    return Retry(f"It says {_listed([s.written for s in strange])}, which no tool said. {_EXACT}")


_EXACT = "Use codes and amounts exactly as the tools gave them."


def _listed(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(words[:5]))
