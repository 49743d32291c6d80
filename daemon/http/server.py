"""The HTTP server: listeners, connections, and an ordered stop.

It does what `hypercorn.trio.serve` does, with the connection of `daemon.http.connection`: in
hypercorn 0.18 one bad request can end the whole server, and the stop can hang (both measured).
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from hypercorn.utils import repr_socket_addr

from daemon.http.asgi import ASGIApp, EdgeLog, http_date
from daemon.http.clients import ConnectionLimit, Networks
from daemon.http.connection import JUST_ANSWERED_SECONDS, HttpConnection, Limits
from daemon.http.usual_webhooks import UsualWebhooks, Webhooks
from daemon.http.whole_request import IsHot

STOPPING_CHECK_SECONDS = JUST_ANSWERED_SECONDS / 5
"""How often the times of connections are looked at during the stop."""


async def serve(
    app: ASGIApp,
    *,
    binds: Sequence[str],
    stop: trio.Event,
    grace_seconds: float,
    log: EdgeLog,
    limits: Limits | None = None,
    proxies: Networks = (),
    is_hot: IsHot = lambda _path: False,
    webhooks: Callable[[], Webhooks | None] = lambda: None,
    now: Callable[[], float] = time.time,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` over HTTP/1.1 and WebSocket on every address of `binds`.

    Runs until `stop` is set and the requests in flight are finished, or cancelled. An address is
    ``host:port`` (port 0: any free one), ``[IPv6]:port``, or ``fd://3`` for an inherited listening
    socket. ``task_status.started`` gets their URLs, once clients can connect.

    At `stop` the listeners are closed (an inherited one is never shut down, so that clients can
    still queue in it), idle connections end, requests in flight have `grace_seconds`, and then all
    connections are closed. ``proxies``: those whose ``X-Forwarded-For`` is trusted. ``is_hot``:
    the paths whose whole requests are answered in the connection's own task; their app reads the
    body at once and answers with a length, without waiting for the client. ``webhooks``: what
    answers webhooks past the app, once there is such a thing. ``now``: wall clock in Unix seconds,
    for the ``Date`` of answers. Errors of one connection are contained and logged. Raises OSError
    if an address cannot be listened on, and ValueError if it cannot be parsed.
    """
    listeners = await open_listeners(binds)
    try:
        config = _config(limits or Limits(), now)
        wrapped = ASGIWrapper(cast(ASGIFramework, app))
        lifespan = Lifespan(wrapped, config, {})
        async with trio.open_nursery() as around:
            await around.start(lifespan.handle_lifespan, name="http lifespan")
            await lifespan.wait_for_startup()
            clients = _Clients(wrapped, config, limits or Limits(), log, is_hot, webhooks, proxies)
            await clients.serve(listeners, stop, grace_seconds, task_status)
            await lifespan.wait_for_shutdown()
            around.cancel_scope.cancel()
    finally:
        for listener in listeners:
            listener.socket.close()


async def open_listeners(binds: Sequence[str]) -> list[trio.SocketListener]:
    """Listen on every address of `binds`, as described at `serve`, or on none of them.

    Raises OSError if one cannot be listened on, and ValueError if one cannot be parsed.
    """
    listeners: list[trio.SocketListener] = []
    try:
        for bind in binds:
            if bind.startswith("fd://"):
                listeners.append(_inherited(int(bind.removeprefix("fd://"))))
            else:
                host, _, port = bind.rpartition(":")
                listeners += await trio.open_tcp_listeners(int(port), host=host.strip("[]") or None)
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


def _inherited(descriptor: int) -> trio.SocketListener:
    """Listen on a copy, so that the socket stays open for the minimal app after us."""
    listening = socket.socket(fileno=os.dup(descriptor))
    listening.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


class DatedConfig(Config):
    """hypercorn's settings, with the date of answers formatted once a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is the wall clock, in Unix seconds."""
        super().__init__()
        self._now = now

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:  # noqa: ARG002 - hypercorn's signature
        """Return the headers of all answers: the date, without the name of the server."""
        return [(b"date", http_date(int(self._now())))]


def _config(limits: Limits, now: Callable[[], float]) -> Config:
    """Return hypercorn's settings, of which only its protocol uses some.

    The access log stays off: it would copy all headers and the environment for each request.
    """
    config = DatedConfig(now)
    config.accesslog = None
    config.errorlog = logging.getLogger("daemon.http.hypercorn")
    # No limit: each close may lose the request that the client sends next.
    config.keep_alive_max_requests = sys.maxsize
    config.h11_max_incomplete_size = limits.head_bytes
    return config


