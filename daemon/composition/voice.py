"""Opening the model that speaks, as the settings have it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.assistant.speech import Speech, open_speech
from daemon.settings import Settings


@asynccontextmanager
async def open_voice(settings: Settings) -> AsyncIterator[Speech | None]:
    """Open the model that answers voice notes with voice notes; None if nothing is to be spoken."""
    voice = settings.voice
    if not (voice.speech_model and voice.reply_with_voice):
        yield None
        return
    key = voice.speech_api_key
    if key is None and not voice.speech_base_url:  # the assistant's key goes nowhere else
        key = settings.assistant.api_key
    async with open_speech(
        base_url=voice.speech_base_url or settings.assistant.base_url,
        api_key=key.get_secret_value() if key else "",
        model=voice.speech_model,
        voice=voice.speech_voice,
        ending=voice.speech_format,
        timeout_seconds=voice.speech_timeout_seconds,
    ) as speech:
        yield speech
