"""The tasks in which the apps of one connection's requests run, with two guards of ours.

hypercorn 0.18 on trio has two faults here, each of which leaves connections that never end:

- It tells the app of the end of a request while the app is still inside the last `send`. quart-trio
  then cancels that `send`, and the connection is never recycled or closed: ``Connection: close`` is
  not honoured, and one idle client makes a stop last its whole grace. Here that word is given
  without a checkpoint, and neither is there one in what follows it, so no cancel can come between.
- It waits for room in the app's queue even for that word, and feeds an app that has ended, so a
  request that is refused before its body was read hangs for ever. Here that word never waits, and
  what nobody will read is dropped.

WebSockets are told of the stop as well (close code 1001); hypercorn leaves them to the grace.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from daemon.http.asgi import Log
from daemon.http.visit import VISIT, Visit
from daemon.observability.events import UNEXPECTED_ERROR


class RequestTasks(TaskGroup):
    """The tasks of one connection: one for each request's app, none for anything else."""

    def __init__(
        self,
        context: WorkerContext,
        log: Log,
        visit: Visit,
        proceed: Callable[[], Awaitable[None]],
    ) -> None:
        """``proceed`` tells the client that its body is wanted, if it waits for that."""
        super().__init__()
        self._context = context
        self._log = log
        self._visit = visit
        self._proceed = proceed

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start `app` for one request and return how to feed it.

        The task ends with the app. Feeding waits while the app has enough to read, but never for
        the last event, and not at all once the app is through.
        """
        known: dict[str, Any] = cast(dict[str, Any], scope)
        known[VISIT] = self._visit
        if self._visit.peer:
            known["client"] = (self._visit.address(known), 0)
        request = _Request(app, scope, send, config.max_app_queue_size, self._proceed)
        if self._nursery is None:
            raise RuntimeError("spawn_app was called outside of the connection's nursery")
        if scope["type"] == "websocket":
            self._nursery.start_soon(self._run_websocket, request, name="websocket app")
        else:
            self._nursery.start_soon(self._run, request, name="request app")
        return request.feed

    async def _run(self, request: "_Request") -> None:
        """Run one request's app to its end; its failure is logged and answered with 500."""
        try:
            await request.run()
        except Exception as error:  # noqa: BLE001 - the boundary of the app's code
            self._log.event(
                UNEXPECTED_ERROR,
                where="request",
                what="a request failed",
                error=type(error).__name__,
                exc_info=error,
            )
        await request.finish()

    async def _run_websocket(self, request: "_Request") -> None:
        """Run a WebSocket's app until it ends, or until the server stops (close code 1001)."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_at_stop, request, name="websocket stop")
            await self._run(request)
            nursery.cancel_scope.cancel()

    async def _end_at_stop(self, request: "_Request") -> None:
        await self._context.terminated.wait()
        await request.leave()


class _Request:
    """One request between the protocol, which feeds it, and the app, which takes from it."""

    def __init__(
        self,
        app: AppWrapper,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
        queue_size: int,
        proceed: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._proceed: Callable[[], Awaitable[None]] | None = proceed
        self._scope = scope
        self._send = send
        self._into, self._out = trio.open_memory_channel[ASGIReceiveEvent](queue_size)
        self._last: ASGIReceiveEvent = {"type": "http.disconnect"}
        self._left = False

    async def feed(self, event: ASGIReceiveEvent) -> None:
        """Hand `event` to the app. The protocol calls this; for the last event it never waits."""
        if event["type"] in {"http.disconnect", "websocket.disconnect"}:
            self._last = event
            self._into.close()
            return
        try:
            await self._into.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The app has ended or been told that the request is over: nobody wants the rest.
            await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Run the app; afterwards whatever is still fed is dropped."""
        with self._into, self._out:
            await self._app(
                self._scope,
                self._receive,
                self._send_unless_left,
                trio.to_thread.run_sync,
                trio.from_thread.run,
            )

    async def finish(self) -> None:
        """Tell the protocol that the app will send no more."""
        await self._send(None)

    async def leave(self) -> None:
        """Close a WebSocket because the server goes away (code 1001, RFC 6455 section 7.4.1)."""
        await self._send(
            {"type": "websocket.close", "code": 1001, "reason": "the server is stopping"}
        )
        self._left = True
        self._last = {"type": "websocket.disconnect", "code": 1001}
        self._into.close()

    async def _receive(self) -> ASGIReceiveEvent:
        if self._proceed is not None:
            proceed, self._proceed = self._proceed, None
            await proceed()
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            return self._last

    async def _send_unless_left(self, message: ASGISendEvent) -> None:
        if not self._left:
            await self._send(message)
