"""FastAPI on uvicorn and sqlite3: the event and its message are on the disk before the 200.

What a webhook costs where it is stored in the plain way: one commit each, with the settings of
Recado's store. Usage: python fastapi_durable.py PORT FOLDER (with requirements-peers.txt).
"""

import signal
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


def opened(path: Path) -> sqlite3.Connection:
    """A store in a new file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL, body BLOB)")
    connection.execute("CREATE TABLE messages (id TEXT PRIMARY KEY, chat TEXT, message TEXT)")
    return connection


@app.post("/hook")
async def hook(event: dict[str, Any], request: Request) -> dict[str, Any]:
    """Store one webhook call; a repeated message is stored once."""
    store: sqlite3.Connection = app.state.store
    store.execute("BEGIN IMMEDIATE")
    store.execute(
        "INSERT INTO events (at, body) VALUES (?, ?)", (time.time(), await request.body())
    )
    for message in event["messages"]:
        store.execute(
            "INSERT INTO messages VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (message["id"], message["chat_id"], message["text"]["body"]),
        )
    store.execute("COMMIT")
    return {
        "received": True,
        "timestamp": datetime.now(UTC).isoformat(),
        "environment": "development",
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the folder goes, too
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as folder:
        app.state.store = opened(Path(folder) / "store.db")
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
