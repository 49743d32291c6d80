"""What grows with the store: the start, a webhook, the pages.

Usage: python grow.py [MESSAGES] [--chats N]. A store is filled step by step up to so many messages;
5 million have 6 GB. At each step a daemon is started on it and asked. Prints a table and draws
`docs/performance/grow-*.svg`.
"""

import argparse
import shutil
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from contenders import BUILD, HERE
from load import drive, requests
from plot import Line, growth
from subject import Outside, Recado, outside_world, recado

from daemon.domain.messages import ChatKey, Message, Text
from daemon.ledger.messages import message_json

STEPS = (10_000, 100_000, 1_000_000, 5_000_000)
CHATS = 20_000
CHANNEL = "main"
BODY_BYTES = 900
KEPT_BODIES = 200_000
"""The newest events have their raw body, as retention leaves it."""
PAGES = (
    "/dashboard", "/dashboard/stats", "/dashboard/chats", "/dashboard/api/chats",
    "/dashboard/work", "/dashboard/log", "/dashboard/logs", "/metrics", "/health",
)  # fmt: skip
LOOKS = 5
SETTINGS = {"RECADO_BUFFER__WINDOW_SECONDS": "3600", "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600"}
AGE_SECONDS = 180 * 86400.0


def fill(path: Path, more: int, chats: int) -> None:
    """Add so many messages, each with its turn, its answer and its thread."""
    with closing(sqlite3.connect(path)) as connection:
        (known,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()
    first, last = known + 1, known + more
    message = Message(
        id="@id@",
        key=ChatKey(CHANNEL, "@chat@"),
        kind="text",
        content=Text(body="¿Hay cupo el viernes para dos personas?"),
        author_name="Laura",
    )
    values = {
        "first": first,
        "last": last,
        "chats": chats,
        "channel": CHANNEL,
        "began": time.time() - AGE_SECONDS,
        "second": AGE_SECONDS / max(1, last),
        "message": message_json.encode(message).decode(),
        "user": '{"role":"user","content":[{"type":"input_text","text":"Hola"}]}',
        "answer": '{"role":"assistant","content":[{"type":"output_text","text":"Hola"}]}',
        "size": BODY_BYTES,
        "bodies": last - KEPT_BODIES,
    }
    numbered = (
        "WITH RECURSIVE g(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM g WHERE n < :last),"
        " r AS (SELECT n, :began + n * :second AS at,"
        " printf('573%09d@s.whatsapp.net', n % :chats) AS chat FROM g) "
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in _statements():
            with connection:
                connection.execute(numbered + statement, _named_in(statement, values))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _named_in(statement: str, values: dict[str, object]) -> dict[str, object]:
    always = ("first", "last", "chats", "began", "second")
    return {
        name: value for name, value in values.items() if name in always or f":{name}" in statement
    }


def _statements() -> Iterator[str]:
    yield (
        "INSERT INTO events (id, received_at, channel, event, body) SELECT n, at, :channel,"
        " 'messages.post', CASE WHEN n > :bodies THEN zeroblob(:size) END FROM r"
    )
    yield (
        "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at)"
        " SELECT :channel, chat, 'Laura', 'Laura', at, at FROM r WHERE true"
        " ON CONFLICT (channel, chat) DO UPDATE SET last_activity_at = excluded.last_activity_at"
    )
    yield (
        "INSERT INTO turns (id, channel, chat, state, outcome, request_id, opened_at,"
        " concluded_at, closed_at) SELECT n, :channel, chat, 'done', 'answered', 'seed_' || n, at,"
        " at, at FROM r"
    )
    yield (
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state, turn_id) SELECT :channel, 'seed-' || n, chat, n, 'text', 0,"
        " replace(replace(:message, '@id@', 'seed-' || n), '@chat@', chat), at, at, 'answered', n"
        " FROM r"
    )
    yield (
        "INSERT INTO outbox (channel, chat, turn_id, body, state, message_id, attempts, status,"
        " created_at, attempted_at, sent_at) SELECT :channel, chat, n, 'Sí, hay cupo.', 'sent',"
        " 'sent-' || n, 1, 'read', at, at, at FROM r"
    )
    yield (
        "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
        " SELECT :channel, chat, n, :user, 12, at FROM r"
    )
    yield (
        "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
        " SELECT :channel, chat, n, :answer, 12, at FROM r"
    )


def measured(folder: Path, world: Outside, seed: int) -> dict[str, float]:
    """Seconds until READY, and milliseconds of the longest of some webhooks and of each page."""
    with recado(folder, world, SETTINGS) as subject:
        found = {"READY (s)": subject.ready_seconds}
        found["webhook p99"] = 1000 * drive(subject.port, 4, 2, requests("chat", seed)).p99
        for page in PAGES:
            found[page] = _milliseconds(subject, page)
    return found


def _milliseconds(subject: Recado, page: str) -> float:
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{subject.port}{page}", timeout=60) as answer:
            answer.read()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def main() -> None:
    """Fill, measure, draw."""
    parser = argparse.ArgumentParser(description="What grows with the store.")
    parser.add_argument("messages", type=int, nargs="?", default=STEPS[-1])
    parser.add_argument("--chats", type=int, default=CHATS)
    chosen = parser.parse_args()
    steps = sorted({step for step in STEPS if step < chosen.messages} | {chosen.messages})
    BUILD.mkdir(exist_ok=True)
    found: dict[int, dict[str, float]] = {}
    folder = Path(tempfile.mkdtemp(dir=BUILD, prefix="grow-"))
    try:
        with outside_world() as world:
            with recado(folder, world, SETTINGS) as made:
                made.stop()
            filled = 0
            for seed, step in enumerate(steps, 1):
                fill(folder / "recado.db", step - filled, chosen.chats)
                filled = step
                found[step] = measured(folder, world, seed)
                size = (folder / "recado.db").stat().st_size / 1e6
                shown = "  ".join(f"{name} {value:.1f}" for name, value in found[step].items())
                print(f"{step:,} messages, {size:,.0f} MB: {shown}", flush=True)
    finally:
        shutil.rmtree(folder)
    draw(found)


def draw(found: dict[int, dict[str, float]]) -> None:
    """Draw the curves into the documentation."""
    names = list(next(iter(found.values())))
    for name, lines, unit in (
        ("start", names[:1], "s"),
        ("pages", ["webhook p99", "/dashboard", "/dashboard/chats", "/dashboard/work"], "ms"),
    ):
        curves = [Line(each, [(size, found[size][each]) for size in found]) for each in lines]
        picture = growth(f"As the store grows: {name}", "messages", unit, curves)
        (HERE.parent / "docs" / "performance" / f"grow-{name}.svg").write_text(picture)


if __name__ == "__main__":
    main()
