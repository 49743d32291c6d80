"""Hearing voice notes: a model that turns sound into words, at its own server."""

from dataclasses import dataclass

import trio

from daemon.assistant.connecting import LazyConnection, connection_to
from daemon.errors import ModelRejected, ModelTemporary
from daemon.limits.backoff import honoured

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
"""What the API hears, by the ending of the name that it goes by (OpenAI's API reference).

AMR, which some telephones record, is not among it: the API answers ``400 Unsupported file format
amr``, and no library of ours turns it into anything else.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Which model hears, and where it is."""

    model: str
    base_url: str
    api_key: str
    language: str = ""
    """A hint such as ``es``; empty: the model finds out."""
    timeout_seconds: float = 30.0
    """For one voice note, its second try included."""


class Transcriber:
    """Hears voice notes. Any number of tasks may call it at once."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._connection: LazyConnection = connection_to(
            base_url=hearing.base_url,
            api_key=hearing.api_key,
            idle_seconds=hearing.timeout_seconds,
        )

    def hears(self, mime: str) -> bool:
        """Whether sound of a type can be heard at all."""
        return mime in ENDINGS

    async def hear(self, sound: bytes, mime: str) -> str:
        """The words that are said in a recording, of the type that its bytes have.

        Raises ModelTemporary if that may work later, ModelRejected if this one is never heard.
        """
        if mime not in ENDINGS:
            raise ModelRejected(f"sound of type {mime} cannot be heard")
        if len(sound) > MOST_BYTES:
            raise ModelRejected("it is too large to be heard")
        with trio.move_on_after(self._hearing.timeout_seconds):
            for _ in range(TRIES - 1):
                try:
                    return await self._ask(sound, mime)
                except ModelTemporary as error:
                    await trio.sleep(honoured(error.retry_after) or PAUSE_SECONDS)
            return await self._ask(sound, mime)
        raise ModelTemporary("it was not heard in time")

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