class _Clients:
    """All connections of one server."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        limits: Limits,
        log: EdgeLog,
        is_hot: IsHot,
        webhooks: Callable[[], Webhooks | None],
        proxies: Networks,
    ) -> None:
        self._log = log
        self._check_seconds = limits.check_seconds
        self._context = WorkerContext(None)
        self._limit = ConnectionLimit(
            most=limits.connections,
            unauthenticated_per_address=limits.unauthenticated_per_address,
            log=log,
        )
        self._open: set[HttpConnection] = set()
        self._failures = 0
        self._connect = partial(
            HttpConnection,
            app=app,
            config=config,
            context=self._context,
            limits=limits,
            log=log,
            is_hot=is_hot,
            webhooks=webhooks,
            usual=UsualWebhooks(webhooks, log),
            limit=self._limit,
            proxies=proxies,
        )

    async def serve(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        grace_seconds: float,
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        """Accept and serve. Runs until `stop` and the end of all requests, or cancelled."""
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as handlers:
                watching.start_soon(
                    self._cut_after_grace, stop, grace_seconds, handlers, name="http grace"
                )
                watching.start_soon(self._cut_late, stop, name="http time limits")
                await self._accept(listeners, handlers, stop, task_status)
                await self._context.terminated.set()
                for connection in self._open:
                    connection.end_if_idle()
            watching.cancel_scope.cancel()

    async def _accept(
        self,
        listeners: Sequence[trio.SocketListener],
        handlers: trio.Nursery,
        stop: trio.Event,
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        """Accept clients into `handlers`. Runs until `stop`; the listeners are closed then."""
        async with trio.open_nursery() as accepting:
            accepting.start_soon(
                partial(trio.serve_listeners, handler_nursery=handlers),
                self._serve_client,
                [_LimitedListener(listener, self._limit) for listener in listeners],
                name="http listeners",
            )
            task_status.started([_url(listener) for listener in listeners])
            await stop.wait()
            accepting.cancel_scope.cancel()

    async def _cut_late(self, stop: trio.Event) -> None:
        """Cut the connections whose time is over. Runs until cancelled.

        One task looks at all of them: a deadline of each would be set three times a request.
        """
        while True:
            if stop.is_set():
                await trio.sleep(STOPPING_CHECK_SECONDS)
            else:
                with trio.move_on_after(self._check_seconds):
                    await stop.wait()
            now = trio.current_time()
            for connection in self._open:
                connection.cut_if_late(now)

    async def _cut_after_grace(
        self, stop: trio.Event, grace_seconds: float, handlers: trio.Nursery
    ) -> None:
        """Close every connection after the grace period, or at once if this task is cancelled.

        Closing the sockets also ends shielded writes.
        """
        try:
            await stop.wait()
            await trio.sleep(grace_seconds)
        finally:
            for connection in self._open:
                connection.abort()
        self._log.warning("requests were cut at the stop", connections=len(self._open))
        handlers.cancel_scope.cancel()

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        """Serve one client and contain its errors. Runs until it leaves, or cancelled."""
        try:
            connection = self._connect(stream)
            self._open.add(connection)
            self._limit.add(connection)
            try:
                await connection.run()
            finally:
                self._open.discard(connection)
                self._limit.remove(connection)
        except* Exception as failures:  # noqa: BLE001 - a failure never leaves its connection
            self._failures += 1
            self._log.warning(
                "a connection failed",
                error=_kind(failures),
                count=self._failures,
            )


def _kind(failures: BaseException) -> str:
    """The type of the first failure; its text may quote a header, and so a secret."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return type(failures).__name__


class _LimitedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts while there is room; later clients wait here, and in the kernel's queue."""

    def __init__(self, listener: trio.SocketListener, limit: ConnectionLimit) -> None:
        self._listener = listener
        self._limit = limit

    async def accept(self) -> trio.SocketStream:
        """Return the next client's stream."""
        stream = await self._listener.accept()
        try:
            await self._limit.wait_for_room()
        except BaseException:
            stream.socket.close()
            raise
        return stream

    async def aclose(self) -> None:
        """Close the listening socket, without a shutdown that would affect other holders of it."""
        await self._listener.aclose()


def _url(listener: trio.SocketListener) -> str:
    bound = listener.socket
    return f"http://{repr_socket_addr(bound.family, bound.getsockname())}"
