"""Groups: answered when addressed, with what was said meanwhile, and nothing leaks out of them."""

from pathlib import Path
from typing import Any

import pytest
from support.model_script import call, say
from support.rows import count, select, states_of
from support.scenes import (
    QUICK_RULES,
    closes_with,
    forgive,
    found,
    logged,
    model_input,
    open_scene,
    role_of,
    thread,
    words,
)
from support.stage import LAURA, Stage, text_webhook

from daemon.domain.prompt.message_text import UNADDRESSED
from daemon.domain.records import NOT_ADDRESSED
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import AGENT_WROTE, AN_AGENT

PEDRO = "573007654321"
OURS = "573000000001"
GROUP = "120363012345678901@g.us"
NAMES = {LAURA: "Laura", PEDRO: "Pedro"}
OWN_NUMBER = {"own_number": (OURS,)}


async def says(stage: Stage, author: str, body: str, message_id: str, **fields: Any) -> None:
    """Somebody writes in the group."""
    webhook = text_webhook(
        body,
        message_id,
        author,
        **{"chat_id": GROUP, "from_name": NAMES[author], "chat_name": "Familia", **fields},
    )
    assert (await stage.post(webhook)).status_code == 200


def mention(*who: str) -> dict[str, Any]:
    return {"context": {"mentions": list(who or (OURS,))}}


async def answered(stage: Stage, count: int = 1) -> None:
    await stage.gateway.wait_sent(GROUP, count)
    await stage.quiet()


async def test_only_messages_to_us_are_answered_with_the_groups_earlier_ones(
    tmp_path: Path,
) -> None:
    """The talk of the group is told once, and stays in the thread; the answer quotes."""
    async with open_scene(tmp_path, groups=OWN_NUMBER) as stage:
        stage.model.script(say("Sí"), say("También"))
        await says(stage, PEDRO, "¿Quién reserva?", "m-1")
        await says(stage, LAURA, "Yo", "m-2")
        await says(stage, LAURA, "@573000000001 ¿hay cupo?", "m-3", **mention())
        await answered(stage)
        await says(stage, PEDRO, "Gracias", "m-4")
        await says(stage, PEDRO, "@573000000001 ¿y el domingo?", "m-5", **mention())
        await answered(stage, 2)
        first, second = (
            [words(item) for item in call.items if role_of(item) == "user"]
            for call in stage.model.calls
        )
        talk = f"{UNADDRESSED}\nPedro (5730…4321): ¿Quién reserva?\nLaura (5730…4567): Yo"
        question = "Laura (5730…4567): @573000000001 ¿hay cupo?"
        assert first == [talk, question]
        assert second == [
            talk,
            question,
            f"{UNADDRESSED}\nPedro (5730…4321): Gracias",
            "Pedro (5730…4321): @573000000001 ¿y el domingo?",
        ]
        found = states_of(stage.settings.data_dir)
        assert [found[f"m-{n}"] for n in (1, 2, 4)] == [("ignored", NOT_ADDRESSED)] * 3
        assert [sent.quoted for sent in stage.gateway.sent(GROUP)] == ["m-3", "m-5"]


async def asks(stage: Stage, words: str) -> str:
    """Somebody writes in the group of the gateway's own channel; gives the message's id."""
    asked = {"type": "text", "text": {"body": words}}
    return await stage.gateway.customer_sends(GROUP, asked, author=PEDRO)


async def test_the_first_mention_on_a_fresh_store_is_answered(tmp_path: Path) -> None:
    """Our number and its lid are asked of the gateway before the first message is taken."""
    async with open_scene(tmp_path, started=False) as stage:
        stage.gateway.directory.lids[OURS] = "998877665544332@lid"
        await stage.start()
        await asks(stage, f"@{OURS} ¿hay cupo?")
        await answered(stage)
        await asks(stage, "@998877665544332 ¿y el domingo?")
        await answered(stage, 2)


async def test_our_number_is_learnt_when_the_phone_is_linked_later(tmp_path: Path) -> None:
    async with open_scene(tmp_path, started=False) as stage:
        stage.gateway.channel.change("QR")
        await stage.start()
        first = await asks(stage, f"@{OURS} ¿hay cupo?")
        path = stage.settings.data_dir
        await found(lambda: states_of(path).get(first) == ("ignored", NOT_ADDRESSED))
        stage.gateway.channel.change("AUTH")
        await found(lambda: count(path, "own_ids", where={"id": OURS}))
        await asks(stage, f"@{OURS} ¿y el domingo?")
        await answered(stage)
        forgive(stage)  # that nobody was linked


