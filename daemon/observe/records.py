"""What an output or a tap of the log is given: one event, fit to be shown. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from daemon.model import ChatKey
from daemon.observe.events import EventKind, Level


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event, redacted; only ``chat`` says who it is about."""

    kind: EventKind
    """What happened; `WARNING` and the like for a line in somebody's own words."""
    event: str
    """The name of the kind, or those words."""
    symbol: str
    level: Level
    at: datetime
    """When; aware, in the zone of the machine."""
    line: str
    """The line for people in the configured language, without time and symbol, numbers masked.

    One line as long as nobody's words hold a line break, which a renderer has to see to.
    """
    fields: Mapping[str, object]
    """The event's fields as plain JSON values, numbers masked; ``exception`` if it has one."""
    chat: ChatKey | None = None
    """The chat as it is: show it to nobody who may not see it. Its channel may be empty."""
    turn: str = ""
    """The turn that the event belongs to, such as ``turn_00112233aabb``."""


Tap = Callable[[LogRecord], None]
"""Is shown an event; must return at once and not raise, and may be called in any thread."""
