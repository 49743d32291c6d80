"""The whole conversation without its outside: window, tools, validation, splitting.

It has a store of its own in a temporary folder. What a number needs is opened as for the daemon,
but for the gateway, which is `MemoryGateway`. Notifications, webhooks and reminders have no task
here, so nothing else can be sent either. `daemon.ops.rehearsal.sandbox` has the whole daemon.
"""

import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TextIO

import msgspec
import trio
from pydantic import SecretStr

from daemon import __version__
from daemon.assistant.payloads.responses import read_only
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
from daemon.ops.rehearsal.cases import CustomerMessage
from daemon.ops.rehearsal.gateway import MemoryGateway, webhook_body
from daemon.ops.rehearsal.model import simulated_engine
from daemon.ops.rehearsal.retrying_engine import retrying
from daemon.settings import Settings, with_tables
from daemon.settings.operation import FileSettings, StoreSettings
from daemon.tools.toolbox import Instead

NO_SECONDS = dict.fromkeys(
    [f"{name}_seconds" for name in ("window", "voice", "typing", "stop", "idle")], 0.0
)
"""A burst comes in one call, so its end need not be waited for."""

HELD = "held"
"""The outcome of a burst that began no turn: a person has the chat."""

CustomerText = str | CustomerMessage

LOOK_SECONDS = 0.1
"""Between two looks at what does not tell of itself."""

MOST_TURNS = 20
"""Of a chat that are looked at."""

