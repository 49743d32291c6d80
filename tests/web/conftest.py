"""The edge under test: a daemon in memory behind it, real sockets in front of it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start

from daemon.http.access import Access
from daemon.http.asgi import ASGIApp
from daemon.http.clients import Networks, read_networks
from daemon.http.connection import Limits
from daemon.http.dashboard.dashboard import register_dashboard
from daemon.http.dashboard.guard import Guard
from daemon.http.edge import create_edge, create_hook, is_hot_path
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings
from daemon.http.server import serve
from daemon.http.usual_webhooks import Webhooks
from daemon.http.whole_request import IsHot


@pytest.fixture
def daemon() -> MemoryDaemon:
    return MemoryDaemon()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def start(log: MemoryLog, daemon: MemoryDaemon) -> AsyncIterator[Start]:
    """Serve an ASGI app on a free port until the test ends (or it sets the stop itself)."""

    async def start_one(
        app: ASGIApp,
        *,
        grace_seconds: float = 30,
        limits: Limits | None = None,
        proxies: Networks = (),
        binds: Sequence[str] = ("127.0.0.1:0",),
        is_hot: IsHot = lambda _path: False,
        webhooks: Webhooks | None = None,
    ) -> Served:
        stop, ended = trio.Event(), trio.Event()

        async def serve_and_tell(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(
                app,
                binds=binds,
                stop=stop,
                grace_seconds=grace_seconds,
                log=log,
                limits=limits,
                proxies=proxies,
                is_hot=is_hot,
                webhooks=lambda: webhooks,
                task_status=task_status,
            )
            ended.set()

        urls = await servers.start(serve_and_tell)
        return Served(urls[0], int(urls[0].rpartition(":")[2]), stop, ended)

    async with trio.open_nursery() as servers:
        daemon.tasks = servers
        yield start_one
        servers.cancel_scope.cancel()


@pytest.fixture(params=["without a task", "directly", "at once", "in a task"])
def start_edge(
    start: Start, daemon: MemoryDaemon, log: MemoryLog, request: pytest.FixtureRequest
) -> Start:
    """Serve the whole edge over `daemon`; arguments are those of EdgeSettings.

    All ways of a request through the server: those of whole ones, and that of the rest.
    """
    is_hot: IsHot = is_hot_path if request.param != "in a task" else lambda _path: False

    async def start_one(
        *, limits: Limits | None = None, proxies: Sequence[str] = (), **settings: Any
    ) -> Served:
        chosen = EdgeSettings(**{"environment": daemon.environment} | settings)
        access = Access(daemon.state, log, audit=daemon.audit)
        pages = create_pages(daemon, chosen, log, access)
        register_dashboard(pages, daemon, chosen, log, access, Guard(daemon, chosen, access))
        hook = create_hook(daemon, chosen, log, access)
        edge = create_edge(daemon, chosen, pages, log, hook)
        if request.param != "without a task":
            daemon.tasks = None
        return await start(
            edge,
            limits=limits,
            proxies=read_networks(proxies),
            is_hot=is_hot,
            webhooks=hook if request.param in {"without a task", "directly"} else None,
        )

    return start_one
