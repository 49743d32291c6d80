"""A Recado of the next version: a copy of this one with one further step of the tables' history."""

import shutil
from pathlib import Path

from daemon import __version__
from daemon.ledger.migrations import latest_version

HERE = Path(__file__).parents[2]
"""The checkout of this version."""

NEXT_VERSION = "99.0.0"
ADDS = f"""-- Versions since {latest_version()} go on with this step.
CREATE TABLE further (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
ALTER TABLE outbox ADD COLUMN further TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN further INTEGER;
ALTER TABLE waiting_calls ADD COLUMN further INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_further ON messages (state, id);
"""
"""This version goes on with it."""

RENAMES = "ALTER TABLE process_lives RENAME COLUMN stopped_at TO ended_at;\n"
"""This version does not."""


def newer_version(folder: Path, step: str = ADDS) -> Path:
    """Make the next version, whose tables have this step; gives what its modules are found by."""
    package = folder / "daemon"
    shutil.copytree(HERE / "daemon", package)
    place = package / "ledger" / "migrations" / f"{latest_version() + 1:04}_further.sql"
    place.write_text(step)
    _replace(package / "__init__.py", __version__, NEXT_VERSION)
    if step == RENAMES:
        _replace(package / "ledger" / "process_records.py", "stopped_at", "ended_at")
    return folder


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
