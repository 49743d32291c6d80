"""The real daemon, killed with SIGKILL at named points of a conversation, and started again.

``make crash`` kills at every visit of every point; here it is a sample that a developer waits for.
"""

from pathlib import Path

from support.crash_points import USUAL_ANSWERS
from support.crash_runs import (
    TWICE_KILLED,
    Chain,
    KillAt,
    count_points,
    evenly,
    kill_at_points,
    one_visit_each,
)

CARDINAL = (
    "before commit of Inbox.accept",
    "after commit of Inbox.accept",
    "before commit of usual Inbox.accept",
    "after commit of usual Inbox.accept",
    USUAL_ANSWERS,
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
"""The points round the intake, the model, the tool, the send and its rows: never left out."""

OTHERS = 6
"""How many of the other points, the commits of every verb of the store, are in the sample."""


async def test_a_kill_at_any_point_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    counted = await count_points(tmp_path / "counting", seed=1)
    assert set(CARDINAL) <= counted.keys()
    chains = one_visit_each(counted, seed=1)
    cardinal = [chain for chain in chains if chain.kills[0].point in CARDINAL]
    others = evenly([chain for chain in chains if chain not in cardinal], OTHERS)
    outcome = await kill_at_points([*cardinal, *others], tmp_path / "killing", seed=1)
    assert not outcome.faults, outcome.story
    # Commits of the housekeeping come in their own time, which may be before the points are armed.
    assert not [missed for missed in outcome.missed if missed.partition(" #")[0] in CARDINAL]
    assert outcome.figures["sends_open_at_a_kill_delivered"] > 0
    assert outcome.figures["sends_open_at_a_kill_not_delivered"] > 0


async def test_a_kill_round_a_reminder_or_an_outgoing_webhook_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    """A reminder is said once, by its text or by the model after its note; another system is told
    of everything, under the same ids.
    """
    counted = await count_points(tmp_path / "counting", seed=3)
    ours = {
        f"{when} commit of {what}"
        for when in ("before", "after")
        for what in ("Reminders.add", "Reminders.fire", "WebhookDeliveries.delivered")
    }
    assert ours <= counted.keys()
    fires = [point for point in ours if "fire" in point]
    kills = [KillAt(point, 1) for point in ours] + [KillAt(point, 2) for point in fires]
    chains = [Chain((kill,)) for kill in kills]
    outcome = await kill_at_points(chains, tmp_path / "killing", seed=3)
    assert not outcome.faults, outcome.story
    assert not outcome.missed
    assert outcome.figures["kills"] == outcome.figures["reminders_said"] == len(kills)


async def test_a_second_kill_during_the_recovery_from_the_first_changes_nothing(
    tmp_path: Path,
) -> None:
    """Killed while it harvests a response, settles a cut tool call, or looks for a lost send."""
    outcome = await kill_at_points(evenly(TWICE_KILLED, 5), tmp_path, seed=2)
    assert not outcome.faults, outcome.story
    assert not outcome.missed
    assert outcome.figures["kills"] == 10
