"""After a crash: what the model has answered is fetched, what it has not is asked, once each."""

from pathlib import Path

import pytest
import trio
from support.model_script import say
from support.rows import select, states_of
from support.scenes import (
    PEDRO,
    ask_to_cancel,
    closes_with,
    delete_response,
    found,
    logged,
    open_scene,
    outcomes,
    words,
)
from support.stage import LAURA, Stage

from daemon.domain.texts import texts
from daemon.sandbox.model_generation import ModelCall
from daemon.sandbox.payloads import chat_id_of, customer_message, new_id, text_content

EXPIRED = texts("es").expired
SIX_HOURS = 6 * 3600.0


async def crash_in_the_run(stage: Stage, gate: trio.Event | None = None) -> ModelCall:
    """Crash while the model thinks about a message; gives the response that runs on."""
    stage.model.script(say("pensado", gate=trio.Event() if gate is None else gate))
    await stage.gateway.customer_says(LAURA, "Hola")
    (run,) = await stage.model.wait_requests(1)
    await found(lambda: response_names(stage) == [run.response_id])
    await stage.crash()
    return run


def change_buffer(stage: Stage, **changes: float) -> None:
    """Change settings of the window for the next start."""
    buffer = stage.settings.buffer.model_copy(update=changes)
    stage.settings = stage.settings.model_copy(update={"buffer": buffer})


def response_names(stage: Stage) -> list[str]:
    """The responses that the ledger knows by name."""
    rows = select(stage.settings.data_dir, "responses", "response_id")
    return [name for (name,) in rows]


async def test_a_response_finished_while_the_daemon_was_down_is_fetched(tmp_path: Path) -> None:
    """It is paid for once: the server sees one request for it, and the customer one answer."""
    gate = trio.Event()
    async with open_scene(tmp_path) as stage:
        run = await crash_in_the_run(stage, gate)
        gate.set()
        await run.ended.wait()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert (stage.received(), len(stage.model.calls)) == (["pensado"], 1)
        assert len(stage.events("response harvested")) == 1


async def test_a_response_that_still_runs_is_followed_to_its_end(tmp_path: Path) -> None:
    """The new process waits for what the old one has asked."""
    gate = trio.Event()
    async with open_scene(tmp_path) as stage:
        run = await crash_in_the_run(stage, gate)
        await stage.start()
        path = f"/responses/{run.response_id}"
        await stage.model.wait_for(lambda: ("GET", path) in stage.model.hits)
        assert run.outcome == "running"
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        assert (stage.received(), len(stage.model.calls)) == (["pensado"], 1)


@pytest.mark.parametrize("lost_by", [ask_to_cancel, delete_response], ids=["cancelled", "unknown"])
async def test_a_response_that_the_server_has_lost_is_asked_for_again(
    tmp_path: Path, lost_by: object
) -> None:
    """Cancelled or forgotten there: the question is put once more."""
    assert callable(lost_by)
    async with open_scene(tmp_path) as stage:
        run = await crash_in_the_run(stage)
        await lost_by(stage, run.response_id)
        stage.model.script(say("otra vez"))
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert (stage.received(), len(stage.model.calls)) == (["otra vez"], 2)


