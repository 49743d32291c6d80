"""The composition: what the daemon is made of, opened and closed in order."""

import hashlib
import hmac
import importlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any
from zoneinfo import ZoneInfo

import trio
from pydantic import SecretStr

from daemon.assistant.engine import Engine
from daemon.assistant.responses import open_responses_engine
from daemon.assistant.wire import compacts
from daemon.brakes import BrakeRules
from daemon.breaker import Breaker
from daemon.budget import Budget, Price
from daemon.chat_policy import policy_of
from daemon.chats.channel import Channel
from daemon.chats.channel_state import ChannelState
from daemon.chats.chat_info import ChatInfoCache
from daemon.chats.chat_labels import ChatLabels
from daemon.chats.dependencies import ChatRules, Dependencies
from daemon.chats.escalation import EscalationRules
from daemon.errors import SettingsError
from daemon.media_opening import open_attachments
from daemon.model import ChatKey
from daemon.observe.events import EXTERNAL_CALL
from daemon.observe.logs import Log
from daemon.observe.metrics import Metrics
from daemon.settings import Settings
from daemon.store.store import open_store
from daemon.system.notify import Notify
from daemon.texts import texts
from daemon.tools import builtin
from daemon.tools.toolbox import Toolbox, load_tools
from daemon.validation.builtin import in_order
from daemon.validation.loading import load_validators
from daemon.voice_opening import open_voice
from daemon.whapi.client import open_whapi
from daemon.whapi.wire import chat_id
from daemon.window import WindowRules

HASHES_KEPT = 2000
"""Chats whose name for the log and the model's provider is remembered."""

BREAKER_FAILURES = 5
BREAKER_BASE_SECONDS = 2.0
BREAKER_CAP_SECONDS = 60.0
"""After so many failures of the model in a row, over all chats, one chat at a time asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything the daemon gets from outside its settings. Tests give it another one."""

    log: Log
    metrics: Metrics
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    clock: Callable[[], float]
    """Durations, seconds; callable from any thread."""
    notify: Notify
    binds: Sequence[str] = ()
    """Addresses to serve instead of the settings' host and port, such as inherited sockets."""
    random: Random = field(default_factory=SystemRandom)
    handle_signals: bool = True
    """False where the process belongs to somebody else, such as a test."""
    stop: trio.Event = field(default_factory=trio.Event)
    """Set to stop the daemon; signals do that too."""
    phone_url: str = ""
    """Origin of the simulated phone beside the dashboard; empty outside the sandbox."""


OpenDependencies = Callable[[Settings, World], AbstractAsyncContextManager[Dependencies]]


@asynccontextmanager
async def open_dependencies(settings: Settings, world: World) -> AsyncIterator[Dependencies]:
    """Open everything that chats work with; closed in reverse order at the end of the block."""
    toolbox = Toolbox(
        [*builtin.ALL, *load_tools(settings.tools.modules, settings.tools.folder)],
        disabled=settings.tools.disabled,
        on_fault=lambda name, error: world.log.warning(
            "tool raised an error", tool=name, exc_info=error
        ),
    )
    validators = in_order(
        load_validators(settings.validators.modules), disabled=settings.validators.disabled
    )
    world.metrics.expect_validators(validator.name for validator in validators)
    rules = chat_rules(settings, read_instructions(settings.assistant.instructions_file))
    channel = Channel(per_minute=rules.messages_per_minute if rules.typing else 0, log=world.log)
    async with (
        open_store(settings.data_dir, clock=world.clock, meter=_StoreMeter(world.metrics)) as store,
        open_whapi(
            api_url=settings.whapi.api_url,
            token=secret_text(settings.whapi.token),
            timeout_seconds=settings.whapi.timeout_seconds,
            rng=world.random,
            observe=partial(_observe_upstream, world, "whapi"),
        ) as gateway,
        open_engine(settings, world.random) as engine,
        open_voice(settings) as speech,
        open_attachments(
            settings, store, log=world.log, metrics=world.metrics, now=world.now
        ) as attachments,
    ):
        contact_hash = lru_cache(HASHES_KEPT)(_contact_hash(settings.data_dir))
        world.log.hash_chats(contact_hash)
        yield Dependencies(
            store=store,
            engine=engine,
            gateway=gateway,
            chat_info=ChatInfoCache(gateway, world.log),
            toolbox=toolbox,
            validators=validators,
            rules=rules,
            attachments=attachments,
            channel=channel,
            channel_state=ChannelState(
                channel, log=world.log, metrics=world.metrics, now=world.now
            ),
            labels=ChatLabels(gateway),
            model_breaker=Breaker(
                threshold=BREAKER_FAILURES,
                base_seconds=BREAKER_BASE_SECONDS,
                cap_seconds=BREAKER_CAP_SECONDS,
            ),
            run_slots=trio.CapacityLimiter(settings.assistant.max_concurrent_runs),
            texts=texts(settings.language, settings.texts.model_dump()),
            log=world.log,
            metrics=world.metrics,
            now=world.now,
            random=world.random,
            contact_hash=contact_hash,
            speech=speech,
        )


