from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.object_store import both_file_stores
from support.stage import Stage, open_stage

__all__ = ["both_file_stores"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_stage(tmp_path / "data") as stage:
        yield stage
