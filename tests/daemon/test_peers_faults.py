"""Faults of other assistants for WhatsApp, and of the one that Recado replaces: a test each.

Only those that no other file of this folder shows; media, groups and brakes come with their work.
"""

from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import call, say
from support.rows import select, states_of
from support.scenes import (
    PEDRO,
    closes_with,
    forgive,
    found,
    model_input,
    open_scene,
    outcomes,
    thread,
    words,
)
from support.stage import LAURA, open_stage

from daemon.errors import StoreInUse
from daemon.sandbox.payloads import new_id, own_message
from daemon.startup import leaves

GROUP = "120363040000000001@g.us"
TOOLS = '''
"""Tools that know whom they are called for, for tests."""

from pathlib import Path

import trio

from daemon.tools.tool import ToolContext, tool

FOLDER = Path(__file__).parent


@tool
async def who_asks(context: ToolContext) -> str:
    """Say who asks, once two do."""
    (FOLDER / f"{context.key.chat}.asked").touch()
    while len(list(FOLDER.glob("*.asked"))) < 2:
        await trio.sleep(0.01)
    return f"asked by {context.contact_name} in {context.key.chat}"


@tool
async def never_ends() -> str:
    """Look something up for ever."""
    (FOLDER / "begun").touch()
    await trio.sleep_forever()
    return ""


@tool
async def heavy() -> str:
    """Give a whole file back."""
    return "Recado " * 200_000
'''


