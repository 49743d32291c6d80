"""What grows with the store: the start, a webhook, the pages, and what long work does to webhooks.

Usage: python grow.py [MESSAGES] [--chats N]. A store is filled step by step up to so many messages;
5 million have 9 GB. At each step a daemon is started on it and asked; in the largest store the
long work of `long_work.py` is done. Writes docs/performance/grow.json and grow-*.svg, of which
benchmarks/run.py tells on the page.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import long_work
import pages
from contenders import BUILD, HERE, end_in_order
from disk import flushes_per_second
from figures import mb, table
from load import SECRET, drive, requests
from long_work import CHANNEL
from plot import Line, growth
from subject import Outside, outside_world, recado

from daemon.domain.messages import ChatKey, Message, Text
from daemon.domain.search import place_term, search_terms
from daemon.ledger.messages import message_json

Found = dict[str, Any]
KEPT = HERE.parent / "docs" / "performance" / "grow.json"
STEPS = (10_000, 100_000, 1_000_000, 5_000_000)
CHATS = 20_000
WORDS = "¿Hay cupo el viernes para dos personas?"
TEXTS = 5_000
"""So many different words are in the messages: each is in a thousand of 5 million."""
BODY_BYTES = 900
KEPT_BODIES = 200_000
"""The newest events have their raw body, as retention leaves it."""
READY, UNCLEAN, WEBHOOK = "start to READY", "the same, unclean", "webhook p99"
SHOWN_PAGES = 12
OLD_CHATS = 50
"""With some hundred messages each."""
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "3600",
    "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600",
    "RECADO_BUFFER__MAX_MESSAGES": "1000",  # else turns begin beside what is measured
    "RECADO_WEB__ADMIN_TOKEN": SECRET,
}
AGE_SECONDS = 180 * 86400.0


def fill(path: Path, more: int, chats: int) -> None:
    """Add so many messages, each with its turn, its answer and its thread."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (known,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()
        first, last = known + 1, known + more
        message = Message(
            id="@id@",
            key=ChatKey(CHANNEL, "@chat@"),
            kind="text",
            content=Text(body=f"{WORDS} Reserva r@n@"),
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
            "texts": TEXTS,
            "number": place_term("n", CHANNEL),
            "words": " ".join((*search_terms(WORDS), "reserva", place_term("n", CHANNEL))),
        }
        connection.create_function("term_of", 1, lambda chat: place_term("c", CHANNEL, chat))
        numbered = (
            "WITH RECURSIVE g(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM g WHERE n < :last),"
            " r AS (SELECT n, :began + n * :second AS at,"
            " printf('573%09d@s.whatsapp.net', n % :chats) AS chat FROM g) "
        )
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            connection.execute(f"PRAGMA {pragma}")
        merged = "INSERT INTO search_index (search_index, rank) VALUES ('automerge', ?)"
        connection.execute(merged, (8,))
        for statement in _statements():
            connection.execute("BEGIN")
            connection.execute(numbered + statement, _named_in(statement, values))
            connection.execute("COMMIT")
        connection.execute(merged, (0,))
        for row in _MARKS:
            connection.execute(row)
        connection.execute("PRAGMA journal_mode = WAL")


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
        " replace(replace(replace(:message, '@id@', 'seed-' || n), '@chat@', chat), '@n@',"
        " n % :texts), at, at, 'answered', n FROM r"
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
    yield (
        "INSERT INTO enquiries (channel, chat, day, outcome, began_at, last_at, first_seq,"
        " last_seq, first_answer_seconds, settled) SELECT :channel, chat, date(at, 'unixepoch'),"
        " 'automatic', at, at, n, n, 9.0, 1 FROM r WHERE n % 5 = 0"
    )
    yield (
        "INSERT OR IGNORE INTO search_texts (id, source, number, channel, chat, terms)"
        " SELECT CAST(at AS INT) * 4096 + 2 * (n % 2048), 'in',"
        " (SELECT seq FROM messages WHERE turn_id = n), :channel, chat,"
        " :words || ' r' || n % :texts || ' ' || term_of(chat) FROM r"
    )
    yield (
        "INSERT OR IGNORE INTO search_texts (id, source, number, channel, chat, terms)"
        " SELECT CAST(at AS INT) * 4096 + 2 * (n % 2048) + 1, 'out',"
        " (SELECT id FROM outbox WHERE turn_id = n), :channel, chat,"
        " 'si hay cupo ' || :number || ' ' || term_of(chat) FROM r"
    )


_MARKS = (
    (
        "INSERT INTO enquiry_marks (channel, seq) SELECT channel, MAX(seq) FROM messages WHERE true"
        " GROUP BY channel ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq"
    ),
    (
        "UPDATE search_cursors SET last = CASE source WHEN 'in' THEN"
        " (SELECT MAX(seq) FROM messages) WHEN 'out' THEN (SELECT MAX(id) FROM outbox)"
        " ELSE last END"
    ),
)
"""The side tasks have seen all of it."""


