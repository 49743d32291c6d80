"""The real daemon on PostgreSQL, killed with SIGKILL round the intake, the model and a send.

``TEST_STORE=postgres make crash`` kills at every visit of every point.
"""

from pathlib import Path

import pytest
from support.crash_runs import count_points, kill_at_points, one_visit_each

POINTS = (
    "before commit of Inbox.accept",
    "after commit of Inbox.accept",
    "after respond",
    "before send",
    "after send",
    "after outbox sent",
)


async def test_a_kill_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    counted = await count_points(tmp_path / "counting", seed=1)
    chains = [each for each in one_visit_each(counted, seed=1) if each.kills[0].point in POINTS]
    assert len(chains) == len(POINTS)
    outcome = await kill_at_points(chains, tmp_path / "killing", seed=1)
    assert not outcome.faults, outcome.story
    assert not outcome.missed
    assert outcome.figures["kills"] == len(POINTS)
