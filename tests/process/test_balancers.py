"""The balancers of docs/cluster.md before two real nodes, of which one is killed."""

import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from support.ports import free_port
from support.process import NGINX, ROOT
from support.shared_numbers import NUMBERS, SharedNumbers, open_shared_numbers

LAURA, PEDRO = "573001234567", "573007654321"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def shown(name: str, port: int, nodes: Sequence[str]) -> str:
    """The configuration that the page shows, for these nodes and without TLS."""
    page = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    found: list[str] = re.findall(rf"```{name}\n(.*?)```", page, re.DOTALL)
    (text,) = found
    changes = {
        "10.0.0.11:8080": nodes[0],
        "10.0.0.12:8080": nodes[1],
        r":443 ssl crt \S+": f"127.0.0.1:{port}",
        r"443 ssl": f"127.0.0.1:{port}",
        r"ssl_certificate.*;": "",
    }
    for old, new in changes.items():
        text = re.sub(old, new, text)
    assert not re.search(r"\b(ssl|10\.0)", text)
    return text


def command(name: str, folder: Path, port: int, nodes: Sequence[str]) -> list[str]:
    """What runs a balancer, whose files are in this folder."""
    config, text = folder / f"{name}.conf", shown(name, port, nodes)
    if name == "nginx":
        config.write_text(NGINX.format(folder=folder, ours=text))
        return ["nginx", "-p", str(folder), "-c", str(config)]
    config.write_text(text)
    return ["haproxy", "-db", "-f", str(config)]


@asynccontextmanager
async def balancer(name: str, folder: Path, nodes: Sequence[str]) -> AsyncIterator[str]:
    """Run a balancer before these nodes; gives its address when it listens."""
    port = free_port()
    log = folder / f"{name}.log"
    with log.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            command(name, folder, port, nodes), env={"PATH": PATH}, stdout=stderr, stderr=stderr
        )
    try:
        with trio.fail_after(60):
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                except OSError:
                    await trio.sleep(0.05)
                else:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


async def write_to_all(shared: SharedNumbers, chat: str, words: str) -> None:
    """Let a customer write to all numbers at once."""
    async with trio.open_nursery() as nursery:
        for number in NUMBERS:
            nursery.start_soon(shared.write, number, chat, words)


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
async def test_webhooks_go_on_when_a_node_is_killed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"needs {name}")
    monkeypatch.setenv("TEST_STORE", "postgres")
    async with open_shared_numbers(tmp_path) as shared:
        await shared.start("a", "b")
        await shared.until(lambda: shared.are_even("a", "b"))
        places = [shared.nodes[one].lives.url.removeprefix("http://") for one in ("a", "b")]
        async with balancer(name, tmp_path, places) as url:
            shared.call_at(url)
            await write_to_all(shared, LAURA, "hola")
            shared.nodes["a"].lives.kill()
            await write_to_all(shared, PEDRO, "¿hay alguien?")
            await shared.until(lambda: all(shared.heard(n, LAURA) for n in NUMBERS))
            await shared.until(lambda: all(shared.heard(n, PEDRO) for n in NUMBERS))
            assert shared.are_even("b")
            await shared.nodes["a"].lives.death()
            await shared.start("a")
            await shared.until(lambda: shared.are_even("a", "b"))
            await write_to_all(shared, PEDRO, "gracias")
            await shared.until(lambda: all(len(shared.heard(n, PEDRO)) == 2 for n in NUMBERS))
        for number in NUMBERS:
            assert len(shared.heard(number, LAURA)) == 1
        for node in shared.nodes.values():
            if node.lives.pid:
                await node.lives.stop()
