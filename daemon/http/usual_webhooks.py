"""Usual webhooks, read, stored and answered in the thread that writes the store.

Nearly every request is a webhook with one text, whole in one read, from a client that waits for
its answer. To take up a task for it, and to hand its write to the store's thread and back, costs
more than all the work on it. So the task of a connection that idles waits in
`UsualWebhooks.unusual_data`, and meanwhile the store's thread reads from all such connections,
commits what has come, and answers. What else follows (the chat is woken, the line is logged) is
done by the event loop some milliseconds later, out of the client's way. Whatever is not usual goes
back to the connection's own task, as if that had read it.
"""

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import trio

from daemon.http.asgi import EdgeLog
from daemon.http.clients import Client
from daemon.http.whole_request import Answer, WholeRequest
from daemon.observability.events import UNEXPECTED_ERROR

READ_BYTES = 16 * 1024
"""Read at once; a usual webhook has one or two thousand."""


class UsualCall(Protocol):
    """A webhook that the store's thread has read, and stores."""

    error: BaseException | None
    """Why it is not stored; None once it is."""

    def report(self) -> None:
        """Wake its chat, and log it. Called in the event loop, once it is stored."""


class Watcher(Protocol):
    """The store's thread as its source sees it. Any thread may call it."""

    def watch(self, descriptor: int, /) -> bool:
        """Have the source read from a descriptor whenever it is ready; False if one is closed."""

    def ignore(self, descriptor: int, /) -> None:
        """Watch a descriptor no more."""

    def give_back(self, finish: Callable[[], object], /) -> None:
        """Have a function called in the event loop."""


class Webhooks(Protocol):
    """Has webhooks stored: `daemon.http.hook.Hook`."""

    def receive(self, source: "UsualWebhooks") -> Watcher | None:
        """Have the store's thread take calls from a source; None: this store's does not."""

    def usual_call(self, data: bytes, client: Client) -> UsualCall | None:
        """What is to be stored of a usual webhook; None for another request. For any thread."""

    def receipt(self) -> bytes:
        """The answer to a webhook that is stored. For any thread."""

    def answered(self, seconds: float) -> None:
        """Count such an answer, so long after the webhook's last byte."""

    def refusal(self, error: BaseException, client: Client, seconds: float) -> Answer:
        """Return the answer to a webhook that is not stored, and count it."""

    async def answer_whole(self, request: WholeRequest, client: Client) -> Answer | None:
        """Answer a usual webhook in the connection's task; None: the app has to."""


class IdleConnection(Protocol):
    """The part of a connection that is used here."""

    client: Client

    @property
    def descriptor(self) -> int:
        """The socket's; negative once it is closed."""

    def begin_request(self) -> None:
        """No time limit of the client holds until its answer. Called in the store's thread."""

    def answer_at_once(self, answer: bytes, now: float) -> bytes | None:
        """Write an answer; gives what the connection's task has to send, empty if nothing.

        None: the client is gone. Called in the store's thread, at a time of trio's clock.
        """

    @property
    def is_room_awaited(self) -> bool:
        """Whether somebody waits for any connection to become idle."""

    def became_idle(self) -> None:
        """Tell who waits for that."""

    async def send_answer(self, answer: Answer) -> None:
        """Send an answer, or its rest, in the connection's task."""


class _Refused(NamedTuple):
    """A webhook that is not stored."""

    error: BaseException
    seconds: float


class _Rest(NamedTuple):
    """What is left of an answer."""

    answer: bytes


_Found = bytes | _Refused | _Rest
"""What a connection's task goes on with; bytes are data that was read."""


