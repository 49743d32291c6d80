"""`recado replay`: what got no answer gets one, and what has one stays as it is."""

import base64
import json
import time
from typing import Any

from support.model_script import Step, say
from support.operator import recado
from support.rows import change, rows
from support.stage import LAURA, Stage, text_webhook

from daemon.ops.commands.place import os_actor
from daemon.sandbox.asgi import Upload
from daemon.sandbox.samples import read

HOURS = 3600
REFUSED = Step(status=400, code="invalid_prompt", message="refused")


def forget_errors(stage: Stage) -> None:
    """Take the errors that the test has caused on purpose out of the log."""
    stage.log.seek(0)
    stage.log.truncate()


async def dead_message(stage: Stage) -> None:
    """Let the model refuse a message of Laura for good."""
    stage.model.script(REFUSED)
    await stage.post(text_webhook("Hola", "laura-0001"))
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    forget_errors(stage)


async def test_dead_messages_are_answered_after_a_replay(stage: Stage) -> None:
    await dead_message(stage)
    data_dir = stage.settings.data_dir
    stage.model.script(say("Ahora sí."))
    done = await recado(data_dir, "replay", "--dead")
    assert done.exit_code == 0
    assert "laura-0001  5730…4567@s.whatsapp.net  put back: was dead (" in done.stdout
    assert "1 put back, 0 left alone" in done.stdout
    await stage.gateway.wait_sent(LAURA, 2)
    await stage.quiet()
    assert stage.received()[1] == "Ahora sí."
    told = await recado(data_dir, "explain", "laura-0001")
    assert f"operator by {os_actor().name}: replay laura-0001, was dead (" in told.stdout
    assert "message laura-0001: answered" in told.stdout


async def test_only_the_dead_of_one_chat_are_put_back_if_it_is_named(stage: Stage) -> None:
    await dead_message(stage)
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "replay", "--dead", "--chat", "573007654321", "--json")
    assert json.loads(done.stdout) == []
    done = await recado(data_dir, "replay", "--dead", "--chat", f"+{LAURA}", "--json")
    (one,) = json.loads(done.stdout)
    assert (one["message_id"], one["done"]) == ("laura-0001", True)
    assert LAURA not in done.stdout
    await stage.gateway.wait_sent(LAURA, 2)


async def test_an_expired_message_is_answered_however_old_it_is(stage: Stage) -> None:
    old = int(time.time()) - 10 * HOURS
    await stage.post(text_webhook("Hola", "laura-0001", timestamp=old))
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    data_dir = stage.settings.data_dir
    stage.model.script(say("Perdone la demora."))
    done = await recado(data_dir, "replay", "1")
    assert "put back: was expired (" in done.stdout
    await stage.gateway.wait_sent(LAURA, 2)
    assert stage.received()[1] == "Perdone la demora."
    assert rows(data_dir, "messages", "sent_at", where={"id": "laura-0001"}) == [{"sent_at": old}]


async def test_an_answered_message_is_unchanged(stage: Stage) -> None:
    await stage.post(text_webhook("Hola", "laura-0001"))
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "replay", "1")
    assert done.exit_code == 0
    assert "left alone: it was answered" in done.stdout
    assert rows(data_dir, "messages", "state", where={"id": "laura-0001"}) == [
        {"state": "answered"}
    ]
    assert rows(data_dir, "audit") == []


async def test_a_message_that_is_not_one_to_answer_stays_ignored(stage: Stage) -> None:
    await stage.post(text_webhook("   ", "laura-0001"))
    done = await recado(stage.settings.data_dir, "replay", "1")
    assert "left alone: it is not one to answer: an empty text" in done.stdout


async def test_a_message_ignored_by_mistake_is_answered(stage: Stage) -> None:
    """Such as one that an earlier version did not understand."""
    await stage.post(text_webhook("   ", "laura-0001"))
    data_dir = stage.settings.data_dir
    (stored,) = rows(data_dir, "messages", "message")
    readable = stored["message"].replace('"body":"   "', '"body":"Hola"')
    change(data_dir, "messages", {"message": readable})
    done = await recado(data_dir, "replay", "1")
    assert "put back: was ignored (an empty text)" in done.stdout
    await stage.gateway.wait_sent(LAURA)


