"""SIGTERM to the real process, at rest and at the worst moments."""

from pathlib import Path

import httpx
import trio
from support.model_script import Step, say
from support.plain import NO_TLS
from support.process import Site, body_of, until
from support.rows import states
from support.stage import LAURA

from daemon.sandbox.model_wire import CallTool
from daemon.sandbox.start import TOKEN

TEN = [f"57300200000{number}" for number in range(10)]
DEADLINE = {"RECADO_SHUTDOWN__DEADLINE_SECONDS": "3"}
FAR_DEADLINE = {"RECADO_SHUTDOWN__DEADLINE_SECONDS": "60"}
SOON = 33.0
"""Seconds, on however busy a machine: long before the far deadline, or its share for what is under
way, has passed. How quick a stop is on an idle machine is a matter of benchmarks."""

BLOCKING_TOOL = '''
"""A tool that does what no tool may do."""

import time

from daemon.tools.tool import tool


@tool
async def stuck() -> str:
    """Hold up the whole event loop."""
    time.sleep(90)
    return "never"
'''


async def ten_hanging(site: Site) -> trio.Event:
    """Ten customers have written, and the model thinks until the event that is returned."""
    thought = trio.Event()
    site.model.script(*[Step(gate=thought) for _ in TEN])
    for contact in TEN:
        await site.gateway.customer_says(contact, "Hola", deliver="queued")
    await site.model.wait_for(lambda: site.model.running == len(TEN))
    return thought


async def test_from_start_to_ready_and_a_quick_clean_end(site: Site) -> None:
    """It says what it is and where it listens, answers its probes and a customer, ends with 0."""
    process = await site.launch(variables=FAR_DEADLINE)
    url = await site.opened(process)
    starting = await process.wait_event("starting")
    assert {"version", "python", "memory_mb", "environment", "config"} <= set(starting)
    configured = await process.wait_event("configured")
    assert "shutdown.deadline_seconds=60" in configured["changed"]
    assert "whapi.token set, " in configured["secrets"]
    assert TOKEN not in process.text
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=url, trust_env=False, timeout=60
    ) as client:
        assert (await client.get("/ready")).status_code == 200
        health = body_of(await client.get("/health"))
        assert (health["status"], health["initialized"]) == ("healthy", True)
        assert url.endswith(f":{health['port']}")
    await site.gateway.customer_says(LAURA, "Hola")
    await site.gateway.wait_sent(LAURA)
    await until(lambda: states(site.data_dir) == {"answered"})
    status, seconds = await process.end()
    assert status == 0
    assert seconds < SOON
    assert '"stopped"' in process.text


async def test_ten_hanging_runs_end_within_the_deadline(site: Site) -> None:
    """A clean end all the same; the next process answers each customer once."""
    process = await site.start(RECADO_SHUTDOWN__DEADLINE_SECONDS="10")
    thought = await ten_hanging(site)
    status, _ = await process.end()
    assert status == 0  # 1 if the deadline had to end it
    await site.start()
    thought.set()
    for contact in TEN:
        await site.gateway.wait_sent(contact)
    await until(lambda: states(site.data_dir) == {"answered"})
    assert [len(site.received(contact)) for contact in TEN] == [1] * len(TEN)


async def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    process = await site.start(**FAR_DEADLINE)
    await ten_hanging(site)
    process.terminate()
    await process.wait_event("stopping")
    status, seconds = await process.end()
    assert status == 1
    assert seconds < SOON


async def test_a_blocked_event_loop_is_ended_at_the_deadline(site: Site, tmp_path: Path) -> None:
    """It says what it abandoned, ends with 1, and the next process answers the customer."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "bad.py").write_text(BLOCKING_TOOL)
    site.model.script(Step(outputs=(CallTool("stuck"),)), say("Ya estoy aquí."))
    process = await site.start(**DEADLINE, RECADO_TOOLS__FOLDER=str(folder))
    await site.gateway.customer_says(LAURA, "Hola", deliver="queued")
    await process.wait_event("tool started")
    status, seconds = await process.end()
    assert status == 1
    assert seconds < SOON  # the tool would hold it up for a minute
    await until(lambda: "forced stop" in process.text)
    assert "abandoned: 1 turns (turn_" in process.text
    assert "thinking" in process.text
    await site.start()
    await site.gateway.wait_sent(LAURA)
    assert site.received(LAURA) == ["Ya estoy aquí."]
