"""One number at work: all that it needs while this process serves it, opened and closed together.

Nothing of a number is reached except through its runtime; `daemon.conversation.numbers` has them.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial

import trio

from daemon.assistant.payloads.responses import keeps_responses
from daemon.assistant.sound import Hearing, Transcriber
from daemon.conversation.attachments import AttachmentRules, Attachments
from daemon.conversation.chat_info import ChatInfoCache
from daemon.conversation.intake import Intake
from daemon.conversation.knowledge.vectors import open_knowledge
from daemon.conversation.labels import ChatLabels, GatewayLabels, LedgerLabels
from daemon.conversation.live_config import ChatConfig, ChatRules, LiveConfig
from daemon.conversation.number_state import NumberState, NumberWatch
from daemon.conversation.opening import Process, secret_text
from daemon.conversation.registry import ChatRegistry
from daemon.conversation.send_pace import SendPace
from daemon.conversation.services import ChatServices, NumberAccess
from daemon.conversation.speech import BudgetedTranscriber, CallBudget, VoiceNotes
from daemon.conversation.telemetry import Telemetry
from daemon.errors import MediaRefused, SettingsError
from daemon.files.port import FileStore
from daemon.gateway.kinds import gateway_of
from daemon.gateway.port import Gateway
from daemon.ledger.ledger import Store
from daemon.media.download import FetchRules, open_downloader, origin_of
from daemon.media.files import FOLDER
from daemon.media.model_files import DocumentReader, DocumentRules, ShowingRules
from daemon.observability.counts import core_task
from daemon.settings import Settings
from daemon.settings.numbers import ONLY
from daemon.system.process import authorities

MEGABYTE = 1024 * 1024


class NumberRuntime:
    """The chats of one number, and what looks after them. Made by the composer."""

    def __init__(self, settings: Settings, services: ChatServices) -> None:
        """``settings``: those of the number."""
        self.name = services.number.name
        self.kind = gateway_of(settings)
        self._settings = settings
        self.gateway_id = self.kind.id_of(settings)
        """The gateway's id of the number; empty if it is not configured."""
        self.services = services
        self.chats = ChatRegistry(services)
        self.intake = Intake(services, self.chats)
        number = services.number
        self._watch = NumberWatch(
            number.name,
            number.gateway,
            number.pace,
            number.state,
            services.store.references,
            services.store.templates,
            services.store.webhooks,
            services.config,
            services.telemetry,
        )

    async def start(self, nursery: trio.Nursery) -> None:
        """Start the owners of the tasks of files and chats, which run until they are cancelled."""
        await nursery.start(self.services.attachments.run, name=f"files of {self.name}")
        await nursery.start(self._run_chats, name=f"chats of {self.name}")

    async def learn_own_ids(self) -> None:
        """Ask who we are, in a fresh store. Called once, before HTTP; ends within its patience."""
        await self._watch.learn_own_ids()

    async def watch(self, delay_seconds: float) -> None:
        """Watch how the number is, after a delay. Runs until cancelled."""
        await trio.sleep(delay_seconds)
        seconds = self.kind.check_seconds(self._settings)
        await self._watch.run(seconds, self.chats.renew_presences)

    def config_replaced(self, chat_config: ChatConfig) -> None:
        """Let another configuration guide the chats from now on. No checkpoint."""
        services, rules = self.services, chat_config.rules
        services.config.current = chat_config
        services.number.pace.set_pace(_messages_per_minute(rules))
        services.telemetry.metrics.expect_validators(one.name for one in chat_config.validators)
        self.chats.config_replaced()

    def forget_idle(self, chat_info_seconds: float, contact_seconds: float) -> int:
        """Forget what is remembered of contacts who have not written so long; gives how much."""
        forgotten = self.services.number.chat_info.prune(chat_info_seconds)
        return forgotten + self.chats.prune_presences(contact_seconds)

    def retry_now(self) -> int:
        """Begin again, at once, what the chats are at; the gateway is asked even in trouble."""
        self.services.number.pace.try_now()
        return self.chats.release_all()

    async def _run_chats(self, *, task_status: trio.TaskStatus[None]) -> None:
        with core_task(self.services.telemetry.log):
            await self.chats.run(task_status=task_status)


