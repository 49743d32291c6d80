"""The load generator: posts webhooks over keep-alive connections, each as soon as it may.

A process of its own with nothing but sockets and epoll, so that it takes little of the machine.
Every message has an id that was never sent before. Any answer but 200 ends it with an error.

Usage: python load.py PORT CONNECTIONS SECONDS --kind group|chat --seed N
It prints one JSON object, `Load`.
"""

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

BODY_BYTES = 916
"""Size of a usual text message as Whapi posts it."""
SENTENCE = "Hola, quisiera saber si tienen cupo el viernes para dos personas. "
CHATS = 500
"""Chats that the messages of kind "chat" are spread over."""
SECRET = "benchmark-secret-0001"  # noqa: S105 - an invented one
WARM_UP_SHARE = 0.15
"""Part of the time whose answers are not counted."""
STALLED_SECONDS = 20
"""No answer at all for so long is a failure."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the generator saw; times in seconds."""

    per_second: float
    p50: float
    p99: float
    slowest: float
    counted: int
    """Answers within the measured time."""
    total: int
    """Answers in all, the warm-up's too."""
    cpu_seconds: float
    """Of the generator itself."""


def requests(kind: str, seed: int, *, chats: int = CHATS) -> Iterator[bytes]:
    """Yield whole HTTP requests without end, prepared so that each costs one formatting."""
    chat = "120363000000%06d@g.us" if kind == "group" else "573001%06d@s.whatsapp.net"
    new_id = f"{seed:08x}%014x-gHqFdSGxaw"
    room = BODY_BYTES - len(_body(new_id, chat, "") % (0, 0))
    template = _body(new_id, chat, (SENTENCE * 20)[:room])
    head = (
        "POST /hook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: benchmark\r\nAccept: */*\r\nAuthorization: Bearer {SECRET}\r\n"
        f"Content-Length: {BODY_BYTES}\r\n\r\n"
    )
    request = (head + template).encode()
    number = 0
    while True:
        yield request % (number, number % chats)
        number += 1


def _body(message_id: str, chat: str, words: str) -> str:
    """Write a text message as Whapi posts it; the id comes before the chat."""
    message = {
        "id": message_id,
        "from_me": False,
        "type": "text",
        "chat_id": chat,
        "timestamp": 1763890000,
        "source": "mobile",
        "chat_name": "Laura Cliente",
        "text": {"body": words},
        "from": "573001234567",
        "from_name": "Laura",
    }
    event = {"type": "messages", "event": "post"}
    return json.dumps({"messages": [message], "event": event, "channel_id": "MANTIS-M72HC"})


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._received = b""

    def send(self, request: bytes) -> None:
        """Post one request; it fits into the socket's buffer."""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Read what is there; True once the answer is whole. Exits if it is not a 200."""
        part = self.socket.recv(64 * 1024)
        if not part:
            sys.exit("the server closed a connection")
        self._received += part
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._received[:end].lower()
        if not head.startswith(b"http/1.1 200 "):
            sys.exit(f"not a 200: {self._received[:300]!r}")
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._received) < end + 4 + size:
            return False
        self._received = b""
        return True


def drive(port: int, connections: int, seconds: float, feed: Iterator[bytes]) -> Load:
    """Keep every connection busy for `seconds`; then wait for the last answers."""
    clients = {client.socket.fileno(): client for client in _connect(port, connections)}
    poll = select.epoll()
    for descriptor in clients:
        poll.register(descriptor, select.EPOLLIN)
    latencies: list[float] = []
    total = 0
    clock = time.perf_counter
    started = clock()
    counted_from, ends = started + seconds * WARM_UP_SHARE, started + seconds
    for client in clients.values():
        client.send(next(feed))
    waiting = len(clients)
    while waiting:
        ready = poll.poll(STALLED_SECONDS)
        if not ready:
            sys.exit("the server stalled")
        for descriptor, _ in ready:
            client = clients[descriptor]
            if not client.answered():
                continue
            now = clock()
            total += 1
            if counted_from <= now < ends:
                latencies.append(now - client.sent_at)
            if now < ends:
                client.send(next(feed))
            else:
                waiting -= 1
    if not latencies:
        sys.exit("no answer came within the measured time")
    latencies.sort()
    return Load(
        per_second=len(latencies) / (ends - counted_from),
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        slowest=latencies[-1],
        counted=len(latencies),
        total=total,
        cpu_seconds=time.process_time(),
    )


def _connect(port: int, connections: int) -> list[Client]:
    return [Client(port) for _ in range(connections)]


def main() -> None:
    """Read the command line, drive, print."""
    parser = argparse.ArgumentParser(description="Post unique webhooks as fast as they are taken.")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--kind", choices=("group", "chat"), default="group")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other message ids")
    chosen = parser.parse_args()
    feed = requests(chosen.kind, chosen.seed)
    load = drive(chosen.port, chosen.connections, chosen.seconds, feed)
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
