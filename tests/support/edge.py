"""Both sides of the HTTP edge in its tests: a daemon in memory, and raw clients."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import trio

from daemon.conversation.numbers import Numbers
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.dashboard_values import Overview
from daemon.domain.messages import ChatKey
from daemon.http.usual_webhooks import UsualWebhooks
from daemon.ledger.drivers.batch_queue import BatchQueue
from daemon.observability.events import EventKind
from daemon.ops.daemon_state import DaemonState
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews
from daemon.ops.passwords import Passwords
from daemon.ops.text_editor import TextEditor
from support.watch import MemoryWatch, NoAccounts


class MemoryState(DaemonState):
    """The state of a `MemoryDaemon` for probes and pages."""

    def __init__(self, daemon: "MemoryDaemon") -> None:
        self._daemon = daemon

    def hook_answered(self, status: int, seconds: float) -> None:
        self._daemon.answers.append((status, seconds))

    def secret_refused(self, what: str) -> None:
        self._daemon.refused.append(what)

    def health(self) -> dict[str, object]:
        if self._daemon.failure is not None:
            raise self._daemon.failure
        return {"status": "healthy", "activeBuffers": 0}

    def ready(self) -> str:
        return self._daemon.unready

    def about(self) -> dict[str, object]:
        if self._daemon.failure is not None:
            raise self._daemon.failure
        return {"service": "recado", "status": "ready"}

    def locks(self) -> dict[str, object]:
        return {"stats": {"activeLocks": 0}}

    def metrics(self, accept_header: str) -> tuple[bytes, str]:
        self._daemon.accept_headers.append(accept_header)
        return b"recado_up 1\n", "text/plain; version=0.0.4; charset=utf-8"

    def trace_memory(self) -> dict[str, object]:
        return {"watching": True}

    def end_memory_trace(self) -> None:
        self._daemon.ended.append("memory trace")

    async def overview(self) -> Overview:
        return await self._daemon.watch.overview()


class MemoryCall:
    """What the store's thread has read of a webhook."""

    def __init__(self, arguments: tuple[bytes, str, str], report: Callable[[], None]) -> None:
        self.arguments = arguments
        self.report = report
        self.error: BaseException | None = None


class MemoryDaemon(Operations):
    """Operations in memory: keeps what it accepts, fails or waits when a test says so."""

    def __init__(self) -> None:
        self.environment = "test"
        self.stored: list[tuple[bytes, str]] = []
        self.numbers_named: list[str] = []
        self.failure: Exception | None = None
        self.tasks: trio.Nursery | None = None
        """For the thread of `receive`; set by the server's fixture. None: there is none."""
        self.report: Callable[[], None] = lambda: None
        self.hold: trio.Event | None = None
        self.entered = trio.Event()
        self.done_once = trio.Event()
        self.unready = ""
        self.cleared = 0
        self.answers: list[tuple[int, float]] = []
        self.pauses: list[tuple[object, float | None]] = []
        self.actors: list[Actor] = []
        self.audited: list[tuple[Actor, Action, str, str, str]] = []
        self.marked: list[object] = []
        self.accept_headers: list[str] = []
        self.ended: list[str] = []
        self.refused: list[str] = []
        self.watch = MemoryWatch()
        self.state = MemoryState(self)
        self.views = OperatorViews.__new__(OperatorViews)  # tested on whole daemons
        self.texts = TextEditor.__new__(TextEditor)  # likewise
        self.live_log = self.watch
        self.sessions = self.watch.sessions
        self.accounts = NoAccounts()
        self.passwords = Passwords()
        self.now = lambda: 1_769_860_800.25
        self.numbers = cast("Numbers", self)

    async def accept(self, body: bytes, path_event: str, number: str) -> None:
        self.numbers_named.append(number)
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        self.stored.append((body, path_event))
        self.done_once.set()

    def receive(self, source: UsualWebhooks) -> BatchQueue[MemoryCall] | None:
        """What the source brings is accepted in a thread, as by the store's."""
        if self.tasks is None:
            return None
        writes = BatchQueue[MemoryCall]()
        writes.source = source
        self.tasks.start_soon(self._accept_all, writes, source)
        return writes

    def received_text(self, body: bytes, path_event: str, number: str) -> MemoryCall:
        return MemoryCall((body, path_event, number), self.report)

    async def _accept_all(self, writes: BatchQueue[MemoryCall], source: UsualWebhooks) -> None:
        def accept_each() -> None:
            while calls := writes.get_batch(100):
                for call in calls:
                    try:
                        trio.from_thread.run(self.accept, *call.arguments)
                    except Exception as error:  # noqa: BLE001 - passed on
                        call.error = error
                source.committed()

        try:
            await trio.to_thread.run_sync(accept_each, abandon_on_cancel=True)
        finally:
            writes.end()

    def response_ended(self, response_id: str) -> None:
        self.ended.append(response_id)

    async def audit(
        self, by: Actor, action: Action, subject: str = "", *, before: str = "", after: str = ""
    ) -> None:
        self.audited.append((by, action, subject, before, after))

    async def release_all(self, *, by: Actor) -> int:
        self.actors.append(by)
        self.cleared += 1
        return 3

    async def pause(self, chat: str | ChatKey, minutes: float | None, *, by: Actor) -> int:
        self.actors.append(by)
        self.pauses.append((chat, minutes))
        return int(chat != "unknown")

    async def resume(self, chat: str | ChatKey, *, by: Actor) -> int:
        self.actors.append(by)
        self.pauses.append((chat, 0))
        return int(chat != "unknown")

    async def done(self, chat: str | ChatKey, *, by: Actor) -> tuple[int, int]:
        self.actors.append(by)
        self.marked.append(chat)
        return int(chat != "unknown"), 2

    async def reveal(self, ref: str, *, by: Actor) -> str:
        self.watch.revealed.append((by, ref))
        return self.watch.numbers.get(ref, "")


@dataclass
class MemoryLog:
    """A log whose lines a test can read: level, event, fields."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("error", event, fields))

    def event(self, kind: EventKind, /, **fields: Any) -> None:
        self.lines.append((kind.level, kind.name, fields))

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def of(self, level: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the events and fields logged at `level`."""
        return [(event, fields) for at, event, fields in self.lines if at == level]


@dataclass
class Served:
    """A running server."""

    url: str
    port: int
    stop: trio.Event
    ended: trio.Event

    async def connect(self) -> trio.SocketStream:
        """Open a raw connection to it."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def exchange(self, request: bytes) -> bytes:
        """Send `request` on a new connection and return all that comes until the server closes."""
        async with await self.connect() as stream:
            await stream.send_all(request)
            return await read_all(stream)

    async def alive(self) -> bool:
        """Tell whether it answers a plain request on a new connection."""
        answer = await self.exchange(
            b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        return answer.startswith(b"HTTP/1.1 200 ")


async def read_all(stream: trio.SocketStream) -> bytes:
    """Return everything until the other side closes; a reset counts as a close."""
    parts = []
    try:
        while part := await stream.receive_some():
            parts.append(bytes(part))
    except trio.BrokenResourceError:
        pass
    return b"".join(parts)


async def read_until(stream: trio.SocketStream, ending: bytes) -> bytes:
    """Read up to and including `ending`; fail if the other side closes before."""
    got = bytearray()
    while not got.endswith(ending):
        part = await stream.receive_some()
        assert part, f"closed after {bytes(got[:500])!r}"
        got += part
    return bytes(got)


Start = Callable[..., Awaitable[Served]]
