"""Opening what sees to the files that people send, as the settings have it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import SecretStr

from daemon.assistant.payloads.responses import keeps_responses
from daemon.assistant.sound import Hearing, Speech, Transcriber, open_speech
from daemon.conversation.attachments import AttachmentRules, Attachments
from daemon.conversation.budget import CallBudget
from daemon.conversation.listening import Listener
from daemon.conversation.live_config import LiveConfig
from daemon.errors import MediaRefused, SettingsError
from daemon.gateway.kinds import DEFAULT
from daemon.ledger.ledger import Store
from daemon.media.download import FetchRules, open_downloader, origin_of
from daemon.media.files import FOLDER
from daemon.media.model_files import DocumentReader, DocumentRules, ShowingRules
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.settings import Settings
from daemon.system.process import authorities

MEGABYTE = 1024 * 1024


@asynccontextmanager
async def open_attachments(
    settings: Settings,
    store: Store,
    *,
    live_config: LiveConfig,
    log: Log,
    metrics: Metrics,
    now: Callable[[], float],
) -> AsyncIterator[Attachments]:
    """Open what fetches, hears and reads files. Raises SettingsError if the settings do not do."""
    media = settings.media
    rules = fetch_rules(settings)
    try:
        origin_of(rules.api_url)
    except MediaRefused as error:
        raise SettingsError([f"{DEFAULT.file_server(settings).key}: {error}"]) from error
    hear = _transcriber(settings)
    try:
        async with open_downloader(rules, tls=authorities()) as downloader:
            yield Attachments(
                store.media,
                attachment_rules(settings),
                fetch=downloader,
                listener=Listener(
                    hear, CallBudget(store.usage, live_config, metrics=metrics, now=now), metrics
                ),
                read=DocumentReader(
                    DocumentRules(pages=media.document_pages, characters=media.document_characters)
                ),
                log=log,
                metrics=metrics,
                now=now,
            )
    finally:
        if hear is not None:
            await hear.aclose()


def fetch_rules(settings: Settings) -> FetchRules:
    """Where files come from, and within which limits."""
    media, server = settings.media, DEFAULT.file_server(settings)
    return FetchRules(
        folder=settings.data_dir / FOLDER,
        api_url=server.url,
        token=server.token,
        max_bytes=int(media.max_mb * MEGABYTE),
        timeout_seconds=media.timeout_seconds,
        hosts=media.hosts,
    )


def attachment_rules(settings: Settings) -> AttachmentRules:
    """How long files are waited for, and in which form the model gets them."""
    media = settings.media
    # The Assistants API has no place for the bytes of a picture or a file in a message.
    takes_bytes = settings.assistant.engine == "responses"
    takes_files = media.documents == "file" or (
        media.documents == "auto" and keeps_responses(settings.assistant.base_url)
    )
    return AttachmentRules(
        wait_seconds=media.wait_seconds,
        concurrency=media.concurrency,
        longest_sound_seconds=settings.voice.max_minutes * 60,
        max_bytes=int(media.max_mb * MEGABYTE),
        showing=ShowingRules(
            folder=settings.data_dir / FOLDER,
            images=media.images and takes_bytes,
            pdf_as_file=takes_files and takes_bytes,
            request_bytes=int(media.request_mb * MEGABYTE),
        ),
    )


def _transcriber(settings: Settings) -> Transcriber | None:
    voice = settings.voice
    if not voice.transcription_model:
        return None
    key = voice.transcription_api_key
    if key is None and not voice.transcription_base_url:  # the assistant's key goes nowhere else
        key = settings.assistant.api_key
    return Transcriber(
        Hearing(
            model=voice.transcription_model,
            base_url=voice.transcription_base_url or settings.assistant.base_url,
            api_key=_secret(key),
            language=voice.transcription_language,
            timeout_seconds=voice.transcription_timeout_seconds,
        )
    )


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""


# Opening the model that speaks, as the settings have it.


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
