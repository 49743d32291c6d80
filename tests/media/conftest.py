"""A server of files that does what a test wants, and a downloader that may ask it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from daemon.files.folder import LocalFiles
from daemon.media.download import Downloader, FetchRules, open_downloader

Answer = Callable[[trio.SocketStream, str], Awaitable[None]]


class FileServer:
    """Speaks just enough HTTP: keeps the heads of requests, and leaves the answer to the test."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = 0
        self.answers: dict[str, Answer] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def give(self, path: str, body: bytes, *, status: str = "200 OK", head: str = "") -> None:
        """Answer requests for a path with a body."""

        async def answer(stream: trio.SocketStream, _head: str) -> None:
            length = f"Content-Length: {len(body)}\r\n"
            await stream.send_all(f"HTTP/1.1 {status}\r\n{length}{head}\r\n".encode() + body)

        self.answers[path] = answer

    def redirect(self, path: str, target: str) -> None:
        """Answer requests for a path with a redirect."""
        self.give(path, b"", status="302 Found", head=f"Location: {target}\r\n")

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one request."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = await stream.receive_some()
            if not piece:
                return
            head += piece
        self.heads.append(head.decode())
        answer = self.answers.get(head.split()[1].decode())
        try:
            if answer is None:
                await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                await answer(stream, head.decode())
            await stream.send_eof()
        except trio.BrokenResourceError:
            return


@pytest.fixture
async def server(nursery: trio.Nursery) -> FileServer:
    """A running file server on loopback."""
    server = FileServer()
    (listener,) = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
    server.port = listener.socket.getsockname()[1]
    return server


OpenDownloader = Callable[..., object]


@asynccontextmanager
async def downloader(
    server: FileServer,
    folder: Path,
    *,
    addresses: Sequence[str] = ("127.0.0.1",),
    max_bytes: int = 100_000,
    timeout_seconds: float = 30,
    hosts: Sequence[str] = (),
) -> AsyncIterator[Downloader]:
    """A downloader whose gateway is the server, and for whom every name has these addresses."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"] if host == "127.0.0.1" else addresses

    rules = FetchRules(
        files=LocalFiles(folder.parent),
        api_url=server.url,
        token="gateway-token",
        max_bytes=max_bytes,
        timeout_seconds=timeout_seconds,
        hosts=hosts,
    )
    async with open_downloader(rules, resolve=resolve) as opened:
        yield opened


@pytest.fixture
def fetching(server: FileServer, tmp_path: Path) -> Callable[..., "AsyncIterator[Downloader]"]:
    """Open a downloader as `downloader` does, for the server and a folder of this test."""
    return partial(downloader, server, tmp_path / "media")  # type: ignore[return-value]
