"""`recado explain` on what a real daemon has written."""

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.model_script import call, say
from support.operator import recado, recado_at
from support.rows import count, rows
from support.scenes import found
from support.stage import LAURA, Stage, text_webhook

from daemon.ledger.views.traces import MessageTrace
from daemon.ops.commands.explain import timeline

CONTEXT_CALL = json.dumps({"context_level": "recent_50"})


TOLD = """\
message m1 in chat 5730…4567@s.whatsapp.net of number C
times in America/Bogota (UTC-0500); offsets from the arrival

2026-02-01 21:39:58.000      -2.250 s  message m1 sent, by WhatsApp's clock
2026-02-01 21:40:00.250      +0.000 s  event 7 (messages.post) stored, raw body deleted
2026-02-01 21:40:00.250      +0.000 s  message m1 arrived: text [4 characters]  <- asked for
2026-02-01 21:40:01.500      +1.250 s  message m1 edited by its author

message m1: dead (refused for 5730…6543)
no turn"""


async def answered(stage: Stage) -> str:
    """Let Laura be answered with the help of a tool; gives the WhatsApp id of the answer."""
    stage.model.script(call("get_conversation_context", CONTEXT_CALL), say("Sí, hay cupo."))
    await stage.post(text_webhook("Hola, soy Laura", "laura-0001"))
    await stage.post(text_webhook("Hola, soy Laura", "laura-0001"))
    (answer,) = await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    await found(lambda: count(stage.settings.data_dir, "stages"))
    return answer.id


async def test_explain_shows_the_whole_life_in_order_without_texts_and_numbers(
    stage: Stage,
) -> None:
    await answered(stage)
    told = await recado(stage.settings.data_dir, "explain", "laura-0001")
    assert told.exit_code == 0
    places = [
        told.stdout.index(part)
        for part in (
            "message laura-0001 in chat 5730…4567@s.whatsapp.net",
            "event 1 (messages.post) stored",
            "message laura-0001 arrived: text [15 characters]  <- asked for",
            "received 1 more times",
            "window closed: turn_",
            "run 1 began",
            "model call, round 0",
            "tool get_conversation_context(",
            "tool get_conversation_context finished in",
            "model call, round 1",
            "answer decided",
            "send 1 put into the outbox: [13 characters]",
            "send 1 attempted, try 1",
            "send 1 sent as",
            "turn ended: answered",
            "\nstages of the turn:",
            "\n  window ",
            "\n  openai_start ",
            "\n  function_calling ",
            "\n  delivery ",
            "\n  completed ",
            "message laura-0001: answered",
        )
    ]
    assert places == sorted(places)
    assert "tokens in" in told.stdout
    assert "+0.000 s" in told.stdout
    assert 'get_conversation_context({"context_level": "[9 characters]"})' in told.stdout
    for hidden in (LAURA, "Hola, soy", "hay cupo"):
        assert hidden not in told.stdout


async def test_explain_reveals_on_request_and_knows_the_answer_by_its_id(stage: Stage) -> None:
    sent_id = await answered(stage)
    told = await recado(stage.settings.data_dir, "explain", "laura-0001", "--reveal")
    for shown in (LAURA, "Hola, soy Laura", "Sí, hay cupo.", "recent_50"):
        assert shown in told.stdout
    by_answer = await recado(stage.settings.data_dir, "explain", sent_id)
    assert f"message {sent_id} in chat" in by_answer.stdout
    assert "window closed: turn_" in by_answer.stdout
    assert "message laura-0001: answered" in by_answer.stdout


async def test_explain_shows_the_delivery_updates_of_a_send(stage: Stage) -> None:
    """An attempt that was not delivered, the second one, and when the customer read it."""
    stage.gateway.faults.add(operation="delivery", kind="failed")
    stage.model.script(say("Sí, hay cupo."))
    await stage.post(text_webhook("Hola", "laura-0001"))
    failed, sent = await stage.gateway.wait_sent(LAURA, 2)
    stage.gateway.set_status(sent.id, "read")
    await found(
        lambda: rows(stage.settings.data_dir, "outbox", "delivered_at, read_at")[0],
        lambda row: all(row.values()),
    )
    told = (await recado(stage.settings.data_dir, "explain", "laura-0001")).stdout
    assert f"send 1 taken as {failed.id}, but not delivered: 131026" in told
    assert f"send 1 sent as {sent.id}, read" in told
    assert "send 1 delivered, by WhatsApp's clock" in told
    assert "send 1 read, by WhatsApp's clock" in told
    by_failed = await recado(stage.settings.data_dir, "explain", failed.id)
    assert "message laura-0001: answered" in by_failed.stdout


