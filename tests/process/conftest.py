from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.process import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A place where processes of the daemon can be started, one after the other."""
    async with open_site(tmp_path) as site:
        yield site
