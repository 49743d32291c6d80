"""The whole daemon on a stage: real HTTP on free ports, simulators on both sides, short waits."""

import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import trio
from pydantic import SecretStr

from daemon.app import run
from daemon.assistant.port import Engine
from daemon.conversation.number_runtime import open_services
from daemon.conversation.opening import Environment, Process, open_process
from daemon.conversation.services import ChatServices
from daemon.domain.redaction import Redactor
from daemon.gateway.port import Gateway as GatewayCalls
from daemon.observability.logs import open_log
from daemon.observability.metrics import Metrics
from daemon.sandbox.start import sandbox_settings
from daemon.settings import Settings
from daemon.system.process import boot_seconds
from support import object_store
from support.gateway import ScriptedGateway
from support.model import ScriptedModel
from support.place import database
from support.plain import NO_TLS
from support.rows import count, select
from support.services import with_rules
from support.simulators import Simulators, simulators

LAURA = "573001234567"
CHANNEL = "SANDBOX-00001"
"""The simulated gateway's id of the number."""

CALLS_VARIABLE = "TEST_CALLS_ELSEWHERE"
"""The environment variable that, if it is set, has all webhooks go to a second node, which has not
the number. Only on PostgreSQL."""

NUMBER = "main"
"""The daemon's name of the number, in the column ``channel``."""

QUICK: dict[str, dict[str, Any]] = {
    "buffer": {
        "window_seconds": 0.15,
        "voice_seconds": 0.3,
        "typing_seconds": 0.6,
        "stop_seconds": 0.1,
        "max_wait_seconds": 3.0,
        "idle_seconds": 0.5,
    },
    "delivery": {"typing": False, "short_characters": 0},
    "recovery": {"delay_seconds": 0.05},
    "web": {"port": 0},
    "brakes": {"turns_per_minute": 0, "loop_answers": 0, "repeats": 0},
    "history": {"import_messages": 0},
}
"""Settings under which a test waits tenths of a second where a customer waits seconds."""


LONGEST_SECONDS = 110.0
"""A test that takes longer waits for what does not come."""

SEEN = {
    "messages": "id, state, reason",
    "turns": "id, state, outcome, reason",
    "outbox": "id, state, body, error",
}
"""The columns that are shown of a failed test."""


class OutsideClock:
    """The wall clock of WhatsApp and the model server, which tests may move on."""

    def __init__(self) -> None:
        self.later_seconds = 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        return time.time() + self.later_seconds