def open_engine(settings: Settings, rng: Random) -> AbstractAsyncContextManager[Engine]:
    """Open the engine that the settings choose. Raises SettingsError if they do not suffice."""
    assistant = settings.assistant
    if assistant.engine == "assistants":
        if not assistant.assistant_id:
            raise SettingsError(["assistant.assistant_id: is needed by the engine assistants"])
        # Loaded only when chosen: nobody needs both.
        module = importlib.import_module("daemon.assistant.assistants")
        opened: AbstractAsyncContextManager[Engine] = module.open_assistants_engine(
            base_url=assistant.base_url,
            api_key=secret_text(assistant.api_key),
            assistant_id=assistant.assistant_id,
            model=assistant.model,
            timeout_seconds=assistant.run_timeout_seconds,
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


def chat_rules(settings: Settings, instructions: str) -> ChatRules:
    """The settings that chats go by, in seconds."""
    buffer = settings.buffer
    server_compacts = settings.assistant.compaction == "auto" and compacts(
        settings.assistant.base_url, settings.assistant.model
    )
    sums_up = settings.assistant.compaction != "drop" and not server_compacts
    return ChatRules(
        instructions=instructions,
        language=settings.language,
        zone=ZoneInfo(settings.timezone),
        window=WindowRules(
            text_seconds=buffer.window_seconds,
            voice_seconds=buffer.voice_seconds,
            typing_seconds=buffer.typing_seconds,
            stop_seconds=buffer.stop_seconds,
            max_wait_seconds=buffer.max_wait_seconds,
            max_messages=buffer.max_messages,
        ),
        idle_seconds=buffer.idle_seconds,
        run_timeout_seconds=settings.assistant.run_timeout_seconds,
        max_tool_rounds=settings.assistant.max_tool_rounds,
        history_tokens=settings.assistant.history_tokens,
        compaction="summary" if sums_up else "drop",
        server_compacts=server_compacts,
        import_messages=settings.history.import_messages,
        pause_seconds=settings.takeover.pause_minutes * 60,
        max_age_seconds=settings.recovery.max_age_hours * 3600,
        messages_per_minute=settings.delivery.messages_per_minute,
        policy=policy_of(settings),
        answer_calls=settings.replies.answer_calls,
        group_quote=settings.groups.quote,
        group_lines=settings.groups.context_messages,
        typing=settings.delivery.typing,
        link_preview=settings.delivery.link_preview,
        spoken_characters=settings.voice.max_characters,
        files_folder=settings.tools.files_folder,
        read_receipts=settings.delivery.read_receipts,
        presence=settings.presence.enabled,
        budget=_budget(settings),
        brakes=_brakes(settings),
        escalation=EscalationRules(
            chat=chat_id(settings.escalation.chat),
            label=settings.escalation.label,
            pause_seconds=60
            * max(settings.escalation.pause_minutes, settings.takeover.pause_minutes),
        ),
    )


def _budget(settings: Settings) -> Budget:
    budget = settings.budget
    return Budget(
        contact_tokens=budget.contact_tokens,
        contact_cost=budget.contact_cost,
        total_tokens=budget.total_tokens,
        total_cost=budget.total_cost,
        price=Price(**budget.prices.get(settings.assistant.model, {})),
        answer_tokens=budget.answer_tokens,
    )


def _brakes(settings: Settings) -> BrakeRules:
    brakes = settings.brakes
    return BrakeRules(
        turns_per_minute=brakes.turns_per_minute,
        loop_answers=brakes.loop_answers,
        loop_seconds=brakes.loop_seconds,
        loop_reply_seconds=brakes.loop_reply_seconds,
        repeats=brakes.repeats,
        repeat_seconds=brakes.repeat_minutes * 60,
        pause_seconds=brakes.pause_minutes * 60,
    )


def read_instructions(path: Path) -> str:
    """What the model is told to be; empty if there is no such file.

    A file that the configuration names must exist, which reading the configuration has checked.
    Raises SettingsError, naming the file, if it cannot be read.
    """
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([f"assistant.instructions_file: cannot read {path}: {why}"]) from error


class _StoreMeter:
    """Passes the store's figures on to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, *, rows: int, seconds: float) -> None:
        """See `daemon.store.database.Meter`."""
        self._metrics.store_commit.observe(seconds)
        self._metrics.store_batch_rows.observe(rows)


def _observe_upstream(
    world: World, service: str, operation: str, outcome: str, seconds: float
) -> None:
    world.metrics.count_upstream(service, operation, outcome)
    world.log.event(
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
    path = data_dir / "contact.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        path.touch(mode=0o600)
        path.write_bytes(key)

    def name(chat: ChatKey) -> str:
        text = f"{chat.channel}\0{chat.chat}".encode()
        return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]

    return name
