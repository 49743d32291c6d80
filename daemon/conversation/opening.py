"""A process's environment, and what it opens once for all its numbers."""

import importlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom
from typing import Any

import trio
from pydantic import SecretStr

from daemon import __version__
from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.assistant.sound import Speech, open_speech
from daemon.conversation.config_loader import load_chat_configs
from daemon.conversation.edited_texts import EditedTexts
from daemon.conversation.live_config import ChatConfig
from daemon.conversation.mcp_servers import McpServers
from daemon.conversation.model_access import ModelAccess, ModelState, RunSlots, contact_hasher
from daemon.conversation.telemetry import (
    StoreMeter,
    Telemetry,
    open_trace_export,
    open_turn_traces,
)
from daemon.domain.limits import LONGEST_WAIT_SECONDS, Breaker
from daemon.domain.messages import ChatKey
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import NotOwned, SettingsError, StoreError
from daemon.files.opening import open_files
from daemon.gateway.kinds import gateway_of
from daemon.ledger.former_channels import name_channels
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.nodes import Node
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.settings import Settings
from daemon.settings.assistant import AssistantSettings
from daemon.settings.numbers import names_by_id, numbers_of
from daemon.system.process import boot_seconds
from daemon.system.process_signals import Bell
from daemon.system.systemd import Notify, keep_extending, keep_feeding

BREAKER_FAILURES = 5
BREAKER_BASE_SECONDS = 2.0
BREAKER_CAP_SECONDS = LONGEST_WAIT_SECONDS
"""After so many failures of the model in a row, over all chats, one chat at a time asks again."""

OF_CHATS = (
    "instructions_file",
    "max_tool_rounds",
    "max_concurrent_runs",
    "history_tokens",
    "compaction",
)
"""Keys of ``[assistant]`` that guide the chats, not the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything the daemon gets from outside its settings. Tests give it another one."""

    log: Log
    metrics: Metrics
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    clock: Callable[[], float]
    """Durations, seconds; callable from any thread."""
    notify: Notify
    boot_clock: Callable[[], float] = boot_seconds
    """Seconds that also pass while the machine sleeps."""
    binds: Sequence[str] = ()
    """Addresses to serve instead of the settings' host and port, such as inherited sockets."""
    random: Random = field(default_factory=SystemRandom)
    handle_signals: bool = True
    """False where the process is not ours, such as in a test."""
    stop: trio.Event = field(default_factory=trio.Event)
    """Set to stop the daemon; signals do that too."""
    reload: Bell = field(default_factory=Bell)
    """Rung to have the configuration read again; a signal does that too."""
    read_settings: Callable[[], Settings] | None = None
    """Reads the configuration again, in a thread; None: there is nothing to read. It raises
    SettingsError."""
    watchdog_seconds: float | None = None
    """How long systemd waits for a sign of life; None: it waits for none."""
    phone_url: str = ""
    """Origin of the simulated phone beside the dashboard; empty outside the sandbox."""


