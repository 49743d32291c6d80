"""Removes secrets from a text, and shortens what identifies a person.

Pure, and linear in the length of the text, since the log passes every word through it. Numbers of
telephones, cards and identity papers and e-mail addresses are shortened; digits of any script
count. Times, dates, network addresses and amounts stay. Values of type int and float are left
alone: times, counts and durations are logged as numbers, people are named in text.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from daemon.domain.ids import SERVERS

# -- numbers and addresses of persons --------------------------------------------------------------


# Phones write numbers with non-breaking blanks and hyphens, people break them over lines; hidden
# characters or the frame of an emoji may stand between two digits.
_BETWEEN = r"[\s.()\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2066-\u2069\ufe0f\u20e3-]"
_START = r"(?<![0-9A-Za-z])"
_END = r"(?![0-9A-Za-z])"

_KEPT = (
    rf"{_START}[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}{_END}"  # UUID
    r"|(?<![0-9A-Za-z.])(?:0|1[0-9]{9})\.[0-9]+(?![0-9A-Za-z@])"  # decimals, Unix times
    r"|(?<![0-9.-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9-])"  # dates
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?![0-9])"  # times of a day
    r"|[$€£]\s?[0-9]{1,3}(?:[.,][0-9]{3})++(?![0-9])"  # money
    r"|(?<![0-9A-Za-z.,])(?:[0-9][.,][0-9]{3}[.,][0-9]{3}|[0-9]{1,3}[.,][0-9]{3})(?![0-9.,-])"
    r"|(?<![0-9A-Za-z.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}"  # IPv4
    r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9.-])"
)
# Mexico's CURP and RFC; Spain's NIE and DNI; passports; Chile's RUT; social security; IBAN.
_PAPERS = (
    rf"{_START}(?:[A-Z]{{4}}[0-9]{{6}}[A-Z0-9]{{8}}|[A-ZÑ&]{{3,4}}[0-9]{{6}}[A-Z0-9]{{3}}"
    r"|[XYZxyz]-?[0-9]{7}-?[A-Za-z]|[0-9]{7,8}-?[A-Za-z]|[A-Z]{1,3}[0-9]{6,9}"
    r"|[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}-[0-9kK]|[0-9]{3}-[0-9]{2}-[0-9]{4}"
    rf"|[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?){_END}"
)
# E.164 allows 15 digits (ITU-T); fewer than 8 are no international number; cards have up to 19.
_PRIVATE = re.compile(
    rf"(?P<keep>{_KEPT})"
    rf"|(?P<paper>{_PAPERS})"
    rf"|(?P<word>{_START}(?:[A-Za-z]?[a-z]{{1,11}}|[A-Z]{{2,12}})?)"
    rf"(?P<number>\+[0-9](?:{_BETWEEN}{{0,3}}[0-9]){{7,18}}(?![0-9])"
    rf"|[0-9]{{8,19}}{_END}"
    rf"|[0-9]{{1,7}}(?:{_BETWEEN}{{1,3}}[0-9]{{1,7}}(?![0-9])){{1,18}})"
)

# Cards are found whatever stands before and after, and between their groups: four, four, four and
# the rest, or four, six and five. The first digit comes before what looks back from it: `re` then
# passes over all other characters at once, in a tenth of the time.
_CARD = re.compile(
    r"[2-6](?<![0-9].)(?<![0-9]\..)(?:[0-9]{12,18}"
    r"|[0-9]{3}([^0-9A-Za-z]{1,6})[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}"
    r"|(?<=3)[47][0-9]{2}([^0-9A-Za-z]{1,6})[0-9]{6}\2[0-9]{5})(?![0-9])"
)

_MAY_HOLD_NUMBER = re.compile(rf"[0-9](?:{_BETWEEN}{{0,3}}[0-9]){{5}}")
"""Matches every text that holds one of the above, and few others; quick to search."""

_NOT_DOMAINS = "|".join(map(re.escape, SERVERS))
_EMAIL = re.compile(
    rf"(?<![\w.+%-])([\w.+%-])[\w.+%-]*+@(?!(?:{_NOT_DOMAINS})(?![\w.-]))"
    r"([\w-]++(?:\.[\w-]++)++)"
)
_OTHER_DIGITS = re.compile(
    r"[^\D0-9]|[\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c"
    r"\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]"
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|[nrt])|%(2[0Bb]|40)")
"""A character as JSON, ``repr`` (of a ``KeyError``, say) and URLs write it."""
_SCOPED = re.compile(r"([A-Z](?<![A-Za-z0-9.].)[A-Z]\.(?:ENT\.)?[A-Za-z0-9]{4})[A-Za-z0-9]{6,}")
"""Meta's business-scoped id of a person, of which the first signs are kept."""

