"""A stored conversation as a case, without what names a person. Pure."""

import json
import re
from collections.abc import Iterator, Sequence

from daemon.domain.knowledge.words import language_of
from daemon.domain.redaction import mask_private
from daemon.ledger.recordings import RecordedTurn

NAME, NUMBER, MAIL = "Laura", "573001234567", "laura@example.com"
"""In the place of those of the customer."""

LEAST_LETTERS = 3
"""Of a part of a name; shorter ones are words."""

_MASKED_MAIL = re.compile(r"[\w.+%-]…@[\w.-]+")
_MASKED_NUMBER = re.compile(r"\+?\d{0,8}…\d+")
"""What `mask_private` leaves of an address, and of a number."""


def anonymous(text: str, names: Sequence[str]) -> str:
    """A text with another name, number and address in place of a person's."""
    masked = _MASKED_MAIL.sub(MAIL, mask_private(text))
    masked = _MASKED_NUMBER.sub(NUMBER, masked)
    for pattern in sorted(_names(names), key=len, reverse=True):
        masked = re.sub(rf"\b{pattern}\b", NAME, masked, flags=re.IGNORECASE)
    return masked


def _names(names: Sequence[str]) -> set[str]:
    """Patterns of whole names and of their longer parts, whatever signs are around them."""
    found: set[str] = set()
    for name in names:
        words = re.findall(r"\w+", name)
        found |= {word for word in words if len(word) >= LEAST_LETTERS}
        if len(words) > 1:
            found.add(r"\W+".join(words))
    return found


def quoted(text: str) -> str:
    """A text as TOML writes it: as JSON does, but that no control character is left as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_case(recordings: Sequence[RecordedTurn], name: str, own_tools: Sequence[str]) -> str:
    """A case with these turns of one chat, ready to be given what must hold.

    ``own_tools``: the operator's, whose results the case has.
    """
    return "\n".join(_lines([one for one in recordings if one.says], name, own_tools)) + "\n"


def _lines(turns: Sequence[RecordedTurn], name: str, own_tools: Sequence[str]) -> Iterator[str]:
    names = [turn.name for turn in turns]

    def shown(text: str) -> str:
        return quoted(anonymous(text, names))

    yield "# Made of a stored conversation. Say what must hold: said, not_said, called, judge …"
    yield "[[case]]"
    yield f"name = {shown(name)}"
    if any(names):
        yield f"customer = {json.dumps(NAME)}"
    for tool, given in _outputs(turns, own_tools).items():
        yield f"tools.{tool} = [{', '.join(map(shown, given))}]"
    for turn in turns:
        yield "\n[[case.turn]]"
        yield f"says = [{', '.join(map(shown, turn.says))}]"
        called = dict.fromkeys(call.tool for call in turn.calls if call.tool in own_tools)
        if called:
            yield f"called = {json.dumps(list(called))}"
        if language := language_of(" ".join(turn.answers), ""):
            yield f"language = {json.dumps(language)}"
        for answer in turn.answers:
            yield f"# was answered: {shown(answer)}"


def _outputs(turns: Sequence[RecordedTurn], own_tools: Sequence[str]) -> dict[str, list[str]]:
    outputs: dict[str, list[str]] = {}
    for turn in turns:
        for call in turn.calls:
            if call.tool in own_tools:
                outputs.setdefault(call.tool, []).append(call.output)
    return outputs
