"""Customers who write while a person has the chat: answered, closed by a person, or waiting."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from support.model_script import call, say
from support.plain import NO_TLS
from support.rows import select, states, states_of
from support.scenes import (
    end_pause,
    found,
    logged,
    model_input,
    open_scene,
    outcomes,
    thread,
)
from support.stage import LAURA, Stage

from daemon.domain.states import WITH_AGENT
from daemon.domain.texts import texts
from daemon.domain.transitions.handover import (
    AGENT_WROTE,
    AN_AGENT,
    BUDGET,
    DELETED,
    DONE,
    ESCALATED,
)
from daemon.sandbox.payloads import OWN_NAME

GROUP = "120363012345678901@g.us"
PAUSE_SECONDS = 3600.0
"""More than an agent's pause lasts by default."""

NOTE = f"[Mensaje manual de {OWN_NAME}]"
HAND_OVER = call(
    "escalate_to_human",
    '{"reason": "Pide una persona", "summary": "Quiere facturar", "urgency": "high"}',
)


async def post(stage: Stage, path: str, body: dict[str, object]) -> Any:
    """Post JSON to the running daemon; gives the answer."""
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=stage.url, timeout=30, trust_env=False
    ) as client:
        return (await client.post(path, json=body)).json()


def outcome_of(stage: Stage, message_id: str) -> tuple[str, str]:
    """State and reason of one message."""
    return states_of(stage.settings.data_dir)[message_id]


async def test_messages_with_an_agent_are_answered_when_the_pause_ends(tmp_path: Path) -> None:
    """With the agent's words, as one burst, in the right order."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Le confirmo en un rato")
        first = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        second = await stage.gateway.customer_says(LAURA, "Para dos")
        assert outcome_of(stage, first) == outcome_of(stage, second) == (WITH_AGENT, AN_AGENT)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)
        (call,) = stage.model.calls
        assert model_input(stage)[:2] == [NOTE, "Le confirmo en un rato"]
        assert call.customer_texts == ["¿Hay cupo?\nPara dos"]
        await stage.quiet()
        assert outcomes(stage) == ["answered"]


async def test_a_message_answered_by_an_agent_is_never_answered_again(tmp_path: Path) -> None:
    """Whatever waits is closed in the write that takes the agent's message in."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Hola")
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.gateway.agent_says(LAURA, "Sí hay")
        assert outcome_of(stage, asked) == ("handed_off", AGENT_WROTE)
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await end_pause(stage)
        await stage.quiet()
        assert (stage.received(), stage.model.calls) == ([], [])
        assert [item["content"] for item in thread(stage)][-3:] == ["¿Hay cupo?", NOTE, "Sí hay"]


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_a_pause_that_ended_while_the_daemon_was_down_is_over(
    tmp_path: Path, how: str
) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Ya le digo")
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await (stage.stop() if how == "stop" else stage.crash())
        stage.pass_time(PAUSE_SECONDS)
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert stage.model.calls[0].customer_texts == ["¿Hay cupo?"]