def measured(folder: Path, world: Outside, seed: int) -> dict[str, float]:
    """Seconds until READY, and milliseconds of webhooks and of each page."""
    with recado(folder, world, SETTINGS) as subject:
        found = {READY: subject.ready_seconds}
        found[WEBHOOK] = 1000 * drive(subject.port, 4, 2, requests("chat", seed)).p99
        found |= pages.milliseconds(subject.port)
        subject.kill()
    with recado(folder, world, SETTINGS) as again:
        found[UNCLEAN] = again.ready_seconds
    return found


def known() -> Found | None:
    """The result of the last run, if there was one."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else None


def text(found: Found) -> str:
    """The section of the page."""
    steps = found["steps"]
    heads = ["messages", *(f"{step['messages']:,}" for step in steps)]
    rows = [["store, MB", *(mb(step["bytes"]) for step in steps)]]
    rows += [
        [f"{name}, s", *(f"{step['found'][name]:.2f}" for step in steps)]
        for name in (READY, UNCLEAN)
    ]
    worst = sorted(pages.PAGES, key=lambda page: -steps[-1]["found"][page])
    for name in (WEBHOOK, *worst[:SHOWN_PAGES]):
        shown = f"`{name}`" if name in pages.PAGES else name
        rows.append([f"{shown}, ms", *(f"{step['found'][name]:.1f}" for step in steps)])
    return f"""## Growth: what a large store costs

![READY as the store grows](performance/grow-start.svg)
![Webhooks and pages as the store grows](performance/grow-pages.svg)

{table(heads, rows)}

- {found["chats"]:,} chats; each message has its turn, answer and thread, and is in the search's
  index. *Unclean*: the process before was killed. A page is the median of {pages.LOOKS} looks; of
  {len(pages.PAGES)} pages the slowest {SHOWN_PAGES} are shown (`benchmarks/pages.py` lists them).

In the largest store {found["rate"]:g} webhooks a second come in at an even pace, while long work is
done beside them:

{long_work.shown(found["phases"])}

- The person has {long_work.MESSAGES:,} messages in a chat, and {long_work.SPOKEN:,} in a group,
  where each is quoted. {found["old_chats"]:,} chats and as many raw events are old, and
  {long_work.LARGE_EVENTS:,} large ones. A delay counts from when the webhook was due.
- *Longest*: of the writes, in the writer's thread; their processor time does not depend on other
  load on the machine, all other columns do. Other processes took
  {found["noise"]:.2f} cores meanwhile. The disk did {found["flushes"]:,.0f} flushes a second.
  Measured on {found["on"]}.
"""


def draw(found: Found) -> None:
    """Draw the curves into the documentation."""
    for name, lines, unit in (
        ("start", [READY, UNCLEAN], "s"),
        ("pages", [WEBHOOK, "/dashboard", "/dashboard/chats"], "ms"),
    ):
        curves = [
            Line(each, [(step["messages"], step["found"][each]) for step in found["steps"]])
            for each in lines
        ]
        picture = growth(f"As the store grows: {name}", "messages", unit, curves)
        KEPT.with_name(f"grow-{name}.svg").write_text(picture)


def main() -> None:
    """Fill, measure, write, draw."""
    parser = argparse.ArgumentParser(description="What grows with the store.")
    parser.add_argument("messages", type=int, nargs="?", default=STEPS[-1])
    parser.add_argument("--chats", type=int, default=CHATS)
    parser.add_argument("--rate", type=float, default=50, help="webhooks a second")
    chosen = parser.parse_args()
    sizes = sorted({step for step in STEPS if step < chosen.messages} | {chosen.messages})
    end_in_order()
    BUILD.mkdir(exist_ok=True)
    steps: list[Found] = []
    with (
        tempfile.TemporaryDirectory(dir=BUILD, prefix="grow-") as place,
        outside_world() as world,
    ):
        folder, path = Path(place), Path(place) / "recado.db"
        with recado(folder, world, SETTINGS) as made:
            made.stop()
        for seed, size in enumerate(sizes, 1):
            fill(path, size - (steps[-1]["messages"] if steps else 0), chosen.chats)
            found = measured(folder, world, seed)
            steps.append({"messages": size, "bytes": path.stat().st_size, "found": found})
            shown = "  ".join(f"{name} {value:.1f}" for name, value in found.items())
            print(f"{size:,} messages, {path.stat().st_size / 1e6:,.0f} MB: {shown}", flush=True)
        flushes = flushes_per_second(folder, 2)
        long_work.fill(path, OLD_CHATS)
        phases, noise = long_work.measured(folder, world, chosen.rate)
    result = {
        "steps": steps,
        "chats": chosen.chats,
        "rate": chosen.rate,
        "old_chats": OLD_CHATS,
        "phases": phases,
        "noise": noise,
        "flushes": flushes,
        "on": datetime.now(UTC).date().isoformat(),
    }
    KEPT.write_text(json.dumps(result))
    draw(result)
    print(text(result))


if __name__ == "__main__":
    main()
