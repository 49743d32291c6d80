"""A private PostgreSQL for tests: on a socket in a temporary folder, as an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

OPTIONS = (
    "-c listen_addresses='' -c max_connections=200 -c shared_buffers=32MB"
    " -c synchronous_commit=off -c fsync=off -c full_page_writes=off -c jit=off"
)
"""Nothing of these survives a power cut, and nothing has to."""


def binaries() -> Path | None:
    """The folder of PostgreSQL's server programs, 15 or newer; None if there is none."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    known = [place for place in places if (place / "initdb").exists()]
    if known:
        return max(known, key=lambda place: int(place.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """One running server."""

    def __init__(
        self, programs: Path, folder: Path, user: str | None, options: str = OPTIONS
    ) -> None:
        self._programs, self.folder, self._user = programs, folder, user
        self._options = options
        self.data = folder / "data"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as its user; raises CalledProcessError."""
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, user=self._user, check=True, capture_output=True, cwd=self.folder)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://recado@/{name}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """Make a database, and give its name."""
        name = f"recado_{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name

    def make(self) -> None:
        """Make its data."""
        self.run(
            "initdb", "-D", f"{self.data}", "-U", "recado", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip

    def admit(self, addresses: str) -> None:
        """Let connections in from these addresses."""
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {addresses} trust\n")

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        options = f"{self._options} -c unix_socket_directories={self.folder}"
        log = self.folder / "log"
        self.run(
            "pg_ctl",
            "-D",
            f"{self.data}",
            "-w",
            "-t",
            "180",
            "-l",
            f"{log}",
            "-o",
            options,
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is a crash."""
        self.run("pg_ctl", "-D", f"{self.data}", "-m", mode, "-w", "-t", "180", "stop")


@contextmanager
def place_for_server(programs: Path, options: str = OPTIONS) -> Iterator[PostgresServer]:
    """A server without data, in a folder of its own; it is stopped and removed at the end."""
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="recado-pg-"))  # short: a socket's path has 107 bytes
    server = PostgresServer(programs, folder, user, options)
    try:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(programs: Path, options: str = OPTIONS) -> Iterator[PostgresServer]:
    """Run a fresh server for the length of the block."""
    with place_for_server(programs, options) as server:
        server.make()
        server.start()
        yield server
