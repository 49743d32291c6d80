"""`recado forget` and `recado export`: one person of several, all of them, nobody else."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import Step, call, say
from support.operator import files_with, recado, recado_at
from support.place import cli_connection
from support.rows import count, rows
from support.scenes import found, role_of
from support.stage import CHANNEL, LAURA, Stage, open_stage, text_webhook

from daemon.ledger.admin.person import names_of
from daemon.ledger.forget.forget import look, write
from daemon.ledger.forget.jobs import ask, next_work
from daemon.ops.commands.place import os_actor

PEDRO = "573007654321"
GROUP = "120363000000000001@g.us"
LID = "99887766554433@lid"
WORDS = (
    "Cumpleaños de Matilde",
    "Zoraida",
    "Zarzuela para Zoraida",
    "Zurriago",
    "zapallo",
    "Zambo",
)
"""What Laura (here: Zoraida) has said and been told, and what tools were asked for her."""
EDITED = {
    "type": "edit",
    "target": "laura-0004",
    "edited_type": "text",
    "edited_content": {"body": "De parte de todos"},
}


def of_laura(body: str, message_id: str, **fields: Any) -> dict[str, Any]:
    """A message of the person who will be forgotten, under an unusual name."""
    return text_webhook(body, message_id, from_name="Zoraida", **fields)


async def several_people(stage: Stage) -> None:
    """Fill a store with all the ways in which one person leaves traces in it."""
    arguments = json.dumps({"context_level": "recent_50", "note": "Zurriago"})
    stage.model.script(
        call("get_conversation_context", arguments), say("Zarzuela para Zoraida, con gusto.")
    )
    await stage.post(of_laura("Cumpleaños de Matilde", "laura-0001"))
    (answer,) = await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    await stage.post(of_laura("zapallo " * 20_000, "laura-0002", chat_id=LID))
    await stage.gateway.wait_sent(LAURA, 2)
    await stage.quiet()
    quoted = {"quoted_id": "laura-0003", "quoted_author": LAURA, "quoted_type": "text"}
    for body in (
        of_laura("Zurriago en el grupo", "laura-0003", chat_id=GROUP),
        of_laura("Zambo", "laura-0004", chat_id=GROUP),
        of_laura("", "laura-0005", chat_id=GROUP, type="action", text=None, action=EDITED),
        text_webhook(
            "De acuerdo",
            "pedro-0001",
            PEDRO,
            chat_id=GROUP,
            from_name="Pedro",
            context={**quoted, "quoted_content": {"body": "Zurriago en el grupo"}},
        ),
        text_webhook(f"El número es {LAURA}.", "pedro-0002", PEDRO, from_name="Pedro"),
        {"presences": [{"contact_id": LAURA, "status": "online"}], "channel_id": CHANNEL},
        {"statuses": [{"id": answer.id, "status": "read"}], "channel_id": CHANNEL},
        {"messages_removed": ["laura-9999"], "channel_id": CHANNEL},
        {"contacts": [{"id": LAURA, "name": "Zoraida"}], "channel_id": CHANNEL},
    ):
        assert (await stage.post(body)).status_code == 200
    await stage.gateway.wait_sent(PEDRO)
    await stage.quiet()


@pytest.mark.sqlite  # it reads the bytes of the file
async def test_not_a_byte_of_a_person_stays_and_everybody_else_does(stage: Stage) -> None:
    await several_people(stage)
    data_dir = stage.settings.data_dir
    assert rows(data_dir, "aliases", "alias") == [{"alias": LID}]
    hers = rows(data_dir, "messages", "id", where={"chat LIKE": "57300123%"})
    ids = [row["id"] for row in hers]
    sent_ids = [message.id for message in stage.gateway.sent(LAURA)]
    (edited,) = rows(data_dir, "messages", "earlier", where={"id": "laura-0004"})
    assert [wording["words"] for wording in json.loads(edited["earlier"])] == ["Zambo"]
    traces = (LAURA, LID, *WORDS, *ids, *sent_ids, "laura-0003")
    assert {found.partition(": ")[2] for found in files_with(data_dir, *traces)} == set(traces)
    before = count(data_dir, "messages"), count(data_dir, "turns")

    done = await recado(data_dir, "forget", f"+{LAURA}", "--yes")

    assert done.exit_code == 0, done.stderr
    assert files_with(data_dir, *traces) == []
    assert (count(data_dir, "messages"), count(data_dir, "turns")) == before
    assert rows(data_dir, "outbox", "body", where={"chat": f"{PEDRO}@s.whatsapp.net"})
    (kept,) = rows(data_dir, "messages", "message", where={"id": "pedro-0001"})
    assert json.loads(kept["message"])["content"]["body"] == "De acuerdo"
    (mention,) = rows(data_dir, "messages", "message", where={"id": "pedro-0002"})
    assert "El número es forgotten-" in mention["message"]
    (audited,) = rows(data_dir, "audit JOIN audit_details ON audit_id = id", "action, subject")
    assert audited["action"] == "forget"
    assert audited["subject"].startswith("forgotten-")
    assert audited["subject"] in done.stdout
    # The daemon has not noticed: it answers her as somebody new, and Pedro as ever.
    await stage.post(text_webhook("Hola", "laura-0100"))
    await stage.post(text_webhook("Hola", "pedro-0100", PEDRO))
    await stage.gateway.wait_sent(LAURA, 3)
    await stage.gateway.wait_sent(PEDRO, 2)
    assert "Zarzuela" not in str(stage.model.calls[-1].body) + str(stage.model.calls[-2].body)
    for row in rows(data_dir, "messages", "id"):
        assert (await recado(data_dir, "explain", row["id"])).exit_code == 0


async def test_a_turn_under_way_is_ended_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        data_dir = stage.settings.data_dir
        gate = trio.Event()
        stage.model.script(Step(outputs=say("Zarzuela").outputs, gate=gate))
        await stage.post(of_laura("Cumpleaños de Matilde", "laura-0001"))
        await stage.model.wait_requests(1)
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.stderr
        gate.set()
        await stage.quiet()
        assert stage.received() == []
        assert rows(data_dir, "turns", "state, outcome, reason") == [
            {"state": "done", "outcome": "ignored", "reason": "forgotten"}
        ]
        assert rows(data_dir, "messages", "state, reason") == [
            {"state": "ignored", "reason": "forgotten"}
        ]
        assert stage.errors() == []
        await stage.stop()
        assert files_with(data_dir, LAURA, *WORDS) == []


async def test_work_cut_by_a_crash_is_done_at_the_next_start(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with open_stage(data_dir) as stage:
        await stage.post(of_laura("Cumpleaños de Matilde", "laura-0001"))
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
    with cli_connection(data_dir) as connection:
        names = names_of(connection, f"{LAURA}@s.whatsapp.net")
        name = ask(connection, names, by=os_actor(), now=time.time())
        work = next_work(connection, data_dir)
        assert work is not None
        write(connection, work, look(connection, work), now=time.time())
    async with open_stage(data_dir):
        await found(lambda: count(data_dir, "forgettings", where={"done_at": None}) == 0)
    assert files_with(data_dir, LAURA, *WORDS, "laura-0001") == []
    (audited,) = rows(data_dir, "audit JOIN audit_details ON audit_id = id", "actor, subject")
    assert audited == {"actor": os_actor().name, "subject": name}


async def test_it_asks_first(stage: Stage) -> None:
    await stage.post(text_webhook("Hola", "laura-0001"))
    data_dir = stage.settings.data_dir
    done = await trio.to_thread.run_sync(lambda: recado_at(data_dir, "forget", LAURA, answer="n\n"))
    assert done.exit_code == 1
    assert rows(data_dir, "messages", "id") == [{"id": "laura-0001"}]


async def test_forgetting_an_unknown_person_is_harmless(stage: Stage) -> None:
    await stage.post(text_webhook("Hola", "laura-0001"))
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "forget", PEDRO, "--yes")
    assert done.exit_code == 0
    assert "0 messages, 0 turns, 0 sends, 0 raw events" in done.stdout
    assert rows(data_dir, "messages", "id", where={"from_me": 0}) == [{"id": "laura-0001"}]
    name = done.stdout.split()[3].rstrip(":")
    assert (await recado(data_dir, "forget", name, "--yes")).exit_code == 2


async def test_a_longer_number_that_contains_it_is_another_person(stage: Stage) -> None:
    longer = f"{LAURA}9"
    await stage.post(text_webhook("Hola", "other-0001", longer))
    await stage.gateway.wait_sent(longer)
    await stage.quiet()
    data_dir = stage.settings.data_dir
    await recado(data_dir, "forget", LAURA, "--yes")
    assert rows(data_dir, "messages", "id", where={"chat": f"{longer}@s.whatsapp.net"})
    assert rows(data_dir, "events", "id", where={"body": None}) == []


async def test_export_holds_everything_of_one_person_and_nothing_of_others(stage: Stage) -> None:
    await several_people(stage)
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "export", LAURA)
    held = json.loads(done.stdout)
    assert held["chats"][0]["contact_name"] == "Zoraida"
    bodies = [m["message"]["content"].get("body", "") for m in held["messages"]]
    assert not {"author", "content_type", "words"} & set(held["messages"][0])  # said once
    assert "Cumpleaños de Matilde" in bodies
    assert "Zurriago en el grupo" in bodies
    assert held["turns"][0]["outcome"] == "answered"
    assert held["tool_calls"][0]["arguments"]["note"] == "Zurriago"
    assert held["outbox"][0]["body"] == "Zarzuela para Zoraida, con gusto."
    assert [role_of(entry["item"]) for entry in held["thread"]][:2] == ["data", "user"]
    assert held["model_calls"][0]["response"]["id"]
    for others in ("De acuerdo", "pedro-0002", PEDRO):
        assert others not in done.stdout


@pytest.mark.parametrize("chat", ["573009999999", ""])
async def test_export_of_an_unknown_person_is_an_error(stage: Stage, chat: str) -> None:
    done = await recado(stage.settings.data_dir, "export", chat)
    assert done.exit_code == 2
    assert done.stdout == ""


async def test_the_voice_notes_that_a_person_got_go_and_those_of_others_stay(
    tmp_path: Path,
) -> None:
    async with open_stage(tmp_path / "data", voice={"speech_model": "voz"}) as stage:
        data_dir = stage.settings.data_dir
        for person in (LAURA, PEDRO):
            voice = {"id": "oga-0a1b-0c2d", "mime_type": "audio/ogg"}
            stage.model.script(say("Con mucho gusto."))
            await stage.gateway.customer_sends(person, {"type": "voice", "voice": voice})
            await stage.gateway.wait_sent(person)
            await stage.quiet()
        files = {path.name for path in (data_dir / "audio").iterdir()}
        assert len(files) == 2
        assert (await recado(data_dir, "forget", LAURA, "--yes")).exit_code == 0
        (left,) = [path.name for path in (data_dir / "audio").iterdir()]
        (pedro,) = rows(data_dir, "outbox", "payload", where={"payload !=": "{}"})
        assert json.loads(pedro["payload"])["file"] == left


async def test_a_forgotten_persons_messages_leave_the_group_thread(tmp_path: Path) -> None:
    """With the answer to it and what was overheard; the turns of others stay."""
    async with open_stage(tmp_path / "data", groups={"mode": "all"}) as stage:
        data_dir = stage.settings.data_dir
        stage.model.script(say("Zarzuela, con gusto"), say("A las nueve"))
        await stage.post(of_laura("Zurriago", "laura-0001", chat_id=GROUP))
        await stage.gateway.wait_sent(GROUP)
        await stage.quiet()
        hours = text_webhook("¿A qué hora?", "pedro-0001", PEDRO, chat_id=GROUP, from_name="Pedro")
        await stage.post(hours)
        await stage.gateway.wait_sent(GROUP, 2)
        await stage.quiet()
        assert (await recado(data_dir, "forget", LAURA, "--yes")).exit_code == 0
        thread = [row["item"] for row in rows(data_dir, "thread_items", "item")]
        assert [item for item in thread if "Zurriago" in item or "Zarzuela" in item] == []
        assert [item for item in thread if "¿A qué hora?" in item or "nueve" in item] != []


@pytest.mark.sqlite  # it reads the bytes of the file
async def test_our_messages_in_a_group_lose_a_forgotten_persons_data(tmp_path: Path) -> None:
    """Neither what was answered to them, nor later answers that name or quote them."""
    said = "Zurriago a las cinco, por favor"
    arguments = json.dumps({"context_level": "recent_50", "note": f"Zoraida: {said}"})
    async with open_stage(tmp_path / "data", groups={"mode": "all"}) as stage:
        data_dir = stage.settings.data_dir
        stage.model.script(
            say("Zarzuela, con gusto"),
            call("get_conversation_context", arguments),
            say(f"Como dijo zoraida: «{said}». ¿Algo más, Pedro?"),
        )
        await stage.post(of_laura(said, "laura-0001", chat_id=GROUP))
        await stage.gateway.wait_sent(GROUP)
        await stage.quiet()
        quoted = {"quoted_id": "laura-0001", "quoted_author": LAURA, "quoted_type": "text"}
        context = {**quoted, "quoted_content": {"body": said}}
        pedro = {"chat_id": GROUP, "from_name": "Pedro"}
        await stage.post(text_webhook("¿Qué hay?", "pedro-0001", PEDRO, context=context, **pedro))
        await stage.gateway.wait_sent(GROUP, 2)
        await stage.quiet()
        like = {"target": "laura-0001", "type": "reaction", "emoji": "👍"}
        head = {"id": "pedro-0002", "from_me": False, "type": "action", "from": PEDRO, **pedro}
        sign = {"messages": [{**head, "timestamp": 1, "action": like}], "channel_id": CHANNEL}
        assert (await stage.post(sign)).status_code == 200
        await stage.quiet()
        ids = [message.id for message in stage.gateway.sent(GROUP)]
        traces = (LAURA, "Zurriago", "Zarzuela", "Zoraida", "zoraida", "laura-0001", ids[0])
        # The live log stores its lines once a second.
        await found(lambda: count(data_dir, "log_lines", where={"line LIKE": "%Como dijo%"}))
        left = {line.partition(": ")[2] for line in files_with(data_dir, *traces)}
        assert left == set(traces)

        done = await recado(data_dir, "forget", LAURA, "--yes")

        assert done.exit_code == 0, done.stderr
        assert files_with(data_dir, *traces) == []
        thread = " ".join(row["item"] for row in rows(data_dir, "thread_items", "item"))
        assert "¿Qué hay?" in thread
        assert "¿Algo más, Pedro?" in thread
        bodies = [row["body"] for row in rows(data_dir, "outbox", "body", order="id")]
        assert bodies[0] == ""
        assert bodies[1].endswith("¿Algo más, Pedro?")
        for row in rows(data_dir, "messages", "id"):
            assert (await recado(data_dir, "explain", row["id"])).exit_code == 0
        await stage.post(text_webhook("¿Y hoy?", "pedro-0003", PEDRO, **pedro))
        await stage.gateway.wait_sent(GROUP, 3)
        body = str(stage.model.calls[-1].body)
        assert "¿Qué hay?" in body
        assert not [trace for trace in traces if trace in body]


async def test_a_turn_of_a_group_under_way_is_ended_and_others_are_answered(
    tmp_path: Path,
) -> None:
    """The daemon was at work on words of two people; those of the other one wait again."""
    async with open_stage(tmp_path / "data", groups={"mode": "all"}) as stage:
        data_dir = stage.settings.data_dir
        gate = trio.Event()
        stage.model.script(Step(outputs=say("Zarzuela").outputs, gate=gate), say("A las nueve"))
        hours = text_webhook("¿A qué hora?", "pedro-0001", PEDRO, chat_id=GROUP, from_name="Pedro")
        hours["messages"] += of_laura("Zurriago", "laura-0001", chat_id=GROUP)["messages"]
        await stage.post(hours)
        await stage.model.wait_requests(1)
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.stderr
        gate.set()
        await stage.gateway.wait_sent(GROUP)
        await stage.quiet()
        assert stage.errors() == []
        assert stage.received(GROUP) == ["A las nueve"]
        asked = str(stage.model.calls[-1].body)
        assert "¿A qué hora?" in asked
        assert "Zurriago" not in asked
        for table in ("messages", "thread_items", "outbox", "responses", "events"):
            kept = str([dict(row) for row in rows(data_dir, table)])
            assert "¿A qué hora?" in kept or table in {"outbox", "responses", "events"}
            assert not [word for word in ("Zurriago", "Zarzuela", LAURA) if word in kept]
