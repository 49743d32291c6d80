from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stage import Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_stage(tmp_path / "data") as stage:
        yield stage
