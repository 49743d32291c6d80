"""SIGHUP to the real process: what can change does, all of it or nothing."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import call, say
from support.process import ROOT, RUN, DaemonProcess, Site
from support.stage import LAURA

TOOL = '''
from daemon.tools.tool import tool


@tool
async def {name}() -> str:
    """Say how many rooms are free."""
    return "{output}"
'''


class Place:
    """A running daemon with a configuration of its own."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.config = folder / "recado.toml"
        self.instructions = folder / "instructions.md"
        self.tools = folder / "tools"
        self.tools.mkdir()
        (self.tools / "rooms.py").write_text(TOOL.format(name="rooms", output="seven"))
        self.configure("")

    def configure(self, text: str) -> None:
        """Write the configuration: the tools' folder and this."""
        self.config.write_text(f'tools.folder = "{self.tools}"\n{text}')

    async def start(self) -> DaemonProcess:
        return await self.site.start(RECADO_CONFIG=str(self.config))


@pytest.fixture
def place(site: Site, tmp_path: Path) -> Place:
    (tmp_path / "place").mkdir()
    found = Place(site, tmp_path / "place")
    found.instructions = tmp_path / "instructions.md"
    return found


def asked(place: Place) -> dict[str, Any]:
    """The last request that the model got."""
    return place.site.model.calls[-1].body


async def reload(process: DaemonProcess, words: str) -> dict[str, object]:
    """Send SIGHUP and wait for what the log says of it; what was written before is forgotten."""
    process.text = ""
    process.process.send_signal(signal.SIGHUP)
    return await process.wait_event(words)


async def test_changeable_keys_change_and_the_others_are_named(place: Place) -> None:
    process = await place.start()
    place.instructions.write_text("You answer for a museum.")
    place.configure('texts.apology = "Uy."\nlog.level = "debug"\nwhapi.timeout_seconds = 3.0\n')
    (place.tools / "hours.py").write_text(TOOL.format(name="hours", output="nine to five"))
    said = await reload(process, "configuration read again")
    assert said["changed"] == "log.level, texts.apology, the instructions, the tools"
    await process.wait_event("whapi.timeout_seconds changed: needs a restart")
    assert process.text.count("needs a restart") == 1
    await place.site.gateway.customer_says(LAURA, "Hola")
    await place.site.gateway.wait_sent(LAURA)
    assert asked(place)["instructions"].startswith("You answer for a museum.")
    assert {"rooms", "hours"} <= {tool["name"] for tool in asked(place)["tools"]}
    assert (await process.end())[0] == 0


FAULTS = (
    ('texts.apology = "Uy."\nlog.nonsense = 1\n', "", "log.nonsense"),
    ("not toml", "", "not valid TOML"),
    ('texts.apology = "Uy."\n', "raise RuntimeError('broken')", "broken"),
    ("budget.total_cost = 5.0\n", "", "needs a price"),
    ('tools.disabled = ["sauna"]\n', "", "there is no tool sauna"),
)
"""A configuration, a further tool, and a part of the reason for which they are refused."""


async def test_a_fault_changes_nothing(place: Place) -> None:
    """The daemon goes on with what it has, tools included, and a later reload is well again."""
    process = await place.start()
    place.instructions.write_text("You answer for a museum.")
    broken = place.tools / "another.py"
    for config, tool, reason in FAULTS:
        place.configure(config)
        if tool:
            broken.write_text(tool)
        refused = await reload(process, "configuration refused, nothing changed")
        assert reason in str(refused["reason"])
        broken.unlink(missing_ok=True)
    place.site.model.script(call("rooms"), say("Siete"))
    await place.site.gateway.customer_says(LAURA, "Hola")
    await place.site.gateway.wait_sent(LAURA)
    assert asked(place)["instructions"].startswith("You answer for a small hotel.")
    assert "seven" in str(asked(place)["input"])
    place.configure("")
    said = await reload(process, "configuration read again")
    assert said["changed"] == "the instructions"


async def test_a_run_under_way_keeps_its_configuration(place: Place) -> None:
    """Its second round has the old instructions and calls the old tool; the next turn the new."""
    process = await place.start()
    thought = trio.Event()
    place.site.model.script(call("rooms", gate=thought), say("Siete"))
    await place.site.gateway.customer_says(LAURA, "Hola")
    await place.site.model.wait_for(lambda: place.site.model.running == 1)
    place.instructions.write_text("You answer for a museum.")
    (place.tools / "rooms.py").write_text(TOOL.format(name="rooms", output="not one"))
    await reload(process, "configuration read again")
    thought.set()
    await place.site.gateway.wait_sent(LAURA)
    last = asked(place)
    assert last["instructions"].startswith("You answer for a small hotel.")
    assert "seven" in str(last["input"])
    place.site.model.script(call("rooms"), say("Ninguna"))
    await place.site.gateway.customer_says(LAURA, "¿Y ahora?")
    await place.site.gateway.wait_sent(LAURA, count=2)
    last = asked(place)
    assert last["instructions"].startswith("You answer for a museum.")
    assert "not one" in str(last["input"])


async def test_a_terminal_that_is_closed_stops_the_daemon(site: Site) -> None:
    """SIGHUP of a terminal is no reload: nobody would see the daemon any more."""
    ours, theirs = pty.openpty()
    process = DaemonProcess(
        await trio.lowlevel.open_process(
            [sys.executable, *RUN],
            cwd=ROOT,
            env=site.environ,
            stdin=theirs,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )
    site.processes.append(process)
    os.close(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.read, name="stderr of the daemon")
        await process.wait_event("ready")
        os.close(ours)
        assert await process_end(process) == 0
    assert "configuration read again" not in process.text


async def process_end(process: DaemonProcess) -> int:
    """What the kernel does for a session's leader when its terminal hangs up."""
    process.process.send_signal(signal.SIGHUP)
    return await process.ended()