async def test_done_closes_waiting_messages_and_notes_them_in_the_thread(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Hola")
        asked = await stage.gateway.customer_says(LAURA, "Gracias")
        answer = await post(stage, "/takeover/done", {"chat": LAURA})
        assert answer == {"chats": 1, "messages": 1}
        assert outcome_of(stage, asked) == ("handed_off", DONE)
        await found(lambda: "Gracias" in [item["content"] for item in thread(stage)])
        later = await stage.gateway.customer_says(LAURA, "Una cosa más")
        assert outcome_of(stage, later) == (WITH_AGENT, AN_AGENT)
        await post(stage, "/takeover/resume", {"chat": LAURA})
        await stage.gateway.wait_sent(LAURA)
        assert [call.customer_texts for call in stage.model.calls] == [["Gracias", "Una cosa más"]]


async def test_a_takeover_by_hand_closes_nothing(tmp_path: Path) -> None:
    """Nobody has written: what was being answered waits, and is answered after the pause."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("demasiado tarde", gate=trio.Event()), say("Sí hay"))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        (run,) = await stage.model.wait_requests(1)
        await post(stage, "/takeover/pause", {"chat": LAURA, "minutes": 30})
        await run.ended.wait()
        await found(lambda: outcome_of(stage, asked)[0] == WITH_AGENT)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Sí hay"]
        assert outcomes(stage) == ["handed_off", "answered"]
        assert model_input(stage, role="user") == ["¿Hay cupo?"]


@pytest.mark.parametrize("end", ["given back", "time"])
async def test_an_answer_cut_by_a_takeover_by_hand_is_taken_up_again(
    tmp_path: Path, end: str
) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"), say("tres"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await held.reached.wait()
        await post(stage, "/takeover/pause", {"chat": LAURA, "minutes": 30})
        held.release()
        await found(lambda: outcome_of(stage, asked) == (WITH_AGENT, AN_AGENT))
        if end == "time":
            await end_pause(stage)
        else:
            await post(stage, "/takeover/resume", {"chat": LAURA})
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == ["uno", "tres"]
        assert outcome_of(stage, asked) == ("answered", "")


async def test_a_window_that_a_takeover_by_hand_ends_is_answered_after_it(tmp_path: Path) -> None:
    async with open_scene(tmp_path, buffer={"window_seconds": 30}) as stage:
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await post(stage, "/takeover/pause", {"chat": LAURA, "minutes": 30})
        await found(lambda: outcome_of(stage, asked)[0] == WITH_AGENT)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)


async def test_a_turn_that_an_agent_has_answered_is_over_after_a_crash(tmp_path: Path) -> None:
    """The pause ended while the daemon was down: still nothing is said over the agent's words."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await held.reached.wait()
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        await stage.crash()
        held.release()
        stage.pass_time(PAUSE_SECONDS)
        await stage.start()
        await found(lambda: outcomes(stage) == ["handed_off"])
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert stage.received() == ["uno"]
        assert outcome_of(stage, asked) == ("handed_off", AGENT_WROTE)


async def test_after_an_unanswered_escalation_the_customer_is_notified_and_waits(
    tmp_path: Path,
) -> None:
    """The bot answers what comes then; what waits stays with the agent until a person is done."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        stage.model.script(HAND_OVER, say("Ya le escriben"), say("¿En qué más ayudo?"))
        await stage.gateway.customer_says(LAURA, "Una persona, por favor")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        waiting = await stage.gateway.customer_says(LAURA, "¿Hola?")
        assert outcome_of(stage, waiting) == (WITH_AGENT, ESCALATED)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[1] == texts("es").overdue
        new = await stage.gateway.customer_says(LAURA, "Otra pregunta")
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert outcome_of(stage, new)[0] == "answered"
        assert outcome_of(stage, waiting) == (WITH_AGENT, ESCALATED)
        await stage.crash()
        await stage.start()
        await stage.quiet()
        assert len(stage.received()) == 3
        await stage.gateway.agent_says(LAURA, "Perdón, ya estoy")
        assert outcome_of(stage, waiting) == ("handed_off", AGENT_WROTE)
        assert select(stage.settings.data_dir, "chats", "escalated_at") == [(0.0,)]


async def test_an_agent_who_follows_an_escalation_is_not_apologised_for(tmp_path: Path) -> None:
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        stage.model.script(HAND_OVER, say("Ya le escriben"), say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Una persona, por favor")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        await stage.gateway.agent_says(LAURA, "Hola, soy Ana")
        asked = await stage.gateway.customer_says(LAURA, "Gracias, Ana")
        assert outcome_of(stage, asked) == (WITH_AGENT, AN_AGENT)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == ["Ya le escriben", "Con gusto"]


async def test_messages_that_waited_long_for_a_person_do_not_expire(tmp_path: Path) -> None:
    """The bot could not answer before: its age counts from the end of the pause."""
    async with open_scene(
        tmp_path, takeover={"pause_minutes": 300}, recovery={"max_age_hours": 1}
    ) as stage:
        await stage.gateway.agent_says(LAURA, "Le confirmo")
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.stop()
        stage.pass_time(2 * 3600.0)
        await stage.start()
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert outcome_of(stage, asked) == ("answered", "")


async def test_an_agent_who_writes_during_the_escalation_answers_it(tmp_path: Path) -> None:
    """The turn ends after the agent's message: nobody is waited for any more."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        gate = trio.Event()
        stage.model.script(HAND_OVER, say("Ya le escriben", gate=gate))
        await stage.gateway.customer_says(LAURA, "Una persona, por favor")
        await stage.model.wait_requests(2)
        await stage.gateway.agent_says(LAURA, "Aquí estoy")
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        await end_pause(stage)
        await stage.quiet()
        assert stage.received() == ["Ya le escriben"]
        assert select(stage.settings.data_dir, "chats", "escalated_at") == [(0.0,)]


async def test_a_voice_note_that_waited_is_transcribed_and_answered(tmp_path: Path) -> None:
    hears = {"transcription_model": "sandbox-transcription"}
    async with open_scene(tmp_path, voice=hears) as stage:
        stage.model.transcript = "Quiero dos noches"
        await stage.gateway.agent_says(LAURA, "Un momento")
        await stage.gateway.contact(LAURA).send_voice()
        assert states(stage.settings.data_dir) == {WITH_AGENT}
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)
        assert model_input(stage)[-1] == "[voice note] Quiero dos noches"
        await stage.quiet()
        assert states(stage.settings.data_dir) == {"answered"}


async def test_a_message_deleted_while_it_waits_is_not_answered(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Un momento")
        gone = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        kept = await stage.gateway.customer_says(LAURA, "¿Y precio?")
        await stage.gateway.customer_deletes(gone)
        await stage.gateway.customer_edits(kept, "¿Y el precio?")
        assert outcome_of(stage, gone) == ("ignored", DELETED)
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA)
        assert [call.customer_texts for call in stage.model.calls] == [["¿Y el precio?"]]


async def test_a_spent_budget_leaves_the_customer_waiting_and_seen(tmp_path: Path) -> None:
    """Nobody has read the message; the bot answers again as soon as the budget allows."""
    async with open_scene(tmp_path, budget={"contact_tokens": 1}) as stage:
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcome_of(stage, asked) == (WITH_AGENT, BUDGET))
        await stage.quiet()
        assert stage.received() == [texts("es").budget]
        health = (await stage.get("/health")).json()
        assert set(health["waitingForPerson"]) == {"chats", "oldestSeconds"}
        await stage.gateway.agent_says(LAURA, "Hola, le atiendo yo")
        assert outcome_of(stage, asked) == ("handed_off", AGENT_WROTE)


async def test_in_a_group_a_question_waits_for_the_agent_too(tmp_path: Path) -> None:
    async with open_scene(tmp_path, groups={"mode": "all"}) as stage:
        await stage.gateway.agent_says(GROUP, "Hola a todos")
        asked = await stage.gateway.customer_says(GROUP, "¿Hay cupo?")
        assert outcome_of(stage, asked) == (WITH_AGENT, AN_AGENT)
        await stage.gateway.agent_says(GROUP, "Sí hay")
        assert outcome_of(stage, asked) == ("handed_off", AGENT_WROTE)
        second = await stage.gateway.customer_says(GROUP, "¿Y precio?")
        await end_pause(stage, GROUP)
        await stage.gateway.wait_sent(GROUP)
        await stage.quiet()
        assert outcome_of(stage, second) == ("answered", "")
