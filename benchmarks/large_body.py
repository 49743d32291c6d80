"""What a webhook call of 50 MB costs: how long the event loop waits, and what memory it takes.

``python benchmarks/large_body.py`` prints a line for each shape of body: megabytes, seconds until
it is on the disk, the longest the loop did not come round (it wakes each millisecond), and the most
memory held beside the body itself. Times mean something on an idle machine only.
"""

import base64
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from daemon.conversation.intake import keep_files, read_webhook
from daemon.files.folder import LocalFiles
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.ledger.drivers.sqlite.opening import open_database
from daemon.ledger.intake import Inbox

RAW_BYTES = 37_000_000
LIMIT = 40_000_000


def call(kind: str, content: Any) -> bytes:
    """A webhook call with one message."""
    person = {"chat_id": "573001234567@s.whatsapp.net", "from": "573001234567", "from_me": False}
    message = {"id": "m-1", "type": kind, kind: content, "timestamp": 1, **person}
    return json.dumps({"messages": [message], "channel_id": "C"}).encode()


def data() -> str:
    """A file of 37 MB as base64."""
    return base64.b64encode(os.urandom(RAW_BYTES)).decode()


SHAPES: dict[str, Callable[[], bytes]] = {
    "a picture in its link": lambda: call("image", {"link": "data:image/jpeg;base64," + data()}),
    "a large preview": lambda: call("video", {"preview": "data:image/jpeg;base64," + data()}),
    "bytes under an unknown key": lambda: call("mystery", {"data": data()}),
    "escaped slashes": lambda: call("image", {"data": data()}).replace(b"/", b"\\/"),
    "nothing but text": lambda: call("text", {"body": "hola que tal " * 3_800_000}),
}


async def measure(body: bytes) -> tuple[float, float]:
    """Take one body in; gives the seconds it took and the longest gap of the loop."""
    gaps: list[float] = []

    async def probe() -> None:
        while True:
            before = time.perf_counter()
            await trio.sleep(0.001)
            gaps.append(time.perf_counter() - before)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opening = open_database(folder / "recado.db", clock=time.perf_counter, meter=None)
        async with opening as database, trio.open_nursery() as nursery:
            nursery.start_soon(probe)
            await trio.sleep(0.05)
            gaps.clear()
            began = time.perf_counter()
            webhook, opened = await read_webhook(
                body, "", number="main", parse=parse_webhook, nonce=lambda: "n0"
            )
            verdicts = [""] * len(webhook.messages)
            webhook = await keep_files(
                webhook, opened, verdicts, files=LocalFiles(folder), limit=LIMIT
            )
            inbox = Inbox(database, folder / "events")
            await inbox.accept(webhook, body, verdicts=verdicts, now=1, pause_until=0)
            seconds = time.perf_counter() - began
            nursery.cancel_scope.cancel()
    return seconds, max(gaps)


def main() -> None:
    """Measure each shape twice: for time, then for memory."""
    for name, make in SHAPES.items():
        body = make()
        seconds, gap = trio.run(measure, body)
        tracemalloc.start()
        trio.run(measure, body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        sys.stdout.write(
            f"{name:28} {len(body) / 1e6:4.0f} MB {seconds:5.2f} s,"
            f" loop {gap * 1000:4.0f} ms, beside it {peak / 1e6:4.0f} MB\n"
        )


if __name__ == "__main__":
    main()
