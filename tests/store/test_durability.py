"""What is acknowledged is on the disk: seen from the system calls of a process that accepts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]

ACCEPTOR = """
import os, sys, time
from pathlib import Path

import trio

from daemon.domain.messages import ChatKey, Message, Text, Webhook
from daemon.ledger.ledger import open_store

KEY = ChatKey("c", "573001234567@s.whatsapp.net")


async def main(folder, synchronous):
    async with open_store(folder, clock=time.perf_counter) as store:
        store.database._connection.execute(f"PRAGMA synchronous = {synchronous}")
        for number in range(6):
            message = Message(id=str(number), key=KEY, kind="text", content=Text(body="Hola"))
            webhook = Webhook(channel="c", event="messages.post", messages=(message,))
            body = bytes(100_000) if number == 3 else b"{}"
            await store.inbox.accept(webhook, body, verdicts=[""], now=1, pause_until=0)
            os.write(1, b"acknowledged")


trio.run(main, Path(sys.argv[1]), sys.argv[2])
"""

STARTED = re.compile(r"(?P<pid>\d+)\s+(?P<call>\w+)\(\d+<(?P<file>[^>]*)>")
RESUMED = re.compile(r"(?P<pid>\d+)\s+<\.\.\. (?P<call>\w+) resumed>")
SYNCS = {"fsync", "fdatasync"}


def _unsynced_acknowledgements(trace: str) -> tuple[int, int]:
    """How many acknowledgements there are, and how many came before their data was on the disk."""
    dirty: set[str] = set()
    under_way: dict[str, str] = {}
    acknowledged = early = 0
    for line in trace.splitlines():
        if resumed := RESUMED.match(line):
            if resumed["call"] in SYNCS:
                dirty.discard(under_way.pop(resumed["pid"]))
            continue
        started = STARTED.match(line)
        if started is None:
            continue
        if '"acknowledged"' in line:
            acknowledged += 1
            early += bool(dirty)
        elif started["call"] in SYNCS and "unfinished" in line:
            under_way[started["pid"]] = started["file"]
        elif started["call"] in SYNCS:
            dirty.discard(started["file"])
        elif started["file"].endswith("-wal") or "/events/" in started["file"]:
            dirty.add(started["file"])
    return acknowledged, early


def _trace(folder: Path, synchronous: str) -> str:
    """The file writes and syncs of a process that accepts six messages, one after the other."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: nobody watches the fsyncs on this machine")
    output = folder / "trace"
    watch = [strace, "-f", "-y", "-s", "12", "-o", str(output)]
    result = subprocess.run(
        [
            *watch,
            *("-e", "trace=fsync,fdatasync,write,pwrite64"),
            *(sys.executable, "-c", ACCEPTOR, str(folder / "data"), synchronous),
        ],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=180,
    )
    if b"ptrace" in result.stderr and result.returncode:
        pytest.skip(f"strace may not trace here: {result.stderr.decode().strip()}")
    assert result.returncode == 0, result.stderr.decode()
    return output.read_text()


def test_every_acknowledged_message_is_on_the_disk_before_its_acknowledgement(
    tmp_path: Path,
) -> None:
    trace = _trace(tmp_path, "FULL")
    assert _unsynced_acknowledgements(trace) == (6, 0)
    large = re.findall(r"(write|fsync)\(\d+<[^>]*/data/events([^>]*)>", trace)
    calls = [call for call, _ in large]
    assert calls[0] == "write"
    assert calls[-2:] == ["fsync", "fsync"]  # the file, then its folder
    assert large[-1][1] == ""


def test_the_check_above_sees_a_store_that_does_not_sync(tmp_path: Path) -> None:
    acknowledged, early = _unsynced_acknowledgements(_trace(tmp_path, "NORMAL"))
    assert acknowledged == 6
    assert early >= 4