async def test_formerly_unreadable_events_are_read_now(stage: Stage) -> None:
    """The raw event is in the store, its message is not: as if a version had stumbled over it."""
    await stage.post(text_webhook("   ", "laura-0001"))
    data_dir = stage.settings.data_dir
    body = json.dumps(text_webhook("¿Hay cupo?", "laura-0009", timestamp=1_700_000_000))
    change(data_dir, "events", {"body": body.encode(), "unreadable": "messages[0]: odd"})
    done = await recado(data_dir, "replay", "1")
    assert "laura-0009  5730…4567@s.whatsapp.net  put back: read now" in done.stdout
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert stage.model.calls[0].customer_texts == ["¿Hay cupo?"]
    again = await recado(data_dir, "replay", "1")
    assert "laura-0009  5730…4567@s.whatsapp.net  left alone: it was answered" in again.stdout
    assert "0 put back" in again.stdout


def last_part_types(stage: Stage) -> list[str]:
    """The kinds of the parts of the burst that the model was given last."""
    content: Any = stage.model.calls[-1].items[-1]["content"]
    return [part["type"] for part in content] if isinstance(content, list) else []


async def test_a_file_that_could_not_be_had_is_fetched_again(stage: Stage) -> None:
    """Whapi has it only by the time of the replay."""
    picture = Upload(read("receipt.jpg"), "image/jpeg", "receipt.jpg")
    media_id = stage.gateway.media.keep(picture)
    kept = stage.gateway.ledger.media.pop(media_id)
    stage.model.script(REFUSED, say("Bonita foto."))
    content = {"id": media_id, "mime_type": "image/jpeg"}
    await stage.gateway.contact(LAURA).send({"type": "image", "image": content})
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    forget_errors(stage)
    data_dir = stage.settings.data_dir
    assert rows(data_dir, "media", "state") == [{"state": "failed"}]
    stage.gateway.ledger.media[media_id] = kept
    assert "1 put back" in (await recado(data_dir, "replay", "--dead")).stdout
    await stage.gateway.wait_sent(LAURA, 2)
    assert "input_image" in last_part_types(stage)
    assert rows(data_dir, "media", "state") == [{"state": "stored"}]


async def test_a_picture_in_a_call_that_could_not_be_read_is_shown_after_its_replay(
    stage: Stage,
) -> None:
    await stage.post(text_webhook("   ", "laura-0001"))
    data_dir = stage.settings.data_dir
    link = f"data:image/jpeg;base64,{base64.b64encode(read('receipt.jpg')).decode()}"
    picture: dict[str, Any] = {"type": "image", "image": {"link": link, "mime_type": "image/jpeg"}}
    body = json.dumps(text_webhook("", "laura-0009", **picture))
    change(data_dir, "events", {"body": body.encode(), "unreadable": "messages[0]: odd"})
    await recado(data_dir, "replay", "1")
    await stage.gateway.wait_sent(LAURA)
    assert "input_image" in last_part_types(stage)
    stored = rows(data_dir, "messages", "message", where={"id": "laura-0009"})
    assert "base64" not in str(stored)


async def test_one_unknown_event_stops_the_whole_command(stage: Stage) -> None:
    await dead_message(stage)
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "replay", "1", "999")
    assert done.exit_code == 2
    assert "there is no event 999; nothing was put back" in done.stderr
    assert rows(data_dir, "messages", "state", where={"id": "laura-0001"}) == [{"state": "dead"}]


async def test_usage_errors_are_reported(stage: Stage) -> None:
    data_dir = stage.settings.data_dir
    for arguments in (["replay"], ["replay", "1", "--dead"], ["replay", "1", "--chat", LAURA]):
        assert (await recado(data_dir, *arguments)).exit_code == 2
