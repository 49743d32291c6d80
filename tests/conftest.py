"""What all tests have in common: no statement of the ledger may grow with the store."""

from collections.abc import Iterator

import pytest
from support import plans


@pytest.fixture(scope="session", autouse=True)
def statements_use_indexes() -> Iterator[None]:
    """Ask, after the last test of this process, how its statements are run in a large store."""
    with plans.noted():
        yield
    faults = plans.scans(plans.SEEN)
    assert not faults, "these read a large table as a whole:\n" + "\n".join(faults)
