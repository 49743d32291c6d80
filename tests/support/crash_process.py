"""One daemon process after another on the same socket and store."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from support.crash_points import PLAN_VARIABLE, KillPlan

START_SECONDS = 120.0
"""Longer than any start takes, even on a busy machine."""

POLL_SECONDS = 0.02
LIFE_SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
    "RECADO_BUFFER__MAX_WAIT_SECONDS": "1",
    "RECADO_BUFFER__IDLE_SECONDS": "0.3",
    "RECADO_BRAKES__TURNS_PER_MINUTE": "0",
    "RECADO_BRAKES__LOOP_ANSWERS": "0",
    "RECADO_BRAKES__REPEATS": "0",
    "RECADO_DELIVERY__TYPING": "false",
    "RECADO_DELIVERY__SHORT_CHARACTERS": "0",
    "RECADO_DELIVERY__MAX_BUBBLES": "20",  # the notes of reminders add a part each
    "RECADO_RECOVERY__DELAY_SECONDS": "0.05",
    "RECADO_ASSISTANT__BACKGROUND": "true",
    "RECADO_ASSISTANT__HISTORY_TOKENS": "600",
    "RECADO_ASSISTANT__COMPACTION": "drop",
    "RECADO_HISTORY__IMPORT_MESSAGES": "0",
    "RECADO_TOOLS__MODULES": "support.crash_tool",
    "RECADO_REMINDERS__MOST_PER_DAY": "0",
    "RECADO_REMINDERS__MOST_WAITING": "100000",
}


class Life:
    """One process, forked from one that has the modules; see `support.crash_victim`."""

    def __init__(self, pid: int, control: socket.socket, stdout: trio.lowlevel.FdStream) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._control = control

    def poll(self) -> int | None:
        """Its status; None while it lives."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self.returncode = int(self._control.recv(64))
        return self.returncode

    async def wait(self) -> int:
        """Wait for its status."""
        while self.poll() is None:
            await trio.lowlevel.wait_readable(self._control)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Lives:
    """The processes of one daemon. They inherit the listening socket, which outlives them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.start_seconds: list[float] = []
        """Seconds from the spawn to READY, of each process that became ready."""
        self.launcher: tuple[str, ...] = ()
        """What the command of the processes begins with."""
        self._folder = folder
        self._environment: dict[str, str] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._spawned = 0.0
        self._process: Life | None = None

    @property
    def url(self) -> str:
        """Where the daemon answers."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the environment of the next processes, besides the short waits."""
        inherited = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
        }
        # The same checkout as the harness, wherever the environment's own install points to.
        roots = os.pathsep.join(str(Path(__file__).parents[level]) for level in (1, 2))
        self._environment = {**inherited, **LIFE_SETTINGS, "PYTHONPATH": roots, **environment}

    def install(self, checkout: Path) -> None:
        """Let the next processes be of this version of the daemon. None may be running."""
        assert not self.pid
        roots = os.pathsep.join([str(Path(__file__).parents[1]), str(checkout)])
        self._environment["PYTHONPATH"] = roots
        if self._control is not None and self._template is not None:
            self._control.close()
            self._template.wait()
            self._control = None

    def close(self) -> None:
        """Close the listening socket and see that no process is left."""
        self._listener.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
        if self._control is not None and self._template is not None:
            self._control.close()
            self._template.wait()

    async def start(self, **plan: Any) -> None:
        """Start the daemon; returns once it is spawned."""
        self._spawned = time.perf_counter()
        text = msgspec.json.encode(KillPlan(listener=self._listener.fileno(), **plan)).decode()
        environment = json.dumps({**self._environment, PLAN_VARIABLE: text}).encode()
        control = self._control = self._control or self._open()
        readable, writable = os.pipe()
        with (self._folder / "victim.log").open("ab") as log:
            socket.send_fds(control, [environment], [writable, log.fileno()])
        os.close(writable)
        await trio.lowlevel.wait_readable(control)
        self._process = Life(int(control.recv(64)), control, trio.lowlevel.FdStream(readable))

    def _open(self) -> socket.socket:
        """Start the process that forks the lives; it ends with this one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs, (self._folder / "victim.log").open("ab") as log:
            self._template = subprocess.Popen(
                [
                    *self.launcher,
                    sys.executable,
                    "-m",
                    "support.crash_victim",
                    str(theirs.fileno()),
                ],
                env=self._environment,
                cwd=self._folder,
                stderr=log,
                pass_fds=(theirs.fileno(), self._listener.fileno()),
            )
        return ours

    async def ready(self) -> None:
        """Wait until the current process serves; raises AssertionError if it ends before."""
        process = self._living()
        said = b""
        with trio.fail_after(START_SECONDS):
            while b"READY=1" not in said:
                more = await process.stdout.receive_some()
                assert more, f"the daemon ended before it was ready; see {self._folder}/victim.log"
                said += more
        self.start_seconds.append(time.perf_counter() - self._spawned)

    def arm(self) -> None:
        """From now on the kill point of the plan counts."""
        self._living().send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Kill the current process with SIGKILL at any point."""
        self._living().send_signal(signal.SIGKILL)

    async def death(self) -> None:
        """Wait until the current process has been killed."""
        process = self._living()
        status = await process.wait()
        assert status == -signal.SIGKILL, f"exit {status}; see {self._folder}/victim.log"
        await self._close_pipe(process)

    def signal(self, number: int) -> None:
        """Send the current process a signal."""
        self._living().send_signal(number)

    @property
    def pid(self) -> int:
        """The id of the current process; 0: there is none."""
        process = self._process
        return 0 if process is None or process.poll() is not None else process.pid

    async def ended(self) -> int:
        """Wait until the current process has ended, however; gives its status."""
        process = self._living()
        status = await process.wait()
        await self._close_pipe(process)
        return status

    async def stop(self) -> None:
        """Stop the last process as systemd does; its exit is clean."""
        process = self._living()
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(START_SECONDS):
            status = await process.wait()
        await self._close_pipe(process)
        assert status == 0, f"exit {status}; see {self._folder}/victim.log"

    async def died_or(self, finished: Callable[[], bool], *, seconds: float) -> bool:
        """Wait until the current process is dead (True) or ``finished`` holds (False)."""
        process = self._living()
        with trio.move_on_after(seconds):
            while process.poll() is None:
                if finished():
                    return False
                await trio.sleep(POLL_SECONDS)
            return True
        return False

    async def _close_pipe(self, process: Life) -> None:
        self._process = None
        await process.stdout.aclose()

    def _living(self) -> Life:
        assert self._process is not None, "no daemon is running"
        return self._process