class StoppedEarly(Exception):
    """A stop was requested before the daemon was open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The parts of a process that exist once, whatever numbers it serves."""

    store: Store
    models: Mapping[str, ModelAccess]
    """The model of each number, by its name; numbers with the same settings share it."""
    run_slots: RunSlots
    telemetry: Telemetry
    mcp: McpServers
    chat_configs: Mapping[str, ChatConfig]
    """The configuration of each number's chats at the start, by its name."""
    edited: EditedTexts
    by_number: bool
    """True where numbers have names: log lines and metrics name them."""

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines of all models, each once."""
        return tuple(dict.fromkeys(model.engine for model in self.models.values()))

    @property
    def model_states(self) -> tuple[ModelState, ...]:
        """The state of each model server, each once."""
        return tuple(dict.fromkeys(model.state for model in self.models.values()))


@asynccontextmanager
async def open_process(settings: Settings, environment: Environment) -> AsyncIterator[Process]:
    """Open the store, the model's clients and the traces; closed in reverse order at the end.

    The configuration of chats is read first: a fault of it is found before the store is touched.
    Raises SettingsError, ToolError, ValidatorError or StoreError.
    """
    log, now = environment.log, environment.now
    mcp = McpServers(settings, log)
    chat_configs = load_chat_configs(settings, log, mcp)
    for chat_config in chat_configs.values():
        environment.metrics.expect_validators(one.name for one in chat_config.validators)
    async with (
        _open_store_or_stop(settings, environment) as store,
        open_trace_export(settings) as export,
        open_turn_traces(
            store.stages, log, now=now, clock=environment.clock, export=export
        ) as traces,
        AsyncExitStack() as opened,
    ):
        if store.database.leads:
            with suppress(NotOwned):  # another node leads by now, and its start has done it
                await _name_channels(store, settings, log)
        editing = settings.dashboard.edit_texts
        edited = EditedTexts(store.text_versions, chat_configs, log, enabled=editing)
        await edited.read()
        contact_hash = contact_hasher(store.contact_key)
        log.hash_chats(contact_hash)
        run_slots = RunSlots(settings.assistant.max_concurrent_runs, numbers=len(chat_configs))
        models = _Models(opened, environment, run_slots, contact_hash)
        yield Process(
            store=store,
            models={name: await models.of(one) for name, one in numbers_of(settings).items()},
            run_slots=run_slots,
            telemetry=Telemetry(
                log=log,
                metrics=environment.metrics,
                traces=traces,
                now=now,
                boot_clock=environment.boot_clock,
                random=environment.random,
            ),
            chat_configs=edited.configs(),
            edited=edited,
            mcp=mcp,
            by_number=bool(settings.numbers),
        )


class _Models:
    """Opens the models of numbers, each different one once."""

    def __init__(
        self,
        opened: AsyncExitStack,
        environment: Environment,
        run_slots: RunSlots,
        contact_hash: Callable[[ChatKey], str],
    ) -> None:
        self._opened = opened
        self._environment = environment
        self._run_slots = run_slots
        self._contact_hash = contact_hash
        self._engines: list[tuple[AssistantSettings, Engine]] = []
        self._voices: list[tuple[tuple[object, ...], Speech | None]] = []
        self._states: dict[tuple[str, str, str], ModelState] = {}

    async def of(self, settings: Settings) -> ModelAccess:
        """The model of a number. Raises SettingsError."""
        assistant = settings.assistant
        server = (assistant.engine, assistant.base_url, secret_text(assistant.api_key))
        if server not in self._states:
            breaker = Breaker(
                threshold=BREAKER_FAILURES,
                base_seconds=BREAKER_BASE_SECONDS,
                cap_seconds=BREAKER_CAP_SECONDS,
            )
            self._states[server] = ModelState(breaker, log=self._environment.log)
        return ModelAccess(
            engine=await self._engine(settings),
            state=self._states[server],
            run_slots=self._run_slots,
            contact_hash=self._contact_hash,
            speech=await self._voice(settings),
        )

    async def _engine(self, settings: Settings) -> Engine:
        # What an engine does not use may differ.
        used = settings.assistant.model_copy(
            update={key: getattr(AssistantSettings(), key) for key in OF_CHATS}
        )
        for known, engine in self._engines:
            if known == used:
                return engine
        opening = open_engine(settings, self._environment.random)
        self._engines.append((used, await self._opened.enter_async_context(opening)))
        return self._engines[-1][1]

    async def _voice(self, settings: Settings) -> Speech | None:
        used = (settings.voice, settings.assistant.base_url, settings.assistant.api_key)
        for known, speech in self._voices:
            if known == used:
                return speech
        self._voices.append((used, await self._opened.enter_async_context(_open_voice(settings))))
        return self._voices[-1][1]


async def _name_channels(store: Store, settings: Settings, log: Log) -> None:
    """Rename the channels of a store from before numbers had names."""
    numbers = numbers_of(settings)
    only = next(iter(numbers)) if len(numbers) == 1 else ""
    renamed = await store.database.write(
        partial(name_channels, ids=names_by_id(settings), only=only)
    )
    for channel, name in renamed.names.items():
        log.info("chats of a gateway's id have a number now", id=channel, number=name)
    for channel, chats in renamed.left.items():
        log.warning(
            "chats of an unknown number are left alone: name their number, with channel_id",
            id=channel,
            chats=chats,
        )


@asynccontextmanager
async def _open_store_or_stop(settings: Settings, environment: Environment) -> AsyncIterator[Store]:
    """Open the store, and have systemd wait for it as long as it takes, unless a stop is requested.

    Raises StoppedEarly if that came first.
    """
    files = await trio.to_thread.run_sync(open_files, settings)
    opening = open_store(
        settings.data_dir,
        url=secret_text(settings.store.url),
        numbers=tuple(numbers_of(settings)),
        clock=environment.clock,
        meter=StoreMeter(environment.metrics),
        files=files,
        node=_node(settings, environment),
        upgrading=partial(_report_upgrade, environment),
    )
    async with AsyncExitStack() as opened:
        store: Store | StoreError | None = None
        async with trio.open_nursery() as beside:
            beside.start_soon(keep_extending, environment.notify, name="long start")
            feeding = partial(
                keep_feeding, environment.watchdog_seconds, (), environment.notify, environment.log
            )
            if settings.store.url:  # a node that stands by does that for hours
                beside.start_soon(feeding, name="watchdog")
            beside.start_soon(_cancel_at, environment.stop, beside.cancel_scope, name="early stop")
            try:
                store = await opened.enter_async_context(opening)
            except StoreError as error:  # raised outside of this nursery, which would group it
                store = error
            beside.cancel_scope.cancel()
        if isinstance(store, StoreError):
            raise store
        if store is None:
            raise StoppedEarly
        yield store


def _report_upgrade(environment: Environment, step: int, steps: int, version: str) -> None:
    """Log a step that brings the store up to date, as it begins; a large store takes minutes."""
    environment.log.info("the store is brought up to date", step=step, of=steps, to=version)
    environment.notify(f"STATUS=the store is brought up to date: step {step} of {steps}")


def _node(settings: Settings, environment: Environment) -> Node:
    """This node, where several share a ledger; warns of what would not do there."""
    log, numbers = environment.log, numbers_of(settings).values()
    terms = NodeTerms(
        name=node_name(settings),
        version=__version__,
        lease_seconds=settings.node.lease_seconds,
        call_seconds=max(gateway_of(one).call_seconds(one) for one in numbers),
        boot_clock=environment.boot_clock,
        now=environment.now,
    )
    if settings.store.url:
        if not settings.files.url:
            log.warning("files.url is not set: another node does not have the files of messages")
        if (environment.watchdog_seconds or 0) >= terms.lease_seconds + terms.call_seconds:
            log.warning("the watchdog is slower than the lease and a call of the gateway together")
    return Node(terms=terms, waits=log.warning)


def node_name(settings: Settings) -> str:
    """The name of this node."""
    return settings.node.name or socket.gethostname()


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel a scope when an event is set; ends with it."""
    await event.wait()
    scope.cancel()


