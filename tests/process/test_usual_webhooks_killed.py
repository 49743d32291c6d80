"""kill -9 while clients post usual webhooks: each that got its 200 is stored, each once.

The crash harness posts some messages a second, so that its batches have one webhook or two. Here as
many as clients come together, without a pause, so that each kill is amid a batch.
"""

import signal
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count

import msgspec
import trio
from support.process import DaemonProcess, Site
from support.rows import select, states_of
from support.stage import text_webhook

SECRET = "a-secret-of-the-gateway"
CLIENTS, MESSAGES, KILLS = 8, 200, 3


def call(message_id: str, chat: str) -> bytes:
    """A whole request."""
    body = msgspec.json.encode(text_webhook(f"hola {message_id}", message_id, chat))
    return (
        b"POST /hook HTTP/1.1\r\nhost: recado\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
    ) % (SECRET.encode(), len(body), body)


class Clients:
    """Post numbered messages; what was not answered with 200 is posted again later."""

    def __init__(self) -> None:
        self.left = [map(f"m-{client}-{{}}".format, count()) for client in range(CLIENTS)]
        self.again: dict[int, str] = {}
        self.accepted: list[str] = []

    async def post(self, port: int, until: int, killed: DaemonProcess | None) -> None:
        """Post until so many are accepted; the process is killed then, amid the others' calls."""
        async with trio.open_nursery() as nursery:
            for client in range(CLIENTS):
                nursery.start_soon(self._post, client, port, until, killed, name="client")

    async def _post(self, client: int, port: int, until: int, killed: DaemonProcess | None) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            while len(self.accepted) < until or killed is not None or client in self.again:
                message = self.again.pop(client, "") or next(self.left[client])
                self.again[client] = message
                try:
                    await stream.send_all(call(message, f"57300000{client:04}"))
                    answer = await stream.receive_some()
                except trio.BrokenResourceError:
                    return
                if not answer:
                    return
                assert answer.startswith(b"HTTP/1.1 200 "), answer
                del self.again[client]
                self.accepted.append(message)
                if killed is not None and len(self.accepted) == until:
                    killed.process.send_signal(signal.SIGKILL)


async def test_what_was_accepted_is_stored_once(site: Site) -> None:
    clients = Clients()
    start = partial(
        site.start,
        RECADO_WEB__WEBHOOK_SECRET=SECRET,
        RECADO_BUFFER__WINDOW_SECONDS="3600",
        RECADO_BUFFER__MAX_WAIT_SECONDS="3600",
        RECADO_BUFFER__MAX_MESSAGES="1000",
    )
    for kill in range(1, KILLS + 1):
        process = await start()
        await clients.post(await port_of(process), kill * MESSAGES, process)
        await process.process.wait()
        assert set(clients.accepted) <= set(states_of(site.data_dir))
    process = await start()
    await clients.post(await port_of(process), (KILLS + 1) * MESSAGES, None)
    await process.end()
    assert not clients.again
    assert set(states_of(site.data_dir)) == set(clients.accepted)
    assert repeated(clients.accepted) == []
    stored = [message_id for (message_id,) in select(site.data_dir, "messages", "id")]
    assert repeated(stored) == []


def repeated(ids: Sequence[str]) -> list[str]:
    """What is there more than once."""
    return [one for one, times in Counter(ids).items() if times > 1]


async def port_of(process: DaemonProcess) -> int:
    """Where a daemon listens."""
    address = str((await process.wait_event("ready"))["address"])
    return int(address.rpartition(":")[2])
