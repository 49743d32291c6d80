"""trio sockets and h11, nothing between them: read the body, answer, store nothing.

Usage: python h11_hook.py PORT
"""

import sys
from functools import partial

import h11
import trio

ANSWER = b'{"received":true,"timestamp":"2026-01-31T12:00:00.000Z","environment":"development"}'
RESPONSE = h11.Response(
    status_code=200,
    headers=[
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(ANSWER)),
    ],
)


async def serve_client(stream: trio.SocketStream) -> None:
    """Answer every request of one client. Runs until it leaves."""
    connection = h11.Connection(h11.SERVER)
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(64 * 1024))
        elif isinstance(event, h11.EndOfMessage):
            head = connection.send(RESPONSE) or b""
            body = connection.send(h11.Data(data=ANSWER)) or b""
            await stream.send_all(head + body + (connection.send(h11.EndOfMessage()) or b""))
            connection.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed):
            return


if __name__ == "__main__":
    trio.run(partial(trio.serve_tcp, serve_client, int(sys.argv[1]), host="127.0.0.1"))
