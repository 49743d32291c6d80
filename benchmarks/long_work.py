"""What webhooks notice of long work beside them, and how long it holds the store.

Webhooks come in at an even pace, while old chats and raw events are let go of, a person with
thousands of messages in a chat and in a group that quotes them is forgotten, the store is copied,
and the largest pages are asked for; and alone, before and after.

Usage: python benchmarks/long_work.py [--threads 100000] [--rate 50]: in a store of some hundred
megabytes. `benchmarks/grow.py` does it in a large one.
"""

import argparse
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self

import pages
from contenders import BUILD, HERE, LONG
from disk import flushes_per_second
from figures import ms, percentile, table
from load import SECRET, requests
from machine import busy_seconds
from seeding import seeded
from subject import Outside, outside_world, recado, written

CHANNEL = "main"
PERSON = "573009999999"
CHAT = f"{PERSON}@s.whatsapp.net"
GROUP = "120363000000009999@g.us"
MESSAGES, MESSAGES_A_TURN, SPOKEN = 6_000, 4, 3_000
"""Of the person in the chat, and in the group, where each is quoted by somebody else."""
OLD_CHATS_SHARE = 0.01
LARGE_EVENTS, LARGE = 2_000, "x" * 50_000
"""Raw events with a file in them, that are as old as the old chats."""
DAY = 24 * 3600.0
OLD_DAYS, KEPT_DAYS = 40, 30
QUIET_SECONDS = 15
CONNECTIONS = 8
PATIENCE = 1800
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": LONG,
    "RECADO_BUFFER__MAX_WAIT_SECONDS": LONG,
    "RECADO_BUFFER__MAX_MESSAGES": "1000",
    "RECADO_PRESENCE__ENABLED": "false",
    "RECADO_RETENTION__CONVERSATIONS_DAYS": str(KEPT_DAYS),
    "RECADO_RETENTION__EVENT_DAYS": str(KEPT_DAYS),
    "RECADO_WEB__ADMIN_TOKEN": SECRET,
    "RECADO_WEB__API_REQUESTS_PER_MINUTE": "0",
}
"""Windows stay open: the intake is measured, and no answer."""

Row = tuple[Any, ...]


