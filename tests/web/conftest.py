"""The edge under test: a daemon in memory behind it, real sockets in front of it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start

from daemon.web.asgi import ASGIApp
from daemon.web.connection import Limits
from daemon.web.edge import EdgeSettings, create_edge
from daemon.web.pages import create_pages
from daemon.web.server import serve


@pytest.fixture
def daemon() -> MemoryDaemon:
    return MemoryDaemon()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def start(log: MemoryLog) -> AsyncIterator[Start]:
    """Serve an ASGI app on a free port until the test ends (or it sets the stop itself)."""

    async def start_one(
        app: ASGIApp,
        *,
        grace_seconds: float = 30,
        limits: Limits | None = None,
        binds: Sequence[str] = ("127.0.0.1:0",),
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
                task_status=task_status,
            )
            ended.set()

        urls = await servers.start(serve_and_tell)
        return Served(urls[0], int(urls[0].rpartition(":")[2]), stop, ended)

    async with trio.open_nursery() as servers:
        yield start_one
        servers.cancel_scope.cancel()


@pytest.fixture
def start_edge(start: Start, daemon: MemoryDaemon, log: MemoryLog) -> Start:
    """Serve the whole edge over `daemon`; arguments are those of EdgeSettings."""

    async def start_one(*, limits: Limits | None = None, **settings: Any) -> Served:
        chosen = EdgeSettings(**{"environment": daemon.environment} | settings)
        pages = create_pages(daemon, chosen, log)
        edge = create_edge(daemon, chosen, pages, log)
        return await start(edge, limits=limits)

    return start_one
