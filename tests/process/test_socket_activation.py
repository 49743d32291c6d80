"""The socket belongs to systemd: a restart under load refuses and resets nobody."""

import shutil
import socket
import sys
from collections import Counter

import httpx
import pytest
import trio
from support.plain import NO_TLS
from support.ports import free_port
from support.process import HAND_OVER, PATIENT, RUN, DaemonProcess, Site, until
from support.rows import states_of
from support.stage import LAURA, text_webhook

SOCKET_ACTIVATE = shutil.which("systemd-socket-activate") or ""
CLIENTS = 4
CHATS = [f"57300300000{number}" for number in range(CLIENTS)]


class Load:
    """Clients that post one webhook after the other, each over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self._url = url
        self._stopped = False
        self._changed = trio.Event()

    def stop(self) -> None:
        """Let each client end after the webhook it is posting."""
        self._stopped = True

    async def wait_acknowledged(self, more: int) -> None:
        """Wait for so many more webhooks to get their 200."""
        goal = len(self.acknowledged) + more
        while len(self.acknowledged) < goal:
            await self._changed.wait()

    async def run(self, chat: str) -> None:
        """Post webhooks of one chat until `stop` is called."""
        number = 0
        while not self._stopped:
            number += 1
            message_id = f"{chat}-{number}"
            try:
                async with httpx.AsyncClient(verify=NO_TLS, timeout=180, trust_env=False) as client:
                    webhook = text_webhook(f"mensaje {number}", message_id, chat=chat)
                    answer = await client.post(self._url, json=webhook)
            except httpx.HTTPError as error:
                self.outcomes[type(error).__name__] += 1
                continue
            self.outcomes[str(answer.status_code)] += 1
            if answer.status_code == 200:
                self.acknowledged.add(message_id)
                self._changed.set()
                self._changed = trio.Event()


async def launch_on(site: Site, listening: socket.socket) -> DaemonProcess:
    """Start a process that is given the listening socket as systemd would give it."""
    number = listening.fileno()
    return await site.launch("-c", HAND_OVER, str(number), *PATIENT, pass_fds=[number])


async def test_a_restart_under_load_rejects_no_request(site: Site) -> None:
    """Whoever connects meanwhile waits in the socket's queue and is answered by the next process.

    Everything that was acknowledged is answered to the customers afterwards.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        process = await launch_on(site, listening)
        assert f"{await site.opened(process)}/hook" == url
        load = Load(url)
        async with trio.open_nursery() as nursery:
            for chat in CHATS:
                nursery.start_soon(load.run, chat)
            await load.wait_acknowledged(20)
            status, _ = await process.end()
            assert status == 0
            process = await launch_on(site, listening)
            await process.wait_event("ready")
            await load.wait_acknowledged(20)
            load.stop()
        assert set(load.outcomes) == {"200"}, load.outcomes
        await until(lambda: {s for s, _ in states_of(site.data_dir).values()} == {"answered"})
        assert load.acknowledged == set(states_of(site.data_dir))
        assert (await process.end())[0] == 0


@pytest.mark.skipif(not SOCKET_ACTIVATE, reason="systemd's tools are not installed")
async def test_the_first_webhook_starts_the_daemon(site: Site) -> None:
    """systemd-socket-activate listens and starts it with the first connection."""
    address = f"127.0.0.1:{free_port()}"
    passed = [f"--setenv={name}={value}" for name, value in site.environ.items()]
    process = await site.launch(
        f"--listen={address}", *passed, sys.executable, *RUN, program=SOCKET_ACTIVATE
    )
    await until(lambda: f"Listening on {address}" in process.text)
    site.gateway.set_webhook(f"http://{address}/hook")
    await site.gateway.customer_says(LAURA, "Hola", deliver="acknowledged")
    await site.gateway.wait_sent(LAURA)
    assert (await process.end())[0] == 0
