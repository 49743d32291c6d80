from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stage import QUICK, Stage, open_stage

from daemon.conversation import recovery


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the daemon notice in tenths of a second what a command has put into its store."""
    monkeypatch.setitem(QUICK, "housekeeping", {"sweep_seconds": 0.1})
    monkeypatch.setattr(recovery, "SWEEP_GRACE_SECONDS", 0.1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_stage(tmp_path / "data") as stage:
        yield stage
