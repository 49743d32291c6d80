"""The look at PostgreSQL's plans finds what it is to find."""

from pathlib import Path

from support.place import POSTGRES
from support.plans import Statement
from support.postgres_plans import scans

FINE = (
    "SELECT id FROM turns WHERE request_id = ? ORDER BY id DESC LIMIT 1",
    "SELECT COALESCE(MAX(id), 0) FROM events",
    (
        "SELECT id FROM outbox WHERE turn_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM interim_messages WHERE outbox_id = outbox.id)"
    ),
)
FAULTY = (
    "SELECT COUNT(*) FROM messages WHERE sent_at > ?",
    "SELECT 1 FROM chats WHERE channel = ? AND name = ?",
    (
        "SELECT id FROM outbox WHERE turn_id = ?"
        " AND id NOT IN (SELECT outbox_id FROM interim_messages)"
    ),
)


def test_a_large_table_that_is_read_as_a_whole_is_found(tmp_path: Path) -> None:
    statements = [Statement(sql, f"{number}") for number, sql in enumerate((*FINE, *FAULTY))]
    POSTGRES.adopt(tmp_path, POSTGRES.new())
    with POSTGRES.connect(tmp_path, read_only=False) as connection:
        faults = scans(statements, connection)
    assert [fault.rpartition("\n    ")[2] for fault in faults] == sorted(FAULTY)
