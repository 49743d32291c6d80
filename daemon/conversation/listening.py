"""Having recordings heard: as far as their format, their length and the day's budget allow it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from daemon.assistant.sound import spoken_seconds
from daemon.conversation.budget import CallBudget
from daemon.domain.limits import heard_use
from daemon.domain.messages import ChatKey
from daemon.domain.prompt.media_text import DEAF, STRANGE, UNPAID
from daemon.errors import AssistantError, MediaRefused, ModelTemporary
from daemon.observability.metrics import Metrics

THIN_SOUND = 2000
"""Bytes a second of a voice note of WhatsApp (Opus at 16 kbit/s); other sound has more."""

DENSEST_OPUS = 64_000
DENSEST_SOUND = 192_000
"""Bytes a second that no sound passes: Opus (510 kbit/s, RFC 6716, 2.1.1), and stereo that is not
compressed (48 kHz, 16 bits)."""


class Hear(Protocol):
    """What hears a recording; see `daemon.assistant.sound.Transcriber`."""

    def hears(self, mime: str) -> bool:
        """Whether it hears sound of a type at all."""

    async def hear(self, sound: bytes, mime: str) -> str:
        """Raises ModelTemporary or ModelRejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A sound that somebody has sent."""

    key: ChatKey
    """Whose budget pays for it."""
    path: Path
    mime: str
    """What its bytes are."""
    seconds: float
    """As its message says; 0 if it does not."""


class Listener:
    """Turns recordings into words. Any number of tasks may use it at once."""

    def __init__(self, hear: Hear | None, call_budget: CallBudget, metrics: Metrics) -> None:
        """``hear``: None if no model is set that hears."""
        self._hear = hear
        self._call_budget = call_budget
        self._metrics = metrics

    async def words_of(self, recording: Recording, *, longest_seconds: float) -> str:
        """The words in a recording, paid for by its length.

        Raises MediaRefused if it is not to be heard, ModelTemporary or ModelRejected if that
        failed, StoreError.
        """
        if self._hear is None:
            raise MediaRefused(DEAF)
        if not self._hear.hears(recording.mime):
            raise MediaRefused(f"{STRANGE}: {recording.mime}")
        try:
            sound = await trio.to_thread.run_sync(recording.path.read_bytes)
        except OSError as error:
            raise MediaRefused(f"its file cannot be read: {error.strerror}") from error
        told = max(spoken_seconds(sound), recording.seconds)
        if max(told, least_seconds(sound)) > longest_seconds:
            raise MediaRefused("it is too long to be heard")
        seconds = max(told, least_seconds(sound)) if told else len(sound) / THIN_SOUND
        cost = heard_use(seconds, self._call_budget.budget.hearing)
        reservation = await self._call_budget.reserve(recording.key, cost)
        if reservation is None:
            raise MediaRefused(UNPAID)
        try:
            words = await self._ask(self._hear, sound, recording.mime)
        except AssistantError:
            await reservation.release()
            raise
        await reservation.settle(cost)
        return words

    async def _ask(self, hear: Hear, sound: bytes, mime: str) -> str:
        outcome = "cancelled"
        try:
            words = await hear.hear(sound, mime)
            outcome = "ok"
        except ModelTemporary:
            outcome = "temporary"
            raise
        except AssistantError:
            outcome = "rejected"
            raise
        finally:
            self._metrics.count_upstream("model", "transcription", outcome)
        return words


def least_seconds(sound: bytes) -> float:
    """How long a recording lasts at least: its message and its last page are a stranger's words."""
    return len(sound) / (DENSEST_OPUS if sound.startswith(b"OggS") else DENSEST_SOUND)
