"""Takes secrets and what names a person out of whatever is about to be written down.

Pure functions of text, used by the log's last step and by anything else that shows stored words to
an operator. Numbers (int, float) are left alone: times, counts and durations are logged as numbers,
people are named in text.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from daemon.domain.masking import mask_private

HIDDEN = "[secret]"
"""Stands where a secret was."""

Words = Literal["masked", "none", "full"]
"""What is written of people's words: shortened numbers and addresses in them, nothing, or all."""

SAID = frozenset({"text", "name"})
"""The fields of events that hold what people, the model and agents say, and how people call
themselves."""

_MAX_DEPTH = 8
"""Levels of nested values that are shown; deeper ones become text."""

_SHORT_CHARACTERS = 40
_SHORT_KEPT = 2_048
"""Ids of chats, kinds and names of fields come again and again: so many words of that length are
remembered as they are shown. Masking an id costs ten times as much as finding it. Whole sentences
are not kept: they are somebody's, and hardly ever come twice."""

_WORD_LENGTH = 8
"""Shorter secrets are only taken out as whole words: "dev" must not spoil "device"."""

_CREDENTIAL_MARKS = ("=", "bearer", "basic", "sk-")
"""One of these is in the lower case of every text that holds a credential."""

_CREDENTIALS = re.compile(
    r"(?P<before>\b(?:Bearer|Basic)\s+|[?&](?:token|access_token|api_key|key|secret)=)"
    r"[^\s\"'&#,;<>\\]{4,}"
    r"|(?<![0-9A-Za-z])sk-[0-9A-Za-z_-]{8,}",
    re.IGNORECASE,
)


class Redactor:
    """Removes the given secrets, anything that looks like a credential, and what names a person.

    Always the same for the same text; may be called from any task or thread.
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
        # Looking for fixed words first spares nearly every text the patterns.
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
        text, value = self.text, self.value
        if self._words == "none" and not SAID.isdisjoint(given):
            given = {name: inner for name, inner in given.items() if name not in SAID}
        return {
            text(name): text(inner) if type(inner) is str else value(inner)
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
    """Every secret as it is and as JSON, repr and URLs write it; the longest first, it wins."""
    forms: set[str] = set()
    for secret in secrets:
        if secret:
            forms |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
    return tuple(sorted(forms, key=len, reverse=True))


def _pattern_of(forms: Iterable[str]) -> re.Pattern[str]:
    """Match each of the forms; only used on texts that hold one."""
    parts = [
        re.escape(form)
        if len(form) >= _WORD_LENGTH
        else rf"(?<![0-9A-Za-z]){re.escape(form)}(?![0-9A-Za-z])"
        for form in forms
    ]
    return re.compile("|".join(parts))
