"""From the first moment on: the port is open and says that the daemon starts."""

import contextlib
import json
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from support.operator import names_in
from support.plain import NO_TLS
from support.ports import free_port
from support.process import (
    HAND_OVER,
    RUN,
    DaemonProcess,
    Site,
    body_of,
    get_when_open,
    health_when_known,
    until,
)
from support.rows import states
from support.stage import LAURA, text_webhook

from daemon.ledger.drivers.sqlite.opening import STORE_FILE

SANDBOX = ("-m", "daemon", "sandbox")
ANY_PORTS = {"RECADO_WEB__PORT": "0", "RECADO_SANDBOX__PORT": "0"}

SLOW_STORE = """
import pathlib, sys, time
from daemon.ledger.drivers.sqlite import opening
from daemon.__main__ import main
from daemon.http.front import Front

make_ready, gate = opening._made_ready, pathlib.Path(sys.argv[1])
Front.__init__.__kwdefaults__["patience_seconds"] = float(sys.argv[2])

def slowly(*arguments):
    while not gate.exists():
        time.sleep(0.01)
    make_ready(*arguments)

opening._made_ready = slowly
sys.argv = ["recado", "run"]
main()
"""
"""The daemon with a store that is made ready when a file appears, however long that takes.

Calls wait for as many seconds for the end of the start.
"""


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=url, trust_env=False, timeout=180
    ) as client:
        yield client


async def on_inherited(site: Site, listening: socket.socket, *run: str) -> DaemonProcess:
    """A daemon on a socket as systemd hands it over."""
    number = listening.fileno()
    return await site.launch("-c", HAND_OVER, str(number), *run, pass_fds=[number])


async def test_health_answers_while_the_store_is_made_ready(site: Site, tmp_path: Path) -> None:
    """Calls wait a moment, and are then put off, for as long as that takes."""
    port, gate = free_port(), tmp_path / "gate"
    variables = {"RECADO_WEB__PORT": str(port)}
    process = await site.launch("-c", SLOW_STORE, str(gate), "1", variables=variables)
    answer = await get_when_open(f"http://127.0.0.1:{port}/health")
    health = body_of(answer)
    assert answer.status_code == 200
    assert (health["status"], health["initialized"]) == ("starting", False)
    assert (health["port"], health["activeBuffers"]) == (port, 0)
    assert health["threadStats"] == {"totalThreads": 0, "activeThreads": 0}
    async with client_of(f"http://127.0.0.1:{port}") as client:
        about = body_of(await client.get("/"))
        assert (about["status"], about["service"]) == ("initializing", "Recado")
        assert (await client.get("/ready")).status_code == 503
        put_off = await client.post("/hook", json=text_webhook("Hola", "m-1"))
        assert (put_off.status_code, put_off.headers["retry-after"]) == (503, "5")
        gate.touch()
        await process.wait_event("ready")
        health = body_of(await client.get("/health"))
        assert (health["status"], health["initialized"]) == ("healthy", True)
        assert (await client.get("/ready")).status_code == 200
    assert (await process.end())[0] == 0


async def test_a_call_that_waits_for_a_short_start_is_stored(site: Site, tmp_path: Path) -> None:
    """On a socket of systemd's: nobody is refused, and nobody has to come again."""
    statuses: list[int] = []

    async def post(url: str) -> None:
        async with client_of(url) as client:
            answer = await client.post("/hook", json=text_webhook("Hola", "m-1"))
            statuses.append(answer.status_code)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        gate = tmp_path / "gate"
        process = await on_inherited(site, listening, "-c", SLOW_STORE, str(gate), "120")
        assert body_of(await get_when_open(f"{url}/health"))["status"] == "starting"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, url, name="post")
            await trio.sleep(0.3)  # nobody tells that it waits
            assert statuses == []
            gate.touch()
            await site.opened(process)
        assert statuses == [200]
        await until(lambda: states(site.data_dir) == {"answered"})
        assert (await process.end())[0] == 0


