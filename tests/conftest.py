"""Fixtures for all tests."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from support import plans, postgres_plans, slow_steps
from support.place import POSTGRES, database

from daemon.startup import YOUNG_OBJECTS

# On a busy machine an example takes as long as it takes.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

SCANS: Final = "these read a large table as a whole:"
FAULT_OF_ALL: Final = 7
"""The exit status after a fault that no test shows by itself: running it again would hide that."""


class WholeRun:
    """Sees whether the check after the last test has failed."""

    def __init__(self) -> None:
        self.has_scans = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.has_scans |= (
            report.failed and report.when == "teardown" and SCANS in report.longreprtext
        )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.has_scans:
            session.exitstatus = FAULT_OF_ALL


def pytest_configure(config: pytest.Config) -> None:
    """Let each step take long if that is asked for; see `support.slow_steps`."""
    config.pluginmanager.register(WholeRun())
    if scale := os.environ.get("SLOW_STEPS"):
        slow_steps.install(float(scale))


def pytest_collection() -> None:
    """Look for no garbage while thousands of tests are imported: nearly all of it stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let no later collection look at what importing thousands of tests has left for good.

    What is new is looked through as seldom as by the daemon's own process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show of a failed test what was to be seen on the stage that it has as a fixture.

    The failure of a test that opens its stage itself has it as a note.
    """
    report = yield
    fixtures: dict[str, object] = getattr(item, "funcargs", {})
    stage = getattr(fixtures.get("stage"), "fixture_value", None)
    if report.failed and (seen := getattr(stage, "seen", None)):
        report.sections.append(("seen on the stage", seen()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Let the next test have the database that this one had."""
    try:
        return (yield)
    finally:
        fixtures: dict[str, object] = getattr(item, "funcargs", None) or {}
        if isinstance(folder := fixtures.get("tmp_path"), Path):
            POSTGRES.release(folder)


@pytest.fixture(scope="session")
def statements_use_indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ask, after the last test of this process, how a large store would run what was noted."""
    yield
    faults = plans.scans(plans.SEEN)
    if database() is POSTGRES:
        folder = tmp_path_factory.mktemp("plans")
        POSTGRES.adopt(folder, POSTGRES.new())
        with POSTGRES.connect(folder, read_only=False) as connection:
            faults += postgres_plans.scans(plans.SEEN, connection)
    assert not faults, "\n".join([SCANS, *faults])


@pytest.fixture
def noted_statements(statements_use_indexes: None) -> Iterator[None]:  # noqa: ARG001 - its end checks
    """Note the statements that the ledger runs in this test."""
    with plans.noted():
        yield