def open_engine(settings: Settings, rng: Random) -> AbstractAsyncContextManager[Engine]:
    """Open the engine that the settings choose. Raises SettingsError if they do not suffice."""
    assistant = settings.assistant
    if assistant.engine == "assistants":
        if not assistant.assistant_id:
            raise SettingsError(["assistant.assistant_id: is needed by the engine assistants"])
        # Loaded only when chosen: no process needs both.
        module = importlib.import_module("daemon.assistant.assistants_engine")
        opened: AbstractAsyncContextManager[Engine] = module.open_assistants_engine(
            base_url=assistant.base_url,
            api_key=secret_text(assistant.api_key),
            assistant_id=assistant.assistant_id,
            model=assistant.model,
            timeout_seconds=assistant.run_timeout_seconds,
            polls=assistant.polls,
            tool_polls=assistant.tool_polls,
            options=_model_options(settings),
        )
        return opened
    return open_responses_engine(
        base_url=assistant.base_url,
        api_key=secret_text(assistant.api_key),
        model=assistant.model,
        timeout_seconds=assistant.run_timeout_seconds,
        rng=rng,
        background=_background(settings),
        options=_model_options(settings),
        by_webhook=assistant.webhook_secret is not None,
    )


@asynccontextmanager
async def _open_voice(settings: Settings) -> AsyncIterator[Speech | None]:
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
        api_key=secret_text(key),
        model=voice.speech_model,
        voice=voice.speech_voice,
        ending=voice.speech_format,
        timeout_seconds=voice.speech_timeout_seconds,
    ) as speech:
        yield speech


def secret_text(value: SecretStr | None) -> str:
    """The secret itself; empty if it is not set."""
    return value.get_secret_value() if value else ""


def _model_options(settings: Settings) -> dict[str, Any]:
    """The operator's own fields of each request, the hosted tools among its tools."""
    options, hosted = settings.assistant.options, settings.assistant.hosted_tools
    if not hosted:
        return options
    return {**options, "tools": [*options.get("tools", ()), *hosted]}


def _background(settings: Settings) -> bool | None:
    return None if settings.assistant.background == "auto" else bool(settings.assistant.background)