@asynccontextmanager
async def open_services(
    settings: Settings, process: Process, name: str = ONLY, own: Gateway | None = None
) -> AsyncIterator[ChatServices]:
    """Open what the chats of a number work with; closed in reverse order at the end.

    ``settings``: those of the number. With an ``own`` gateway the configured one is not opened.
    """
    telemetry, store = process.telemetry, process.store.of(name)
    if process.by_number:
        telemetry = telemetry.of_number(name)
    config = LiveConfig(process.chat_configs[name])
    call_budget = CallBudget(store.usage, config, metrics=telemetry.metrics, now=telemetry.now)
    pace = SendPace(per_minute=_messages_per_minute(config.rules), log=telemetry.log)
    async with (
        nullcontext(own) if own else _open_gateway(settings, telemetry) as gateway,
        _open_attachments(settings, store, call_budget, telemetry) as attachments,
        open_knowledge(settings, store.passages, telemetry.log) as knowledge,
    ):
        state = NumberState(pace, log=telemetry.log, metrics=telemetry.metrics, now=telemetry.now)
        yield ChatServices(
            store=store,
            model=process.models[name],
            number=NumberAccess(
                name=name,
                gateway=gateway,
                pace=pace,
                state=state,
                chat_info=ChatInfoCache(gateway, telemetry.log),
                labels=_labels(gateway, store, telemetry),
            ),
            attachments=attachments,
            voice=VoiceNotes(
                process.models[name].speech, store.outbox, store.files, call_budget, telemetry
            ),
            knowledge=knowledge,
            config=config,
            telemetry=telemetry,
        )


def _open_gateway(settings: Settings, telemetry: Telemetry) -> AbstractAsyncContextManager[Gateway]:
    kind = gateway_of(settings)
    return kind.open(
        settings,
        rng=telemetry.random,
        now=telemetry.now,
        observe=partial(telemetry.call_ended, kind.name),
        tls=authorities(),
    )


def _labels(gateway: Gateway, store: Store, telemetry: Telemetry) -> ChatLabels:
    if gateway.capabilities.labels:
        return GatewayLabels(gateway)
    return LedgerLabels(store.chat_labels, now=telemetry.now)


def _messages_per_minute(rules: ChatRules) -> float:
    """The limit of messages per minute over all chats; 0: none."""
    return rules.messages_per_minute if rules.typing else 0


@asynccontextmanager
async def _open_attachments(
    settings: Settings, store: Store, call_budget: CallBudget, telemetry: Telemetry
) -> AsyncIterator[Attachments]:
    """Open what fetches, transcribes and reads files. Raises SettingsError for bad settings."""
    log, metrics, now = telemetry.log, telemetry.metrics, telemetry.now
    media, rules = settings.media, _fetch_rules(settings, store.file_store)
    try:
        origin_of(rules.api_url)
    except MediaRefused as error:
        raise SettingsError(
            [f"{gateway_of(settings).file_server(settings).key}: {error}"]
        ) from error
    transcriber = _transcriber(settings)
    reader = DocumentRules(pages=media.document_pages, characters=media.document_characters)
    try:
        async with open_downloader(rules, tls=authorities()) as downloader:
            yield Attachments(
                store.media,
                store.file_store,
                _attachment_rules(settings),
                fetch=downloader,
                transcriber=BudgetedTranscriber(transcriber, call_budget, metrics),
                read=DocumentReader(reader),
                log=log,
                metrics=metrics,
                now=now,
            )
    finally:
        if transcriber is not None:
            await transcriber.aclose()


def _fetch_rules(settings: Settings, files: FileStore) -> FetchRules:
    """Where files come from, and within which limits."""
    media, server = settings.media, gateway_of(settings).file_server(settings)
    return FetchRules(
        files=files,
        api_url=server.url,
        token=server.token,
        max_bytes=int(media.max_mb * MEGABYTE),
        timeout_seconds=media.timeout_seconds,
        hosts=media.hosts,
        path=server.path,
        file_hosts=server.hosts,
    )


def _attachment_rules(settings: Settings) -> AttachmentRules:
    """The rules for files: how long a turn waits, and what the model gets."""
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
            api_key=secret_text(key),
            language=voice.transcription_language,
            timeout_seconds=voice.transcription_timeout_seconds,
        )
    )
