"""What people say without words: reactions, votes, places that move, calls, and what disappears."""

from pathlib import Path
from typing import Any

from support.model_script import say
from support.rows import select, states_of
from support.scenes import found, logged, model_input, open_scene, thread, words
from support.stage import LAURA, Stage, text_webhook

from daemon.domain.messages import JsonObject
from daemon.domain.prompt.message_text import GONE
from daemon.domain.states import WITH_AGENT
from daemon.domain.texts import texts
from daemon.domain.transitions.handover import AGENT_WROTE, AN_AGENT
from daemon.sandbox.payloads import OWN_NUMBER

EVERYTHING = ("messages", "thread_items", "events", "turns", "runs", "responses", "outbox")
"""The tables that have somebody's words."""


async def sends(
    stage: Stage, message_id: str, kind: str, content: JsonObject, **fields: Any
) -> None:
    """The customer sends something that is no text."""
    webhook = text_webhook("", message_id, **fields)
    message = webhook["messages"][0]
    del message["text"]
    message |= {"type": kind, kind: content}
    assert (await stage.post(webhook)).status_code == 200


async def says(stage: Stage, body: str, message_id: str, count: int, **fields: Any) -> None:
    """The customer writes and gets an answer, which is the ``count``-th."""
    assert (await stage.post(text_webhook(body, message_id, **fields))).status_code == 200
    await stage.gateway.wait_sent(LAURA, count)
    await stage.quiet()


async def test_a_reaction_is_known_at_the_next_turn(tmp_path: Path) -> None:
    """It is not answered, and the model knows what it was about."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Cuesta cien"))
        await says(stage, "¿Precio?", "m-1", 1)
        (ours,) = stage.gateway.sent(LAURA)
        action = {"type": "reaction", "target": ours.id, "emoji": "👍"}
        await sends(stage, "r-1", "action", action)
        await stage.quiet()
        assert len(stage.received()) == 1
        await says(stage, "Lo tomo", "m-2", 2)
        assert model_input(stage)[-2:] == ["[reacted 👍 to: Cuesta cien]", "Lo tomo"]


async def test_a_reaction_to_our_words_may_be_answered(tmp_path: Path) -> None:
    async with open_scene(tmp_path, replies={"answer_reactions": True}) as stage:
        stage.model.script(say("Cuesta cien"), say("¿Lo reservo?"))
        await says(stage, "¿Precio?", "m-1", 1)
        (ours,) = stage.gateway.sent(LAURA)
        for target in ("m-1", ours.id):
            action = {"type": "reaction", "target": target, "emoji": "👍"}
            await sends(stage, f"r-{target}", "action", action)
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert model_input(stage)[-1] == "[reacted 👍 to: Cuesta cien]"
        assert states_of(stage.settings.data_dir)["r-m-1"] == ("ignored", "a reaction")


async def test_a_vote_in_our_poll_is_an_answer(tmp_path: Path) -> None:
    """The agent asks from the phone; when the bot is back, the vote is answered with its words."""
    poll = {
        "title": "¿Hora?",
        "options": ["9", "10"],
        "results": [{"id": "id-9=", "name": "9"}, {"id": "id-10=", "name": "10"}],
    }
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        await says(stage, "Hola", "m-1", 1)
        await sends(stage, "p-1", "poll", poll, from_me=True, **{"from": OWN_NUMBER})
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        vote = {"type": "vote", "target": "p-1", "votes": ["id-10="]}
        await sends(stage, "v-1", "action", vote)
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert model_input(stage)[-1] == "[voted in the poll: ¿Hora?] 10"


async def test_a_place_that_moves_is_answered_once(tmp_path: Path) -> None:
    """Its updates are one note, and the last of them is what the model knows."""
    async with open_scene(tmp_path) as stage:
        for number in range(4):
            place = {"latitude": 4 + number, "longitude": -74}
            await sends(stage, f"l-{number}", "live_location", place)
            if not number:
                await stage.gateway.wait_sent(LAURA)
                await stage.quiet()
        await stage.quiet()
        assert len(stage.received()) == 1
        await says(stage, "Ya casi", "m-1", 2)
        places = [line for line in model_input(stage, role="user") if "live location" in line]
        assert places == [
            "[live location 4.00000, -74.00000]",
            "[live location 7.00000, -74.00000]",
        ]


async def test_a_missed_call_gets_a_polite_line_if_that_is_wanted(tmp_path: Path) -> None:
    """Once, however often Whapi tells of it and the customer tries; the model knows of it."""
    own = "Llámanos al fijo {número}"
    async with open_scene(tmp_path, replies={"answer_calls": True}, texts={"call": own}) as stage:
        await says(stage, "Hola", "m-1", 1)
        for call_id, status in (
            ("c-1", "ringing"),
            ("c-1", "missed"),
            ("c-1", "missed"),
            ("c-2", "missed"),
        ):
            call = {"id": call_id, "from": LAURA, "status": status, "timestamp": 0}
            answer = await stage.post({"calls": [call], "channel_id": "SANDBOX-00001"})
            assert answer.status_code == 200
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received()[1:] == [own]
        assert [words(item) for item in thread(stage)][-2:] == ["[called us over WhatsApp]"] * 2


async def test_calls_are_not_answered_by_default(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        call = {"id": "c-1", "chat_id": LAURA, "status": "missed"}
        await stage.post({"calls": [call], "channel_id": "SANDBOX-00001"})
        await stage.quiet()
        assert stage.gateway.ledger.sends == []
        assert texts("es").call


async def test_a_disappearing_message_is_answered_and_not_kept(tmp_path: Path) -> None:
    """The model sees it in its own turn; nothing of the store, log or thread has it afterwards."""
    secret = "mi clave es Sol"
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Anotado"), say("Con gusto"))
        await says(stage, secret, "m-1", 1, context={"ephemeral": 86400})
        assert model_input(stage)[-1] == secret
        await says(stage, "¿Y entonces?", "m-2", 2)
        assert model_input(stage, role="user") == [GONE, "¿Y entonces?"]
        assert secret not in everything(stage)
        assert secret not in stage.log.getvalue()


def everything(stage: Stage) -> str:
    """Whatever the store has of anybody's words."""
    data_dir = stage.settings.data_dir
    return str([select(data_dir, table) for table in EVERYTHING])


async def test_disappearing_messages_handled_by_an_agent_disappear_too(tmp_path: Path) -> None:
    """Kept while it waits, for the bot may have to answer it; gone when the agent has done so."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Yo te atiendo")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        secret = {"type": "text", "text": {"body": "mi clave es Sol"}}
        told_of = await stage.gateway.customer_sends(LAURA, secret | {"context": {"ephemeral": 1}})
        assert states_of(stage.settings.data_dir)[told_of] == (WITH_AGENT, AN_AGENT)
        assert "clave" in everything(stage)
        await stage.gateway.agent_says(LAURA, "Ya la anoté")
        await found(lambda: GONE in [words(item) for item in thread(stage)])
        await stage.quiet()
        assert states_of(stage.settings.data_dir)[told_of] == ("handed_off", AGENT_WROTE)
        assert "clave" not in everything(stage)
        assert "clave" not in stage.log.getvalue()
