"""Named kill points, put around the daemon's dependencies from outside.

The daemon does not know them: the victim (`support.crash_victim`) wraps the chats' dependencies.
"""

import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from daemon.assistant.port import Engine
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.services import ChatServices
from daemon.domain.messages import (
    ChatInfo,
    FunctionCall,
    Label,
    Message,
    ModelRequest,
    ModelResponse,
    NumberHealth,
    Webhook,
)
from daemon.domain.records import OutboxRow, Turn
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.templates import Template
from daemon.gateway.port import Capabilities, Gateway, Indicator
from daemon.http.usual_webhooks import UsualWebhooks
from daemon.ledger.drivers.port import PendingWrite
from daemon.ledger.drivers.postgres.writer import Writer
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.drivers.threads import AwaitedWrite
from daemon.ledger.ledger import Store
from daemon.ledger.outbox import Outbox, SettledSend
from daemon.ledger.statuses import NEVER
from daemon.tools.tool import ToolContext
from daemon.tools.toolbox import Toolbox

Batch = list[Any]

PLAN_VARIABLE = "CRASH_PLAN"
"""The environment variable in which the victim finds its plan. Only the victim reads it."""


USUAL_ANSWERS = "after answers to usual webhooks"
"""Webhooks that the store's thread has read are answered, and their chats not woken yet."""


USUAL_FILE = "usual_webhooks.txt"
"""In the victim's folder, with the sizes of these batches."""


class KillPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for one process of the victim."""

    listener: int
    """Descriptor of the listening socket that the harness holds."""
    point: str = ""
    """The point to die at; empty: none."""
    visit: int = 1
    """At which visit of the point, counted from the moment the points are armed."""
    armed: bool = False
    """True: armed from the start; else by SIGUSR1."""
    signal: int = signal.SIGKILL
    """What is sent to the process there."""
    trace: str = ""
    """A file that gets the name of each point reached while armed; empty: none."""


class KillPoints:
    """Counts the visits of points and kills at the planned one. `reach` is for any thread."""

    def __init__(
        self, plan: KillPlan, *, kill: Callable[[], None], note: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._kill = kill
        self._note = note
        self._armed = plan.armed
        self._visits = 0
        self._lock = threading.Lock()

    def arm(self) -> None:
        """Count from now on."""
        self._armed = True

    def reach(self, point: str) -> None:
        """Report that a point is reached; does not return if it is the planned one."""
        if not self._armed:
            return
        with self._lock:
            self._note(point)
            if point == self._plan.point:
                self._visits += 1
                if self._visits == self._plan.visit:
                    self._kill()


def watched(services: ChatServices, points: KillPoints) -> ChatServices:
    """The same services with kill points around everything with an effect outside."""
    store, model, number = copy(services.store), services.model, services.number
    _watch_commits(store, points)
    store.outbox = _WatchedOutbox(store.outbox, points)
    chat_config = services.config.current
    toolbox = _WatchedToolbox(chat_config.toolbox, points)
    return replace(
        services,
        store=store,
        model=replace(model, engine=_WatchedEngine(model.engine, points)),
        number=replace(number, gateway=_WatchedGateway(number.gateway, points)),
        config=LiveConfig(replace(chat_config, toolbox=toolbox)),
    )


def _watch_commits(store: Store, points: KillPoints) -> None:
    """Points in the writer thread: after the writes, before COMMIT, and before callers resume."""
    if isinstance(store.database, SqliteDatabase):
        commit = store.database._commit_as_one

        def watched_commit(batch: Batch) -> str:
            return _through_points(batch, commit, points)

        store.database._commit_as_one = watched_commit  # type: ignore[method-assign]
    else:  # writers are made when they are needed
        commit_of = Writer._commit

        def watched_commit_of(writer: Writer, batch: Batch) -> str:
            return _through_points(batch, partial(commit_of, writer), points)

        Writer._commit = watched_commit_of  # type: ignore[method-assign, assignment]


def watch_usual_webhooks(points: KillPoints, stored: Callable[[str], None]) -> None:
    """A point after the answers of the store's thread; ``stored`` is told how many these were."""
    committed = UsualWebhooks.committed

    def watched_committed(source: UsualWebhooks) -> None:
        answers = len(source._being_stored)
        committed(source)
        if answers:
            stored(str(answers))
            points.reach(USUAL_ANSWERS)

    UsualWebhooks.committed = watched_committed  # type: ignore[method-assign, assignment]


def _through_points(batch: Batch, commit: Callable[[Any], str], points: KillPoints) -> str:
    names = [_point_of(write) for write in batch]
    last = batch[-1]
    operation = last.operation

    def verb_and_points(connection: Any) -> object:
        result = operation(connection)
        for name in names:
            points.reach(f"before commit of {name}")
        return result

    last.operation = verb_and_points
    fault = commit(batch)
    for name in names:
        points.reach(f"after commit of {name}")
    return fault


def _point_of(write: PendingWrite[object]) -> str:
    """The store's method that a write belongs to; ``usual …`` if no task waits for it."""
    name = _name(write.operation)
    return name if isinstance(write, AwaitedWrite) else f"usual {name}"


