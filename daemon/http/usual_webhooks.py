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


class StoreThread(Protocol):
    """The store's thread, as a `daemon.ledger.drivers.port.WriterThread`: HTTP knows no ledger."""

    def watch(self, descriptor: int, /) -> bool:
        """Have the source read from a descriptor whenever it is ready; False if one is closed."""

    def unwatch(self, descriptor: int, /) -> None:
        """Watch a descriptor no more."""

    def run_soon(self, function: Callable[[], object], /) -> None:
        """Have a function called in the event loop."""

    def run_later(self, function: Callable[[], object], /) -> None:
        """Do the same for what is not urgent."""


class Webhooks(Protocol):
    """Has webhooks stored: `daemon.http.hook.Hook`."""

    def receive(self, source: "UsualWebhooks") -> StoreThread | None:
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


class _Watched:
    """A connection that is read from here."""

    __slots__ = ("connection", "descriptor", "resumes_with", "task")

    def __init__(self, connection: IdleConnection) -> None:
        self.connection = connection
        self.descriptor = connection.descriptor
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        """The connection's, while it waits."""
        self.resumes_with: bytes | _Refused | _Rest = b""
        """Bytes are data that were read."""


class UsualWebhooks:
    """The connections that idle, and what they bring. Made by the server.

    A `daemon.ledger.drivers.port.WriteSource`, whose thread is called the store's here.

    While a connection is in ``_watched``, its task waits in `unusual_data`, and only the store's
    thread uses its descriptor, begins its requests and ends them. That thread holds `lock`
    meanwhile, and so does who takes a connection out: its descriptor may then become another
    connection's. What was read is answered before more is read, so a connection has one request.
    A task is resumed, or cancelled, in the event loop alone.
    """

    _webhooks: Webhooks
    _thread: StoreThread

    def __init__(self, webhooks: Callable[[], Webhooks | None], log: EdgeLog) -> None:
        """``webhooks``: None while the daemon starts."""
        self.lock = threading.Lock()
        """Not to be held while anything waits."""
        self._find_webhooks = webhooks
        self._log = log
        self._clock = trio.lowlevel.current_clock()
        self._is_open = False
        self._watched: dict[int, _Watched] = {}
        """By descriptor."""
        self._being_stored: list[tuple[_Watched, UsualCall, float]] = []
        """What was read, and when. The store's thread's."""

    # -- in the event loop -------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether connections may wait here."""
        if not self._is_open and (webhooks := self._find_webhooks()) is not None:
            thread = webhooks.receive(self)
            if thread is not None:
                self._webhooks, self._thread, self._is_open = webhooks, thread, True
        return self._is_open

    async def unusual_data(self, connection: IdleConnection) -> bytes:
        """Wait for data that is no usual webhook, and return it; none: the client has left.

        Called by the connection's task, if this `is_open`.
        """
        while True:
            watched = _Watched(connection)
            self._watched[watched.descriptor] = watched
            if not self._thread.watch(watched.descriptor):  # the socket or the store is closed
                self._forget(watched)
                return b""
            await trio.lowlevel.wait_task_rescheduled(partial(self._cancelled, watched))
            match watched.resumes_with:
                case _Refused(error, seconds):
                    answer = self._webhooks.refusal(error, connection.client, seconds)
                    await connection.send_answer(answer)
                case _Rest(rest):
                    await connection.send_answer(rest)
                case data:
                    return data

    def forget_connection(self, connection: IdleConnection) -> None:
        """Use a connection's socket no more: it will be closed."""
        watched = self._watched.get(connection.descriptor)
        if watched is not None and watched.connection is connection:
            self._forget(watched)

    def _cancelled(self, watched: _Watched, _raise: Callable[[], None]) -> trio.lowlevel.Abort:
        watched.task = None
        self._forget(watched)
        return trio.lowlevel.Abort.SUCCEEDED

    def _forget(self, watched: _Watched) -> None:
        with self.lock:
            if self._is_watched(watched):
                self._take_out(watched)

    def _resume(self, watched: _Watched) -> None:
        if watched.task is not None:
            trio.lowlevel.reschedule(watched.task)
            watched.task = None

    def _report(self, stored: Sequence[tuple[_Watched, UsualCall, float]], now: float) -> None:
        """Do what follows from webhooks that are stored."""
        with self._log.together():
            for _, call, since in stored:
                if call.error is None:
                    self._webhooks.answered(now - since)
                    try:
                        call.report()
                    except Exception as error:  # noqa: BLE001 - it is stored: the sweep finds it
                        self._note(error)

    # -- in the store's thread ---------------------------------------------------------------------

    def read(self, descriptors: Sequence[int]) -> Sequence[UsualCall]:
        """Read from sockets that are ready; gives the webhooks that came."""
        now, before = self._clock.current_time(), len(self._being_stored)
        for descriptor in descriptors:
            with self.lock:
                if (watched := self._watched.get(descriptor)) is not None:
                    self._read(watched, now)
        return [call for _, call, _ in self._being_stored[before:]]

    def _read(self, watched: _Watched, now: float) -> None:
        try:
            data = os.read(watched.descriptor, READ_BYTES)
        except BlockingIOError:
            return  # the kernel may be wrong about it
        except OSError:
            data = b""
        if data and (call := self._usual_call(data, watched.connection.client)) is not None:
            watched.connection.begin_request()
            self._being_stored.append((watched, call, now))
        else:
            self._give_back(watched, data)

    def _usual_call(self, data: bytes, client: Client) -> UsualCall | None:
        try:
            return self._webhooks.usual_call(data, client)
        except Exception as error:  # noqa: BLE001 - a failure never leaves its connection
            self._note(error)
            return None

    def committed(self) -> None:
        """Answer what was read: it is stored, or has its error."""
        calls, self._being_stored = self._being_stored, []
        if not calls:
            return
        now = self._clock.current_time()
        # Before the answers: who has one finds what follows from it done.
        self._thread.run_later(partial(self._report, calls, now))
        receipt = self._webhooks.receipt()
        for watched, call, since in calls:
            with self.lock:
                if not self._is_watched(watched):
                    continue  # it was closed meanwhile
                if call.error is None:
                    self._answer(watched, receipt, now)
                else:
                    self._give_back(watched, _Refused(call.error, now - since))
        connection = calls[0][0].connection
        if connection.is_room_awaited:
            self._thread.run_soon(connection.became_idle)

    def _answer(self, watched: _Watched, receipt: bytes, now: float) -> None:
        rest = watched.connection.answer_at_once(receipt, now)
        if rest is None:
            self._give_back(watched, b"")
        elif rest:
            self._give_back(watched, _Rest(rest))

    def _give_back(self, watched: _Watched, resumes_with: bytes | _Refused | _Rest) -> None:
        """Have the connection's task go on."""
        self._take_out(watched)
        watched.resumes_with = resumes_with
        self._thread.run_soon(partial(self._resume, watched))

    # -- in both -----------------------------------------------------------------------------------

    def _is_watched(self, watched: _Watched) -> bool:
        return self._watched.get(watched.descriptor) is watched

    def _take_out(self, watched: _Watched) -> None:
        del self._watched[watched.descriptor]
        self._thread.unwatch(watched.descriptor)

    def _note(self, error: Exception) -> None:
        self._log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a webhook failed",
            error=type(error).__name__,
            exc_info=error,
        )