@pytest.mark.sqlite
async def test_a_stop_while_the_store_is_made_ready_is_clean(site: Site) -> None:
    """Somebody else writes into the file, so that ours has to wait."""
    site.data_dir.mkdir()
    with (
        contextlib.closing(sqlite3.connect(site.data_dir / "recado.db")) as other,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        process = await on_inherited(site, listening, *RUN)
        await get_when_open(f"http://127.0.0.1:{listening.getsockname()[1]}/health")
        status, _ = await process.end()
        assert status == 0
        other.rollback()
    assert "forced stop" not in process.text


@pytest.mark.sqlite
async def test_a_store_that_cannot_be_used_leaves_the_inherited_socket_open(site: Site) -> None:
    """Whoever comes is answered: by the daemon that starts, or the minimal one."""
    site.data_dir.mkdir()
    (site.data_dir / "recado.db").write_bytes(b"this is not a database" * 400)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = await on_inherited(site, listening, *RUN)
        assert (await health_when_known(url))["status"] == "minimal"
        async with client_of(url) as client:
            assert (await client.post("/hook", json={})).status_code == 503
        assert (await process.end())[0] == 2


async def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await site.launch(variables={"RECADO_WEB__PORT": str(port)})
        assert await process.ended() == 2
    (line,) = process.text.splitlines()
    assert json.loads(line)["level"] == "critical"
    assert f"port {port} on 127.0.0.1 is in use" in line
    assert "web.port (RECADO_WEB__PORT)" in line


async def test_two_sandboxes_run_side_by_side_in_folders_of_their_own(site: Site) -> None:
    urls = set()
    for name in ("one", "two"):
        process = await site.launch(
            *SANDBOX,
            variables={"RECADO_DATA_DIR": str(site.data_dir / name)} | ANY_PORTS,
        )
        urls.add((await process.wait_event("write to the bot from this phone"))["address"])
        assert STORE_FILE in names_in(site.data_dir / name / "sandbox")
        assert STORE_FILE not in names_in(site.data_dir / name)
    assert len(urls) == 2


async def test_the_port_of_the_sandboxs_phone_is_named_when_it_is_taken(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = ANY_PORTS | {"RECADO_SANDBOX__PORT": str(port)}
        process = await site.launch(*SANDBOX, variables=ports)
        assert await process.ended() == 2
    (line,) = process.text.splitlines()
    assert f"port {port} on 127.0.0.1 is in use" in line
    assert "sandbox.port (RECADO_SANDBOX__PORT)" in line


async def test_a_missing_key_starts_the_sandbox_where_that_was_asked_for(site: Site) -> None:
    process = await site.launch(*RUN, "--or-sandbox", variables=ANY_PORTS | {"WHAPI_TOKEN": ""})
    await process.wait_event("write to the bot from this phone")
    assert STORE_FILE in names_in(site.data_dir / "sandbox")


async def test_the_sandboxs_phone_talks_to_the_configured_model(site: Site) -> None:
    process = await site.launch(*SANDBOX, variables=ANY_PORTS)
    phone = (await process.wait_event("write to the bot from this phone"))["address"]
    assert "the real model" in process.text.splitlines()[0]
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=phone.removesuffix("/phone"), timeout=60
    ) as client:
        said = {"chat": f"{LAURA}@s.whatsapp.net", "text": "¿Tienen parqueadero?"}
        assert (await client.post("/phone/say", json=said)).is_success
    await site.model.wait_requests(1)
    assert "¿Tienen parqueadero?" in str(site.model.calls[-1].items)


async def test_the_sandbox_keeps_to_the_simulated_model_if_configured(site: Site) -> None:
    process = await site.launch(*SANDBOX, "--simulated", variables=ANY_PORTS)
    await process.wait_event("write to the bot from this phone")
    assert "the simulated model answers" in process.text.splitlines()[0]


async def test_every_command_reads_the_file_of_variables(site: Site) -> None:
    (site.data_dir.parent / ".env").write_text("RECADO_LOG__LEVEL=loud\nRECADO_WEB__PORT=none\n")
    status, _, stderr = await site.say("unanswered")
    assert status == 2
    assert "RECADO_LOG__LEVEL" in stderr
    assert "RECADO_WEB__PORT" not in stderr  # what the environment has wins
