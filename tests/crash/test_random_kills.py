"""The real daemon under a steady stream of messages, killed with SIGKILL at random moments."""

from pathlib import Path

from support.crash_runs import kill_at_random

KILLS = 8


async def test_random_kills_under_load_lose_nothing_and_send_nothing_twice(
    tmp_path: Path,
) -> None:
    """Every acknowledged message is answered once, in order, and every booking made at most once.

    ``make crash N=1000`` is the long form of it.
    """
    outcome = await kill_at_random(KILLS, tmp_path, seed=11)
    assert not outcome.faults, outcome.story
    assert outcome.figures["kills"] == KILLS
    assert outcome.figures["messages"] == outcome.figures["acknowledged"] > 0
    assert outcome.figures["messages_stored_usually"] > KILLS