FOLDER_PREFIX = "recado-rehearsal-"

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
    trouble_seconds: float = 60.0
    """After so long without any answer of a model server in trouble, it is asked no more."""
    instead: Instead = lambda *_: None
    """Answers calls of tools in their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstResult:
    """What came of one burst of a customer."""

    answers: tuple[str, ...] = ()
    """What was sent to the customer, in order, as it is shown."""
    outcome: str = ""
    """Of the turn, or `HELD`; empty if it did not end in time."""
    reason: str = ""
    tokens: int = 0


class Carrier(Protocol):
    """The way between customers and the chats."""

    async def bring(self, key: ChatKey, texts: Sequence[CustomerText], name: str) -> None:
        """Bring the messages of a burst, and wait until nothing is left to be done with them.

        If it is cancelled, the chat gives up what it is at.
        """

    def answers(self, key: ChatKey) -> list[str]:
        """What a customer was sent so far, as it is shown."""


class Rehearsal:
    """Conversations with one configuration. Any number of tasks may play, each in its own chat."""

    def __init__(self, services: ChatServices, carrier: Carrier, *, trouble_seconds: float) -> None:
        self.services = services
        self._carrier = carrier
        self._trouble_seconds = trouble_seconds
        self._trouble = ""
        """Why the model server is asked no more."""
        self._numbers = count(1)

    def new_chat(self) -> ChatKey:
        """The chat of a customer who has never written."""
        return ChatKey(self.services.number.name, chat_id(f"57300{next(self._numbers):07}"))

    async def say(
        self, key: ChatKey, texts: Sequence[CustomerText], *, name: str = "", seconds: float
    ) -> BurstResult:
        """Let a customer write a burst, and wait at most ``seconds`` for the end of its turn."""
        if self._trouble:
            return BurstResult(reason=self._trouble)
        sent = len(self._carrier.answers(key))
        before = await self._turns(key)
        is_done = False
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_model, nursery, name="model of the rehearsal")
                await self._carrier.bring(key, texts, name)
                is_done = True
                nursery.cancel_scope.cancel()
        answers = tuple(self._carrier.answers(key)[sent:])
        if not is_done:
            return BurstResult(answers=answers, reason=self._trouble)
        turns = [turn for turn in await self._turns(key) if turn not in before]
        if not turns:
            return BurstResult(answers=answers, outcome=HELD)
        return BurstResult(
            answers=answers,
            outcome=str(turns[0]["outcome"]),
            reason=str(turns[0]["reason"]),
            tokens=sum(int(turn["tokens"]) for turn in turns),
        )

    async def _watch_model(self, nursery: trio.Nursery) -> None:
        """Cancel a burst whose answer is not to be expected."""
        state, began = self.services.model.state, trio.current_time()
        while True:
            await trio.sleep(LOOK_SECONDS)
            since = trio.current_time() - max(began, state.answered_at)
            if state.failure and since > self._trouble_seconds:
                self._trouble = state.failure
                nursery.cancel_scope.cancel()

    async def _turns(self, key: ChatKey) -> list[JsonObject]:
        """The last turns of a chat, newest first: a burst is one, or a few."""
        return await self.services.store.views.turns(key, limit=MOST_TURNS)

    async def cost(self, key: ChatKey) -> float:
        """What the model has cost in a chat, in the currency of `budget`."""
        return float((await self.services.store.views.costs(key))["model"]) / 1e6


class MemoryCarrier:
    """Implements `Carrier` by calls in this process."""

    def __init__(self, services: ChatServices, chats: ChatRegistry, gateway: MemoryGateway) -> None:
        self._now = services.telemetry.now
        self._chats = chats
        self._intake = Intake(services, chats)
        self._gateway = gateway
        self._numbers = count(1)

    async def bring(self, key: ChatKey, texts: Sequence[CustomerText], name: str) -> None:
        """See `Carrier`: all in one call. A voice note is a text here."""
        messages = [message for text in texts for message in self._written(key, text, name)]
        await self._intake.accept(webhook_body(tuple(messages)), "")
        try:
            await self._chats.wait_left(key)
        except trio.Cancelled:
            self._chats.release(key)
            raise

    def answers(self, key: ChatKey) -> list[str]:
        """See `Carrier`."""
        return list(map(shown_message, self._gateway.sent[key.chat]))

    def _written(self, key: ChatKey, text: CustomerText, name: str) -> list[Message]:
        """A message, and its edit if it is changed."""
        written = CustomerMessage(text) if isinstance(text, str) else text
        message = Message(
            id=f"said-{key.chat}-{next(self._numbers)}",
            key=key,
            kind="text",
            content=Text(body=written.text),
            source="mobile",
            author=key.chat.partition("@")[0],
            author_name=name,
            sent_at=self._now(),
        )
        if not written.edit:
            return [message]
        change = Edit(target=message.id, body=written.edit)
        edit = {"id": f"{message.id}-edit", "kind": "action", "content": change}
        return [message, msgspec.structs.replace(message, **edit)]


@asynccontextmanager
async def open_rehearsal(settings: Settings, terms: RehearsalOptions) -> AsyncIterator[Rehearsal]:
    """Open the conversation of one number, whose settings these are; its store ends with it.

    Raises SettingsError, ToolError or ValidatorError.
    """
    with TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        own = rehearsed(settings, Path(folder), terms)
        gateway, environment = MemoryGateway(), environment_of(terms, now=lambda: terms.at)
        async with (
            open_process(own, environment) as process,
            open_services(own, process, own=gateway) as opened,
            trio.open_nursery() as nursery,
        ):
            engine = simulated_engine() if terms.simulated else opened.model.engine
            services = replace(opened, model=replace(opened.model, engine=engine))
            services = await prepared(services, own, terms)
            chats = ChatRegistry(services)
            await nursery.start(services.attachments.run, name="files of the rehearsal")
            await nursery.start(chats.run, name="chats of the rehearsal")
            carrier = MemoryCarrier(services, chats, gateway)
            yield Rehearsal(services, carrier, trouble_seconds=terms.trouble_seconds)
            nursery.cancel_scope.cancel()


async def prepared(
    services: ChatServices, settings: Settings, terms: RehearsalOptions
) -> ChatServices:
    """The services with tools that give what the rehearsal says, once the documents are read.

    They wait while the model server is busy.
    """
    engine = retrying(services.model.engine, seconds=terms.trouble_seconds)
    current = services.config.current
    config = LiveConfig(replace(current, toolbox=current.toolbox.answered_by(terms.instead)))
    for number in folders_of(settings).values():
        documents = knowledge_folder(number, services.store.passages, services.telemetry.now)
        await documents.bring_in_step()
    return replace(services, config=config, model=replace(services.model, engine=engine))


def rehearsed(settings: Settings, folder: Path, terms: RehearsalOptions) -> Settings:
    """The settings of a number for a rehearsal in ``folder``: no waits, no limits, nothing outside.

    Voices, embeddings, MCP servers (also those that the model server calls) and lists of contacts
    are left out.
    """
    options, hosted = settings.assistant.options, settings.assistant.hosted_tools
    if "tools" in options:
        options = {**options, "tools": read_only(options["tools"])}
    tables: dict[str, dict[str, Any]] = {
        "assistant": {
            "candidate": "off",
            "options": options,
            "hosted_tools": tuple(read_only(hosted)),
        },
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
        "tools": {"mcp": ()},
        "notify": {"urls": ()},
        "tracing": {"otlp_endpoint": ""},
    }
    if terms.simulated:
        tables["assistant"] |= {"engine": "responses", "api_key": SecretStr(NOTHING)}
        tables["budget"]["total_cost"] = 0.0
    plain = {"store": StoreSettings(), "files": FileSettings(), "numbers": {}, "webhooks": ()}
    return with_tables(settings, tables, data_dir=folder, **plain)


def environment_of(
    terms: RehearsalOptions, *, now: Callable[[], float], stream: TextIO | None = None
) -> Environment:
    """The process environment of a rehearsal, which logs its errors to ``stream``, if any."""
    return Environment(
        log=open_log(
            stream=stream or io.StringIO(),
            level="error",
            format="json",
            redactor=Redactor([]),
            now=lambda: datetime.now(UTC),
        ),
        metrics=Metrics(version=__version__),
        now=now,
        clock=time.perf_counter,
        notify=lambda _message: None,
        random=Random(terms.seed),  # noqa: S311 - repeatable on purpose
        handle_signals=False,
    )


def shown_message(message: Outgoing) -> str:
    """A message as text: its words, and in brackets what is no text."""
    if message.kind == "text":
        return message.body
    payload = message.payload
    named = message.body or payload.get("name") or payload.get("title") or payload.get("filename")
    return f"[{message.kind}] {named or ''}".rstrip()
