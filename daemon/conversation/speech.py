"""Sound in both directions: transcripts of recordings, and voice notes as answers.

Such a call belongs to no run of the model. What it is expected to cost is charged in the write that
asks whether the day's budget allows it, so that of two calls only one gets what is left. The charge
is corrected when the call has ended: a failed one costs nothing, and a made voice note costs what
it lasts. A call that a stop or a crash cuts stays charged.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import trio

from daemon.conversation.live_config import ChatRules, LiveConfig
from daemon.conversation.telemetry import Telemetry
from daemon.domain.limits import MICROS, Budget, Charge, Use, day_of, speech_use, transcription_use
from daemon.domain.messages import ChatKey, JsonObject, Media
from daemon.domain.prompt.media_text import NO_TRANSCRIPTION, STRANGE, UNPAID
from daemon.domain.records import OutboxRow, Turn
from daemon.domain.rendering.opus import spoken_seconds
from daemon.domain.rendering.split import is_fit, spoken_parts, spoken_words
from daemon.errors import (
    AssistantError,
    FilesUnavailable,
    MediaRefused,
    ModelTemporary,
)
from daemon.ledger.files import KeptFiles
from daemon.ledger.outbox import Outbox
from daemon.ledger.usage import UsageBook
from daemon.observability.events import VOICE_ERROR
from daemon.observability.metrics import Metrics


class Reservation:
    """The charge of one call. `settle` and `release` are called by the task that made the call."""

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
            charge = Charge(self._charge.day, Use(micros=micros))
            await self._call_budget.usage.charge(self._key, charge)


class CallBudget:
    """The day's budget for calls outside of runs. Any task may use it."""

    def __init__(
        self, usage: UsageBook, config: LiveConfig, *, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        """``now`` gives Unix seconds."""
        self.usage = usage
        self.metrics = metrics
        self._config = config
        self._now = now

    @property
    def budget(self) -> Budget:
        """The limits and prices of the moment."""
        return self._config.rules.budget

    async def reserve(self, key: ChatKey, cost: Use) -> Reservation | None:
        """Charge a call of a chat before it is made; None if the day's budget does not allow it.

        What costs nothing is always allowed. Raises StoreError.
        """
        charge = Charge(day_of(self._now(), self._config.rules.zone), cost)
        if cost.micros and await self.usage.take(key, charge, self.budget):
            return None
        return Reservation(self, key, charge)


@contextmanager
def _counted(metrics: Metrics, operation: str) -> Iterator[None]:
    """Count the call of the model that the block makes by its outcome."""
    outcome = "cancelled"
    try:
        yield
        outcome = "ok"
    except AssistantError as error:
        outcome = "temporary" if isinstance(error, ModelTemporary) else "rejected"
        raise
    finally:
        metrics.count_upstream("model", operation, outcome)


# -- hearing ----------------------------------------------------------------------------------

THIN_SOUND = 2000
"""Bytes a second of a voice note of WhatsApp (Opus at 16 kbit/s); other sound has more."""

DENSEST_OPUS = 64_000
DENSEST_SOUND = 192_000
"""Bytes a second that no sound passes: Opus (510 kbit/s, RFC 6716, 2.1.1), and stereo that is not
compressed (48 kHz, 16 bits)."""


class TranscriptionModel(Protocol):
    """Transcribes a recording; see `daemon.assistant.sound.Transcriber`."""

    def accepts(self, mime: str) -> bool:
        """Whether it takes audio of a type at all."""

    async def transcribe(self, sound: bytes, mime: str) -> str:
        """Return the words. Raises ModelTemporary or ModelRejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A received sound file."""

    key: ChatKey
    """The chat whose budget pays for it."""
    path: Path
    mime: str
    """The type of its bytes."""
    seconds: float
    """As its message says; 0 if it does not."""


class BudgetedTranscriber:
    """Transcribes recordings within the budget. Any number of tasks may use it at once."""

    def __init__(
        self, model: TranscriptionModel | None, call_budget: CallBudget, metrics: Metrics
    ) -> None:
        """``model``: None if no transcription model is set."""
        self._model = model
        self._call_budget = call_budget
        self._metrics = metrics

    async def words_of(self, recording: Recording, *, longest_seconds: float) -> str:
        """The words in a recording, paid for by its length.

        Raises MediaRefused if it is not to be transcribed, ModelTemporary or ModelRejected if that
        failed, StoreError.
        """
        if self._model is None:
            raise MediaRefused(NO_TRANSCRIPTION)
        if not self._model.accepts(recording.mime):
            raise MediaRefused(f"{STRANGE}: {recording.mime}")
        try:
            sound = await trio.to_thread.run_sync(recording.path.read_bytes)
        except OSError as error:
            raise MediaRefused(f"its file cannot be read: {error.strerror}") from error
        declared, least = max(spoken_seconds(sound), recording.seconds), least_seconds(sound)
        if max(declared, least) > longest_seconds:
            raise MediaRefused("it is too long to be transcribed")
        seconds = max(declared, least) if declared else len(sound) / THIN_SOUND
        cost = transcription_use(seconds, self._call_budget.budget.hearing)
        reservation = await self._call_budget.reserve(recording.key, cost)
        if reservation is None:
            raise MediaRefused(UNPAID)
        try:
            with _counted(self._metrics, "transcription"):
                words = await self._model.transcribe(sound, recording.mime)
        except AssistantError:
            await reservation.release()
            raise
        await reservation.settle(cost)
        return words


def least_seconds(sound: bytes) -> float:
    """The least duration of a recording by its size, whatever its sender claims."""
    return len(sound) / (DENSEST_OPUS if sound.startswith(b"OggS") else DENSEST_SOUND)


# -- speaking ---------------------------------------------------------------------------------

MAX_VOICE_TRIES = 3
"""A voice note that was not found in the chat after so many sends is written."""

SPOKEN = frozenset({"voice", "ptt"})
"""WhatsApp's names of voice notes; a forwarded audio file is none."""

SPEECH_UNPAID = "the day's budget does not pay for speech"
NO_SPEECH_MODEL = "there is no speech model any more"

MIME_TYPES = {"ogg": "audio/ogg; codecs=opus", "mp3": "audio/mpeg"}


class Speaker(Protocol):
    """A model that speaks."""

    @property
    def ending(self) -> Literal["ogg", "mp3"]:
        """Of the files that it makes."""

    async def speak(self, words: str) -> bytes:
        """The words as a file; raises AssistantError."""


class VoiceNotes:
    """Makes the voice notes of one number's answers. Called by the tasks of its chats.

    An answer is spoken if the customer spoke and its words are fit for it. The outbox holds the
    words; the voice note is made when its turn to be sent has come, once: its file is on the disk
    and named by the row before the send begins. If it cannot be made, or WhatsApp does not take it,
    the row becomes written words in one write, so that the two are never both sent.
    """

    def __init__(
        self,
        speech: Speaker | None,
        outbox: Outbox,
        files: KeptFiles,
        call_budget: CallBudget,
        telemetry: Telemetry,
    ) -> None:
        """``speech``: None if answers are written."""
        self._speech = speech
        self._outbox = outbox
        self._files = files
        self._call_budget = call_budget
        self._telemetry = telemetry

    def wanted(self, turn: Turn) -> bool:
        """True if the customer spoke in a turn, and we can speak."""
        contents = (stored.message.content for stored in turn.messages)
        return self._speech is not None and any(
            isinstance(content, Media) and content.medium in SPOKEN for content in contents
        )

    def parts(self, text: str, turn: Turn, rules: ChatRules) -> list[str]:
        """The words of the voice notes that an answer becomes; empty if it is to be written."""
        if not self.wanted(turn):
            return []
        parts = spoken_parts(text, most=rules.spoken_characters) if is_fit(text) else []
        if not parts or len(parts) > rules.max_bubbles:
            self._telemetry.metrics.voice_replies.labels("unfit").inc()
            return []
        return parts

    async def make(self, row: OutboxRow) -> OutboxRow:
        """Have the words of a pending row spoken, unless that is done; it is text if that fails.

        To be called shortly before the send.
        """
        if row.attempts >= MAX_VOICE_TRIES:
            return await self.write_instead(row, "not arrived after several tries", "refused")
        name = row.payload.get("file", "")
        if name and await self._is_made(name):
            return row
        speech = self._speech
        words, price = spoken_words(row.body), self._call_budget.budget.speech
        reservation = await self._call_budget.reserve(row.key, speech_use(len(words), price))
        if reservation is None:
            return await self.write_instead(row, SPEECH_UNPAID, "unpaid")
        if speech is None:
            await reservation.release()
            return await self.write_instead(row, NO_SPEECH_MODEL, "not_made")
        try:
            with _counted(self._telemetry.metrics, "speech"):
                data = await speech.speak(words)
        except AssistantError as error:
            await reservation.release()
            return await self.write_instead(row, str(error), "not_made")
        await reservation.settle(speech_use(len(words), price, seconds=spoken_seconds(data)))
        try:
            payload = await self._kept(data, speech.ending)
        except OSError as error:
            return await self.write_instead(row, str(error), "not_made")
        return await self._outbox.set_voice_note(row, payload)

    async def _is_made(self, name: str) -> bool:
        """Whether a voice note is there. If that cannot be read now, its delivery waits."""
        try:
            return await self._files.has(name)
        except FilesUnavailable:
            return True

    async def write_instead(self, row: OutboxRow, reason: str, result: str) -> OutboxRow:
        """Write what was to be spoken. The row's last send certainly did not happen.

        ``result`` is what the metrics count.
        """
        self._telemetry.metrics.voice_replies.labels(result).inc()
        self._telemetry.log.event(
            VOICE_ERROR, what="written instead of spoken", outbox=row.id, error=reason
        )
        return await self._outbox.write_instead(row, reason)

    async def _kept(self, data: bytes, ending: str) -> JsonObject:
        """Keep the file of a voice note; gives what the row has to know of it."""
        now, random = self._telemetry.now(), self._telemetry.random
        name = await self._files.keep_voice(data, ending, now=now, random=random)
        payload: JsonObject = {"file": name, "mime_type": MIME_TYPES[ending]}
        if ending == "ogg" and (seconds := spoken_seconds(data)):
            payload["seconds"] = seconds
        return payload