class _Watched:
    """A connection that is read from here."""

    __slots__ = ("connection", "descriptor", "found", "is_lent", "task", "webhooks")

    def __init__(self, connection: IdleConnection, webhooks: "UsualWebhooks") -> None:
        self.connection = connection
        self.webhooks = webhooks
        self.descriptor = connection.descriptor
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        """The connection's, while it waits."""
        self.found: _Found = b""
        self.is_lent = True
        """False once the thread may not use the descriptor: it may be another one's by then."""

    def left(self, _raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
        """The connection's task is cancelled."""
        self.task = None
        self.webhooks.forget(self)
        return trio.lowlevel.Abort.SUCCEEDED


class UsualWebhooks:
    """The connections that idle, and what they bring. Made by the server.

    A `daemon.ledger.drivers.threads.WriteSource`.
    """

    def __init__(self, webhooks: Callable[[], Webhooks | None], log: EdgeLog) -> None:
        """``webhooks``: None while the daemon starts."""
        self._find_webhooks = webhooks
        self._log = log
        self._clock = trio.lowlevel.current_clock()
        self._lock = threading.Lock()
        """Held while the thread uses a descriptor, and to take one away from it."""
        self._watched: dict[int, _Watched] = {}
        self._taken: list[tuple[_Watched, UsualCall, float]] = []
        """What is being stored, and when it was read. The thread's."""
        self._opened: tuple[Webhooks, Watcher] | None = None

    @property
    def is_open(self) -> bool:
        """Whether connections may wait here."""
        if self._opened is None and (webhooks := self._find_webhooks()) is not None:
            watcher = webhooks.receive(self)
            self._opened = (webhooks, watcher) if watcher is not None else None
        return self._opened is not None

    # -- in the event loop -------------------------------------------------------------------------

    async def unusual_data(self, connection: IdleConnection) -> bytes:
        """Wait for data that is no usual webhook, and return it; none: the client has left.

        Called by the connection's task, if this `is_open`.
        """
        webhooks, watcher = self._parts
        while True:
            watched = _Watched(connection, self)
            self._watched[watched.descriptor] = watched
            if not watcher.watch(watched.descriptor):  # the socket or the store is closed
                self.forget(watched)
                return b""
            await trio.lowlevel.wait_task_rescheduled(watched.left)
            match watched.found:
                case _Refused(error, seconds):
                    answer = webhooks.refusal(error, connection.client, seconds)
                    await connection.send_answer(answer)
                case _Rest(rest):
                    await connection.send_answer(rest)
                case data:
                    return data

    def forget_connection(self, connection: IdleConnection) -> None:
        """Use a connection's socket no more: it will be closed."""
        watched = self._watched.get(connection.descriptor)
        if watched is not None and watched.connection is connection:
            self.forget(watched)

    def _release(self, watched: _Watched, found: _Found) -> None:
        """Go on in the connection's task."""
        if watched.task is not None:
            watched.found = found
            trio.lowlevel.reschedule(watched.task)
            watched.task = None

    def _report(self, stored: list[tuple[_Watched, UsualCall, float]], now: float) -> None:
        """Do what follows from webhooks that are stored."""
        webhooks, _ = self._parts
        with self._log.together():
            for _, call, since in stored:
                if call.error is None:
                    webhooks.answered(now - since)
                    try:
                        call.report()
                    except Exception as error:  # noqa: BLE001 - it is stored: the sweep finds it
                        self._note(error)

    # -- in the store's thread ---------------------------------------------------------------------

    def take(self, descriptors: Sequence[int]) -> Sequence[UsualCall]:
        """Read from sockets that are ready; gives the webhooks that came."""
        now = self._clock.current_time()
        for descriptor in descriptors:
            if (watched := self._watched.get(descriptor)) is not None:
                self._read(watched, now)
        return [call for _, call, _ in self._taken]

    def _read(self, watched: _Watched, now: float) -> None:
        with self._lock:
            if not watched.is_lent:
                return
            try:
                data = os.read(watched.descriptor, READ_BYTES)
            except BlockingIOError:
                return  # the kernel may be wrong about it
            except OSError:
                data = b""
        if data and (call := self._usual_call(data, watched.connection.client)) is not None:
            watched.connection.begin_request()
            self._taken.append((watched, call, now))
        else:
            self._give_back(watched, data)

    def _usual_call(self, data: bytes, client: Client) -> UsualCall | None:
        try:
            return self._parts[0].usual_call(data, client)
        except Exception as error:  # noqa: BLE001 - a failure never leaves its connection
            self._note(error)
            return None

    def settled(self) -> Callable[[], object]:
        """Give what follows from the webhooks that were taken: they are stored, or are not."""
        if not self._taken:
            return _nothing
        return partial(self._report, self._taken, self._clock.current_time())

    def answer(self) -> None:
        """Answer what was taken."""
        taken, self._taken = self._taken, []
        if not taken:
            return
        (webhooks, watcher), now = self._parts, self._clock.current_time()
        receipt = webhooks.receipt()
        for watched, call, since in taken:
            if call.error is None:
                self._answer(watched, receipt, now)
            else:
                self._give_back(watched, _Refused(call.error, now - since))
        connection = taken[0][0].connection
        if connection.is_room_awaited:
            watcher.give_back(connection.became_idle)

    def _answer(self, watched: _Watched, receipt: bytes, now: float) -> None:
        with self._lock:
            if not watched.is_lent:
                return  # it was closed meanwhile
            rest = watched.connection.answer_at_once(receipt, now)
        if rest is None:
            self._give_back(watched, b"")
        elif rest:
            self._give_back(watched, _Rest(rest))

    def _give_back(self, watched: _Watched, found: _Found) -> None:
        """Have the connection's task go on."""
        self.forget(watched)
        self._parts[1].give_back(partial(self._release, watched, found))

    # -- in both -----------------------------------------------------------------------------------

    def forget(self, watched: _Watched) -> None:
        """Use a socket no more."""
        with self._lock:
            if watched.is_lent:
                watched.is_lent = False
                del self._watched[watched.descriptor]
                self._parts[1].ignore(watched.descriptor)

    @property
    def _parts(self) -> tuple[Webhooks, Watcher]:
        if self._opened is None:
            raise RuntimeError("no connection waits here before this is open")
        return self._opened

    def _note(self, error: Exception) -> None:
        self._log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a webhook failed",
            error=type(error).__name__,
            exc_info=error,
        )


def _nothing() -> None:
    """Nothing follows."""
