"""When a customer has finished writing: the window in which a burst is gathered. Pure.

A window is a value; a message or presence gives a new one, and `closes_at` says when to answer.
Times are seconds of any one clock. Typing alone never opens a window, and nothing keeps one open
for ever.
"""

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

VOICE_KINDS = frozenset({"voice", "audio", "ptt"})
WRITING = frozenset({"typing", "recording"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRules:
    """How long to wait, in seconds; the settings of section ``buffer``."""

    text_seconds: float
    voice_seconds: float
    """After a voice note; people often send another one."""
    typing_seconds: float
    """How long one sign of typing or recording counts."""
    stop_seconds: float
    """After the contact stops typing without sending."""
    max_wait_seconds: float
    max_messages: int


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A burst that is being gathered."""

    opened_at: float
    quiet_until: float
    """The end of the wait after the last message."""
    writing_until: float = 0
    """Until when the contact counts as typing or recording; 0 if not."""
    messages: int = 1


def after_message(window: Window | None, kind: str, now: float, rules: WindowRules) -> Window:
    """The window after a message of type ``kind``, which opens one or prolongs it.

    What the contact was typing has now been sent, so earlier signs of typing no longer count.
    """
    wait = rules.voice_seconds if kind in VOICE_KINDS else rules.text_seconds
    if window is None:
        return Window(opened_at=now, quiet_until=now + wait)
    return Window(
        opened_at=window.opened_at,
        quiet_until=max(window.quiet_until, now + wait),
        messages=window.messages + 1,
    )


def after_presence(
    window: Window | None, status: str, now: float, rules: WindowRules
) -> Window | None:
    """The window after a presence; a presence opens none."""
    if window is None:
        return None
    if status in WRITING:
        return replace(window, writing_until=now + rules.typing_seconds)
    if window.writing_until > now:
        return replace(window, writing_until=now + rules.stop_seconds)
    return window


def closes_at(window: Window, rules: WindowRules) -> float:
    """When the burst is to be answered, if nothing further comes."""
    if window.messages >= rules.max_messages:
        return window.opened_at
    return min(
        window.opened_at + rules.max_wait_seconds,
        max(window.quiet_until, window.writing_until),
    )