def tools_in(tmp_path: Path) -> dict[str, Any]:
    """Settings with the tools above."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "tools.py").write_text(TOOLS)
    return {"folder": folder}


async def test_a_message_redelivered_after_forty_minutes_and_a_restart_is_nothing_new(
    tmp_path: Path,
) -> None:
    """The gateway did not see our 200 and tells again, long after: no second answer."""
    async with open_scene(tmp_path) as stage:
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.redeliver(asked, deliver="acknowledged")
        await stage.stop()
        stage.later_seconds = 40 * 60.0
        await stage.start()
        await stage.gateway.redeliver(asked, deliver="acknowledged")
        await stage.quiet()
        assert (len(stage.received()), len(stage.model.calls)) == (1, 1)
        rows = select(stage.settings.data_dir, "messages", "duplicates", where={"id": asked})
        assert rows == [(2,)]


async def test_a_presence_in_the_same_payload_as_a_message_is_seen(tmp_path: Path) -> None:
    """One call with both keys: the message is taken, and the typing waited for."""
    patient = {"typing_seconds": 60.0, "max_wait_seconds": 60.0}
    async with open_scene(tmp_path, buffer=patient) as stage:
        message = stage.gateway.compose(LAURA, "Hola")
        typing = [{"contact_id": LAURA, "status": "typing"}]
        await stage.gateway.announce([message], presences=typing)
        await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [c.customer_texts for c in stage.model.calls] == [["Hola\n¿hay cupo?"]]


async def test_a_burst_of_pictures_text_and_voice_keeps_its_order(tmp_path: Path) -> None:
    """Two pictures, a text and a voice note are one turn, each part named in its place."""
    async with open_scene(tmp_path, buffer=closes_with(4)) as stage:
        media = {"id": "jpeg-0001-abcd", "mime_type": "image/jpeg", "file_size": 10}
        contents: list[dict[str, Any]] = [
            {"type": "image", "image": {**media, "caption": "la fachada"}},
            {"type": "image", "image": {**media, "caption": "el cuarto"}},
            {"type": "text", "text": {"body": "¿son estas?"}},
            {"type": "voice", "voice": {**media, "mime_type": "audio/ogg", "seconds": 3}},
        ]
        for content in contents:
            await stage.gateway.customer_sends(LAURA, content)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        (asked,) = stage.model.calls
        text = words(asked.items[-1])
        places = [text.index(part) for part in ("la fachada", "el cuarto", "¿son estas?", "voice")]
        assert places == sorted(places)


async def test_a_very_short_message_is_a_message(tmp_path: Path) -> None:
    """Nothing that a person wrote is taken for noise."""
    texts = ["Sí", "Si...", "👍", "ok", "?", "1"]
    async with open_scene(tmp_path) as stage:
        for number, text in enumerate(texts):
            await stage.gateway.customer_says(f"57300555110{number}", text)
        for number in range(len(texts)):
            await stage.gateway.wait_sent(f"57300555110{number}")
        asked = [text for asked in stage.model.calls for text in asked.customer_texts]
        assert sorted(asked) == sorted(texts)


async def test_an_interim_message_of_the_bot_is_not_taken_for_a_human(tmp_path: Path) -> None:
    """The apology of an outage comes back under another id: the bot still gives its answer."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = "other_id"
        stage.model.script(*(say("", status=500) for _ in range(3)), say("Sí hay"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert len(stage.received()) == 2
        assert stage.received()[-1] == "Sí hay"
        assert stage.events("an agent writes") == []
        forgive(stage)


async def test_a_contact_under_two_ids_is_one_conversation(tmp_path: Path) -> None:
    """WhatsApp shows one person now by number, now by an opaque id: the thread goes on."""
    lid = "88112233445566@lid"
    async with open_scene(tmp_path) as stage:
        stage.gateway.directory.lids[LAURA] = lid
        await stage.gateway.customer_says(LAURA, "Soy Laura y quiero la 101")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: stage.events("two ids of one person joined"))
        await stage.quiet()
        await stage.gateway.customer_says(lid, "¿Quedó?")
        await stage.model.wait_requests(2)
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        assert "Soy Laura y quiero la 101" in model_input(stage, 1)


async def test_participants_do_not_rename_a_group(tmp_path: Path) -> None:
    """The group keeps its name, whoever of it writes, and nobody of it becomes its contact."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.ledger.chat(GROUP, name="Familia", members={LAURA: "Laura", PEDRO: "Pedro"})
        for author in (LAURA, PEDRO):
            await stage.gateway.customer_says(GROUP, "Hola a todos", author=author)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        rows = select(stage.settings.data_dir, "chats", "name, contact_name", where={"chat": GROUP})
        assert rows == [("Familia", "")]


@pytest.mark.sqlite  # on PostgreSQL it stands by
async def test_a_second_daemon_on_the_same_store_is_refused(tmp_path: Path) -> None:
    """Two processes would answer everything twice: the later one does not start."""
    async with open_scene(tmp_path):
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_stage(tmp_path / "data"):
                pytest.fail("it started")
        assert [type(error) for error in leaves(caught.value)] == [StoreInUse]


async def test_the_typing_indicator_is_not_left_on_when_nothing_follows(tmp_path: Path) -> None:
    """The model is over its limits for a while: the customer is not shown typing all that time."""
    async with open_scene(tmp_path, delivery={"typing": True}) as stage:
        stage.model.script(say("", status=429, headers={"retry-after": "30"}))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.wait_for(lambda: len(stage.gateway.presences(LAURA)) >= 2)
        shown = [presence.presence for presence in stage.gateway.presences(LAURA)]
        assert shown == ["typing", "pause"]
        await stage.crash()


async def test_a_quote_belongs_to_its_own_chat(tmp_path: Path) -> None:
    """Two customers write on while they are answered: each is quoted in their own chat."""
    async with open_scene(tmp_path) as stage:
        late = {}
        for chat in (LAURA, PEDRO):
            held = stage.gateway.faults.add(
                operation="send", kind="hold_answer", chat=f"{chat}@s.whatsapp.net"
            )
            await stage.gateway.customer_says(chat, "Hola")
            await held.reached.wait()
            late[chat] = await stage.gateway.customer_says(chat, "¿y el precio?")
            first = len(stage.gateway.sent(chat))
            held.release()
            await stage.gateway.wait_sent(chat, first + 1)
        for chat in (LAURA, PEDRO):
            assert {s.quoted for s in stage.gateway.sent(chat)} == {"", late[chat]}


async def test_the_customers_quote_reaches_the_model_and_is_not_quoted_back(tmp_path: Path) -> None:
    """No phantom quotes: only a late message is quoted by an answer."""
    async with open_scene(tmp_path) as stage:
        first = await stage.gateway.customer_says(LAURA, "La 101 cuesta cien")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        await stage.gateway.customer_says(LAURA, "¿esto es por noche?", quote=first)
        answer = (await stage.gateway.wait_sent(LAURA, 2))[-1]
        assert answer.quoted == ""
        assert words(stage.model.calls[-1].items[-1]) == (
            "> La 101 cuesta cien\n¿esto es por noche?"
        )


async def test_customers_at_the_same_time_are_never_mixed_up(tmp_path: Path) -> None:
    """Two runs are in the same tool at once: each call knows its own chat and contact."""
    async with open_scene(tmp_path, tools=tools_in(tmp_path)) as stage:
        stage.model.script(call("who_asks"), call("who_asks"))
        await stage.gateway.customer_says(LAURA, "Soy Laura", name="Laura")
        await stage.gateway.customer_says(PEDRO, "Soy Pedro", name="Pedro")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.wait_sent(PEDRO)
        for asked in stage.model.calls[2:]:
            spoken = " ".join(words(item) for item in asked.items)
            name, number = ("Laura", LAURA) if "Soy Laura" in spoken else ("Pedro", PEDRO)
            assert f"asked by {name} in {number}@s.whatsapp.net" in spoken


async def test_a_message_during_a_tool_call_leaves_no_call_without_output(tmp_path: Path) -> None:
    """The old run's pending call is not carried into the new one; the server refuses nothing."""
    async with open_scene(tmp_path, tools=tools_in(tmp_path)) as stage:
        stage.model.script(call("never_ends"), say("ambas cosas"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await found((tmp_path / "tools" / "begun").exists)
        await stage.gateway.customer_says(LAURA, "para el sábado")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.customer_says(LAURA, "gracias")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[0] == "ambas cosas"
        assert [c.outcome for c in stage.model.calls] == ["finished"] * 3


async def test_an_enormous_tool_output_is_cut(tmp_path: Path) -> None:
    """More than a megabyte came back: the model gets its beginning, the customer an answer."""
    async with open_scene(tmp_path, tools=tools_in(tmp_path)) as stage:
        stage.model.script(call("heavy"), say("listo"))
        await stage.gateway.customer_says(LAURA, "Busca todo")
        await stage.gateway.wait_sent(LAURA)
        (output,) = [i["output"] for i in stage.model.calls[1].items if "output" in i]
        assert len(output) < 40_000
        assert output.startswith("Recado Recado")


async def test_a_hung_run_does_not_silence_the_messages_after_it(tmp_path: Path) -> None:
    """The bot was mute for a chat once its run was stuck: now the run ends and the chat goes on."""
    async with open_scene(tmp_path, assistant={"run_timeout_seconds": 2.0}) as stage:
        stage.model.script(*(say("nunca", gate=trio.Event()) for _ in range(3)))
        stuck = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await found(lambda: outcomes(stage) == ["dead", "answered"])
        assert states_of(stage.settings.data_dir)[stuck][0] == "dead"
        forgive(stage)


async def test_a_story_of_the_business_is_no_takeover(tmp_path: Path) -> None:
    """What the owner shows to all contacts from the phone opens no chat and pauses none."""
    async with open_scene(tmp_path) as stage:
        story = own_message(
            {"type": "text", "text": {"body": "¡Promoción!"}},
            message_id=new_id(stage.environment.random),
            chat="status@broadcast",
            at=stage.environment.now(),
            source="mobile",
        )
        await stage.gateway.announce([story], deliver="acknowledged")
        await stage.quiet()
        rows = select(stage.settings.data_dir, "messages", "state, reason")
        assert rows == [("ignored", "not a conversation")]
        assert thread(stage, "status@broadcast") == []


async def test_every_message_has_an_outcome_in_the_end(tmp_path: Path) -> None:
    """Whatever came, nothing is left open."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.customer_sends(LAURA, {"type": "unknown", "source": "system"})
        await stage.gateway.customer_sends(LAURA, {"type": "call", "source": "system"})
        await stage.gateway.agent_says(PEDRO, "Buenas")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        states = [state for state, _ in states_of(stage.settings.data_dir).values()]
        assert sorted(states) == ["answered", "ignored", "ignored"]