class Posters:
    """Post webhooks at an even pace over some connections, for the length of the block."""

    def __init__(self, port: int, rate: float) -> None:
        self.latencies: list[tuple[float, float]] = []
        """When each was due, and how long its 200 took from then."""
        self._port = port
        self._pace = CONNECTIONS / rate
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._post, args=[number], name=f"webhooks {number}")
            for number in range(CONNECTIONS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _post(self, number: int) -> None:
        """An answer that is late makes the next ones of its connection late, and that counts."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = time.perf_counter() + number * self._pace / CONNECTIONS
        for request in requests("chat", number + 1):
            head, _, body = request.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            if self._ended.wait(max(0.0, due - time.perf_counter())):
                return
            connection.request("POST", "/hook", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a webhook was answered with {answer.status}")
            self.latencies.append((due, time.perf_counter() - due))
            due += self._pace


def fill(path: Path, old_chats: int) -> None:
    """Fill a store with that person's rows, and make so many of its chats and events old."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        old = time.time() - OLD_DAYS * DAY
        with connection:
            for statement, rows in _person(connection, time.time() - DAY):
                connection.executemany(statement, rows)
            connection.execute(
                "UPDATE chats SET last_activity_at = ? WHERE chat IN"
                " (SELECT chat FROM chats WHERE chat GLOB '57*' AND chat != ? LIMIT ?)",
                (old, CHAT, old_chats),
            )
            connection.execute(
                "UPDATE events SET received_at = ? WHERE id IN (SELECT id FROM events"
                " WHERE body IS NOT NULL OR body_file != '' ORDER BY received_at LIMIT ?)",
                (old, old_chats),
            )
            connection.executemany(
                "INSERT INTO events (received_at, channel, event, body) VALUES (?, ?, '', ?)",
                ((old, CHANNEL, f"{number}{LARGE}".encode()) for number in range(LARGE_EVENTS)),
            )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _person(connection: sqlite3.Connection, at: float) -> Iterator[tuple[str, Iterator[Row]]]:
    """The rows of the person, table by table."""
    (event,) = connection.execute("SELECT MAX(id) FROM events").fetchone()
    (turn,) = connection.execute("SELECT MAX(id) FROM turns").fetchone()
    own, turns = range(MESSAGES), range(MESSAGES // MESSAGES_A_TURN)
    words = "¿Hay cupo el viernes para dos personas, por favor? " * 4
    yield (
        (
            "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at)"
            " VALUES (?, ?, 'Zoraida', '', ?, ?)"
        ),
        iter([(CHANNEL, CHAT, at, at), (CHANNEL, GROUP, at, at)]),
    )
    yield (
        ("INSERT INTO events (id, received_at, channel, event, body) VALUES (?, ?, ?, '', ?)"),
        (
            (event + 1 + n, at, CHANNEL, json.dumps([f"own-{n}", CHAT, words]).encode())
            for n in range(MESSAGES + SPOKEN)
        ),
    )
    yield (
        (
            "INSERT INTO turns (id, channel, chat, state, outcome, request_id, opened_at,"
            " concluded_at, closed_at) VALUES (?, ?, ?, 'done', 'answered', ?, ?, ?, ?)"
        ),
        ((turn + 1 + n, CHANNEL, CHAT, f"own_{n}", at, at, at) for n in turns),
    )
    message = (
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state, turn_id) VALUES (?, ?, ?, ?, 'text', 0, ?, ?, ?, ?, ?)"
    )
    yield (
        message,
        (
            (
                *(CHANNEL, f"own-{n}", CHAT, event + 1 + n),
                *(_message(f"own-{n}", CHAT, words), at, at),
                *("answered", turn + 1 + n // MESSAGES_A_TURN),
            )
            for n in own
        ),
    )
    for kind, author in (("spoken", PERSON), ("quoting", "573008888888")):
        yield (
            message,
            (
                (
                    *(CHANNEL, f"{kind}-{n}", GROUP, event + 1 + MESSAGES + n),
                    *(_message(f"{kind}-{n}", GROUP, words, author, n), at, at, "ignored", None),
                )
                for n in range(SPOKEN)
            ),
        )
    yield (
        (
            "INSERT INTO outbox (channel, chat, turn_id, body, state, message_id, attempts, status,"
            " created_at, attempted_at, sent_at) VALUES (?, ?, ?, ?, 'sent', ?, 1, 'read', ?, ?, ?)"
        ),
        ((CHANNEL, CHAT, turn + 1 + n, words, f"sent-own-{n}", at, at, at) for n in turns),
    )
    for role in ("user", "assistant"):
        item = json.dumps({"role": role, "content": words})
        yield (
            (
                "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
                " VALUES (?, ?, ?, ?, 40, ?)"
            ),
            ((CHANNEL, CHAT, turn + 1 + n, item, at) for n in turns),
        )


def _message(message_id: str, chat: str, words: str, author: str = "", number: int = 0) -> str:
    """A message as it is stored; one that somebody else wrote in the group quotes the person."""
    message: dict[str, object] = {
        "id": message_id,
        "key": [CHANNEL, chat],
        "kind": "text",
        "content": {"type": "text", "body": f"{words} {message_id}"},
    }
    if author:
        message["author"] = author
    if message_id.startswith("quoting"):
        message["quote"] = {"id": f"spoken-{number}", "author": PERSON, "body": words}
    return json.dumps(message)


def command(folder: Path, *words: str) -> None:
    """Run a command beside the daemon."""
    subprocess.run(
        [sys.executable, "-m", "daemon", *words, "--data-dir", str(folder)],
        cwd=HERE.parent,
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        check=True,
    )


def wait_for_retention(folder: Path) -> None:
    """Return when no old chat and no old raw event is left."""
    left = (
        "SELECT (SELECT COUNT(*) FROM chats WHERE last_activity_at < ?1) +"
        " (SELECT COUNT(*) FROM events WHERE received_at < ?1 AND body IS NOT NULL)"
    )
    before = time.time() - KEPT_DAYS * DAY
    ends = time.perf_counter() + PATIENCE
    with closing(sqlite3.connect(f"file:{folder}/recado.db?mode=ro", uri=True)) as connection:
        while connection.execute(left, (before,)).fetchone()[0]:
            if time.perf_counter() > ends:
                raise RuntimeError("retention has not come to an end")
            time.sleep(1)  # noqa: TID251 - another process is waited for, which tells nobody


Phase = tuple[str, float, float]


def phases(folder: Path, port: int) -> dict[str, Callable[[], object]]:
    """What happens beside the webhooks; retention begins with the daemon."""
    copy = folder / "copy.db"
    return {
        "retention: old chats and events": partial(wait_for_retention, folder),
        "webhooks alone": rest,
        "`recado export` of the person": partial(command, folder, "export", PERSON),
        "`recado forget`": partial(command, folder, "forget", PERSON, "--yes"),
        "`recado backup`": partial(command, folder, "backup", str(copy), "--force"),
        "all pages, the search among them": partial(look_at_all, port),
        "webhooks alone, at the end": rest,
    }


def rest() -> None:
    """Let the webhooks be alone for a while."""
    time.sleep(QUIET_SECONDS)  # noqa: TID251 - they are posted by threads


def look_at_all(port: int) -> None:
    """Ask for all pages, one after the other, for a while."""
    ends = time.perf_counter() + QUIET_SECONDS
    while time.perf_counter() < ends:
        for page in pages.of_a_chat(port):
            pages.look(port, page)


def measured(folder: Path, world: Outside, rate: float) -> tuple[list[dict[str, Any]], float]:
    """Go through the phases; gives what each was like, and what other processes took, in cores."""
    output = folder / "holds.json"
    program = (str(HERE / "measured_writer.py"), str(output))
    done: list[Phase] = []
    with recado(folder, world, SETTINGS, program) as subject:
        began, busy, own = time.perf_counter(), busy_seconds(), subject.cpu_seconds() + _spent()
        with Posters(subject.port, rate) as posters:
            for name, do in phases(folder, subject.port).items():
                at = time.perf_counter()
                do()
                done.append((name, at, time.perf_counter()))
                waits = [wait for due, wait in posters.latencies if due >= at]
                longest = f"a webhook waited {ms(max(waits, default=0))} ms"
                print(f"  {name}: {done[-1][2] - at:.0f} s, {longest}", file=sys.stderr)
        others = busy_seconds() - busy - (subject.cpu_seconds() + _spent() - own)
        noise = others / (time.perf_counter() - began)
        subject.process.send_signal(signal.SIGUSR2)
        holds = json.loads(written(output))
    for leftover in folder.glob("copy.db*"):
        leftover.unlink()
    return [_figures(phase, holds, posters.latencies) for phase in done], noise


def _spent() -> float:
    """CPU time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=100_000, help="chats beside the person's")
    parser.add_argument("--rate", type=float, default=50, help="webhooks a second")
    asked = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BUILD, prefix="work-") as place,
        outside_world() as world,
    ):
        folder = Path(place) / "data"
        flushes = flushes_per_second(Path(place), 2)
        seeded(folder, world, asked.threads)
        fill(folder / "recado.db", int(asked.threads * OLD_CHATS_SHARE))
        size = (folder / "recado.db").stat().st_size
        found, noise = measured(folder, world, asked.rate)
    print(f"A store of {size / 1e6:,.0f} MB; the disk does {flushes:,.0f} flushes a second,")
    print(f"and other processes took {noise:.2f} cores.\n")
    print(shown(found))


def _figures(
    phase: Phase,
    holds: list[tuple[float, float, float, float]],
    latencies: list[tuple[float, float]],
) -> dict[str, Any]:
    """What a phase was like: its writes, and how long webhooks waited."""
    name, began, ended = phase
    own = [hold for hold in holds if began <= hold[0] < ended]
    waits = [wait for due, wait in latencies if began <= due < ended]
    return {
        "name": name,
        "seconds": ended - began,
        "writes": len(own),
        "holds": [max((hold[place] for hold in own), default=0) for place in (3, 1, 2)],
        "waits": [percentile(waits, share) for share in (0.5, 0.99, 1)],
    }


def shown(found: list[dict[str, Any]]) -> str:
    """The figures of each phase, as a Markdown table."""
    rows = [
        (
            *(one["name"], f"{one['seconds']:.0f}", f"{one['writes']:,}"),
            *(ms(value) for value in (*one["holds"], *one["waits"])),
        )
        for one in found
    ]
    return table(
        (
            *("", "s", "writes", "longest: processor ms", "until COMMIT ms", "with fsync ms"),
            *("webhook p50 ms", "p99 ms", "longest ms"),
        ),
        rows,
    )


if __name__ == "__main__":
    main()
