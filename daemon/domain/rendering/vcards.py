"""Contact cards: reading the names and numbers in a vCard, and writing one. Pure.

Cards are a stranger's text and may hold pictures, so only a limited number of lines, those that
identify the person, are given to the library.
"""

import logging
import re
from dataclasses import dataclass

import vobject  # type: ignore[import-untyped]
from vobject.base import VObjectError  # type: ignore[import-untyped]

# The library logs the lines that it cannot read as errors, with a customer's numbers in them.
logging.getLogger("vobject.base").disabled = True

MOST_CHARACTERS = 100_000
MOST_LINES = 60
MOST_NUMBERS = 5
SHOWN_CHARACTERS = 100

_FOLD = re.compile(r"\r?\n[ \t]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WANTED = re.compile(
    r"(?<![\w-])(?:[\w-]++\.)?(?:BEGIN|VERSION|N|FN|TEL|ORG|EMAIL|END)"
    r"(?:;[\w-]++(?:=(?:\"[^\"\x00-\x1f\x7f]*+\"|[\w .,/+-]*+))?+)*+:",
    re.IGNORECASE,
)
"""The lines that are given to the library: only with parameters of the plain form, since its own
pattern takes exponential time for others (``TEL;a==|==|==``)."""


@dataclass(frozen=True, slots=True)
class PersonCard:
    """The person on a card; missing fields are empty."""

    name: str = ""
    numbers: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    organisation: str = ""


def read_card(vcard: str) -> PersonCard:
    """Read one vCard; unreadable parts are left out."""
    lines = _FOLD.sub("", vcard[:MOST_CHARACTERS]).splitlines()
    kept = [line.strip() for line in lines if len(line) < 500 and _WANTED.match(line.strip())]
    if not kept:
        return PersonCard()
    kept = [line for line in kept[:MOST_LINES] if line.upper() != "END:VCARD"]
    # Later versions have no quoted-printable: a "=" at the end of a line does not join the next.
    is_later = any(line.upper().startswith(("VERSION:3", "VERSION:4")) for line in kept)
    try:
        text = "\r\n".join([*kept, "END:VCARD"])
        found = vobject.readOne(text, ignoreUnreadable=True, allowQP=not is_later)
        values = {name: _values(found.contents.get(name, ())) for name in ("fn", "n", *_SEVERAL)}
    except (VObjectError, ValueError, AttributeError, TypeError, LookupError):
        return PersonCard()
    names = (*values["fn"], *values["n"])
    return PersonCard(
        name=next(iter(names), ""),
        numbers=values["tel"][:MOST_NUMBERS],
        emails=values["email"][:MOST_NUMBERS],
        organisation=next(iter(values["org"]), ""),
    )


_SEVERAL = ("tel", "email", "org")


def written_card(name: str, digits: str, *, organisation: str = "", email: str = "") -> str:
    """Write a vCard 3.0 (RFC 2426); ``digits``: a number in international form, without a plus.

    The parameter ``waid`` lets WhatsApp offer to write to the number.
    """
    lines = [f"N:;{_escaped(name)};;;", f"FN:{_escaped(name)}"]
    lines += [f"ORG:{_escaped(organisation)}"] if organisation else []
    lines += [f"TEL;type=CELL;waid={digits}:+{digits}"]
    lines += [f"EMAIL:{_escaped(email)}"] if email else []
    return "\n".join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD"])


def _escaped(value: str) -> str:
    plain = _CONTROL.sub("", " ".join(value.split()))
    return re.sub(r"([\\,;])", r"\\\1", plain)


def _values(lines: object) -> tuple[str, ...]:
    """The distinct values of one property, as short plain texts."""
    found: dict[str, None] = {}
    for line in lines if isinstance(lines, list) else ():
        value = line.value
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        if short := " ".join(text.split())[:SHOWN_CHARACTERS]:
            found[short] = None
    return tuple(found)
