"""Speech and transcription: text becomes voice notes, and voice notes become text.

``POST {base_url}/audio/speech`` and ``/audio/transcriptions`` as OpenAI defines them and many other
servers do too. These models change fast (OpenAI's speech models end in January 2027), so server,
model and voice have settings of their own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import trio

from daemon.assistant.port import LazyConnection, connection_to
from daemon.domain.limits import Breaker, honoured
from daemon.domain.rendering.split import MAX_INPUT
from daemon.errors import AssistantError, ModelRejected, ModelTemporary

# -- speaking --------------------------------------------------------------------------------------


Ending = Literal["ogg", "mp3"]

FORMATS: dict[Ending, str] = {"ogg": "opus", "mp3": "mp3"}
"""The server's names of the formats; its ``opus`` is Opus in Ogg, as WhatsApp's voice notes are."""

BEGINNINGS: dict[Ending, tuple[bytes, ...]] = {
    "ogg": (b"OggS",),
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"),
}
"""How such files begin (RFC 3533; ID3v2, and the sync word of MPEG layer III)."""

MAX_BYTES = 16 * 1024 * 1024
"""WhatsApp's limit of one audio file."""

FAILURES = 3
BASE_SECONDS = 30.0
CAP_SECONDS = 300.0
"""After this many failures in a row the breaker opens, and answers are written at once."""


class Speech:
    """One speech model. Any task may use it; nothing is retried here."""

    def __init__(
        self,
        connection: LazyConnection,
        *,
        model: str,
        voice: str,
        ending: Ending,
        timeout_seconds: float,
    ) -> None:
        self.ending = ending
        """The extension of the files that it makes."""
        self._connection = connection
        self._model = model
        self._voice = voice
        self._timeout_seconds = timeout_seconds
        self._breaker = Breaker(
            threshold=FAILURES, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS
        )

    async def speak(self, words: str) -> bytes:
        """Return the words as an audio file. May be cancelled. Raises AssistantError."""
        if self._breaker.wait(trio.current_time()) > 0:
            raise ModelTemporary("the speech server is down")
        try:
            with trio.fail_after(self._timeout_seconds):
                data = await self._ask(words)
        except trio.TooSlowError:
            self._breaker.failed(trio.current_time())
            raise ModelTemporary("the speech server did not answer in time") from None
        except AssistantError:
            self._breaker.failed(trio.current_time())
            raise
        except trio.Cancelled:
            self._breaker.released()
            raise
        self._breaker.succeeded()
        return data

    async def _ask(self, words: str) -> bytes:
        connection = await self._connection.get()
        data = await connection.fetch(
            "/audio/speech",
            {
                "model": self._model,
                "voice": self._voice,
                "input": words[:MAX_INPUT],
                "response_format": FORMATS[self.ending],
            },
        )
        if not data.startswith(BEGINNINGS[self.ending]) or len(data) > MAX_BYTES:
            raise ModelRejected(f"the speech server's answer is no {self.ending} file of 16 MB")
        return data


@asynccontextmanager
async def open_speech(
    *,
    base_url: str,
    api_key: str,
    model: str,
    voice: str,
    ending: Ending,
    timeout_seconds: float,
) -> AsyncIterator[Speech]:
    """Open a speech model; nothing is connected or imported before its first use."""
    connection = connection_to(base_url=base_url, api_key=api_key, idle_seconds=timeout_seconds)
    try:
        yield Speech(
            connection, model=model, voice=voice, ending=ending, timeout_seconds=timeout_seconds
        )
    finally:
        await connection.aclose()


# -- hearing ---------------------------------------------------------------------------------------


TRIES = 2
PAUSE_SECONDS = 0.5

MOST_BYTES = 25_000_000
"""OpenAI's limit for one upload."""

ENDINGS = {
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/webm": "webm",
}
"""The types that the API accepts, with the extensions of their names (OpenAI's API reference).

AMR, which some phones record, is not among them: the API answers ``400 Unsupported file format
amr``, and no library of ours converts it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """The transcription model, and its server."""

    model: str
    base_url: str
    api_key: str
    language: str = ""
    """A hint such as ``es``; empty: the model detects it."""
    timeout_seconds: float = 30.0
    """For one voice note, including a second try."""


class Transcriber:
    """Transcribes voice notes. Any number of tasks may call it at once."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._connection: LazyConnection = connection_to(
            base_url=hearing.base_url,
            api_key=hearing.api_key,
            idle_seconds=hearing.timeout_seconds,
        )

    def accepts(self, mime: str) -> bool:
        """Whether this type of audio can be transcribed."""
        return mime in ENDINGS

    async def transcribe(self, sound: bytes, mime: str) -> str:
        """The words of a recording; ``mime`` is the type of its bytes.

        Raises ModelTemporary if it may work later, ModelRejected if it never will.
        """
        if mime not in ENDINGS:
            raise ModelRejected(f"audio of type {mime} cannot be transcribed")
        if len(sound) > MOST_BYTES:
            raise ModelRejected("it is too large to be transcribed")
        with trio.move_on_after(self._hearing.timeout_seconds):
            for _ in range(TRIES - 1):
                try:
                    return await self._ask(sound, mime)
                except ModelTemporary as error:
                    await trio.sleep(honoured(error.retry_after) or PAUSE_SECONDS)
            return await self._ask(sound, mime)
        raise ModelTemporary("it was not transcribed in time")

    async def _ask(self, sound: bytes, mime: str) -> str:
        connection = await self._connection.get()
        return await connection.transcribe(
            (f"voice.{ENDINGS[mime]}", sound, mime),
            model=self._hearing.model,
            language=self._hearing.language,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()
