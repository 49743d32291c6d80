"""Stopping the whole daemon at bad moments: it is quick, and nothing is lost or said twice."""

import time
from pathlib import Path

import pytest
import trio
from support.rows import states
from support.stage import LAURA, Stage, open_stage

from daemon.sandbox.model_script import Step, say

DEADLINE = 2.0
TEN = [f"57300200000{number}" for number in range(10)]


async def seconds_to_stop(stage: Stage) -> float:
    """Stop the daemon; gives how long that took."""
    started = time.perf_counter()
    await stage.stop()
    return time.perf_counter() - started


async def ten_hanging_runs(stage: Stage) -> None:
    """Ten customers write, and the model begins to think for each and never ends."""
    never = trio.Event()
    stage.model.script(*[Step(gate=never) for _ in TEN])
    for contact in TEN:
        await stage.gateway.customer_says(contact, f"Hola, soy {contact}", deliver="queued")
    await stage.model.wait_for(lambda: stage.model.running == len(TEN))


async def test_an_idle_daemon_stops_at_once(stage: Stage) -> None:
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert await seconds_to_stop(stage) < 1


async def test_ten_runs_that_never_end_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    """They get their grace and are left; the next start answers each customer once."""
    changes = {"shutdown": {"deadline_seconds": DEADLINE}, "delivery": {"typing": True}}
    async with open_stage(tmp_path / "data", shutdown=changes["shutdown"]) as stage:
        await ten_hanging_runs(stage)
        assert await seconds_to_stop(stage) < DEADLINE
        assert states(tmp_path / "data") == {"in_turn"}
        assert not stage.gateway.ledger.sends
        # Nobody pays for what nobody waits for.
        await stage.model.wait_for(lambda: stage.model.running == 0)
        await stage.start()
        for contact in TEN:
            await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert [len(stage.said(contact)) for contact in TEN] == [1] * len(TEN)
        assert all(contact in stage.said(contact)[0] for contact in TEN)
        assert states(tmp_path / "data") == {"answered"}


async def test_runs_that_end_in_the_grace_are_answered_before_the_stop(tmp_path: Path) -> None:
    """What can be finished is finished: the answer is sent by the daemon that is stopping."""
    async with open_stage(tmp_path / "data", shutdown={"deadline_seconds": 10.0}) as stage:
        soon = trio.Event()
        stage.model.script(Step(gate=soon))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_for(lambda: stage.model.running == 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.stop)
            await stage.gateway.wait_for(lambda: bool(stage.events("stopping")) or soon.set() or 0)
        assert len(stage.said()) == 1
        assert states(tmp_path / "data") == {"answered"}
        await stage.start()


async def test_messages_in_an_open_window_are_answered_by_the_next_start(tmp_path: Path) -> None:
    """A stop drops the window at once, and the next start opens it again with all its messages."""
    buffer = {"window_seconds": 5.0, "max_wait_seconds": 1.5}
    async with open_stage(tmp_path / "data", buffer=buffer) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        assert await seconds_to_stop(stage) < 1
        assert states(tmp_path / "data") == {"received"}
        assert not stage.model.calls
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [call.customer_texts for call in stage.model.calls] == [["Hola\n¿hay cupo?"]]
        assert len(stage.said()) == 1


async def test_a_stop_between_two_chunks_says_the_rest_once(tmp_path: Path) -> None:
    """The answer is decided: the next start says what is missing of it and asks no model."""
    async with open_stage(tmp_path / "data", shutdown={"deadline_seconds": 1.0}) as stage:
        stage.model.script(say("Primero.\n\nSegundo.\n\nTercero."))
        second = stage.gateway.faults.add(operation="send", kind="status", status=429)
        first = stage.gateway.faults.add(operation="send", kind="hold", times=0)
        stage.gateway.faults.reset()
        del first, second
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "cuéntame")
        await held.reached.wait()
        assert await seconds_to_stop(stage) < 1
        stage.gateway.reset_faults()
        await stage.start()
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert stage.said() == ["Primero.", "Segundo.", "Tercero."]
        assert len(stage.model.calls) == 1


async def test_a_stop_before_recovery_and_many_restarts_answer_once(tmp_path: Path) -> None:
    """Four starts, three of them stopped with the run under way: one answer."""
    async with open_stage(tmp_path / "data", shutdown={"deadline_seconds": 0.5}) as stage:
        never = trio.Event()
        stage.model.script(Step(gate=never), Step(gate=never), Step(gate=never))
        await stage.gateway.customer_says(LAURA, "Hola")
        for starts in (1, 2, 3):
            await stage.model.wait_requests(starts)
            await stage.stop()
            await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert len(stage.said()) == 1
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
    assert len(stage.said()) == 1
    assert len(stage.model.calls) == 1
