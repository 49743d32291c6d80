"""The servers that are measured beside each other: how each is installed, started and stopped."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from load import SECRET

HERE = Path(__file__).parent
BUILD = HERE / ".build"
"""Everything the benchmarks install or write; not in git."""
START_SECONDS = 30
STOP_SECONDS = 10
LONG = "86400"
"""Seconds: a window that never closes while it is measured."""
DEAD_END = "http://127.0.0.1:9"
"""Nobody listens on the discard port: what goes out fails at once."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table."""

    name: str
    command: tuple[str, ...]
    """``PORT`` in it becomes the port to listen on."""
    kind: str = "group"
    """What is posted: messages of groups, or of customers."""
    environ: Mapping[str, str] | None = None
    """Added to the environment; with it the contender gets a data folder of its own."""


RECADO_IGNORED = "Recado, stored and ignored"
RECADO_CHATS = "Recado, stored and gathered"
EXPRESS = "Express 5"
EXPRESS_EACH = "Express and better-sqlite3, stored"
EXPRESS_TOGETHER = "the same, group commit by hand"
FASTAPI = "FastAPI on uvicorn"
FASTAPI_DURABLE = "FastAPI and sqlite3, stored"
HYPERCORN = "hypercorn-trio, bare ASGI"
H11 = "trio and h11 alone"
FIXED = "fixed answers (the generator's limit)"
DURABLE = (RECADO_IGNORED, RECADO_CHATS, EXPRESS_EACH, EXPRESS_TOGETHER, FASTAPI_DURABLE)
"""What stores a webhook before its 200."""


def all_contenders() -> list[Contender]:
    """Every server of the table, in its order."""
    recado = {
        "RECADO_WEB__PORT": "PORT",
        "RECADO_WEB__WEBHOOK_SECRET": SECRET,
        "RECADO_BUFFER__WINDOW_SECONDS": LONG,
        "RECADO_BUFFER__MAX_WAIT_SECONDS": LONG,
        "RECADO_BUFFER__MAX_MESSAGES": "1000",
        "RECADO_GROUPS__MODE": "off",
        "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(HERE.parent / "config" / "instructions.md"),
        "RECADO_ASSISTANT__API_KEY": "none",
        "RECADO_ASSISTANT__BASE_URL": DEAD_END,
        "RECADO_WHAPI__TOKEN": "none",
        "RECADO_WHAPI__API_URL": DEAD_END,
    }
    daemon = (sys.executable, "-m", "daemon", "run")
    return [
        Contender(RECADO_IGNORED, daemon, "group", recado),
        Contender(RECADO_CHATS, daemon, "chat", recado),
        Contender(EXPRESS, ("node", str(BUILD / "express" / "server.js"), "PORT")),
        *(
            Contender(
                name,
                ("node", str(BUILD / "express" / "durable.js"), "PORT", str(BUILD), way),
            )
            for name, way in ((EXPRESS_EACH, "each"), (EXPRESS_TOGETHER, "together"))
        ),
        Contender(
            FASTAPI,
            (str(BUILD / "fastapi" / "bin" / "python"), _script("fastapi_hook.py"), "PORT"),
        ),
        Contender(
            FASTAPI_DURABLE,
            (
                *(str(BUILD / "fastapi" / "bin" / "python"), _script("fastapi_durable.py")),
                *("PORT", str(BUILD)),
            ),
        ),
        Contender(HYPERCORN, (sys.executable, _script("hypercorn_hook.py"), "PORT")),
        Contender(H11, (sys.executable, _script("h11_hook.py"), "PORT")),
        Contender(FIXED, (sys.executable, _script("fixed_answer.py"), "PORT")),
    ]


def _script(name: str) -> str:
    return str(HERE / "servers" / name)


def install() -> list[str]:
    """Install the servers of others into the build folder, once.

    Gives the names of the contenders that cannot be had here.
    """
    BUILD.mkdir(exist_ok=True)
    missing: list[str] = []
    for names, steps in (
        ((EXPRESS,), _install_express),
        ((FASTAPI, FASTAPI_DURABLE), _install_fastapi),
    ):
        try:
            steps()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{names[0]} cannot be installed: {error}", file=sys.stderr)
            missing += names
    if not (BUILD / "express" / "node_modules" / "better-sqlite3").exists():
        missing += [EXPRESS_EACH, EXPRESS_TOGETHER]
    return missing


def _install_express() -> None:
    folder = BUILD / "express"
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", "server.js", "durable.js"):
        shutil.copy(HERE / "express" / name, folder)
    if _is_new(folder, HERE / "express" / "package-lock.json"):
        command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True)
        _mark(folder)


def _install_fastapi() -> None:
    folder = BUILD / "fastapi"
    wanted = HERE / "requirements-peers.txt"
    if _is_new(folder, wanted):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        _mark(folder)


def slow_disk(milliseconds: int) -> dict[str, str] | None:
    """Environment variables with which each flush takes so long; None without a C compiler."""
    library, source = BUILD / "slow_fsync.so", HERE / "slow_fsync.c"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no slow disk: {error}", file=sys.stderr)
        return None
    return {"LD_PRELOAD": str(library), "SLOW_FSYNC_MS": str(milliseconds)}


def _is_new(folder: Path, wanted: Path) -> bool:
    stamp = folder / "installed.stamp"
    return not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime


def _mark(folder: Path) -> None:
    (folder / "installed.stamp").touch()


class Server:
    """A contender that is running."""

    def __init__(self, contender: Contender, process: subprocess.Popen[bytes], port: int) -> None:
        self.contender = contender
        self.port = port
        self._process = process

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, all threads, user and system (proc_pid_stat(5))."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    contender: Contender, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a contender for the length of the block; its data and output go into `folder`.

    ``more``: further environment variables. Raises RuntimeError, with the end of its output, if it
    does not come to listen.
    """
    port = free_port()
    environ = {**os.environ, "NODE_ENV": "production", **(more or {})}
    for name, value in (contender.environ or {}).items():
        environ[name] = value.replace("PORT", str(port))
    if contender.environ is not None:
        environ["RECADO_DATA_DIR"] = str(folder)
    output = folder / "output.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [str(port) if word == "PORT" else word for word in contender.command],
            cwd=HERE.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        if not _came_to_listen(process, port):
            end = output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{contender.name} did not start:\n{end}")
        yield Server(contender, process, port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stored_messages(folder: Path) -> int:
    """Count what a Recado that has stopped left in its data folder."""
    with contextlib.closing(sqlite3.connect(folder / "recado.db")) as connection:
        count: int = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        return count


def end_in_order() -> None:
    """Let SIGTERM end this process as an exit would, so that what it has started ends too."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _came_to_listen(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(START_SECONDS * 20):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return False
    return False