async def test_a_clean_stop_leaves_the_response_to_the_next_start(tmp_path: Path) -> None:
    """A deploy in the middle of a run costs no second call of the model."""
    gate = trio.Event()
    async with open_scene(tmp_path, shutdown={"deadline_seconds": 0.3}) as stage:
        stage.model.script(say("pensado", gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        (run,) = await stage.model.wait_requests(1)
        await found(lambda: response_names(stage) == [run.response_id])
        await stage.stop()
        assert run.outcome == "running"
        await stage.start()
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        assert (stage.received(), len(stage.model.calls)) == (["pensado"], 1)


async def test_a_message_that_came_while_the_daemon_was_down_joins_the_cut_run(
    tmp_path: Path,
) -> None:
    """One answer for both; the old response is of no use any more and is cancelled."""
    async with open_scene(tmp_path, recovery={"delay_seconds": 0.5}) as stage:
        run = await crash_in_the_run(stage)
        stage.model.script(say("para ambos"))
        await stage.gateway.customer_says(LAURA, "¿y el sábado?", deliver="queued")
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["para ambos"]
        assert stage.model.calls[-1].customer_texts == ["Hola\n¿y el sábado?"]
        assert run.outcome == "cancelled"


async def test_an_agent_who_answered_while_the_daemon_was_down_has_the_chat(
    tmp_path: Path,
) -> None:
    """The turn that was cut is handed off, and its response cancelled."""
    async with open_scene(tmp_path, recovery={"delay_seconds": 0.5}) as stage:
        run = await crash_in_the_run(stage)
        await stage.gateway.agent_says(LAURA, "Ya te atiendo", deliver="queued")
        await stage.start()
        await found(lambda: outcomes(stage) == ["handed_off"])
        await stage.quiet()
        assert stage.received() == []
        assert run.outcome == "cancelled"


async def test_a_window_cut_by_a_crash_is_answered_by_the_next_process(tmp_path: Path) -> None:
    """What was acknowledged is stored, so it is answered, once and together."""
    async with open_scene(tmp_path, buffer=closes_with(9)) as stage:
        for text in ("Hola", "¿hay cupo?"):
            await stage.gateway.customer_says(LAURA, text)
        await stage.crash()
        change_buffer(stage, window_seconds=0.1)
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [c.customer_texts for c in stage.model.calls] == [["Hola\n¿hay cupo?"]]
        assert len(stage.received()) == 1


@pytest.mark.parametrize("cut_in", ["window", "run"])
async def test_old_messages_after_an_outage_expire_with_one_polite_line(
    tmp_path: Path, cut_in: str
) -> None:
    """A line a chat, not a message; and the next message is answered as ever."""
    window = closes_with(9) if cut_in == "window" else {}
    async with open_scene(tmp_path, buffer=window) as stage:
        if cut_in == "run":
            await crash_in_the_run(stage)
        else:
            for number in range(5):
                await stage.gateway.customer_says(LAURA, f"mensaje {number}")
            await stage.crash()
        change_buffer(stage, window_seconds=0.1, max_messages=2)
        asked = len(stage.model.calls)
        stage.pass_time(SIX_HOURS + 60)
        await stage.start()
        await found(
            lambda: {s for s, _ in states_of(stage.settings.data_dir).values()} == {"expired"}
        )
        await stage.quiet()
        assert stage.received() == [EXPIRED]
        assert len(stage.model.calls) == asked
        fresh = customer_message(
            text_content("¿Sigue abierto?"),
            message_id=new_id(stage.environment.random),
            chat=chat_id_of(LAURA),
            at=stage.environment.now(),
            author=LAURA,
            name="Laura",
            chat_name="Laura",
        )
        await stage.gateway.announce([fresh])
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.model.calls[-1].customer_texts[-1] == "¿Sigue abierto?"
        assert "mensaje 0" in " ".join(map(words, stage.model.calls[-1].items)) or cut_in == "run"


async def test_a_week_of_backlog_after_an_outage_gets_one_polite_line(tmp_path: Path) -> None:
    """The gateway delivers late what was written days ago: age counts from the writing."""
    async with open_scene(tmp_path) as stage:
        week = [
            customer_message(
                text_content(f"día {day}"),
                message_id=new_id(stage.environment.random),
                chat=chat_id_of(LAURA),
                at=stage.environment.now() - (8 - day) * 24 * 3600,
                author=LAURA,
                name="Laura",
                chat_name="Laura",
            )
            for day in range(1, 8)
        ]
        for message in week:
            await stage.gateway.announce([message])
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == [EXPIRED]
        assert stage.model.calls == []
        assert {state for state, _ in states_of(stage.settings.data_dir).values()} == {"expired"}


async def test_several_orphans_are_recovered_beside_live_traffic(tmp_path: Path) -> None:
    """Ten chats were cut; a new customer is answered meanwhile, and each chat gets one answer."""
    orphans = [f"5730055500{number:02}" for number in range(10)]
    gate = trio.Event()
    async with open_scene(tmp_path) as stage:
        stage.model.script(*(say(f"respuesta {n}", gate=gate) for n in range(10)))
        for chat in orphans:
            await stage.gateway.customer_says(chat, "Hola")
        await stage.model.wait_requests(10)
        await found(lambda: len(list(filter(None, response_names(stage)))) == 10)
        await stage.crash()
        await stage.start()
        await logged(stage, "recovering", 10)
        await stage.gateway.customer_says(PEDRO, "Buenas")
        await stage.gateway.wait_sent(PEDRO)
        assert not any(stage.received(chat) for chat in orphans)
        gate.set()
        for chat in orphans:
            await stage.gateway.wait_sent(chat)
        await found(lambda: outcomes(stage) == ["answered"] * 11)
        assert all(len(stage.received(chat)) == 1 for chat in orphans)
        assert len(stage.model.calls) == 11


async def test_recovery_does_not_hold_up_the_start(tmp_path: Path) -> None:
    """The daemon takes webhooks while the model server does not even answer."""
    async with open_scene(tmp_path) as stage:
        await crash_in_the_run(stage)
        await stage.start()
        assert (await stage.get("/ready")).status_code == 200
        assert stage.received() == []
        await stage.crash()


async def test_a_crash_before_the_model_was_asked_loses_nothing(tmp_path: Path) -> None:
    """A turn is open and nothing more: the next process begins with it."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("", hang_up=True, when=lambda _body: True))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.crash()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert len(stage.received()) == 1
