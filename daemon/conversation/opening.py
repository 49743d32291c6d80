"""The composition: what the daemon is made of, opened and closed in order."""

import hashlib
import hmac
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import trio
from pydantic import SecretStr

from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.conversation.chat_info import ChatInfoCache, ChatLabels
from daemon.conversation.deps import Dependencies
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.load_config import load_chat_config
from daemon.conversation.model_state import ModelState
from daemon.conversation.number_state import ChannelState
from daemon.conversation.open_media import open_attachments, open_voice
from daemon.conversation.pacing import SendPace
from daemon.conversation.turn.traces import open_turn_traces
from daemon.domain.messages import ChatKey
from daemon.domain.retries import LONGEST_WAIT_SECONDS, Breaker
from daemon.errors import SettingsError, StoreError
from daemon.gateway.kinds import DEFAULT
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.people import contact_key
from daemon.observability.events import EXTERNAL_CALL
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.observability.tracing import open_trace_export
from daemon.settings import Settings
from daemon.system.process import authorities, boot_seconds
from daemon.system.signals import Bell
from daemon.system.systemd import Notify, keep_extending

HASHES_KEPT = 2000
"""Chats whose name for the log and the model's provider is remembered."""

BREAKER_FAILURES = 5
BREAKER_BASE_SECONDS = 2.0
BREAKER_CAP_SECONDS = LONGEST_WAIT_SECONDS
"""After so many failures of the model in a row, over all chats, one chat at a time asks again."""


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
    """False where the process belongs to somebody else, such as a test."""
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
    """The daemon was told to stop before it was open."""


OpenDependencies = Callable[[Settings, Environment], AbstractAsyncContextManager[Dependencies]]


@asynccontextmanager
async def open_dependencies(
    settings: Settings, environment: Environment
) -> AsyncIterator[Dependencies]:
    """Open everything that chats work with; closed in reverse order at the end of the block."""
    chat_config = load_chat_config(settings, environment.log)
    environment.metrics.expect_validators(validator.name for validator in chat_config.validators)
    live_config, rules = LiveConfig(chat_config), chat_config.rules
    channel = SendPace(
        per_minute=rules.messages_per_minute if rules.typing else 0, log=environment.log
    )
    async with (
        _open_store_patiently(settings, environment) as store,
        DEFAULT.open(
            settings,
            rng=environment.random,
            now=environment.now,
            observe=partial(_observe_upstream, environment, DEFAULT.name),
            tls=authorities(),
        ) as gateway,
        open_engine(settings, environment.random) as engine,
        open_voice(settings) as speech,
        open_attachments(
            settings,
            store,
            live_config=live_config,
            log=environment.log,
            metrics=environment.metrics,
            now=environment.now,
        ) as attachments,
        open_trace_export(settings) as export,
        open_turn_traces(
            store.stages,
            environment.log,
            now=environment.now,
            clock=environment.clock,
            export=export,
        ) as traces,
    ):
        contact_hash = lru_cache(HASHES_KEPT)(_contact_hash(settings.data_dir))
        environment.log.hash_chats(contact_hash)
        yield Dependencies(
            store=store,
            engine=engine,
            gateway=gateway,
            chat_info=ChatInfoCache(gateway, environment.log),
            live_config=live_config,
            attachments=attachments,
            channel=channel,
            channel_state=ChannelState(
                channel, log=environment.log, metrics=environment.metrics, now=environment.now
            ),
            labels=ChatLabels(gateway),
            traces=traces,
            model_state=ModelState(
                Breaker(
                    threshold=BREAKER_FAILURES,
                    base_seconds=BREAKER_BASE_SECONDS,
                    cap_seconds=BREAKER_CAP_SECONDS,
                ),
                log=environment.log,
            ),
            run_slots=trio.CapacityLimiter(settings.assistant.max_concurrent_runs),
            log=environment.log,
            metrics=environment.metrics,
            now=environment.now,
            boot_clock=environment.boot_clock,
            random=environment.random,
            contact_hash=contact_hash,
            speech=speech,
        )


@asynccontextmanager
async def _open_store_patiently(
    settings: Settings, environment: Environment
) -> AsyncIterator[Store]:
    """Open the store, and have systemd wait for it as long as it takes, unless told to stop.

    Raises StoppedEarly if that came first.
    """
    opening = open_store(
        settings.data_dir, clock=environment.clock, meter=_StoreMeter(environment.metrics)
    )
    async with AsyncExitStack() as opened:
        store: Store | StoreError | None = None
        async with trio.open_nursery() as beside:
            beside.start_soon(keep_extending, environment.notify, name="long start")
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
        # Loaded only when chosen: nobody needs both.
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
        told_by_webhook=assistant.webhook_secret is not None,
    )


class _StoreMeter:
    """Passes the store's figures on to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, *, rows: int, seconds: float) -> None:
        """See `daemon.ledger.drivers.sqlite.database.Meter`."""
        self._metrics.store_commit.observe(seconds)
        self._metrics.store_batch_rows.observe(rows)


def _observe_upstream(
    environment: Environment, service: str, operation: str, outcome: str, seconds: float
) -> None:
    environment.metrics.count_upstream(service, operation, outcome)
    environment.log.event(
        EXTERNAL_CALL,
        service=service,
        operation=operation,
        outcome=outcome,
        seconds=round(seconds, 3),
    )


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


def _contact_hash(data_dir: Path) -> Callable[[ChatKey], str]:
    """Name contacts for the model's provider without saying who they are.

    The key lies beside the store, so that names are stable here and mean nothing anywhere else.
    """
    key = contact_key(data_dir)

    def name(chat: ChatKey) -> str:
        text = f"{chat.channel}\0{chat.chat}".encode()
        return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]

    return name
