"""Two PostgreSQL servers: a primary, and a standby that each commit waits for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from support.postgres import PostgresServer, place_for_server

OPTIONS = (
    "-c listen_addresses='' -c max_connections=100 -c shared_buffers=32MB -c jit=off"
    " -c fsync=off -c full_page_writes=off -c wal_level=replica -c wal_keep_size=64MB"
    " -c synchronous_commit=on -c synchronous_standby_names=* -c wal_receiver_status_interval=1s"
)
"""They are killed, and their machine is not; so nothing has to be on a disk."""


class PostgresPair:
    """A primary and its synchronous standby; without the standby nothing is committed."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary, self.standby = primary, standby
        primary.make()
        primary.start()
        self.follow()
        with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE recado")

    @property
    def url(self) -> str:
        """The address of the database, at whichever server is the primary."""
        hosts = f"{self.primary.folder},{self.standby.folder}"
        return f"postgresql://recado@/recado?host={hosts}&target_session_attrs=read-write"

    def follow(self) -> None:
        """Make the standby anew from the primary, and start it."""
        shutil.rmtree(self.standby.data, ignore_errors=True)
        self.standby.run(
            "pg_basebackup", "-D", f"{self.standby.data}", "-R", "-X", "stream", "--no-sync",
            "--checkpoint=fast", "-d", self.primary.url("postgres"),
        )  # fmt: skip
        self.standby.start()

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, which has nobody to wait for then."""
        self.primary.stop()
        self.standby.run("pg_ctl", "-D", f"{self.standby.data}", "-w", "promote")
        self.primary, self.standby = self.standby, self.primary


@contextmanager
def running_pair(programs: Path) -> Iterator[PostgresPair]:
    """Run two fresh servers for the length of the block."""
    with (
        place_for_server(programs, OPTIONS) as primary,
        place_for_server(programs, OPTIONS) as standby,
    ):
        yield PostgresPair(primary, standby)