_BLANK = re.compile(_BETWEEN)
_NOT_DIGITS = re.compile(r"[^0-9]+")

LEAST_DIGITS = 8
LONGEST_NUMBER = 15
LEAST_CARD = 13
"""Digits; ISO/IEC 7812 has numbers of payment cards of 13 to 19."""


def mask_private(text: str) -> str:
    """Shorten numbers of persons, cards and papers, and e-mail addresses in ``text``."""
    plain = _plain(text)
    masked = _without_numbers(plain)
    if "@" in masked:
        masked = _EMAIL.sub(r"\1…@\2", masked)
    return text if masked == plain else masked


def mask_numbers(text: str) -> str:
    """Shorten numbers in ``text``: ``573001234567@s.whatsapp.net`` keeps ``5730…4567``.

    At least four digits are hidden, so of a number under 12 digits fewer than four stay at each
    end; of a payment card (by its check digit, ISO/IEC 7812-1) the last four stay.
    """
    plain = _plain(text)
    masked = _without_numbers(plain)
    return text if masked == plain else masked


def _plain(text: str) -> str:
    """The text with its digits, blanks and signs in ASCII."""
    if "\\" in text or "%" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if not text.isascii():
        text = _OTHER_DIGITS.sub(_as_ascii, text.replace("\uff20", "@"))
    return text


def _without_numbers(text: str) -> str:
    text = _SCOPED.sub(r"\1…", _CARD.sub(_mask_card, text))
    return _PRIVATE.sub(_mask, text) if _MAY_HOLD_NUMBER.search(text) else text


def _mask_card(found: re.Match[str]) -> str:
    digits = _NOT_DIGITS.sub("", found[0])
    return f"…{digits[-4:]}" if is_card(digits) else found[0]


