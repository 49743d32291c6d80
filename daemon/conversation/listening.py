"""Having recordings heard: as far as their format, their length and the day's budget allow it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from daemon.assistant.sound import spoken_seconds
from daemon.conversation.live_config import LiveConfig
from daemon.domain.limits import MICROS, Budget, Charge, Use, day_of, heard_use
from daemon.domain.messages import ChatKey
from daemon.domain.prompt.media_text import DEAF, STRANGE, UNPAID
from daemon.errors import AssistantError, MediaRefused, ModelTemporary
from daemon.ledger.usage import UsageBook
from daemon.observability.metrics import Metrics

# Paying for what belongs to no run of the model: voice notes that are heard, and those we speak.
#
# What a call is expected to cost is charged in the write that asks whether the day's budget allows
# it, so that of two calls only one gets what is left. It is made good when the call has ended: a
# failed one costs nothing, as with calls of the model, and a made voice note costs what it lasts. A
# call that a stop or a crash cuts stays charged.


class Reservation:
    """What one call was charged. `settle` and `release` are called by who made the call."""

    def __init__(self, call_budget: "CallBudget", key: ChatKey, charge: Charge) -> None:
        self._call_budget = call_budget
        self._key = key
        self._charge = charge

    async def settle(self, cost: Use) -> None:
        """The call was made and costs so much. Raises StoreError."""
        self._call_budget.metrics.cost.inc(cost.micros / MICROS)
        await self._correct(cost.micros - self._charge.use.micros)

    async def release(self) -> None:
        """The call failed. Raises StoreError."""
        await self._correct(-self._charge.use.micros)

    async def _correct(self, micros: int) -> None:
        if micros:
            await self._call_budget.usage.charge(
                self._key, Charge(self._charge.day, Use(micros=micros))
            )


class CallBudget:
    """The day's budget for calls outside of runs. Any task may use it."""

    def __init__(
        self,
        usage: UsageBook,
        live_config: LiveConfig,
        *,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        """``live_config`` has the prices and limits of the moment; ``now`` gives Unix seconds."""
        self.usage = usage
        self.metrics = metrics
        self._live_config = live_config
        self._now = now

    @property
    def budget(self) -> Budget:
        """The limits and prices of the moment."""
        return self._live_config.current.rules.budget

    async def reserve(self, key: ChatKey, cost: Use) -> Reservation | None:
        """Charge a call of a chat before it is made; None if the day's budget does not allow it.

        What costs nothing is always allowed. Raises StoreError.
        """
        charge = Charge(day_of(self._now(), self._live_config.current.rules.zone), cost)
        if cost.micros and await self.usage.take(key, charge, self.budget):
            return None
        return Reservation(self, key, charge)


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
