"""Consent: one notice, one confirmation, then nothing that nobody has asked for."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import Step, say
from support.operator import recado
from support.rows import count, rows, select, states_of
from support.scenes import found, model_input, open_scene, outbox, outcomes
from support.stage import CHANNEL, LAURA, NUMBER, Stage, text_webhook

from daemon.domain.eligibility import OUT_ALREADY
from daemon.domain.records import Turn
from daemon.domain.texts import texts
from daemon.ledger.arrivals import BEFORE_FORGOTTEN
from daemon.ledger.turns import Turns

TEXTS = texts("es")
OUT = TEXTS.opted_out_with("ALTA")
NOTICE = "Tratamos sus datos según nuestra política: https://example.com/datos"
MISSED = {"calls": [{"id": "call-1", "from": LAURA, "status": "missed"}], "channel_id": CHANNEL}


async def says(stage: Stage, words: str, answers: int) -> None:
    await stage.post(text_webhook(words, f"laura-{words}"))
    await stage.gateway.wait_sent(LAURA, answers)
    await stage.quiet()


async def test_one_confirmation_and_the_own_messages_are_still_answered(tmp_path: Path) -> None:
    async with open_scene(tmp_path, replies={"answer_calls": True}) as stage:
        data_dir = stage.settings.data_dir
        await says(stage, "STOP", 1)
        assert stage.received() == [OUT]
        assert stage.model.calls == []
        await stage.post(text_webhook("baja", "laura-again"))
        await found(lambda: states_of(data_dir)["laura-again"] == ("ignored", OUT_ALREADY))
        stage.model.script(say("Abrimos a las nueve."))
        await says(stage, "¿A qué hora abren?", 2)
        assert stage.received() == [OUT, "Abrimos a las nueve."]
        assert model_input(stage)[1:3] == [OUT, "baja"]
        # Neither a call nor an old message nor a model that is down makes us write.
        await stage.post(MISSED)
        old = int(time.time()) - 10 * 3600
        await stage.post(text_webhook("¿Hola?", "laura-old", timestamp=old))
        await found(lambda: states_of(data_dir)["laura-old"][0] == "expired")
        stage.model.script(Step(status=400, code="invalid_prompt", message="refused"))
        await stage.post(text_webhook("¿Y mañana?", "laura-dead"))
        await found(lambda: states_of(data_dir)["laura-dead"][0] == "dead")
        await stage.quiet()
        assert len(stage.received()) == 2
        refused = await recado(data_dir, "send", LAURA, "Tenemos ofertas")
        assert refused.exit_code == 2
        assert "--anyway" in refused.stderr
        shown = await recado(data_dir, "explain", "laura-old")
        assert "the contact has opted out of unrequested messages since" in shown.stdout
        held = json.loads((await recado(data_dir, "export", LAURA)).stdout)
        (chat,) = [chat for chat in held["chats"] if chat["channel"] == NUMBER]
        assert chat["opted_out_at"] > 0
        page = (await stage.get(f"/dashboard/chats/{chat['ref']}")).text
        assert 'data-testid="opted-out"' in page
        await says(stage, "Alta", 3)
        assert stage.received()[-1] == TEXTS.opted_in
        assert {row[0] for row in select(data_dir, "chats", "opted_out_at")} == {0}
        stage.log.seek(0)
        stage.log.truncate()


async def test_a_wish_beside_a_question_is_confirmed_and_the_question_answered(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path, contacts={"consent_notice": NOTICE}) as stage:
        stage.model.script(say("A las nueve."), say("A las seis."))
        both = text_webhook("¿A qué hora abren?", "laura-1")
        both["messages"] += text_webhook("stop", "laura-2")["messages"]
        await stage.post(both)
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert stage.received() == [NOTICE, OUT, "A las nueve."]
        assert count(stage.settings.data_dir, "chats", where={"opted_out_at >": 0})
        await says(stage, "¿Y cierran?", 4)
        assert stage.received()[3:] == ["A las seis."]


async def test_a_message_that_becomes_a_wish_during_the_run_is_confirmed(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("nunca", gate=trio.Event()))
        message_id = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_edits(message_id, "STOP")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == [OUT]
        assert len(stage.model.calls) == 1
        assert outcomes(stage) == ["answered"]
        assert count(stage.settings.data_dir, "chats", where={"opted_out_at >": 0})


async def test_an_opt_out_written_to_an_agent_is_kept(tmp_path: Path) -> None:
    """The agent answers it, so the bot never does; unasked messages end all the same."""
    async with open_scene(tmp_path) as stage:
        data_dir = stage.settings.data_dir
        await stage.gateway.agent_says(LAURA, "Hola")
        await stage.gateway.customer_says(LAURA, "STOP")
        await stage.gateway.agent_says(LAURA, "Listo, no le escribimos más")
        await found(lambda: count(data_dir, "chats", where={"opted_out_at >": 0}))
        assert (await recado(data_dir, "send", LAURA, "Tenemos ofertas")).exit_code == 2
        assert stage.received() == []


async def test_an_opt_out_outlives_the_contact_and_nothing_old_comes_back(tmp_path: Path) -> None:
    async with open_scene(
        tmp_path, housekeeping={"sweep_seconds": 0.1}, history={"import_messages": 20}
    ) as stage:
        data_dir = stage.settings.data_dir
        await says(stage, "Soy Zoraida", 1)
        await says(stage, "stop", 2)
        assert (await recado(data_dir, "forget", LAURA, "--yes")).exit_code == 0
        assert LAURA not in str(rows(data_dir, "tombstones"))
        early = int(time.time()) - 60
        await stage.post(text_webhook("Soy Zoraida", "laura-late", timestamp=early))
        await found(lambda: "laura-late" in states_of(data_dir))
        assert states_of(data_dir)["laura-late"] == ("ignored", BEFORE_FORGOTTEN)
        assert "Zoraida" not in str(rows(data_dir, "messages"))
        later = int(time.time()) + 2
        await stage.post(text_webhook("¿Hola?", "laura-new", timestamp=later))
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert "Zoraida" not in str(stage.model.calls[-1].body)
        where = {"chat LIKE": "573001234567%", "channel": NUMBER}
        ((opted_out_at,),) = select(data_dir, "chats", "opted_out_at", where=where)
        assert opted_out_at > 0
        assert rows(data_dir, "tombstones") == []


async def test_an_opt_out_in_a_chat_that_an_agent_takes_just_then_is_left_to_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause begins when the turn is made and not answered: nothing is kept as said."""
    async with open_scene(tmp_path) as stage:
        opened = Turns.open

        async def open_and_lose(self: Turns, *args: Any, **kwargs: Any) -> Turn | None:
            turn = await opened(self, *args, **kwargs)
            await stage.gateway.agent_says(LAURA, "Yo la atiendo")
            return turn

        monkeypatch.setattr(Turns, "open", open_and_lose)
        await stage.gateway.customer_says(LAURA, "STOP")
        await found(lambda: outcomes(stage) == ["handed_off"])
        await stage.quiet()
        assert (stage.received(), outbox(stage)) == ([], [])
        assert count(stage.settings.data_dir, "chats", where={"opted_out_at >": 0})