def _mask(found: re.Match[str]) -> str:
    if found["keep"] is not None:
        return found[0]
    if (paper := found["paper"]) is not None:
        return f"{paper[0]}…{paper[-1]}"
    number = found["number"]
    digits = _NOT_DIGITS.sub("", number)
    if not len(digits) >= LEAST_DIGITS:
        return found[0]
    if len(digits) >= LEAST_CARD and is_card(digits):
        return f"{found['word']}…{digits[-4:]}"
    if len(digits) > LONGEST_NUMBER and digits == number:
        return found[0]  # an id or a time in nanoseconds
    shown = min(4, (len(digits) - 4) // 2)
    return f"{found['word']}{digits[:shown]}…{digits[-shown:]}"


def is_card(digits: str) -> bool:
    """Tell whether the last digit is the check digit of the others, by Luhn's formula."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    sign = chr(int(code, 16)) if code else " "
    return sign if code == found[3] or sign.isdigit() or _BLANK.match(sign) else found[0]


def _as_ascii(found: re.Match[str]) -> str:
    return str(unicodedata.digit(found[0], 0))


HIDDEN = "[secret]"
"""Replaces a secret."""

Words = Literal["masked", "none", "full"]
"""How people's words are written: with numbers and addresses shortened, not at all, or in full."""

SAID = frozenset({"text", "name"})
"""The fields of events with texts of people, the model and agents, and how people call
themselves."""

_MAX_DEPTH = 8
"""Levels of nested values that are shown; deeper ones become text."""

_SHORT_CHARACTERS = 40
_SHORT_KEPT = 2_048
"""Ids of chats, kinds and names of fields repeat, so the results for this many short words are
cached: masking an id costs ten times as much as finding it. Sentences are not cached: they are
a person's text, and hardly ever repeat."""

_WORD_LENGTH = 8
"""Shorter secrets are only removed as whole words: "dev" must not spoil "device"."""

_CREDENTIAL_MARKS = ("=", "bearer", "basic", "sk-")
"""The lower case of every text that holds a credential has one of these."""

_CREDENTIALS = re.compile(
    r"(?P<before>\b(?:Bearer|Basic)\s+|[?&](?:token|access_token|api_key|key|secret)=)"
    r"[^\s\"'&#,;<>\\]{4,}"
    r"|(?<![0-9A-Za-z])sk-[0-9A-Za-z_-]{8,}",
    re.IGNORECASE,
)


class Redactor:
    """Removes the given secrets and whatever looks like a credential; masks what names a person.

    The result depends on the text alone. May be called from any task or thread.
    """

    def __init__(self, secrets: Iterable[str] = (), *, words: Words = "masked") -> None:
        """``words``: see `Words`. Secrets are removed in any case."""
        self._words = words
        self._forms = _forms_of(secrets)
        self._secrets = _pattern_of(self._forms)
        self._short = lru_cache(_SHORT_KEPT)(self._redacted)

    def text(self, text: str) -> str:
        """Return ``text`` without secrets, and with what names a person shortened."""
        is_word = len(text) <= _SHORT_CHARACTERS and " " not in text
        return self._short(text) if is_word else self._redacted(text)

    def _redacted(self, text: str) -> str:
        # Searching for fixed words first saves running the patterns on nearly every text.
        for form in self._forms:
            if form in text:
                text = self._secrets.sub(HIDDEN, text)
                break
        lowered = text.lower()
        for mark in _CREDENTIAL_MARKS:
            if mark in lowered:
                text = _CREDENTIALS.sub(_hide, text)
                break
        return text if self._words == "full" else mask_private(text)

    def fields(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return named values, each as `value` gives it, the names redacted too."""
        name_of, text, value = self._short, self.text, self.value
        if self._words == "none" and not SAID.isdisjoint(given):
            given = {name: inner for name, inner in given.items() if name not in SAID}
        return {
            name_of(name): text(inner) if type(inner) is str else value(inner)
            for name, inner in given.items()
        }

    def value(self, value: object, *, depth: int = 0) -> object:
        """Return ``value`` as plain JSON values with every text in it redacted, keys too.

        Exceptions are shown by their message, anything unknown by its ``repr``.
        """
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping) and depth < _MAX_DEPTH:
            return {
                self.text(str(key)): self.value(inner, depth=depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
            return [self.value(inner, depth=depth + 1) for inner in value]
        return self.text(_shown(value))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    show: Callable[[object], str] = str if isinstance(value, BaseException) else repr
    try:
        return show(value)
    except Exception:  # noqa: BLE001 - writing a log line must not fail for a broken __repr__
        return f"<{type(value).__name__} that cannot be shown>"


def _hide(found: re.Match[str]) -> str:
    return (found["before"] or "") + HIDDEN


def _forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """Every secret as it is and as JSON, repr and URLs write it, the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if secret:
            forms |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
    return tuple(sorted(forms, key=len, reverse=True))


def _pattern_of(forms: Iterable[str]) -> re.Pattern[str]:
    """A pattern of all forms; only used on texts that hold one."""
    parts = [
        re.escape(form)
        if len(form) >= _WORD_LENGTH
        else rf"(?<![0-9A-Za-z]){re.escape(form)}(?![0-9A-Za-z])"
        for form in forms
    ]
    return re.compile("|".join(parts))
