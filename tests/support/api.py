"""Clients of the REST API with tokens of their own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import trio
from click.testing import CliRunner

from daemon.__main__ import main
from daemon.media.download import RequestBody
from support.edge import read_all
from support.place import variables_of_store
from support.plain import NO_TLS
from support.stage import Stage

_names = count()

Client = Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens a client with a new token of a role."""


def token_on(data_dir: Path, role: str) -> str:
    """Create a token as an operator does."""
    environ = {"RECADO_DATA_DIR": str(data_dir), **variables_of_store(data_dir)}
    name = f"{role}-{next(_names)}"
    done = CliRunner().invoke(main, ["token", "create", name, "--role", role], env=environ)
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


async def announce_body(stage: Stage, token: str, path: str, size: int) -> bytes:
    """Send the head of a POST with so large a body, and return the whole answer to that alone."""
    address = urlsplit(stage.url)
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {size}\r\n"
        f"content-type: application/json\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    assert address.hostname is not None
    async with await trio.open_tcp_stream(address.hostname, address.port or 80) as stream:
        await stream.send_all(head.encode())
        return await read_all(stream)


@asynccontextmanager
async def open_client(stage: Stage, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the API; without a token it is nobody."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(
        verify=NO_TLS,
        base_url=f"{stage.url}/api/v1/",
        headers=headers,
        timeout=60,
        event_hooks={"request": [_in_one_piece]},
    ) as client:
        yield client


async def _in_one_piece(request: httpx.Request) -> None:
    """Send the body without httpx's generator, which an early answer would leave unfinished."""
    request.stream = RequestBody(request.content)