def _name(operation: Callable[[Any], object]) -> str:
    """The store's method that an operation belongs to, such as ``Inbox.accept``."""
    function = operation.func if isinstance(operation, partial) else operation
    return str(getattr(function, "__qualname__", "a write")).partition(".<locals>")[0]


class _WatchedOutbox(Outbox):
    """Points before and after the updates of a row that frame a send."""

    def __init__(self, outbox: Outbox, points: KillPoints) -> None:
        super().__init__(outbox._database)
        self._points = points

    async def sending(self, row: OutboxRow, *, now: float) -> float:
        self._points.reach("before outbox sending")
        paused_until = await super().sending(row, now=now)
        self._points.reach("after outbox sending")
        return paused_until

    async def sent(
        self,
        row: OutboxRow,
        message_id: str,
        *,
        finishes: Turn | None = None,
        now: float,
        resend_since: float = NEVER,
    ) -> SettledSend:
        self._points.reach("before outbox sent")
        sent = await super().sent(
            row, message_id, finishes=finishes, now=now, resend_since=resend_since
        )
        self._points.reach("after outbox sent")
        return sent

    async def repeat(self, row: OutboxRow) -> OutboxRow:
        self._points.reach("before outbox repeat")
        row = await super().repeat(row)
        self._points.reach("after outbox repeat")
        return row


class _WatchedEngine:
    """Points before and after each call of the model."""

    def __init__(self, engine: Engine, points: KillPoints) -> None:
        self._engine = engine
        self._points = points

    @property
    def can_resume(self) -> bool:
        return self._engine.can_resume

    @property
    def waits_for_outputs(self) -> bool:
        return self._engine.waits_for_outputs

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        async def started(response_id: str) -> None:
            self._points.reach("before the response's id is noted")
            await on_started(response_id)

        self._points.reach("before respond")
        response = await self._engine.respond(request, on_started=started)
        self._points.reach("after respond")
        return response

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        self._points.reach("before resume")
        response = await self._engine.resume(response_id, starting_after=starting_after)
        self._points.reach("after resume")
        return response

    async def cancel(self, response_id: str) -> bool:
        self._points.reach("before cancel")
        stopped = await self._engine.cancel(response_id)
        self._points.reach("after cancel")
        return stopped

    async def warm_up(self) -> None:
        await self._engine.warm_up()

    async def list_models(self) -> Mapping[str, str]:
        return await self._engine.list_models()

    def notice(self, response_id: str) -> None:
        self._engine.notice(response_id)


class _WatchedGateway:
    """Points before a send reaches the wire and after its answer, and round the listing."""

    def __init__(self, gateway: Gateway, points: KillPoints) -> None:
        self._gateway = gateway
        self._points = points

    @property
    def capabilities(self) -> Capabilities:
        return self._gateway.capabilities

    @property
    def seconds_ahead(self) -> float | None:
        return self._gateway.seconds_ahead

    def parse_webhook(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        return self._gateway.parse_webhook(body, number=number, path_event=path_event)

    async def send(
        self, chat: str, message: Outgoing, *, before: Callable[[], Awaitable[None]]
    ) -> str:
        async def look() -> None:
            await before()
            self._points.reach("after the last look")

        self._points.reach("before send")
        message_id = await self._gateway.send(chat, message, before=look)
        self._points.reach("after send")
        return message_id

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        await self._gateway.set_presence(chat, indicator)

    async def subscribe_presence(self, contact: str) -> None:
        await self._gateway.subscribe_presence(contact)

    async def mark_read(self, message_id: str) -> None:
        await self._gateway.mark_read(message_id)

    async def health(self) -> NumberHealth:
        return await self._gateway.health()

    async def find_alias(self, digits: str) -> str:
        return await self._gateway.find_alias(digits)

    async def get_chat(self, chat: str) -> ChatInfo | None:
        return await self._gateway.get_chat(chat)

    async def list_templates(self) -> tuple[Template, ...]:
        return await self._gateway.list_templates()

    async def list_labels(self) -> tuple[Label, ...]:
        return await self._gateway.list_labels()

    async def add_label(self, label_id: str, chat: str) -> None:
        await self._gateway.add_label(label_id, chat)

    async def remove_label(self, label_id: str, chat: str) -> None:
        await self._gateway.remove_label(label_id, chat)

    async def list_messages(
        self, chat: str, *, from_me: bool | None, since: float, count: int
    ) -> tuple[Message, ...]:
        self._points.reach("before list")
        listed = await self._gateway.list_messages(chat, from_me=from_me, since=since, count=count)
        self._points.reach("after list")
        return listed


class _WatchedToolbox(Toolbox):
    """Points before and after each call of a tool; the ledger's rows lie outside of them."""

    def __init__(self, toolbox: Toolbox, points: KillPoints) -> None:
        super().__init__(toolbox._tools.values())
        self._points = points

    async def call(self, call: FunctionCall, context: ToolContext) -> tuple[str, bool]:
        self._points.reach("before tool")
        result = await super().call(call, context)
        self._points.reach("after tool")
        return result