async def test_an_answer_to_our_words_addresses_us(tmp_path: Path) -> None:
    """Our number is learnt from the echo of what we have said; the quoted words go along."""
    async with open_scene(tmp_path, groups=OWN_NUMBER | {"quote": False}) as stage:
        stage.model.script(say("Sí, hay cupo"), say("Con gusto"))
        await says(stage, LAURA, "¿hay cupo?", "m-1", **mention())
        await answered(stage)
        (ours,) = stage.gateway.sent(GROUP)
        await says(stage, PEDRO, "Lo tomo", "m-2", context={"quoted_id": ours.id})
        await answered(stage, 2)
        assert model_input(stage)[-1] == "> Sí, hay cupo\nPedro (5730…4321): Lo tomo"
        assert [sent.quoted for sent in stage.gateway.sent(GROUP)] == ["", ""]


async def test_our_own_lid_is_asked_for_and_recognised(tmp_path: Path) -> None:
    """Our number shows in the first echo; with the next new contact its lid is looked up."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.directory.lids[OURS] = "998877665544332@lid"
        for chat in (LAURA, PEDRO):
            await stage.gateway.customer_says(chat, "Hola")
            await stage.gateway.wait_sent(chat)
            await stage.quiet()
        await found(
            lambda: select(stage.settings.data_dir, "own_ids", "id", where={"id LIKE": "9%"})
        )
        asked = {"type": "text", "text": {"body": "@998877665544332 ¿hay cupo?"}}
        await stage.gateway.customer_sends(GROUP, asked, author=PEDRO)
        await answered(stage)


async def test_a_member_who_continues_is_still_addressing_us(tmp_path: Path) -> None:
    async with open_scene(tmp_path, groups=OWN_NUMBER, buffer=closes_with(2)) as stage:
        await says(stage, LAURA, "@573000000001 ¿hay cupo?", "m-1", **mention())
        await says(stage, LAURA, "para dos", "m-2")
        await says(stage, PEDRO, "nosotros no vamos", "m-3")
        await answered(stage)
        assert model_input(stage)[-1].splitlines() == [
            "Laura (5730…4567): @573000000001 ¿hay cupo?",
            "Laura (5730…4567): para dos",
        ]
        assert states_of(stage.settings.data_dir)["m-3"] == ("ignored", NOT_ADDRESSED)


@pytest.mark.parametrize(
    ("mode", "fate"),
    [("all", ("answered", "")), ("off", ("ignored", "groups are not answered"))],
)
async def test_all_or_nothing(tmp_path: Path, mode: str, fate: tuple[str, str]) -> None:
    async with open_scene(tmp_path, groups={"mode": mode}) as stage:
        await says(stage, LAURA, "Buenas", "m-1")
        await stage.quiet()
        assert states_of(stage.settings.data_dir)["m-1"] == fate
        assert len(stage.received(GROUP)) == (1 if mode == "all" else 0)


async def test_a_denied_member_is_not_answered_and_the_others_are(tmp_path: Path) -> None:
    """In the group and in the private chat alike, by the number."""
    async with open_scene(
        tmp_path, groups={"mode": "all"}, contacts={"deny": (f"+{PEDRO}",)}
    ) as stage:
        await says(stage, PEDRO, "Buenas", "m-1")
        await stage.post(text_webhook("Hola", "m-2", PEDRO))
        await says(stage, LAURA, "Hola a todos", "m-3")
        await answered(stage)
        assert states_of(stage.settings.data_dir) == {
            "m-1": ("ignored", "a contact that is not answered"),
            "m-2": ("ignored", "a contact that is not answered"),
            "m-3": ("answered", ""),
        }


async def test_an_agent_who_writes_in_a_group_pauses_the_bot_there(tmp_path: Path) -> None:
    """Also where the group itself is not answered otherwise; its thread has what was said."""
    async with open_scene(tmp_path, groups={"mode": "all"}) as stage:
        await stage.gateway.agent_says(GROUP, "Yo les ayudo")
        thanks = await stage.gateway.customer_says(GROUP, "Gracias", author=LAURA)
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert stage.received(GROUP) == []
        assert states_of(stage.settings.data_dir)[thanks] == (WITH_AGENT, AN_AGENT)
        assert [item["role"] for item in _thread(stage)] == ["user", "assistant"]
        await stage.gateway.agent_says(GROUP, "Con gusto")
        await found(lambda: len(_thread(stage)) > 2)
        await stage.quiet()
        assert stage.received(GROUP) == []
        assert states_of(stage.settings.data_dir)[thanks] == ("handed_off", AGENT_WROTE)
        said_by = [(item["role"], words(item)) for item in _thread(stage)]
        assert said_by[1] == ("assistant", "Yo les ayudo")
        assert "Gracias" in said_by[2][1]
        assert said_by[-1] == ("assistant", "Con gusto")


def _thread(stage: Stage) -> list[dict[str, Any]]:
    return thread(stage, GROUP)


async def test_facts_about_a_member_stay_in_the_private_chat(tmp_path: Path) -> None:
    """A group has facts of its own, told as the group's."""
    async with open_scene(tmp_path, groups={"mode": "all"}, rules=QUICK_RULES) as stage:
        stage.model.script(
            call("remember", '{"fact": "Es alérgica al maní"}'), say("Anotado"), say("Hola a todos")
        )
        await stage.post(text_webhook("Soy alérgica al maní", "m-1", LAURA))
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        await says(stage, LAURA, "Buenas", "m-2")
        await answered(stage)
        assert "alérgica" not in " ".join(model_input(stage))
        stage.model.script(
            call("remember", '{"fact": "Viajan en mayo"}'), say("Anotado"), say("En mayo")
        )
        await says(stage, PEDRO, "Viajamos en mayo", "m-3")
        await answered(stage, 2)
        await says(stage, PEDRO, "¿Cuándo viajamos?", "m-4")
        await answered(stage, 3)
        assert "[Remembered about this group]" in model_input(stage)[0]
        assert "Viajan en mayo" in model_input(stage)[0]


