"""The whole conversation without its outside: window, tools, validation, splitting.

It has a store of its own in a temporary folder. What a number needs is opened as for the daemon,
but for the gateway, which is `MemoryGateway`. Notifications, webhooks and reminders have no task
here, so nothing else can be sent either.
"""

import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import trio
from pydantic import SecretStr

from daemon import __version__
from daemon.conversation.intake import Intake
from daemon.conversation.knowledge.folder import folders_of, knowledge_folder
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.number_runtime import open_services
from daemon.conversation.opening import Environment, open_process
from daemon.conversation.registry import ChatRegistry
from daemon.conversation.services import ChatServices
from daemon.domain.ids import chat_id
from daemon.domain.messages import ChatKey, Edit, JsonObject, Message, Text
from daemon.domain.redaction import Redactor
from daemon.domain.rendering.outgoing import Outgoing
from daemon.observability.logs import open_log
from daemon.observability.metrics import Metrics
from daemon.ops.rehearsal.cases import EditedMessage
from daemon.ops.rehearsal.gateway import MemoryGateway, webhook_body
from daemon.ops.rehearsal.model import simulated_engine
from daemon.settings import Settings
from daemon.settings.operation import FileSettings, StoreSettings
from daemon.tools.toolbox import Instead

NO_SECONDS = {
    "window_seconds": 0.0,
    "voice_seconds": 0.0,
    "typing_seconds": 0.0,
    "stop_seconds": 0.0,
    "idle_seconds": 0.0,
}
"""A burst comes in one call, so its end need not be waited for."""

HELD = "held"
"""The outcome of a burst that began no turn: a person has the chat."""

NOTHING = "rehearsal"
"""Stands for a key where the simulated model needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalOptions:
    """How a rehearsal is opened."""

    simulated: bool
    """The simulated model answers, and costs nothing."""
    at: float
    """The time that it is, in Unix seconds; the clock stands still."""
    seed: int = 1
    cost: float = 0.0
    """What all calls of the model together may cost, in the currency of `budget`; 0: no limit."""
    instead: Instead = lambda *_: None
    """Answers calls of tools in their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstResult:
    """What came of one burst of a customer."""

    messages: tuple[Outgoing, ...] = ()
    """What was sent to the customer, in order."""
    outcome: str = ""
    """Of the turn, or `HELD`; empty if it did not end in time."""
    reason: str = ""
    tokens: int = 0


class Rehearsal:
    """Conversations with one configuration. Any number of tasks may play, each in its own chat."""

    def __init__(self, services: ChatServices, chats: ChatRegistry, gateway: MemoryGateway) -> None:
        self.services = services
        self._chats = chats
        self._intake = Intake(services, chats)
        self._gateway = gateway
        self._numbers = count(1)

    def new_chat(self) -> ChatKey:
        """The chat of a customer who has never written."""
        return ChatKey(self.services.number.name, chat_id(f"57300{next(self._numbers):07}"))

    async def say(
        self, key: ChatKey, texts: Sequence[str | EditedMessage], *, name: str = "", seconds: float
    ) -> BurstResult:
        """Let a customer write a burst, and wait at most ``seconds`` for the end of its turn."""
        before = len(self._gateway.sent[key.chat])
        last = await self._last_turn(key)
        messages = [message for text in texts for message in self._written(key, text, name)]
        await self._intake.accept(webhook_body(tuple(messages)), "")
        with trio.move_on_after(seconds) as patience:
            await self._chats.wait_left(key)
        if patience.cancelled_caught:
            self._chats.release(key)
        turn = await self._last_turn(key)
        sent = tuple(self._gateway.sent[key.chat][before:])
        if patience.cancelled_caught:
            return BurstResult(messages=sent)
        if not turn or turn == last:
            return BurstResult(messages=sent, outcome=HELD)
        return BurstResult(
            messages=sent,
            outcome=str(turn["outcome"]),
            reason=str(turn["reason"]),
            tokens=int(turn["tokens"]),
        )

    def _written(self, key: ChatKey, text: str | EditedMessage, name: str) -> list[Message]:
        """A message, and its edit if it is changed."""
        message = Message(
            id=f"said-{key.chat}-{next(self._numbers)}",
            key=key,
            kind="text",
            content=Text(body=text if isinstance(text, str) else text.text),
            source="mobile",
            author=key.chat.partition("@")[0],
            author_name=name,
            sent_at=self.services.telemetry.now(),
        )
        if isinstance(text, str):
            return [message]
        change = Edit(target=message.id, body=text.edit)
        edit = {"id": f"{message.id}-edit", "kind": "action", "content": change}
        return [message, msgspec.structs.replace(message, **edit)]

    async def _last_turn(self, key: ChatKey) -> JsonObject:
        """The last turn of a chat; empty if it has had none."""
        return next(iter(await self.services.store.views.turns(key, limit=1)), {})

    async def cost(self, key: ChatKey) -> float:
        """What the model has cost in a chat, in the currency of `budget`."""
        return float((await self.services.store.views.costs(key))["model"]) / 1e6


