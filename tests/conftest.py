"""Fixtures for all tests."""

import gc
from collections.abc import Iterator

import pytest
from support import plans, postgres_plans
from support.place import POSTGRES, database


def pytest_collection_finish() -> None:
    """Let no later collection look at what importing thousands of tests has left for good."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def statements_use_indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ask, after the last test of this process, how a large store would run what was noted."""
    yield
    faults = plans.scans(plans.SEEN)
    if database() is POSTGRES:
        with POSTGRES.connect(tmp_path_factory.mktemp("plans"), read_only=False) as connection:
            faults += postgres_plans.scans(plans.SEEN, connection)
    assert not faults, "these read a large table as a whole:\n" + "\n".join(faults)


@pytest.fixture
def noted_statements(statements_use_indexes: None) -> Iterator[None]:  # noqa: ARG001 - its end checks
    """Note the statements that the ledger runs in this test."""
    with plans.noted():
        yield
