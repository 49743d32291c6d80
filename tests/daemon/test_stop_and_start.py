"""Stopping the whole daemon at bad moments: it is quick, and nothing is lost or said twice."""

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from support.brisk import BRISK, open_brisk_stage
from support.model_script import Step, say
from support.rows import count, states
from support.stage import LAURA, Stage

DEADLINE = 1.5
TEN = [f"57300200000{number}" for number in range(10)]


FAR = {"deadline_seconds": 60.0}
SOON = 20.0
"""Seconds, on however busy a machine: long before the far deadline's share for work has passed."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


async def seconds_to_stop(stage: Stage) -> float:
    """Stop the daemon; gives how long that took."""
    started = time.perf_counter()
    await stage.stop()
    return time.perf_counter() - started


async def ten_thinking(stage: Stage) -> trio.Event:
    """Ten customers write, and the model thinks about each until the event that is returned."""
    thought = trio.Event()
    stage.model.script(*[Step(gate=thought) for _ in TEN])
    for contact in TEN:
        await stage.gateway.customer_says(contact, f"Hola, soy {contact}", deliver="queued")
    await stage.model.wait_for(lambda: stage.model.running == len(TEN))
    return thought


def response_hits(stage: Stage) -> list[tuple[str, str]]:
    """What the model server was asked about responses; each start also lists its models."""
    return [hit for hit in stage.model.hits if hit[1].startswith("/responses")]


def more_hits_than(stage: Stage, number: int) -> bool:
    """True once the model server was asked more often about responses."""
    return len(response_hits(stage)) > number


def answers(stage: Stage) -> list[int]:
    """How many answers each of the ten has got."""
    return [len(stage.received(contact)) for contact in TEN]


async def test_an_idle_daemon_stops_at_once(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data", shutdown=FAR) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert await seconds_to_stop(stage) < SOON


async def test_ten_runs_that_never_end_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    """They get their grace and are left; the next start fetches what they came to, once."""
    async with open_brisk_stage(
        tmp_path / "data", shutdown={"deadline_seconds": DEADLINE}
    ) as stage:
        thought = await ten_thinking(stage)
        assert await seconds_to_stop(stage) < SOON
        assert states(tmp_path / "data") == {"in_turn"}
        assert not stage.gateway.ledger.sends
        await stage.start()
        thought.set()
        for contact in TEN:
            await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert answers(stage) == [1] * len(TEN)
        assert all(contact in stage.received(contact)[0] for contact in TEN)
        assert states(tmp_path / "data") == {"answered"}
        assert len(stage.model.calls) == len(TEN)


async def test_answers_that_the_server_has_lost_are_asked_for_again(tmp_path: Path) -> None:
    """The responses ended while the daemon was away: each chat is still answered, once."""
    async with open_brisk_stage(tmp_path / "data", shutdown={"deadline_seconds": 0.5}) as stage:
        await ten_thinking(stage)
        await stage.stop()
        for call in stage.model.calls:
            stage.model._kept.pop(call.response_id).cancel()
        await stage.start()
        for contact in TEN:
            await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert answers(stage) == [1] * len(TEN)
        assert len(stage.model.calls) == 2 * len(TEN)


async def test_runs_that_end_in_the_grace_are_sent_by_the_next_start(
    tmp_path: Path,
) -> None:
    """The stop waits for them, the answers are in the store, and no model is asked again."""
    async with open_brisk_stage(tmp_path / "data", shutdown=FAR) as stage:
        thought = await ten_thinking(stage)
        stage.environment.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.events("stopping")
        thought.set()
        assert await seconds_to_stop(stage) < SOON
        assert count(tmp_path / "data", "turns", where={"state": "open"}) == 0
        asked = len(response_hits(stage))
        await stage.start()
        for contact in TEN:
            await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert answers(stage) == [1] * len(TEN)
        assert states(tmp_path / "data") == {"answered"}
        assert len(response_hits(stage)) == asked


async def test_messages_in_an_open_window_are_answered_by_the_next_start(tmp_path: Path) -> None:
    """A stop drops the window at once, and the next start opens it again with all its messages."""
    buffer = {"window_seconds": 60.0, "max_wait_seconds": 60.0}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer, shutdown=FAR) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        assert await seconds_to_stop(stage) < SOON
        assert states(tmp_path / "data") == {"received"}
        assert not stage.model.calls
        hasty = stage.settings.buffer.model_copy(update=BRISK)
        stage.settings = stage.settings.model_copy(update={"buffer": hasty})
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [call.customer_texts for call in stage.model.calls] == [["Hola\n¿hay cupo?"]]
        assert len(stage.received()) == 1


async def test_after_a_stop_between_two_chunks_the_rest_is_sent_once(tmp_path: Path) -> None:
    """The answer is decided: the next start says what is missing of it and asks no model."""
    async with open_brisk_stage(tmp_path / "data", shutdown={"deadline_seconds": 1.0}) as stage:
        stage.model.script(say("Primero.\n\nSegundo.\n\nTercero."))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "cuéntame")
        await held.reached.wait()
        assert await seconds_to_stop(stage) < SOON
        stage.gateway.reset_faults()
        await stage.start()
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert stage.received() == ["Primero.", "Segundo.", "Tercero."]
        assert len(stage.model.calls) == 1


async def test_many_restarts_in_one_run_answer_once(tmp_path: Path) -> None:
    """Four starts, three of them stopped with the run under way: one model call, one answer."""
    async with open_brisk_stage(tmp_path / "data", shutdown={"deadline_seconds": 0.5}) as stage:
        thought = trio.Event()
        stage.model.script(Step(gate=thought))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_for(lambda: stage.model.running == 1)
        for _ in range(3):
            await stage.stop()
            asked = len(response_hits(stage))
            await stage.start()
            await stage.model.wait_for(partial(more_hits_than, stage, asked))
        thought.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert len(stage.received()) == 1
        assert len(stage.model.calls) == 1
        assert states(tmp_path / "data") == {"answered"}


@pytest.mark.parametrize("posted", ["before", "after"])
async def test_a_repeated_webhook_after_a_restart_is_no_second_question(
    stage: Stage, posted: str
) -> None:
    """Whapi repeats a call whose 200 got lost; the store remembers the id."""
    message_id = await stage.gateway.customer_says(LAURA, "Hola")
    if posted == "after":
        await stage.gateway.wait_sent(LAURA)
    await stage.stop()
    await stage.start()
    await stage.gateway.redeliver(message_id)
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert len(stage.received()) == 1
    assert len(stage.model.calls) == 1