@asynccontextmanager
async def open_rehearsal(settings: Settings, terms: RehearsalOptions) -> AsyncIterator[Rehearsal]:
    """Open the conversation of one number, whose settings these are; its store ends with it.

    Raises SettingsError, ToolError or ValidatorError.
    """
    with TemporaryDirectory(prefix="recado-rehearsal-") as folder:
        own = rehearsed(settings, Path(folder), terms)
        gateway, environment = MemoryGateway(), _environment(terms)
        async with (
            open_process(own, environment) as process,
            open_services(own, process, own=gateway) as services,
            trio.open_nursery() as nursery,
        ):
            current = services.config.current
            toolbox = current.toolbox.answered_by(terms.instead)
            model = services.model
            if terms.simulated:
                model = replace(model, engine=simulated_engine())
            config = LiveConfig(replace(current, toolbox=toolbox))
            rehearsed_services = replace(services, config=config, model=model)
            for number in folders_of(own).values():
                documents = knowledge_folder(number, services.store.passages, environment.now)
                await documents.bring_in_step()
            chats = ChatRegistry(rehearsed_services)
            await nursery.start(services.attachments.run, name="files of the rehearsal")
            await nursery.start(chats.run, name="chats of the rehearsal")
            yield Rehearsal(rehearsed_services, chats, gateway)
            nursery.cancel_scope.cancel()


def rehearsed(settings: Settings, folder: Path, terms: RehearsalOptions) -> Settings:
    """The settings of a number for a rehearsal in ``folder``: no waits, no limits, nothing outside.

    Voices, embeddings and lists of contacts are left out.
    """
    tables: dict[str, dict[str, Any]] = {
        "buffer": NO_SECONDS,
        "delivery": {"typing": False, "read_receipts": False},
        "presence": {"enabled": False},
        "brakes": {"turns_per_minute": 0, "loop_answers": 0, "repeats": 0},
        "history": {"import_messages": 0},
        "contacts": {"allow": (), "deny": ()},
        "chats": {"allow": (), "deny": ()},
        "budget": {
            "contact_tokens": 0,
            "contact_cost": 0.0,
            "total_tokens": 0,
            "total_cost": terms.cost,
        },
        "voice": {"speech_model": "", "transcription_model": ""},
        "knowledge": {"embedding_model": ""},
    }
    if terms.simulated:
        tables["assistant"] = {"engine": "responses", "api_key": SecretStr(NOTHING)}
        tables["budget"]["total_cost"] = 0.0
    changed: dict[str, Any] = {
        name: getattr(settings, name).model_copy(update=values) for name, values in tables.items()
    }
    plain = {"store": StoreSettings(), "files": FileSettings(), "numbers": {}}
    return settings.model_copy(update={"data_dir": folder, **plain, **changed})


def _environment(terms: RehearsalOptions) -> Environment:
    return Environment(
        log=open_log(
            stream=io.StringIO(),
            level="error",
            format="json",
            redactor=Redactor([]),
            now=lambda: datetime.now(UTC),
        ),
        metrics=Metrics(version=__version__),
        now=lambda: terms.at,
        clock=time.perf_counter,
        notify=lambda _message: None,
        random=Random(terms.seed),  # noqa: S311 - repeatable on purpose
        handle_signals=False,
    )