async def test_an_answer_mentions_the_author_if_several_write(tmp_path: Path) -> None:
    """Nobody needs it while one person talks to the bot alone."""
    async with open_scene(tmp_path, groups={"mode": "all"}) as stage:
        stage.model.script(say("Sí, hay"), say("A las tres"), say("Con gusto, @998877665544332"))
        await says(stage, LAURA, "¿Hay cupo?", "m-1")
        await answered(stage)
        await says(stage, PEDRO, "¿A qué hora?", "m-2")
        await answered(stage, 2)
        await says(stage, LAURA, "Gracias", "m-3", **{"from": "998877665544332@lid"})
        await answered(stage, 3)
        sent = stage.gateway.sent(GROUP)
        assert [one.text for one in sent] == [
            "Sí, hay",
            f"@{PEDRO} A las tres",
            "Con gusto, @998877665544332",
        ]
        mentioned = [one.request.get("mentions") for one in sent]
        assert mentioned == [None, [PEDRO], ["998877665544332@lid"]]
        assert "A las tres" in [words(item) for item in _thread(stage)]


async def test_mentions_can_be_switched_off(tmp_path: Path) -> None:
    async with open_scene(tmp_path, groups={"mode": "all", "mention": False}) as stage:
        stage.model.script(say("Buenas"), say("A las tres"))
        await says(stage, LAURA, "Hola", "m-1")
        await answered(stage)
        await says(stage, PEDRO, "¿A qué hora?", "m-2")
        await answered(stage, 2)
        assert stage.received(GROUP) == ["Buenas", "A las tres"]


async def test_a_mention_in_doubt_is_found_again(tmp_path: Path) -> None:
    """A send of unknown outcome is looked for with the words that it really has."""
    async with open_scene(tmp_path, groups={"mode": "all"}) as stage:
        stage.model.script(say("Buenas"), say("A las tres"))
        await says(stage, LAURA, "Hola", "m-1")
        await answered(stage)
        stage.gateway.echoes.mode = "missing"
        stage.gateway.faults.add(operation="send", kind="status_after")
        await says(stage, PEDRO, "¿A qué hora?", "m-2")
        await answered(stage, 2)
        assert stage.gateway.calls("list")
        assert stage.received(GROUP) == ["Buenas", f"@{PEDRO} A las tres"]
