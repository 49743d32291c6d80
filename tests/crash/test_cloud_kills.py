"""The same kills with a number of the Cloud API: a cut send is settled by its status, not a list.

``make crash GATEWAY=cloud`` is the long form of it.
"""

from pathlib import Path

from support.crash_runs import Chain, KillAt, count_points, kill_at_points

POINTS = (
    "before commit of Inbox.accept",
    "after commit of Inbox.accept",
    "after respond",
    "after tool",
    "before send",
    "after send",
    "before outbox sent",
    "after outbox sent",
)
"""Round the intake, the model, the tool, the send and its rows."""


async def test_a_kill_at_any_point_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    counted = await count_points(tmp_path / "counting", seed=1, kind="cloud")
    assert set(POINTS) <= counted.keys()
    chains = [Chain((KillAt(point),)) for point in POINTS]
    outcome = await kill_at_points(chains, tmp_path / "killing", seed=1, kind="cloud")
    assert not outcome.faults, outcome.story
    assert not outcome.missed
    assert outcome.figures["sends_open_at_a_kill_delivered"] > 0
    assert outcome.figures["sends_open_at_a_kill_not_delivered"] > 0
    assert outcome.figures["listings"] == 0
