"""The units and the daemon under a real systemd: everything that only systemd can show."""

import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.private_systemd import (
    NEEDED,
    ROOT,
    CannotBoot,
    Machine,
    built_with,
    is_below_home,
    is_temporary,
    open_machine,
    why_not,
)
from support.stage import text_webhook

from daemon.sandbox.start import TOKEN

LACKING = why_not()
pytestmark = pytest.mark.skipif(
    bool(LACKING), reason=f"{LACKING}: THE SERVICE IS NOT TRIED UNDER SYSTEMD HERE"
)

CUSTOMER = "573001234567"
UNIT = "recado.service"
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")

CONFIG = """
[log]
level = "info"
[buffer]
window_seconds = 0.1
idle_seconds = 0.5
[delivery]
typing = false
[brakes]
turns_per_minute = 0
loop_answers = 0
repeats = 0
[assistant]
instructions_file = "/exchange/instructions.md"
"""

BLOCKER = """
# A signal's handler runs in the main thread, so it holds up the event loop.
import signal, time
signal.signal(signal.SIGUSR2, lambda *_: time.sleep(60))

# Calls wait for the end of the start also on a machine that is busy.
from daemon.http.front import Front
Front.__init__.__kwdefaults__["patience_seconds"] = 120.0
"""

DROP_IN = """[Unit]
Requires=simulators.service
After=simulators.service

[Service]
WatchdogSec=10s
RestartSec=100ms
Environment=RECADO_ENVIRONMENT=development RECADO_CONFIG=/exchange/recado.toml
Environment=WHAPI_API_URL=http://127.0.0.1:8081 WHAPI_TOKEN={token}
Environment=OPENAI_BASE_URL=http://127.0.0.1:8082/v1 OPENAI_API_KEY={token}
Environment=PYTHONPATH=/exchange/blocker
# There is nothing to load, and a namespace without real users cannot load it.
LoadCredential=
ExecPaths={programs}
{home}
{seen}
"""

SIMULATORS = """[Service]
Type=notify
ExecStart=/opt/recado/venv/bin/python -m support.outside
Environment=PYTHONPATH={tests}
"""

PROBE = """[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecReload=
StateDirectory=
ExecStart=
ExecStart=/opt/recado/venv/bin/python /exchange/probe.py
{but}
"""
"""The daemon's unit with another program, which tries to open a port."""

BIND = """
import errno, socket
for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    try:
        socket.socket(family).bind((address, 0))
    except OSError as error:
        print("refused:", errno.errorcode[error.errno])
    else:
        print("open")
"""

CLIENT = '''
"""Posts one webhook, or many from four clients until a file is there; prints what they came to."""
import collections, http.client, json, pathlib, sys, threading

template, end = sys.argv[1], pathlib.Path("/exchange/load.end")
outcomes = collections.Counter()

def post(body):
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=90)
    try:
        connection.request("POST", "/hook", body, {"Content-Type": "application/json"})
        outcomes[str(connection.getresponse().status)] += 1
    except Exception as error:
        outcomes[type(error).__name__] += 1
    finally:
        connection.close()

def client(number):
    count = more = 0
    while more < 5:  # after the end of what is tried, too
        more += end.exists()
        count += 1
        post(template.replace("CHAT", f"57300123450{number}").replace("ID", f"{number}-{count}"))

if "CHAT" in template:
    threads = [threading.Thread(target=client, args=[number]) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
else:
    post(template)
print(json.dumps(outcomes))
'''


def furnish(exchange: Path) -> None:
    """Lay out what the machine is to have besides this one's files."""
    system = exchange / "etc" / "systemd" / "system"
    drop_in = system / "recado.service.d"
    drop_in.mkdir(parents=True)
    for unit in ("recado.service", "recado.socket"):
        (system / unit).write_text((ROOT / "systemd" / unit).read_text())
    home = "ProtectHome=no" if any(map(is_below_home, (sys.base_prefix, sys.prefix))) else ""
    programs = " ".join(NEEDED)
    seen = "\n".join(f"BindReadOnlyPaths={path}" for path in NEEDED if is_temporary(path))
    test = DROP_IN.format(home=home, seen=seen, programs=programs, token=TOKEN)
    (drop_in / "test.conf").write_text(test)
    tests = f"{ROOT}:{ROOT / 'tests'}"
    (system / "simulators.service").write_text(SIMULATORS.format(tests=tests))
    for name, but in (("all", ""), ("sockets", "SystemCallFilter=")):
        probe = system / f"probe-{name}.service.d"
        probe.mkdir()
        (system / f"probe-{name}.service").write_text((system / "recado.service").read_text())
        (probe / "test.conf").write_text(test)
        (probe / "zz-probe.conf").write_text(PROBE.format(but=but))
    catalog = exchange / "usr" / "lib" / "systemd" / "catalog"
    catalog.mkdir(parents=True)
    (catalog / "recado.catalog").write_text((ROOT / "systemd" / "recado.catalog").read_text())
    (exchange / "blocker").mkdir()
    (exchange / "blocker" / "sitecustomize.py").write_text(BLOCKER)
    (exchange / "recado.toml").write_text(CONFIG)
    (exchange / "instructions.md").write_text("You answer for a small hotel.")
    for name, script in (("client", CLIENT), ("probe", BIND)):
        (exchange / f"{name}.py").write_text(script)
    for path in exchange.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """A systemd with our units, which listens for us and has not started us yet."""
    (tmp_path / "exchange").mkdir()
    furnish(tmp_path / "exchange")
    with trio.fail_after(600):
        try:
            async with open_machine(tmp_path) as machine:
                await machine.run("mkdir", "-p", "/opt/recado")
                await machine.run("ln", "-s", sys.prefix, "/opt/recado/venv")
                await machine.run("journalctl", "--update-catalog")
                yield machine
        except CannotBoot as reason:
            pytest.skip(f"{reason}: THE SERVICE IS NOT TRIED UNDER SYSTEMD HERE")