class Stage:
    """One store, two simulators, and a daemon that can be stopped and started again."""

    def __init__(self, settings: Settings, outside: Simulators, nursery: trio.Nursery) -> None:
        self.settings = settings
        self.gateway: ScriptedGateway = outside.gateway
        self.model: ScriptedModel = outside.model
        self.model_url = outside.model_url
        self.url = ""
        self.log = StringIO()
        """Everything the daemon has logged, one JSON object a line."""
        self.environment = new_world(self.log)
        self.rules: Mapping[str, Any] = {}
        """Fields of the chats' rules that no setting changes, such as ``agent_seconds``."""
        self.slept_seconds = 0.0
        """How far the boot clock is ahead of the others: the time of suspension."""
        self.later_seconds = 0.0
        """How far the wall clock of the next start is ahead of the real one."""
        self.outside_clock = OutsideClock()
        """The simulators'; only of a stage from `open_stage` can it be moved."""
        self._outside = outside
        self._nursery = nursery
        self._was_started = False
        self._ended = trio.Event()
        self._life = trio.CancelScope()
        self._other_life = trio.CancelScope()

    @staticmethod
    def wrap_engine(engine: Engine) -> Engine:
        """Wraps the engine; for tests of its failures."""
        return engine

    @staticmethod
    def wrap_gateway(gateway: GatewayCalls) -> GatewayCalls:
        """Wraps the chats' gateway; for tests of its calls."""
        return gateway

    async def start(self) -> None:
        """Start the daemon on the stage's store; webhooks go to it from now on."""
        later = self.later_seconds
        self.environment = replace(
            new_world(self.log) if self._was_started else self.environment,
            now=lambda: time.time() + later,
            boot_clock=lambda: boot_seconds() + self.slept_seconds,
        )
        self._was_started = True
        self._ended = trio.Event()
        self._life = trio.CancelScope()
        (self.url,) = await self._nursery.start(self._run, name="daemon under test")
        called = self.url
        if os.environ.get(CALLS_VARIABLE):
            (called,) = await self._nursery.start(self._run_other, name="another node")
        self.gateway.set_webhook(f"{called}/hook")

    def pass_time(self, seconds: float) -> None:
        """Let time pass for everybody while the daemon is down: on its next clock and outside."""
        self.later_seconds += seconds
        self.outside_clock.later_seconds += seconds

    async def stop(self) -> None:
        """Stop the daemon as SIGTERM would, and wait for its end."""
        self._other_life.cancel()
        self.environment.stop.set()
        await self._ended.wait()

    async def crash(self) -> None:
        """End the daemon at once: every task is cancelled, the chats get no stop signal.

        Queued writes of the store are still committed; nothing else is finished.
        """
        self._other_life.cancel()
        self._life.cancel()
        await self._ended.wait()

    def outside_settings(self) -> Settings:
        """The settings of a daemon between the simulators."""
        return sandbox_settings(self.settings, self._outside)

    async def _run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        try:
            with self._life:
                await run(
                    self.outside_settings(),
                    self.environment,
                    open_process=self._open_process,
                    open_services=self._open_services,
                    task_status=task_status,
                )
        finally:
            self._ended.set()

    async def _run_other(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """A second node, which owns no number, and leaves all webhooks for the first one."""
        settings = self.outside_settings()
        update = {
            "data_dir": self.settings.data_dir.with_name("other"),
            "node": settings.node.model_copy(update={"name": "other"}),
        }
        with trio.CancelScope() as self._other_life:
            await run(
                settings.model_copy(update=update), new_world(StringIO()), task_status=task_status
            )

    @asynccontextmanager
    async def _open_process(
        self, settings: Settings, environment: Environment
    ) -> AsyncIterator[Process]:
        async with open_process(settings, environment) as process:
            yield replace(
                process,
                models={
                    name: replace(model, engine=self.wrap_engine(model.engine))
                    for name, model in process.models.items()
                },
            )

    @asynccontextmanager
    async def _open_services(
        self, settings: Settings, process: Process, name: str
    ) -> AsyncIterator[ChatServices]:
        async with open_services(settings, process, name) as services:
            gateway = self.wrap_gateway(services.number.gateway)
            yield with_rules(
                replace(services, number=replace(services.number, gateway=gateway)), self.rules
            )

    def events(self, words: str) -> list[dict[str, Any]]:
        """The log lines with these words as their event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == words]

    def errors(self) -> list[dict[str, Any]]:
        """The log lines about errors of the daemon itself."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["level"] in {"error", "critical"}]

    async def post(self, body: bytes | object, path: str = "/hook") -> httpx.Response:
        """Post one webhook body (bytes as they are, anything else as JSON)."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            return await client.post(self.url + path, content=content)

    async def get(self, path: str) -> httpx.Response:
        """Get one page of the daemon."""
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            return await client.get(self.url + path)

    def received(self, chat: str = LAURA) -> list[str]:
        """The texts that the customer of a chat received, in order."""
        return [message.text for message in self.gateway.sent(chat)]

    def seen(self) -> str:
        """What there is to see on the stage, for the report of a test that failed."""
        asked = [(call.customer_texts, call.outcome) for call in self.model.calls]
        sent = [(one.chat, one.text) for one in self.gateway.ledger.sends]
        lines = [f"asked of the model: {asked}", f"sent: {sent}"]
        with suppress(Exception):  # there may be no ledger yet, or a broken one
            for table, columns in SEEN.items():
                found = select(self.settings.data_dir, table, columns)
                lines.append(f"{table} ({columns}): {found[-20:]}")
        return "\n".join([*lines, *self.log.getvalue().splitlines()[-40:]])

    async def calls_read(self) -> None:
        """Wait until the node with the number has stored the calls that the other one took."""
        place = self.settings.data_dir
        while os.environ.get(CALLS_VARIABLE) and count(place, "waiting_calls"):  # noqa: ASYNC110
            await trio.sleep(0.005)

    async def quiet(self) -> None:
        """Wait until no chat of the daemon has a task any more."""
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            while True:
                locks = (await client.get(f"{self.url}/locks")).json()
                if locks["stats"]["totalUsers"] == 0:
                    return
                await trio.sleep(0.02)


@cache
def unread_metrics() -> Metrics:
    """Those of simulators, which count nothing: to make new ones takes long."""
    return Metrics(version="test")


def outside_world() -> Environment:
    """The environment of simulators."""
    return new_world(StringIO(), unread_metrics())


def new_world(log: StringIO, metrics: Metrics | None = None) -> Environment:
    """A process environment without signals, with a recorded log."""
    return Environment(
        log=open_log(
            stream=log,
            level="info",
            format="json",
            redactor=Redactor([]),
            now=lambda: datetime.now(UTC),
            strict=True,
        ),
        metrics=metrics or Metrics(version="test"),
        now=time.time,
        clock=time.perf_counter,
        notify=lambda _message: None,
        random=random.Random(7),  # noqa: S311 - repeatable on purpose
        handle_signals=False,
    )


def text_webhook(body: str, message_id: str, chat: str = LAURA, **fields: Any) -> dict[str, Any]:
    """A webhook body with one text of a customer."""
    message = {
        "id": message_id,
        "type": "text",
        "from_me": False,
        "source": "mobile",
        "chat_id": f"{chat}@s.whatsapp.net",
        "from": chat,
        "from_name": "Laura",
        "timestamp": int(time.time()),
        "text": {"body": body},
        **fields,
    }
    return {
        "messages": [message],
        "event": {"type": "messages", "event": "post"},
        "channel_id": CHANNEL,
    }


def quick_settings(data_dir: Path, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    """`QUICK` with some tables changed, on a store of its own."""
    settings = Settings()
    update: dict[str, Any] = {"data_dir": data_dir}
    if url := database().url(data_dir):
        changes = {"store": {"url": SecretStr(url)}, **changes}
    if object_store.is_chosen():
        changes = {"files": object_store.file_settings(data_dir), **changes}
    for table in {*QUICK, *changes}:
        section = getattr(settings, table)
        update[table] = section.model_copy(
            update={**QUICK.get(table, {}), **changes.get(table, {})}
        )
    instructions = data_dir.parent / "instructions.md"
    instructions.write_text("You answer for a small hotel.")
    assistant = update.get("assistant", settings.assistant)
    update["assistant"] = assistant.model_copy(
        update={"instructions_file": instructions, "assistant_id": "asst_sandbox"}
    )
    return settings.model_copy(update=update)


@contextmanager
def played(stage: Stage) -> Iterator[None]:
    """The part of a test that is on the stage: its failure tells what was to be seen there."""
    try:
        with trio.fail_after(LONGEST_SECONDS):
            yield
    except Exception as error:
        error.add_note(stage.seen())
        raise


@asynccontextmanager
async def open_stage(
    data_dir: Path,
    *,
    started: bool = True,
    rules: Mapping[str, Any] | None = None,
    **changes: Mapping[str, Any],
) -> AsyncIterator[Stage]:
    """Both simulators and, unless disabled, a running daemon.

    ``rules`` are fields of the chats' rules that no setting changes. ``changes`` are tables of
    the settings, over the quick ones. At the end the daemon is stopped; whatever it logged as an
    error fails the test unless it cleared the log.
    """
    settings = quick_settings(data_dir, changes)
    clock = OutsideClock()
    environment = replace(outside_world(), now=clock)
    async with simulators(environment) as outside, trio.open_nursery() as nursery:
        stage = Stage(settings, outside, nursery)
        stage.outside_clock = clock
        stage.rules = rules or {}
        with played(stage):
            if started:
                database().prepare(settings.data_dir)
                await stage.start()
            yield stage
            if stage.url:
                await stage.stop()
    errors = stage.errors()
    assert not errors, errors
