from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.ledgers import Commits
from support.place import store_in

from daemon.ledger.ledger import Store


@pytest.fixture(autouse=True)
def _plans(noted_statements: None) -> None:
    """No statement may grow with the store."""


@pytest.fixture
def commits() -> Commits:
    """What the store has reported of its transactions."""
    return Commits()


@pytest.fixture
async def store(tmp_path: Path, commits: Commits) -> AsyncIterator[Store]:
    """An empty store on a real file."""
    async with store_in(tmp_path, commits) as store:
        yield store
