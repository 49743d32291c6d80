"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest
from support import plans


@pytest.fixture(scope="session")
def statements_use_indexes() -> Iterator[None]:
    """Ask, after the last test of this process, how a large store would run what was noted."""
    yield
    faults = plans.scans(plans.SEEN)
    assert not faults, "these read a large table as a whole:\n" + "\n".join(faults)


@pytest.fixture
def noted_statements(statements_use_indexes: None) -> Iterator[None]:  # noqa: ARG001 - its end checks
    """Note the statements that the ledger runs in this test."""
    with plans.noted():
        yield
