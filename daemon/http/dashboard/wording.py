"""How pages write things: words of two languages, numbers, times.

Pure: the language and the time zone come in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one page in one language."""

    language: str
    zone: ZoneInfo
    now: float
    words: Mapping[str, str]
    """What stands for the English; a word that is missing stays English."""

    def t(self, english: str, **names: object) -> str:
        """Say something in the page's language; ``{name}`` stands for `names`."""
        said = self.words.get(english, english)
        return said.format_map(names) if names else said

    def figure(self, value: float, digits: int = 0) -> str:
        """Write a number with its thousands apart, as the language does."""
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "es" else text

    def money(self, value: float) -> str:
        """Write a sum of the configured currency; small ones with more digits."""
        return self.figure(value, 2 if value >= 1 or not value else 4)

    def span(self, seconds: float) -> str:
        """Write how long something took or has gone on, in its largest unit."""
        if seconds < 1:
            return f"{self.figure(seconds * 1000)} ms"
        if seconds < MINUTE:
            return f"{self.figure(seconds, 1 if seconds < 10 else 0)} s"
        if seconds < HOUR:
            return f"{int(seconds // MINUTE)} min"
        if seconds < DAY:
            return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"
        return f"{int(seconds // DAY)} d {int(seconds % DAY // HOUR)} h"

    def ago(self, at: float) -> str:
        """Write how long ago a moment was: ``5 min ago``, ``hace 5 min``."""
        passed = self.now - at
        if passed < MINUTE:
            return self.t("now")
        units = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))
        size, unit = next(pair for pair in units if passed >= pair[0])
        return self.t("{span} ago", span=f"{int(passed // size)} {unit}")

    def exact(self, at: float) -> str:
        """Write a moment in full, in the configured time zone."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def clock(self, at: float) -> str:
        """Write the time of day."""
        return f"{datetime.fromtimestamp(at, self.zone):%H:%M:%S}"

    def iso(self, at: float) -> str:
        """Write a moment for machines."""
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def size(self, count: float) -> str:
        """Write a number of bytes."""
        return f"{self.figure(count / 1024**2)} MB"
