"""hypercorn on trio with a bare ASGI app: read the body, answer, parse and store nothing.

Usage: python hypercorn_hook.py PORT
"""

import sys
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

ANSWER = b'{"received":true,"timestamp":"2026-01-31T12:00:00.000Z","environment":"development"}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(ANSWER)),
]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer any request."""
    if scope["type"] == "lifespan":
        await _follow_lifespan(receive, send)
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


async def _follow_lifespan(receive: Any, send: Any) -> None:
    """Say that there is nothing to start or stop. Runs until the server stops."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


def main() -> None:
    """Serve until killed."""
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    config.keep_alive_max_requests = sys.maxsize
    trio.run(serve, cast("ASGIFramework", app), config)


if __name__ == "__main__":
    main()
