"""Finding in a text the names of a person and what it repeats of their words. Pure."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from daemon.reading.messages import QUOTED_CHARACTERS

SHORTEST_NAME = 3
"""Characters; anything shorter is in too many words."""

SHORTEST_PASSAGE = 12
"""Characters; "de acuerdo" is said by everybody."""

_QUOTED = re.compile(r"(?m)^(> )(.+)$|^(?=.*\]$)(.*?\bto: )(.+)(?=\]$)")
"""How `daemon.reading.messages` shows what a message quotes, and what is reacted to."""


class RepeatedWords:
    """Replaces names and repeated words of one person, in plain texts and inside of JSON."""

    def __init__(self, *, names: Iterable[str], passages: Iterable[str], instead: str) -> None:
        """``instead`` stands where something was taken out.

        A name counts as a whole and by its first word, since that is how people are addressed.
        """
        plain = {" ".join(name.split()) for name in names}
        called = {word for name in plain for word in (name, name.partition(" ")[0])}
        usable = sorted((n for n in called if _is_name(n)), key=len, reverse=True)
        self._names = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(_loosely, usable))})(?!\w)", re.IGNORECASE)
            if usable
            else None
        )
        self._said = {_plain(passage)[:QUOTED_CHARACTERS] for passage in passages}
        self._passages = sorted(
            (said for said in self._said if len(said) >= SHORTEST_PASSAGE), key=len, reverse=True
        )
        self._instead = instead

    def taken_out(self, text: str) -> str:
        """Our own words without names and repeated words."""
        return _inside(text, self._without_all)

    def unquoted(self, text: str) -> str:
        """The words of others, without what they quote of the person."""
        return _inside(text, self._without_quotes)

    def _without_all(self, text: str) -> str:
        text = self._without_quotes(text)
        lower = _plain(text)
        for passage in self._passages:
            if passage in lower:
                text = re.sub(_loosely(passage), self._instead, text, flags=re.IGNORECASE)
        return self._names.sub(self._instead, text) if self._names else text

    def _without_quotes(self, text: str) -> str:
        return _QUOTED.sub(self._quote, text)

    def _quote(self, found: re.Match[str]) -> str:
        mark, quoted = found[1] or found[3], found[2] or found[4]
        return f"{mark}{self._instead}" if _plain(quoted) in self._said else found[0]


def _is_name(text: str) -> bool:
    return len(text) >= SHORTEST_NAME and any(map(str.isalpha, text))


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _loosely(text: str) -> str:
    """A pattern of words, however they are set apart."""
    return r"\s+".join(map(re.escape, text.split()))


def _inside(text: str, change: Callable[[str], str]) -> str:
    """Change a text, or all texts within it if it is JSON; the same text if nothing changes."""
    try:
        whole = json.loads(text) if text[:1] in {"{", "["} else None
        if whole is not None:
            changed = _changed(whole, change)
            return text if changed == whole else json.dumps(changed, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass  # it is no JSON, or nested deeper than ours ever is
    return change(text)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        # Arguments of a call are JSON in a text of JSON.
        return _inside(value, change)
    if isinstance(value, list):
        return [_changed(inner, change) for inner in value]
    if isinstance(value, dict):
        return {key: _changed(inner, change) for key, inner in value.items()}
    return value
