"""The least that can answer: epoll and one fixed answer to whatever arrives.

It shows what the load generator can drive, so that no server is measured against the generator's
own limit. Usage: python fixed_answer.py PORT
"""

import select
import socket
import sys

BODY = b'{"received":true,"timestamp":"2026-01-31T12:00:00.000Z","environment":"development"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def main() -> None:
    """Serve until killed. A request is taken to arrive in one piece, as it does on loopback."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
    clients: dict[int, socket.socket] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                client, _ = listener.accept()
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif clients[descriptor].recv(64 * 1024):
                clients[descriptor].send(ANSWER)
            else:
                poll.unregister(descriptor)
                clients.pop(descriptor).close()


if __name__ == "__main__":
    main()
