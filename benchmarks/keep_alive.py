"""Keep-alive connections to one daemon, with as much of HTTP as its answers need."""

from contextlib import suppress

import trio


class Connections:
    """A pool of them: as many as there are requests at once."""

    def __init__(self) -> None:
        self.port = 0
        """Where the daemon listens; 0: nowhere."""
        self._free: list[trio.SocketStream] = []

    async def target(self, port: int) -> None:
        """Connect there from now on."""
        for stream in self._free:
            await trio.aclose_forcefully(stream)
        self._free, self.port = [], port

    async def exchange(self, request: bytes) -> int:
        """Send one request and read its answer; gives the status.

        A connection that was kept may have been closed for its idleness meanwhile, as HTTP allows:
        then the request goes over a new one.
        """
        while self._free:
            stream = self._free.pop()
            with suppress(trio.BrokenResourceError, EOFError):
                return await self._over(stream, request)
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        return await self._over(stream, request)

    async def _over(self, stream: trio.SocketStream, request: bytes) -> int:
        """Exchange over this connection, which is kept if that succeeds, else closed."""
        port = self.port
        try:
            await stream.send_all(request)
            received = b""
            while b"\r\n\r\n" not in received:
                received += await _some(stream)
            head, _, rest = received.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            left = size - len(rest)
            while left > 0:
                left -= len(await _some(stream))
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        if port == self.port and b"connection: close" not in head.lower():
            self._free.append(stream)
        else:
            await trio.aclose_forcefully(stream)
        return int(head[9:12])


async def _some(stream: trio.SocketStream) -> bytes:
    part = bytes(await stream.receive_some(65536))
    if not part:
        raise EOFError("the daemon closed the connection")
    return part
