"""The real daemon, killed with SIGKILL at named points of a conversation, and started again."""

from pathlib import Path

from support.crash_runs import (
    TWICE_KILLED,
    count_points,
    kill_at_points,
    one_visit_each,
)

FIXED = (
    "before commit of Inbox.accept",
    "after commit of Inbox.accept",
    "before respond",
    "after respond",
    "before tool",
    "after tool",
    "before send",
    "after send",
    "before outbox sending",
    "after outbox sending",
    "before outbox sent",
    "after outbox sent",
)
"""The points that the reliability of Recado is about; the scene has to come to each of them."""


async def test_a_kill_at_every_point_loses_nothing_and_says_nothing_twice(tmp_path: Path) -> None:
    """Each point once, and nine kills in the middle of the recovery from a kill."""
    counted = await count_points(tmp_path / "counting", seed=1)
    assert set(FIXED) <= counted.keys()
    chains = [*one_visit_each(counted, seed=1), *TWICE_KILLED]
    outcome = await kill_at_points(chains, tmp_path / "killing", seed=1)
    assert not outcome.faults, outcome.story
    assert not outcome.missed
    assert outcome.figures["sends_open_at_a_kill_delivered"] > 0
    assert outcome.figures["sends_open_at_a_kill_not_delivered"] > 0
