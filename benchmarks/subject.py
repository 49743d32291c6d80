"""The things that are measured: a simulated outside world, and Recados that talk to it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contenders import HERE, free_port
from load import SECRET

START_SECONDS = 60.0
STOP_SECONDS = 15.0
TELL_SECONDS = 10.0
SETTINGS = {
    "RECADO_WEB__WEBHOOK_SECRET": SECRET,
    "RECADO_GROUPS__MODE": "off",
    "RECADO_DELIVERY__TYPING": "false",
    "RECADO_HISTORY__IMPORT_MESSAGES": "0",
    "RECADO_ASSISTANT__BACKGROUND": "false",
    "RECADO_ASSISTANT__API_KEY": "none",
    "RECADO_ASSISTANT__MAX_CONCURRENT_RUNS": "2000",
    "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(HERE.parent / "config" / "instructions.md"),
    "RECADO_WHAPI__TOKEN": "none",
}
"""Of every Recado here: no typing time, no history to be read from Whapi, no queue for runs."""


class Outside:
    """The simulator, and its controls."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Have a verb of `simulator.Controls` done. Raises OSError if the simulator is gone."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/control/{verb}",
            data=json.dumps(fields).encode(),
        )
        with urllib.request.urlopen(request, timeout=4000) as answer:  # noqa: S310 - to ourselves
            found: dict[str, Any] = json.load(answer)
            return found


@contextlib.contextmanager
def outside_world() -> Iterator[Outside]:
    """Run the simulator for the length of the block."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "simulator.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the simulator did not start")
            yield Outside(int(line))
        finally:
            _end(process, signal.SIGKILL)


class Recado:
    """A daemon that is ready."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ready_seconds: float) -> None:
        self.process = process
        self.port = port
        self.ready_seconds = ready_seconds
        """From the start of the process to ``READY=1``."""

    def cpu_seconds(self) -> float:
        """CPU time so far, all threads, kernel included (proc_pid_stat(5))."""
        return self._spent("stat")

    def main_seconds(self) -> float:
        """CPU time of the main thread so far."""
        return self._spent(f"task/{self.process.pid}/stat")

    def _spent(self, stat: str) -> float:
        fields = self._proc(stat).rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of memory that are resident now."""
        return self._status("VmRSS") * 1024

    def forget_peak(self) -> None:
        """Let `peak_memory` begin from now (proc_pid_clear_refs(5))."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """The most bytes that were ever resident."""
        return self._status("VmHWM") * 1024

    def threads(self) -> int:
        """Threads of the process."""
        return self._status("Threads")

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208 - only their count

    def figures(self) -> dict[str, float]:
        """The daemon's own figures without labels, and sums of those with, by name."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {SECRET}"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - to ourselves
            lines = answer.read().decode().splitlines()
        found: dict[str, float] = {}
        for line in lines:
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                found[name] = found.get(name, 0) + float(value)
        return found

    def stop(self) -> tuple[float, int]:
        """Stop it as systemd does; gives the seconds it took and the exit status."""
        began = time.perf_counter()
        self.process.terminate()
        status = self.process.wait(STOP_SECONDS)
        return time.perf_counter() - began, status

    def kill(self) -> None:
        """End it where it stands."""
        self.process.kill()
        self.process.wait()

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def _status(self, name: str) -> int:
        for line in self._proc("status").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise RuntimeError(f"no {name} of the process")


@contextlib.contextmanager
def recado(
    folder: Path,
    outside: Outside,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "daemon"),
) -> Iterator[Recado]:
    """Run a Recado on the store in `folder`, known to the outside world, until the block ends.

    ``program`` is what Python is given before ``run``.
    Raises RuntimeError, with the end of its log, if it does not become ready.
    """
    folder.mkdir(exist_ok=True, parents=True)
    port = free_port()
    with _ready_socket() as (told, address), (folder / "log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *program, "run"],
            cwd=HERE.parent,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE.parent),
                **SETTINGS,
                "RECADO_WEB__PORT": str(port),
                "RECADO_DATA_DIR": str(folder),
                "RECADO_WHAPI__API_URL": f"http://127.0.0.1:{outside.port}",
                "RECADO_ASSISTANT__BASE_URL": f"http://127.0.0.1:{outside.port}/v1",
                "NOTIFY_SOCKET": address,
                **(settings or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            if not _became_ready(told, process):
                end = (folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Recado did not become ready:\n{end}")
            running = Recado(process, port, time.perf_counter() - began)
            outside("target", port=port)
            yield running
            outside("target", port=0)
        finally:
            _end(process, signal.SIGTERM)


def written(output: Path) -> str:
    """Wait for what a daemon with a probe in it writes. Raises RuntimeError if it does not."""
    ends = time.perf_counter() + TELL_SECONDS
    while not output.exists():
        if time.perf_counter() > ends:
            raise RuntimeError("the daemon did not write what it has found")
        time.sleep(0.02)  # noqa: TID251 - another process is waited for, which tells nobody
    return output.read_text()


@contextlib.contextmanager
def _ready_socket() -> Iterator[tuple[socket.socket, str]]:
    """The socket for systemd's readiness message (sd_notify(3)), and its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        # A file's name may be too long for a socket; this one is no file.
        name = f"recado-bench-{os.getpid()}-{time.monotonic_ns()}"
        told.bind(f"\0{name}")
        told.settimeout(0.2)
        yield told, f"@{name}"


def _became_ready(told: socket.socket, process: subprocess.Popen[bytes]) -> bool:
    ends = time.perf_counter() + START_SECONDS
    while time.perf_counter() < ends and process.poll() is None:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in told.recv(4096).split(b"\n"):
                return True
    return False


def _end(process: "subprocess.Popen[Any]", number: signal.Signals) -> None:
    """End a process that may have ended, at first by a signal, then for certain."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
