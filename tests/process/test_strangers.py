"""The real process under strangers and under bodies that are made to cost memory."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import trio
from support.plain import NO_TLS
from support.process import DaemonProcess, Site

SECRET = "a-webhook-secret-of-some-length"
BEARER = {"Authorization": f"Bearer {SECRET}"}
SECRETS = {"RECADO_WEB__WEBHOOK_SECRET": SECRET, "RECADO_WEB__ADMIN_TOKEN": "an-admin-token-long"}
STRANGERS = 1_500
ADDRESSES = 30
"""All of 127.0.0.0/8 is this machine, so strangers come from many addresses."""
MOST_BYTES = 600 * 1024 * 1024
LARGEST = 16_500_000
BODY_BYTES = 46 * 1024 * 1024


SAID = (b"", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"POST /hook HT")


async def test_a_webhook_is_taken_while_strangers_fill_the_server(site: Site) -> None:
    """Silent ones, those that have asked something, and those in the middle of a head."""
    process = await site.launch(variables=SECRETS)
    url = await site.opened(process)
    for said in SAID:
        with strangers(int(url.rpartition(":")[2]), said), trio.fail_after(30):
            async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=60) as client:
                answer = await client.post(f"{url}/hook", json={"messages": []}, headers=BEARER)
        assert answer.status_code == 200
    assert (await process.end())[0] == 0


@contextmanager
def strangers(port: int, said: bytes) -> Iterator[None]:
    """More connections than the server has room for, from many addresses."""
    with ExitStack() as stack:
        for number in range(STRANGERS):
            source = (f"127.0.1.{number % ADDRESSES}", 0)
            stranger = socket.create_connection(("127.0.0.1", port), source_address=source)
            stack.enter_context(stranger)
            stranger.sendall(said)
        yield


def repeated(unit: bytes, head: bytes = b'{"messages":[', tail: bytes = b"1]}") -> bytes:
    return head + unit * ((BODY_BYTES - len(head) - len(tail)) // len(unit)) + tail


def spaced(count: int, unit: bytes, head: bytes, tail: bytes) -> bytes:
    """So many values, and as large as may be: just within the bounds."""
    padded = unit + b" " * (LARGEST // count - len(unit))
    return head + padded * count + tail


TEXT = b'{"messages":[{"id":"a","chat_id":"573001234567","type":"text","text":{"body":'
PICTURE = TEXT.replace(b'"text"', b'"image"').replace(b'"body"', b'"data"')


def bodies() -> dict[str, tuple[bytes, int]]:
    """Each body, some hundred megabytes in all, and what it is answered with."""
    return {
        "empty messages": (repeated(b"{},"), 413),
        "empty lists": (repeated(b"[],"), 413),
        "numbers": (repeated(b"1,"), 413),
        "values in a message": (repeated(b"[],", TEXT + b"[", b"1]}}]}"), 413),
        "within the bound": (
            spaced(480_000, b'{"a":1},', TEXT.replace(b'"text"', b'"any"') + b"[", b"1]}}]}"),
            200,
        ),
        "a text without end": (
            TEXT + b'"\xf0\x9f\x98\x80' + b"hola " * (BODY_BYTES // 5) + b'"}}]}',
            413,
        ),
        "a long text": (TEXT + b'"\xf0\x9f\x98\x80' + b"hola " * 3_000_000 + b'"}}]}', 200),
        "a large picture": (
            PICTURE + b'"data:image/png;base64,' + b"QUJD" * (BODY_BYTES // 4) + b'"}}]}',
            200,
        ),
    }


def peak_bytes(process: DaemonProcess) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def test_no_body_takes_more_than_its_share_of_memory(site: Site) -> None:
    """Four at once, as many as are let in; what is refused is refused before the 200."""
    process = await site.launch(variables=SECRETS)
    url = await site.opened(process)
    for kind, (body, expected) in bodies().items():
        assert await four_statuses(f"{url}/hook", body) == [expected] * 4, kind
        assert peak_bytes(process) < MOST_BYTES, kind


async def four_statuses(url: str, body: bytes) -> list[int]:
    """Call four times at once; gives the statuses of the answers."""
    statuses = []

    async def post() -> None:
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=120) as client:
            statuses.append((await client.post(url, content=body, headers=BEARER)).status_code)

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(post)
    return statuses
