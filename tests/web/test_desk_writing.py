"""Writing from the desk: files, quotes, reactions, and the first message of a chat."""

import json
import re
from pathlib import Path

from support.dashboard import bubbles_of, open_browser, ref_of
from support.model_script import say
from support.rows import rows
from support.scenes import open_scene
from support.stage import LAURA, Stage

from daemon.http.dashboard.desk import filled

CLICK = "0123456789-click"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 60


async def written(stage: Stage) -> str:
    """Laura wrote and was answered; gives the id of her message."""
    asked = await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
    await stage.gateway.wait_sent(LAURA)
    return str(asked)


async def test_files_are_sent_as_pictures_voice_notes_and_documents(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await written(stage)
        ref = await ref_of(browser, "Laura")
        for name, data in (
            ("room.png", PNG),
            ("note.ogg", b"OggS" + b"0" * 60),
            ("bill.pdf", b"%PDF-1.4"),
        ):
            sent = await browser.post(
                f"/api/v1/chats/{ref}/files", params={"name": name, "agent": "Marta"}, content=data
            )
            assert sent.status_code == 202, sent.text
        messages = await stage.gateway.wait_sent(LAURA, 4)
        assert [message.kind for message in messages[1:4]] == ["image", "voice", "document"]
        kinds = [row["kind"] for row in rows(stage.settings.data_dir, "outbox", order="id")]
        assert kinds == ["text", "image", "voice", "document"]
        shown = (await bubbles_of(browser, ref))["bubbles"]
        assert [bubble["content"]["file_name"] for bubble in shown[2:]] == [
            *("room.png", "note.ogg", "bill.pdf"),
        ]
        assert {bubble["name"] for bubble in shown[2:]} == {"Marta"}


async def test_a_message_is_quoted_and_reacted_to_by_what_the_page_says(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        asked = await written(stage)
        ref = await ref_of(browser, "Laura")
        page = (await browser.get(f"/dashboard/chats/{ref}")).text
        quoted = re.findall(r'data-quote="([^"]*)"', page)[0]
        reacted = re.findall(r'data-message="([^"]*)"', page)[0]
        path = f"/api/v1/chats/{ref}/messages"
        words = {"type": "text", "text": "Esto", "quote": quoted}
        assert (await browser.post(path, json=words)).status_code == 202
        sign = {"emoji": "👍"}
        assert (await browser.post(f"{path}/{reacted}/reaction", json=sign)).status_code == 204
        messages = await stage.gateway.wait_sent(LAURA, 2)
        assert messages[1].quoted == asked
        shown = (await bubbles_of(browser, ref))["bubbles"]
        assert shown[-1]["quote"]["body"] == "Hola"
        kinds = [row["kind"] for row in rows(stage.settings.data_dir, "outbox", order="id")]
        assert kinds == ["text", "text", "reaction"]


async def test_a_chat_is_begun_with_a_number_that_never_wrote(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        message = {"type": "text", "text": "Hola, soy Marta"}
        begun = await browser.post("/api/v1/messages", json={"to": LAURA, "message": message})
        assert begun.status_code == 202, begun.text
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Hola, soy Marta"]
        page = await browser.get(f"/dashboard/chats/{begun.json()['chat']}")
        assert "Hola, soy Marta" in page.text


async def test_a_person_may_still_answer_somebody_who_has_opted_out(tmp_path: Path) -> None:
    """Who writes to a number instead begins a conversation: that is refused."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await written(stage)
        path = f"/api/v1/chats/{await ref_of(browser, 'Laura')}"
        assert (await browser.post(f"{path}/consent", json={"opted_out": True})).is_success
        message = {"type": "text", "text": "Con gusto"}
        assert (await browser.post(f"{path}/messages", json=message)).status_code == 202
        first = await browser.post("/api/v1/messages", json={"to": LAURA, "message": message})
        assert first.status_code == 409
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[1:] == ["Con gusto"]


async def test_the_model_suggests_what_a_colleague_then_sends(tmp_path: Path) -> None:
    """It knows what waits and the marked notes, has no tools, and sends nothing by itself."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await written(stage)
        ref = await ref_of(browser, "Laura")
        path = f"/dashboard/api/chats/{ref}"
        note = {"text": "Es alérgica", "model": True, "action": CLICK}
        assert (await browser.post(f"{path}/notes", json=note)).is_success
        await stage.gateway.agent_says(LAURA, "Hola, soy Marta")
        await stage.gateway.customer_says(LAURA, "¿Hay desayuno?")
        before = len(stage.model.calls)
        stage.model.script(say("Sí, con gusto."))
        answer = await browser.post(f"{path}/suggest", json={})
        assert answer.json() == {"text": "Sí, con gusto."}
        (asked,) = stage.model.calls[before:]
        items = json.dumps(asked.items, ensure_ascii=False)
        assert "¿Hay desayuno?" in items
        assert "Es alérgica" in items
        assert not asked.body.get("tools")
        assert [row["body"] for row in rows(stage.settings.data_dir, "outbox")] == stage.received()


def test_the_variables_of_a_prepared_answer_are_filled() -> None:
    names = {"name": "Laura", "agent": "Marta", "number": "+57…67"}
    assert (
        filled("Hola, {name}: {agent}, {number}, {x}", names) == "Hola, Laura: Marta, +57…67, {x}"
    )
