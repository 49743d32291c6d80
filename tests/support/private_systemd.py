"""A real systemd for one test, in its own namespaces, without effect on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
BOOT = Path(__file__).with_suffix(".sh")
SYSTEMD = Path("/usr/lib/systemd/systemd")
NAMESPACES = (
    *("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--net"),
    "--kill-child",
)
PROGRAMS = ("unshare", "nsenter", "systemctl", "journalctl", "pivot_root")
NEEDED = sorted({str(ROOT), sys.prefix, sys.base_prefix})
"""The folders that the daemon runs from."""
POLL_SECONDS = 0.05
TARGET = """[Unit]
Description=What the test wants
Requires=systemd-journald.service
Wants=recado.socket
AllowIsolate=yes
"""


def why_not() -> str:
    """Why this machine cannot boot a private systemd; empty if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not SYSTEMD.exists() or missing:
        return f"systemd is not installed here ({', '.join(missing) or SYSTEMD})"
    tried = subprocess.run(
        [*NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no namespaces for tests here: {tried.stderr.strip()}" if tried.returncode else ""


def built_with() -> str:
    """Version and build options of this machine's systemd; empty if there is none."""
    if not SYSTEMD.exists():
        return ""
    return subprocess.run(
        [SYSTEMD, "--version"], capture_output=True, text=True, check=False
    ).stdout


class CannotBoot(Exception):
    """This machine forbids something that a private systemd needs."""


class Machine:
    """A running systemd. ``exchange`` is seen inside as /exchange."""

    def __init__(self, pid: int, exchange: Path) -> None:
        self.exchange = exchange
        self._pid = pid

    async def try_run(self, *command: str) -> tuple[int, str]:
        """Run a command inside; returns its exit status and output."""
        done = await trio.run_process(
            ["nsenter", "--target", str(self._pid), "--all", *command],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    async def run(self, *command: str) -> str:
        """Run a command inside that has to succeed; returns its output."""
        status, text = await self.try_run(*command)
        assert status == 0, f"{' '.join(command)}: status {status}\n{text}"
        return text

    async def show(self, what: str, unit: str = "recado.service") -> str:
        """One property of a unit."""
        return (await self.run("systemctl", "show", "--value", f"--property={what}", unit)).strip()

    async def journal(self, *arguments: str) -> str:
        """The output of journalctl, with what was said until now."""
        await self.run("journalctl", "--sync")
        return await self.run("journalctl", "--no-pager", *arguments)

    async def until(self, *command: str, has: str, seconds: float = 90) -> str:
        """Run a command repeatedly until its output has this text."""
        text = (await self.try_run(*command))[1]
        with trio.move_on_after(seconds):
            while has not in text:
                await trio.sleep(POLL_SECONDS)  # leave the processors to the awaited work
                text = (await self.try_run(*command))[1]
        assert has in text, f"{' '.join(command)} does not say {has!r} but:\n{text}"
        return text


@asynccontextmanager
async def open_machine(folder: Path) -> AsyncIterator[Machine]:
    """Boot systemd with what lies in ``folder/exchange/{etc,usr}`` on top of this machine's files.

    Raises CannotBoot, with the words of the boot, if systemd could not even be started.
    """
    exchange, work = folder / "exchange", folder / "work"
    work.mkdir()
    exchange.chmod(0o755)
    units = exchange / "etc" / "systemd" / "system"
    units.mkdir(parents=True, exist_ok=True)
    (units / "test.target").write_text(TARGET)
    output = folder / "boot.log"
    with output.open("wb") as said:
        process = await trio.lowlevel.open_process(
            [*NAMESPACES, "bash", str(BOOT), str(work), str(exchange), *NEEDED],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield Machine(await _booted(process, output), exchange)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            process.kill()
            await process.wait()


async def _booted(process: trio.Process, output: Path) -> int:
    """Wait until systemd has started our target; returns its process id."""
    children = trio.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with trio.fail_after(60):
        while process.poll() is None:
            for pid in (await children.read_text()).split():
                status, _ = await Machine(int(pid), output.parent).try_run(
                    "systemctl", "is-active", "test.target"
                )
                if status == 0:
                    return int(pid)
            await trio.sleep(POLL_SECONDS)
    raise CannotBoot((await trio.Path(output).read_text(errors="replace"))[-2000:])


def is_temporary(path: str) -> bool:
    """True if ``PrivateTmp=yes``, which a dynamic user implies, hides it."""
    return os.path.realpath(path).startswith(("/tmp/", "/var/tmp/"))  # noqa: S108 - nothing is made


def is_below_home(path: str) -> bool:
    """True if ``ProtectHome=yes`` hides it."""
    return os.path.realpath(path).startswith(("/root/", "/home/", "/run/user/"))