async def test_explain_gives_json_with_the_same_discretion(stage: Stage) -> None:
    await answered(stage)
    told = await recado(stage.settings.data_dir, "explain", "laura-0001", "--json")
    life = json.loads(told.stdout)
    assert life["turn"]["outcome"] == "answered"
    assert [r["round"] for r in life["runs"][0]["responses"]] == [0, 1]
    assert life["tool_calls"][0]["tool"] == "get_conversation_context"
    assert life["tool_calls"][0]["output"] == "[30 characters]"
    assert life["tool_calls"][0]["seconds"] >= 0
    assert life["outbox"][0]["state"] == "sent"
    assert life["messages"][0]["duplicates"] == 1
    assert isinstance(life["messages"][0]["received_at"], float)
    assert LAURA not in told.stdout
    assert "Hola, soy" not in told.stdout
    revealed = await recado(stage.settings.data_dir, "explain", "laura-0001", "--json", "--reveal")
    assert json.loads(revealed.stdout)["messages"][0]["content"]["body"] == "Hola, soy Laura"


async def test_an_error_of_a_tool_is_shown(stage: Stage) -> None:
    stage.model.script(call("no_such_tool", '{"note": "secreto"}'), say("Listo."))
    await stage.post(text_webhook("Hola", "laura-0001"))
    await stage.gateway.wait_sent(LAURA)
    told = await recado(stage.settings.data_dir, "explain", "laura-0001")
    assert "tool no_such_tool failed in" in told.stdout
    assert "there is no tool no_such_tool" in told.stdout
    assert "secreto" not in told.stdout


async def test_explain_shows_why_a_message_was_ignored(stage: Stage) -> None:
    await stage.post(text_webhook("   ", "laura-0002"))
    told = await recado(stage.settings.data_dir, "explain", "laura-0002")
    assert "message laura-0002: ignored (an empty text)\nno turn" in told.stdout


async def test_an_unknown_message_is_an_error_on_stderr(stage: Stage) -> None:
    told = await recado(stage.settings.data_dir, "explain", "nobody-0001")
    assert told.exit_code == 2
    assert told.stdout == ""
    assert "no message nobody-0001 is known" in told.stderr
    assert (await recado(stage.settings.data_dir, "explain", "")).exit_code == 2


async def test_every_message_of_the_store_can_be_explained(stage: Stage) -> None:
    """Echoes of our own sends and a human agent's words included."""
    await answered(stage)
    await stage.gateway.agent_says(LAURA, "Ya la atiendo yo")
    data_dir = stage.settings.data_dir
    ids = [row["id"] for row in rows(data_dir, "messages", "id")]
    assert len(ids) >= 3
    for message_id in ids:
        assert (await recado(data_dir, "explain", message_id)).exit_code == 0


def test_times_are_absolute_and_offsets_count_from_the_arrival() -> None:
    life = MessageTrace(
        message_id="m1",
        channel="C",
        chat="573001234567@s.whatsapp.net",
        events=[
            {
                "id": 7,
                "received_at": 1_770_000_000.25,
                "event": "messages.post",
                "body_kept": False,
                "unreadable": "",
            }
        ],
        messages=[
            {
                "id": "m1",
                "kind": "text",
                "from_me": False,
                "author_name": "",
                "content": {"type": "text", "body": "[4 characters]"},
                "sent_at": 1_769_999_998.0,
                "received_at": 1_770_000_000.25,
                "state": "dead",
                "reason": "refused for 573009876543",
                "duplicates": 0,
                "edited_at": 1_770_000_001.5,
                "deleted_at": None,
            }
        ],
    )
    assert timeline(life, zone=ZoneInfo("America/Bogota"), reveal=False) == TOLD


@pytest.mark.parametrize("command", ["explain", "export", "forget", "replay", "send", "backup"])
def test_each_command_teaches_with_an_example(command: str) -> None:
    told = recado_at(Path(), command, "--help")
    assert told.exit_code == 0
    assert f"recado {command} " in told.stdout.partition("Example:")[2]


async def test_explain_shows_who_has_a_message_and_who_closed_it(stage: Stage) -> None:
    await stage.gateway.agent_says(LAURA, "Hola")
    asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
    waits = (await recado(stage.settings.data_dir, "explain", asked)).stdout
    assert f"message {asked} waits for a person: an agent has the chat" in waits
    assert f"message {asked}: with_agent (an agent has the chat)" in waits
    await stage.gateway.agent_says(LAURA, "Sí hay")
    closed = (await recado(stage.settings.data_dir, "explain", asked)).stdout
    assert f"an agent wrote: message {asked} is handled by a person" in closed
    assert f"message {asked}: handed_off (an agent wrote)" in closed
    later = await stage.gateway.customer_says(LAURA, "Gracias")
    assert (await recado(stage.settings.data_dir, "done", LAURA)).exit_code == 0
    done = (await recado(stage.settings.data_dir, "explain", later)).stdout
    assert "done 5730…4567@s.whatsapp.net, 1 messages" in done
    assert f"message {later}: handed_off (done)" in done
