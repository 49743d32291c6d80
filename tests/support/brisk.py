"""A stage with short waits: idle chats end at once, webhooks are repeated at once."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.stage import Stage, open_stage

BRISK = {"window_seconds": 0.05, "idle_seconds": 0.05}
REPEAT_SECONDS = 0.05
"""Whapi waits 3 s before it repeats a webhook that was not answered."""

Tables = Mapping[str, Mapping[str, Any]]


@asynccontextmanager
async def open_brisk_stage(data_dir: Path, **changes: Mapping[str, Any]) -> AsyncIterator[Stage]:
    """`open_stage` with minimal waits; ``changes`` override it."""
    tables: Tables = {
        **changes,
        "buffer": {**BRISK, **changes.get("buffer", {})},
    }
    async with open_stage(data_dir, started=True, **tables) as stage:
        stage.gateway.postbox.backoff_seconds = REPEAT_SECONDS
        yield stage
