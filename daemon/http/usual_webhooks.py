"""Usual webhooks, read and answered by two tasks for all connections.

Nearly every request is a webhook with one text, whole in one read, from a client that waits for
its answer. A task of its own for it costs as much as all the work on it: trio takes each task up
twice a request and asks the kernel for its socket anew. So the task of a connection that idles
waits in `UsualWebhooks.other_data`, and meanwhile one task reads from all such connections (by an
epoll of its own, which one wait of trio's covers), and another answers what is stored. Whatever is
not usual goes back to the connection's own task, as if that had read it.
"""

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from daemon.http.asgi import EdgeLog
from daemon.http.clients import Client
from daemon.http.whole_request import Answer
from daemon.observability.events import UNEXPECTED_ERROR

READ_BYTES = 16 * 1024
"""Read at once; a usual webhook has one or two thousand."""

Stored = Callable[[BaseException | None, Callable[[], None]], None]
"""Gets why a webhook is not stored, None if it is, and what is to be called after the answer."""


class Webhooks(Protocol):
    """Has webhooks stored: `daemon.http.hook.Hook`."""

    def begin(self, data: bytes, client: Client, stored: Stored) -> bool:
        """Begin to store a request if it is a usual webhook; ``stored`` is called later."""

    async def answer(self, error: BaseException | None, client: Client, seconds: float) -> Answer:
        """Return the answer to what was stored, or was not; ``seconds`` after its last byte."""


class IdleConnection(Protocol):
    """The part of a connection that is used here."""

    client: Client

    @property
    def descriptor(self) -> int:
        """The socket's; negative once it is closed."""

    def begin_request(self) -> None:
        """No time limit of the client holds until its answer."""

    def answer_at_once(self, answer: Answer) -> Answer:
        """Write an answer; gives what the connection's task has to send, empty if nothing."""

    async def send_answer(self, answer: Answer) -> None:
        """Send an answer, or its rest, in the connection's task."""


class _Watched:
    """A connection that is read from here."""

    __slots__ = ("connection", "descriptor", "found", "is_muted", "since", "task", "webhooks")

    def __init__(self, connection: IdleConnection, webhooks: "UsualWebhooks") -> None:
        self.connection = connection
        self.webhooks = webhooks
        self.descriptor = connection.descriptor
        self.task = trio.lowlevel.current_task()
        self.since: float | None = None
        """When the webhook came that is not answered yet."""
        self.found: bytes | tuple[Answer] = b""
        """What the connection's task is to go on with: data, or an answer to send."""
        self.is_muted = False
        """True if more came before that answer, or the client left: looked at afterwards."""

    def stored(self, error: BaseException | None, after: Callable[[], None]) -> None:
        """Have the client answered. Called in the event loop."""
        self.webhooks.stored(self, error, after)

    def left(self, _raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
        """The connection's task is cancelled."""
        self.webhooks.forget(self)
        return trio.lowlevel.Abort.SUCCEEDED


class UsualWebhooks:
    """The connections that idle, and what is to be answered. Made and closed by the server."""

    def __init__(self, webhooks: Webhooks, log: EdgeLog) -> None:
        self._webhooks = webhooks
        self._log = log
        self._poll = select.epoll()
        self._watched: dict[int, _Watched] = {}
        self._stored: list[tuple[_Watched, BaseException | None, Callable[[], None]]] = []
        self._answering: trio.lowlevel.Task | None = None
        """The task that answers, while it waits."""

    def close(self) -> None:
        """Watch no more."""
        self._poll.close()

    # -- in the tasks of connections ---------------------------------------------------------------

    async def other_data(self, connection: IdleConnection) -> bytes:
        """Wait for data that is no usual webhook, and return it; none: the client has left."""
        while True:
            watched = _Watched(connection, self)
            try:
                self._poll.register(watched.descriptor, select.EPOLLIN)
            except (OSError, ValueError):  # closed meanwhile
                return b""
            self._watched[watched.descriptor] = watched
            await trio.lowlevel.wait_task_rescheduled(watched.left)
            if isinstance(watched.found, bytes):
                return watched.found
            await connection.send_answer(watched.found[0])

    def forget(self, watched: _Watched) -> None:
        """Read from a connection no more. Its descriptor may be another one's by now."""
        if self._watched.get(watched.descriptor) is watched:
            del self._watched[watched.descriptor]
            if not watched.is_muted:
                self._mute(watched)

    def _release(self, watched: _Watched, found: bytes | tuple[Answer]) -> None:
        """Go on in the connection's task."""
        self.forget(watched)
        watched.found = found
        trio.lowlevel.reschedule(watched.task)

    def _mute(self, watched: _Watched) -> None:
        with suppress(OSError, ValueError):  # closed meanwhile
            self._poll.unregister(watched.descriptor)

    # -- reading -----------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read what comes. A task of the server; runs until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._poll.fileno())
            now = trio.current_time()
            for descriptor, _ in self._poll.poll(0):
                if watched := self._watched.get(descriptor):
                    self._take(watched, now)

    def _take(self, watched: _Watched, now: float) -> None:
        if watched.since is not None:
            self._mute(watched)
            watched.is_muted = True
            return
        try:
            data = os.read(watched.descriptor, READ_BYTES)
        except BlockingIOError:
            return  # the kernel may be wrong about it
        except OSError:
            data = b""
        watched.since = now
        if data and self._begins(watched, data):
            watched.connection.begin_request()
        else:
            self._release(watched, data)

    def _begins(self, watched: _Watched, data: bytes) -> bool:
        try:
            return self._webhooks.begin(data, watched.connection.client, watched.stored)
        except Exception as error:  # noqa: BLE001 - a failure never leaves its connection
            self._note(error)
            return False

    # -- answering ---------------------------------------------------------------------------------

    def stored(
        self, watched: _Watched, error: BaseException | None, after: Callable[[], None]
    ) -> None:
        """Have a client answered, and ``after`` called if there is no error."""
        self._stored.append((watched, error, after))
        task, self._answering = self._answering, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def answer(self) -> None:
        """Answer what is stored: all of it first, since the clients wait, then call what follows.

        A task of the server; runs until cancelled.
        """
        while True:
            if not self._stored:
                self._answering = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._give_up)
            stored, self._stored = self._stored, []
            now = trio.current_time()
            for watched, error, _ in stored:
                await self._answer(watched, error, now)
            with self._log.together():
                for _, error, after in stored:
                    if error is None:
                        self._call(after)

    def _give_up(self, _raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
        self._answering = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _answer(self, watched: _Watched, error: BaseException | None, now: float) -> None:
        connection = watched.connection
        answer = await self._webhooks.answer(error, connection.client, now - (watched.since or now))
        if self._watched.get(watched.descriptor) is not watched:
            return  # it was closed meanwhile
        watched.since = None
        if rest := connection.answer_at_once(answer):
            self._release(watched, (rest,))
        elif watched.is_muted:
            watched.is_muted = False
            with suppress(OSError, ValueError):
                self._poll.register(watched.descriptor, select.EPOLLIN)

    def _call(self, after: Callable[[], None]) -> None:
        try:
            after()
        except Exception as error:  # noqa: BLE001 - the webhook is stored: the sweep finds it
            self._note(error)

    def _note(self, error: Exception) -> None:
        self._log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a webhook failed",
            error=type(error).__name__,
            exc_info=error,
        )
