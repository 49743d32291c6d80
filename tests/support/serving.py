"""An ASGI app of a test on loopback."""

from functools import partial

import trio

from daemon.http.asgi import ASGIApp
from daemon.http.server import serve
from support.stage import outside_world


async def serve_in(nursery: trio.Nursery, app: ASGIApp, *, name: str) -> str:
    """Serve an app until the nursery is cancelled; gives its URL."""
    start = partial(
        serve,
        app,
        binds=["127.0.0.1:0"],
        stop=trio.Event(),
        grace_seconds=1,
        log=outside_world().log,
    )
    urls: list[str] = await nursery.start(start, name=name)
    return urls[0]