async def post(machine: Machine, message_id: str) -> None:
    """Send one webhook from inside; returns with its 200."""
    body = json.dumps(text_webhook("Hola", message_id, chat=CUSTOMER))
    outcomes = await machine.run(sys.executable, "/exchange/client.py", body)
    assert json.loads(outcomes) == {"200": 1}


async def entries(machine: Machine, *matches: str) -> list[dict[str, Any]]:
    """The journal's entries that match."""
    lines = await machine.journal("--output=json", *matches)
    return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


async def test_the_life_of_the_service(machine: Machine) -> None:
    """One boot for all of it, since the boot and the starts are what takes long."""
    await starts_with_the_first_webhook(machine)
    await is_shut_in(machine)
    await tells_a_turns_story_in_the_journal(machine)
    await reloads(machine)
    await refuses_a_bad_configuration(machine)
    await restarts_under_load(machine)
    await is_started_anew_when_its_loop_is_blocked(machine)
    await machine.run("mkdir", "-p", "/var/backups")
    await recado(machine, "backup", "/var/backups/recado-DATE.db", "--with-files")
    await post(machine, "after-the-backup")
    await stops_in_time(machine)
    await goes_back_to_a_backup(machine)


async def opened_ports(machine: Machine, unit: str) -> list[str]:
    """What became of the tries of a probe to open a port of each family."""
    await machine.run("systemctl", "start", unit)
    said = await machine.journal("--output=cat", f"--unit={unit}")
    return re.findall(r"^(refused: \w+|open)$", said, re.MULTILINE)


async def test_nothing_in_the_unit_can_open_a_port(machine: Machine) -> None:
    """The daemon has systemd's socket alone; what it runs has none either."""
    assert await opened_ports(machine, "probe-all.service") == ["refused: EPERM"] * 2


@pytest.mark.skipif(
    "+BPF_FRAMEWORK" not in built_with(),
    reason="this systemd is built without BPF_FRAMEWORK: SocketBindDeny= IS NOT TRIED HERE",
)
async def test_socketbinddeny_alone_keeps_ports_closed(machine: Machine) -> None:
    assert await opened_ports(machine, "probe-sockets.service") == ["refused: EPERM"] * 2


async def starts_with_the_first_webhook(machine: Machine) -> None:
    """The socket is open before the daemon; the call waits, is stored and answered."""
    assert await machine.show("ActiveState") == "inactive"
    await post(machine, "first")
    await machine.until("systemctl", "show", "--property=SubState", UNIT, has="running")
    assert (await machine.show("StatusText")).startswith("serving ")
    user = await machine.run("stat", "--format=%U %a", "/var/lib/private/recado")
    assert user.split() == ["recado", "700"]


async def is_shut_in(machine: Machine) -> None:
    """Nothing of the disk can be run but programs, no memory is dumped or swapped."""
    pid = await machine.show("MainPID")
    mounts = [
        line.split() for line in (await machine.run("cat", f"/proc/{pid}/mounts")).splitlines()
    ]
    flags = {mount[1]: mount[3].split(",") for mount in mounts}
    assert "noexec" in flags["/"]
    assert "noexec" in flags["/var/lib/private/recado"]
    assert "noexec" not in flags["/usr"]
    limits = await machine.run("cat", f"/proc/{pid}/limits")
    assert re.search(r"Max core file size +0 +0 ", limits)
    (starting,) = await entries(machine, "--unit=recado", "RECADO_EVENT=starting")
    group = "/sys/fs/cgroup/system.slice/recado.service"
    limited = (await machine.try_run("cat", f"{group}/memory.high"))[0] == 0
    megabytes = 768 * 1024 * 1024 // 1_000_000 if limited else 0  # if the kernel lets it
    assert int(starting["RECADO_MEMORY_LIMIT_MB"]) == megabytes
    assert await machine.show("MemorySwapMax") == "0"
    assert await machine.show("OOMPolicy") == "continue"


