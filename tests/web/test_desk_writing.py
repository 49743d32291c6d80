"""Writing from the desk: files, quotes, reactions, and the first message of a chat."""

import json
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
        path = f"/dashboard/api/chats/{await ref_of(browser, 'Laura')}/file"
        for number, (name, data) in enumerate(
            (("room.png", PNG), ("note.ogg", b"OggS" + b"0" * 60), ("bill.pdf", b"%PDF-1.4"))
        ):
            sent = await browser.post(
                path,
                data={"caption": f"caption {number}", "action": f"{CLICK}{number}"},
                files={"file": (name, data)},
            )
            assert sent.json() == {"done": True}, sent.text
        again = await browser.post(
            path, data={"action": f"{CLICK}0"}, files={"file": ("room.png", PNG)}
        )
        assert again.json() == {"done": True}
        messages = await stage.gateway.wait_sent(LAURA, 4)
        assert [message.kind for message in messages[1:4]] == ["image", "voice", "document"]
        kinds = [row["kind"] for row in rows(stage.settings.data_dir, "outbox", order="id")]
        assert kinds == ["text", "image", "voice", "document"]
        shown = (await bubbles_of(browser, await ref_of(browser, "Laura")))["bubbles"]
        assert [bubble["content"]["file_name"] for bubble in shown[2:]] == [
            *("room.png", "note.ogg", "bill.pdf"),
        ]


async def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await written(stage)
        path = f"/dashboard/api/chats/{await ref_of(browser, 'Laura')}/file"
        empty = await browser.post(path, data={"action": CLICK}, files={"file": ("a.png", b"")})
        assert empty.status_code == 413
        assert (await browser.post(path, data={"action": CLICK})).status_code == 400
        no_click = await browser.post(path, files={"file": ("a.png", PNG)})
        assert no_click.status_code == 400
        assert len(rows(stage.settings.data_dir, "outbox")) == 1


async def test_a_message_is_quoted_and_reacted_to(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        asked = await written(stage)
        ref = await ref_of(browser, "Laura")
        path = f"/dashboard/api/chats/{ref}"
        words = {"text": "Esto", "action": CLICK, "quote": asked}
        assert (await browser.post(f"{path}/send", json=words)).is_success
        sign = {"message": asked, "emoji": "👍", "action": CLICK + "1"}
        for _ in range(2):
            assert (await browser.post(f"{path}/react", json=sign)).json() == {"done": True}
        messages = await stage.gateway.wait_sent(LAURA, 2)
        assert messages[1].quoted == asked
        shown = (await bubbles_of(browser, ref))["bubbles"]
        assert shown[-1]["quote"]["body"] == "Hola"
        kinds = [row["kind"] for row in rows(stage.settings.data_dir, "outbox", order="id")]
        assert kinds == ["text", "text", "reaction"]
        wrong = await browser.post(f"{path}/react", json={**sign, "emoji": "ja", "action": CLICK})
        assert wrong.status_code == 409


async def test_a_chat_is_begun_with_a_number_that_never_wrote(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        first = {"to": "+57 300 123 4567", "text": "Hola, soy Marta", "action": CLICK}
        begun = await browser.post("/dashboard/api/begin", json=first)
        assert begun.is_success, begun.text
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Hola, soy Marta"]
        page = await browser.get(f"/dashboard/chats/{begun.json()['ref']}")
        assert "Hola, soy Marta" in page.text
        for wrong in ({"to": "12"}, {"text": ""}, {"action": "x"}):
            assert (await browser.post("/dashboard/api/begin", json={**first, **wrong})).is_error
        other = await browser.post("/dashboard/api/begin", json={**first, "number": "nowhere"})
        assert other.status_code == 409


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
