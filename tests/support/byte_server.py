"""A server that answers with prepared bytes, whatever is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import trio


@dataclass
class Bytes:
    """A server that answers each request on a connection with the next of its bytes."""

    answers: list[bytes]
    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; end it after an empty answer."""
        self.connections += 1
        async with stream:
            while head := bytes(await stream.receive_some()):
                self.heads.append(head)
                answer = self.answers.pop(0)
                with suppress(trio.BrokenResourceError):  # it may be given up
                    await stream.send_all(answer)
                if not answer.startswith(b"HTTP/1.1") or b"close" in answer:
                    return


@asynccontextmanager
async def served(*answers: bytes) -> AsyncIterator[Bytes]:
    """Serve these bytes; ends with the block."""
    server = Bytes(list(answers))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            server.port = listener.socket.getsockname()[1]
            yield server
            nursery.cancel_scope.cancel()