async def tells_a_turns_story_in_the_journal(machine: Machine) -> None:
    """By the turn's name, with a kind a line, and with the catalog's words."""
    search = ("journalctl", "--no-pager", "--output=json", "RECADO_EVENT=turn ended")
    line = (await machine.until(*search, has="RECADO_TURN")).splitlines()[0]
    turn = json.loads(line)["RECADO_TURN"]
    story = await entries(machine, "--unit=recado", f"RECADO_TURN={turn}")
    kinds = [entry["RECADO_EVENT"] for entry in story]
    assert {"response", "turn ended"} <= set(kinds)
    assert all(len(entry["MESSAGE_ID"]) == 32 for entry in story)
    assert not any(CUSTOMER in json.dumps(entry) for entry in story)
    explained = await machine.journal("--catalog", "--unit=recado", "RECADO_EVENT=turn ended")
    assert "Recado: turn ended" in explained


async def reloads(machine: Machine) -> None:
    """A level that can change does; a port that cannot is named; the process is the same one."""
    pid = await machine.show("MainPID")
    config = machine.exchange / "recado.toml"
    config.write_text(f"{CONFIG.replace('info', 'debug')}\n[web]\nport = 9999\n")
    await machine.run("systemctl", "reload", "recado.service")
    await machine.until(
        "journalctl", "--no-pager", "--unit=recado", has="web.port changed: needs a restart"
    )
    assert "log.level" in await machine.journal("--unit=recado", "--grep=configuration read again")
    assert await machine.show("MainPID") == pid
    await machine.until("systemctl", "is-active", UNIT, has="active")
    config.write_text(CONFIG)


async def refuses_a_bad_configuration(machine: Machine) -> None:
    """It goes on with what it has, and says so where an operator looks first."""
    config = machine.exchange / "recado.toml"
    config.write_text(f"{CONFIG}\nnonsense = 1\n")
    await machine.run("systemctl", "reload", "recado.service")
    await machine.until(
        "journalctl", "--no-pager", "--unit=recado", has="configuration refused, nothing changed"
    )
    await machine.until(
        *("systemctl", "status", "--no-pager", "recado.service"), has="reload refused: "
    )
    await post(machine, "after-the-refusal")
    config.write_text(CONFIG)


async def restarts_under_load(machine: Machine) -> None:
    """Four clients notice nothing of a restart: they wait in systemd's socket."""
    template = json.dumps(text_webhook("Hola", "ID", chat="CHAT"))
    outcomes = ""

    async def load() -> None:
        nonlocal outcomes
        outcomes = await machine.run(sys.executable, "/exchange/client.py", template)

    pid = await machine.show("MainPID")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load, name="load")
        await machine.run("systemctl", "restart", "recado.service")
        (machine.exchange / "load.end").touch()
    counted = json.loads(outcomes)
    assert set(counted) == {"200"}, counted
    assert counted["200"] > 4 * 5
    assert await machine.show("MainPID") != pid


async def is_started_anew_when_its_loop_is_blocked(machine: Machine) -> None:
    """Nobody feeds the watchdog: SIGABRT, the stacks of all threads, and a new process."""
    pid = await machine.show("MainPID")
    await machine.run("systemctl", "kill", "--signal=SIGUSR2", "--kill-who=main", "recado.service")
    await machine.until("journalctl", "--no-pager", "--unit=recado", has="Watchdog timeout")
    await post(machine, "after-the-watchdog")  # it waits in the socket meanwhile
    assert await machine.show("MainPID") != pid
    assert await machine.show("NRestarts") == "1"
    said = await machine.journal("--unit=recado", "--output=cat")
    assert "Fatal Python error: Aborted" in said
    assert "sitecustomize.py" in said


async def stops_in_time(machine: Machine) -> None:
    """Cleanly: systemd did not have to kill it."""
    await machine.run("systemctl", "stop", "recado.socket", "recado.service")
    assert await machine.show("Result") == "success"
    assert await machine.show("ExecMainStatus") == "0"


async def recado(machine: Machine, command: str, *arguments: str) -> str:
    """Run a command as an operator does, as root and beside the daemon."""
    place = ("--data-dir", "/var/lib/recado")
    return await machine.run("/opt/recado/venv/bin/recado", command, *arguments, *place)


async def goes_back_to_a_backup(machine: Machine) -> None:
    """By the lines that the operator's page has for it; what came later is not known any more."""
    (lines,) = re.findall(r"To go back to it:\n\n```\n(.*?)```", OPERATING, re.DOTALL)
    await machine.run("bash", "-ec", lines)
    assert await machine.show("SubState") == "running"
    assert "arrived" in await recado(machine, "explain", "first")
    with pytest.raises(AssertionError, match="after-the-backup"):
        await recado(machine, "explain", "after-the-backup")
    await post(machine, "after-the-restore")
