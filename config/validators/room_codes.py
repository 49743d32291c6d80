"""An example validator for a hotel: rooms and apartments with codes such as 1722-B.

Name this folder in `validators.folder`. It corrects a code with the right digits but wrong letter,
and sends back to the model an answer with a code that no tool named. It checks only answers for
which a tool was called: in these the model had the codes.
"""

import re
from collections import defaultdict

from daemon.tools.validators import KEEP, Candidate, Fix, Retry, Verdict, validator

CODE = re.compile(
    r"(?<![\w-])(?P<digits>\d{2,5})(?P<dash>\s?[-\u2010-\u2013]\s?)(?P<letter>[A-Za-z])(?![\w-])"
)
"""Digits, a dash, one letter."""

PLACE = re.compile(
    r"\b(?:apartamentos?|apartaestudios?|aptos?|apts?|apartments?|habitaci[oó]n(?:es)?|rooms?|suites?"
    r"|caba[nñ]as?|unidad(?:es)?|units?|villas?|casas?|lofts?|studios?)\.?\s*(?:n[oº°]\.?|#)?\s*$",
    re.IGNORECASE,
)
"""Words before a room code; without them a code may be part of an address."""

LOOK_BACK = 40
"""Characters before a code that are searched for `PLACE`."""


@validator
def room_codes(candidate: Candidate) -> Verdict:
    """Room codes are those that a tool, the instructions or the conversation named."""
    if not candidate.tool_outputs:
        return KEEP
    known: defaultdict[str, set[str]] = defaultdict(set)
    for source in (
        *candidate.tool_outputs,
        candidate.instructions,
        candidate.inbound,
        *candidate.remembered,
    ):
        for match in CODE.finditer(source):
            known[match["digits"]].add(match["letter"].upper())
    strange: list[str] = []

    def mend(match: re.Match[str]) -> str:
        letters = known.get(match["digits"], set())
        if match["letter"].upper() in letters:
            return match[0]
        if len(letters) == 1:
            return f"{match['digits']}{match['dash']}{next(iter(letters))}"
        start = match.start()
        if letters or PLACE.search(candidate.text, max(0, start - LOOK_BACK), start):
            strange.append(match[0])
        return match[0]

    text = CODE.sub(mend, candidate.text)
    if strange:
        names = ", ".join(dict.fromkeys(strange[:5]))
        return Retry(f"It names {names}, which no tool named. Use codes exactly as the tools do.")
    return Fix(text) if text != candidate.text else KEEP
