"""CPU time of the intake and of a turn's writes and reads, on SQLite and on a private PostgreSQL.

Run it with ``PYTHONPATH=tests``. Each write waits for the one before, so none share a transaction:
the worst case. Prints milliseconds of the daemon and, for PostgreSQL, of the server.
"""

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import trio
from ledger_paths import NOW, REPLY, said
from support.ledgers import accept, message
from support.place import POSTGRES

from daemon.domain.messages import ChatKey, ModelResponse
from daemon.domain.records import NewPart
from daemon.ledger.ledger import Store, open_store

ROUNDS = 300
NUMBER = "main"


def server_seconds(server: Path) -> float:
    """CPU seconds of the processes of a server, those of ended connections too."""
    parent = (server / "data" / "postmaster.pid").read_text().split()[0]
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if parent in {stat.parent.name, fields[1]}:
            total += sum(map(int, fields[11:13]))
        if parent == stat.parent.name:
            total += sum(map(int, fields[13:15]))
    return total / os.sysconf("SC_CLK_TCK")


async def intake(store: Store, number: int) -> None:
    """One message of a customer."""
    key = ChatKey(NUMBER, f"57300{number:07}")
    await accept(store, message(f"in-{number}", key=key))


async def turn(store: Store, number: int) -> None:
    """One message and its turn: one round of the model, one part of an answer."""
    key = ChatKey(NUMBER, f"57300{number:07}")
    await accept(store, message(f"turn-{number}", key=key))
    response = ModelResponse(id=f"resp_{number}", items=(said(REPLY),))
    opened = await store.turns.open(
        key, request_id=f"turn_{number}", limit=50, quotes=False, now=NOW
    )
    assert opened is not None
    run, _ = await store.runs.start(opened, attempt=1, now=NOW)
    await store.runs.round_named(run, 0, response.id, now=NOW)
    await store.runs.round_completed(run, 0, response, now=NOW)
    items = (said("Hola", "user"), *response.items)
    concluded = await store.turns.conclude(opened, items=items, parts=[NewPart(REPLY)], now=NOW)
    (row,) = concluded.to_send
    await store.outbox.sending(row, now=NOW)
    await store.outbox.sent(row, f"sent-{number}", finishes=concluded.turn, now=NOW)


async def measure(url: str, folder: Path) -> None:
    """Print the milliseconds of each."""
    server = Path(url.partition("host=")[2]) if url else None
    numbers = count()
    async with open_store(folder, url=url, numbers=[NUMBER], clock=time.perf_counter) as whole:
        store = whole.of(NUMBER)
        work: Callable[[Store, int], Awaitable[None]]
        for name, work in (("intake", intake), ("turn", turn)):
            for _ in range(20):
                await work(store, next(numbers))
            ours, theirs = time.process_time(), server_seconds(server) if server else 0.0
            for _ in range(ROUNDS):
                await work(store, next(numbers))
            ours = (time.process_time() - ours) / ROUNDS * 1000
            theirs = ((server_seconds(server) if server else 0.0) - theirs) / ROUNDS * 1000
            engine = "PostgreSQL" if url else "SQLite"
            print(f"{engine:10} {name:6} daemon {ours:.2f} ms, server {theirs:.2f} ms")


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        trio.run(partial(measure, "", Path(folder) / "sqlite"))
        trio.run(partial(measure, POSTGRES.url(Path(folder)), Path(folder) / "postgres"))


if __name__ == "__main__":
    main()
