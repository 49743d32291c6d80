"""A process that ends by a fault says why before it is gone."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import trio
from support.model_script import Step
from support.process import ROOT, Site, until
from support.stage import LAURA

from daemon.sandbox.model_wire import CallTool

SOON = 33.0
"""Seconds, on however busy a machine: long before the far deadline's share for work has passed."""

BUGGY_CORE = """
import signal, sys
import trio
from daemon import app
from daemon.__main__ import main

async def watch_store(store, log):
    with app.core_task(log), trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            raise ZeroDivisionError("a bug in a core task")

app._watch_store = watch_store
sys.argv = ["recado", "run"]
main()
"""
"""The daemon with a fault in a core task, which shows when it is told to."""

BLOCKED_WRITER = BUGGY_CORE.replace(
    """            raise""",
    """            begun = threading.Event()
            while not begun.is_set():
                with trio.move_on_after(0.2):
                    await store.database.write(lambda _: (begun.set(), time.sleep(90)))
            raise""",
).replace("import signal, sys", "import signal, sys, threading, time")
"""The same fault while the store's writer is stuck, so that the store cannot be closed either."""

BLOCKING_TOOL = '''
"""A tool that does what no tool may do."""

import sys
import time

from daemon.tools.tool import tool


@tool
async def stuck() -> str:
    """Hold up the whole event loop."""
    print('{"event": "the loop stands"}', file=sys.stderr, flush=True)
    time.sleep(90)
    return "never"
'''

WITHOUT_A_PORT = """
import json, os, signal, subprocess, sys, urllib.request
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
run = [sys.executable, "-m", "daemon", "run"]
daemon = subprocess.Popen(run, stderr=subprocess.PIPE, text=True)
for line in daemon.stderr:
    if "answering /health" in line:
        break
print(urllib.request.urlopen("http://127.0.0.1:8080/health").read().decode())
daemon.send_signal(signal.SIGTERM)
sys.exit(daemon.wait())
"""


async def test_a_core_tasks_fault_ends_the_process_at_once_with_the_reason(
    site: Site,
) -> None:
    """With ten runs under way: status 1, the task's name and the traceback are in the log."""
    thought = trio.Event()
    contacts = [f"57300200000{number}" for number in range(10)]
    site.model.script(*[Step(gate=thought) for _ in contacts])
    process = await site.launch(
        "-c", BUGGY_CORE, variables={"RECADO_SHUTDOWN__DEADLINE_SECONDS": "60"}
    )
    await site.opened(process)
    for contact in contacts:
        await site.gateway.customer_says(contact, "Hola", deliver="queued")
    await site.model.wait_for(lambda: site.model.running == len(contacts))
    status, seconds = await process.end(signal.SIGUSR1)
    assert status == 1
    assert seconds < SOON
    fault = await process.wait_event("unexpected error")
    assert (fault["where"], fault["task"]) == ("core", "store watch")
    assert "ZeroDivisionError: a bug in a core task" in process.text
    assert process.text.endswith("}\n")


async def test_a_core_tasks_fault_ends_the_process_in_time_whatever_is_stuck(site: Site) -> None:
    """By the same deadline as after a signal, and the next process answers whoever waits."""
    thought = trio.Event()
    site.model.script(Step(gate=thought))
    process = await site.launch(
        "-c", BLOCKED_WRITER, variables={"RECADO_SHUTDOWN__DEADLINE_SECONDS": "2"}
    )
    await site.opened(process)
    await site.gateway.customer_says(LAURA, "Hola", deliver="queued")
    await site.model.wait_for(lambda: site.model.running == 1)
    status, seconds = await process.end(signal.SIGUSR1)
    assert status == 1
    assert seconds < SOON
    await until(lambda: "forced stop: 2 s were not enough; abandoned: " in process.text)
    assert "ZeroDivisionError" in process.text or "a core task failed" in process.text
    await site.start()
    thought.set()
    await site.gateway.wait_sent(LAURA)
    assert len(site.received(LAURA)) == 1


async def test_abort_shows_where_a_blocked_loop_stands(site: Site, tmp_path: Path) -> None:
    """That is the signal of systemd's watchdog."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "blocking.py").write_text(BLOCKING_TOOL)
    site.model.script(Step(outputs=(CallTool("stuck"),)))
    process = await site.start(RECADO_TOOLS__FOLDER=str(folder))
    await site.gateway.customer_says(LAURA, "Hola", deliver="queued")
    await process.wait_event("the loop stands")
    status, _ = await process.end(signal.SIGABRT)
    assert status == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in process.text
    assert "in stuck" in process.text


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"),
    reason="needs root, unshare and ip, to have port 8080 for itself",
)
async def test_without_a_usable_port_the_reason_is_served_at_8080(tmp_path: Path) -> None:
    """In a network namespace of its own."""
    (tmp_path / "recado.toml").write_text("[web]\nport = 'none'\n")
    with trio.fail_after(60):
        done = await trio.run_process(
            ["unshare", "--net", sys.executable, "-c", WITHOUT_A_PORT],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "RECADO_CONFIG": str(tmp_path / "recado.toml"),
            },
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    if b"unshare" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.decode()}")
    assert done.returncode == 2
    assert b'"minimal"' in done.stdout
    assert b"web.port" in done.stdout
