"""Instructions and texts edited in the dashboard: what guides the next answer, and who may."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.accounts import PASSWORD, open_browser, open_desk
from support.model_script import say
from support.operator import recado_on
from support.rows import rows
from support.scenes import found, open_scene
from support.stage import LAURA, Stage
from support.two_numbers import open_two

NEW = "Eres el asistente de un hotel.\nResponde en una frase."
PATH = "/api/v1/numbers/main/texts"


async def state(browser: httpx.AsyncClient, name: str = "instructions") -> dict[str, Any]:
    answer = await browser.get(f"{PATH}/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(
    browser: httpx.AsyncClient, name: str = "instructions", **fields: Any
) -> httpx.Response:
    """Change a text from its state of this moment, unless ``base`` says another one."""
    base = fields.pop("base", None) or (await state(browser, name))["base"]
    return await browser.put(f"{PATH}/{name}", json={"base": base, **fields})


async def answered(stage: Stage, text: str = "¿Hay cupo?") -> str:
    """Have a customer answered; returns the instructions that the model had."""
    stage.model.script(say("Sí."))
    before = len(stage.gateway.sent(LAURA))
    await stage.gateway.customer_says(LAURA, text, name="Laura")
    await stage.gateway.wait_sent(LAURA, before + 1)
    return str(stage.model.calls[-1].body["instructions"])


async def test_the_next_answer_has_the_edited_instructions_also_after_kill(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, "Olga", PASSWORD) as olga:
        first = await state(olga)
        assert NEW not in await answered(stage)
        done = await change(olga, text=f"  {NEW}\r\n")
        assert done.status_code == 200, done.text
        assert done.json()["text"] == NEW
        assert (done.json()["origin"], done.json()["author"]) == ("edited", "Olga")
        assert (await answered(stage, "¿Y mañana?")).startswith(NEW)
        await stage.crash()
        await stage.start()
        async with open_browser(stage, "Olga", PASSWORD) as again:
            assert (await state(again))["text"] == NEW
            assert (await answered(stage, "¿Y el lunes?")).startswith(NEW)
            back = await change(again)
            assert back.json()["text"] == first["text"]
            assert back.json()["origin"] != "edited"
            assert NEW not in await answered(stage, "¿Y el martes?")
            restored = await change(again, revision=1)
            assert restored.json()["text"] == NEW
            listed = (await again.get(f"{PATH}/instructions/versions")).json()["versions"]
            assert [one["revision"] for one in listed] == [3, 2, 1]
            assert listed[0]["hash"] == listed[2]["hash"] != listed[1]["hash"] == ""
        audit = rows(stage.settings.data_dir, "audit", "actor, action", order="id")
        assert [one["actor"] for one in audit if one["action"] == "edit text"] == [
            "account Olga"
        ] * 3


async def test_of_two_editors_the_second_is_told(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        base = (await state(browser, "apology"))["base"]
        assert (await change(browser, "apology", text="Uno", base=base)).status_code == 200
        second = await change(browser, "apology", text="Dos", base=base)
        assert second.status_code == 409
        assert "has saved another version meanwhile" in second.json()["detail"]
        assert (await state(browser, "apology"))["text"] == "Uno"
        assert (await change(browser, "apology", text="Dos")).status_code == 200


@pytest.mark.parametrize("name", ["Rita", "María"])
async def test_agents_and_readers_see_and_do_not_edit(tmp_path: Path, name: str) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, name, PASSWORD) as browser:
        assert (await change(browser, text=NEW)).status_code == 403
        tried = await browser.post(f"{PATH}/instructions/preview", json={"text": NEW})
        assert tried.status_code == 403
        page = (await browser.get("/dashboard/texts/main/instructions")).text
        assert "readonly" in page
        assert 'data-testid="save"' not in page
        assert (await browser.get("/dashboard/texts")).status_code == 200


async def test_a_preview_shows_what_changes_and_all_that_the_model_is_told(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        first = (await state(browser))["text"]
        draft = f"{first}\nResponde en una frase."
        shown = (await browser.post(f"{PATH}/instructions/preview", json={"text": draft})).json()
        added = [line["text"] for line in shown["changes"] if line["kind"] == "added"]
        assert added == ["Responde en una frase."]
        assert {line["kind"] for line in shown["changes"]} == {"same", "added"}
        assert shown["fault"] == ""
        await change(browser, text=draft)
        assert await answered(stage) == shown["example"]
        assert len(shown["example"]) > len(draft)
        assert [tool["name"] for tool in stage.model.calls[-1].body["tools"]] == shown["tools"]
        closed = "Volvemos {opens}."
        shown = (await browser.post(f"{PATH}/closed/preview", json={"text": closed})).json()
        assert shown["example"] == "Volvemos mañana a las 8:00."


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("instructions", " \n", "the text is empty"),
        ("apology", "x" * 4097, "the text is too long"),
        ("apology", "a\x00b", "the text has a control character"),
        ("closed", "{when}", "nothing is filled in for a word in braces: {when}"),
        ("document_name", "a/b", "a file's name has at most 60 characters, and no / or line break"),
    ],
)
async def test_a_text_with_a_fault_is_not_put_to_work(
    tmp_path: Path, name: str, text: str, fault: str
) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        before = await state(browser, name)
        refused = await change(browser, name, text=text)
        assert (refused.status_code, refused.json()["detail"]) == (422, fault)
        shown = await browser.post(f"{PATH}/{name}/preview", json={"text": text})
        assert shown.json()["fault"] == fault
        assert await state(browser, name) == before
        again = await change(browser, name, text=before["text"])
        assert again.json()["detail"] == "this text is at work already"
        assert (await change(browser, name, revision=7)).status_code == 422
        assert (await browser.get(f"{PATH}/nothing")).status_code == 404


async def test_the_other_texts_are_sent_as_edited(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await change(browser, "consent_notice", text="Guardamos tus mensajes.")
        stage.model.script(say("Hola."))
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        sent = await stage.gateway.wait_sent(LAURA, 2)
        assert sent[0].text == "Guardamos tus mensajes."
        await change(browser, "opted_out", text="Adiós. Escribe {word}.")
        await stage.gateway.customer_says(LAURA, "baja")
        sent = await stage.gateway.wait_sent(LAURA, 3)
        assert sent[-1].text == "Adiós. Escribe ALTA."


async def test_an_edit_is_of_one_number_only(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage, open_browser(stage) as browser:
        path = "/api/v1/numbers/bar/texts/instructions"
        base = (await browser.get(path)).json()["base"]
        assert (await browser.put(path, json={"base": base, "text": NEW})).status_code == 200
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.bar.wait_sent(LAURA)
        assert stage.model.calls[-1].body["instructions"].startswith(NEW)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert NEW not in stage.model.calls[-1].body["instructions"]
        page = (await browser.get("/dashboard/texts?number=shop")).text
        assert 'data-testid="edited"' not in page
        assert 'data-testid="edited"' in (await browser.get("/dashboard/texts?number=bar")).text


async def test_a_file_that_changes_under_an_edit_is_told_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "instructions.md"
    monkeypatch.setenv("RECADO_ASSISTANT__INSTRUCTIONS_FILE", str(file))
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        data_dir = stage.settings.data_dir
        stale = (await state(browser))["base"]
        file.write_text("Otro.")
        stage.environment.reload.ring()
        await found(lambda: stage.events("configuration read again"))
        assert (await change(browser, text=NEW, base=stale)).status_code == 409
        await change(browser, text=NEW)
        file.write_text("Dos.")
        stage.environment.reload.ring()
        text = "the file has another text now; the one edited in the dashboard is at work"
        await found(lambda: stage.events(text))
        assert (await answered(stage)).startswith(NEW)
        now = await state(browser)
        assert (now["file_changed"], now["file_text"], now["text"]) == (True, "Dos.", NEW)
        page = (await browser.get("/dashboard/texts/main/instructions")).text
        assert 'data-testid="file-changed"' in page
        listed = await recado_on(data_dir, "texts")
        assert "edited by anybody" in listed.stdout
        assert "the file has changed since" in listed.stdout
        shown = await recado_on(data_dir, "texts", "show", "instructions")
        assert shown.stdout == f"{NEW}\n"
        checked = await recado_on(data_dir, "check")
        assert "instructions of main: edited by anybody" in checked.stdout
        asked = await recado_on(data_dir, "ask", "--simulated", "¿Hay cupo?")
        assert "edited in the dashboard: instructions" in asked.stderr
        assert asked.exit_code == 0
        versions = await recado_on(data_dir, "versions")
        assert "edited by anybody" in versions.stdout
        assert (await change(browser, text=NEW)).json()["file_changed"] is False
        assert (await change(browser, text=NEW)).status_code == 422
        await change(browser)
        assert (await answered(stage, "¿Y mañana?")).startswith("Dos.")
        assert (await recado_on(data_dir, "texts")).stdout == ""


async def test_where_files_alone_count_edits_are_neither_taken_nor_used(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await change(browser, text=NEW)
        dashboard = stage.settings.dashboard.model_copy(update={"edit_texts": False})
        await stage.stop()
        stage.settings = stage.settings.model_copy(update={"dashboard": dashboard})
        await stage.start()
        assert NEW not in await answered(stage)
        async with open_browser(stage) as again:
            refused = await change(again, text="Otra cosa.")
            assert refused.status_code == 409
            page = (await again.get("/dashboard/texts/main/instructions")).text
            assert 'data-testid="save"' not in page


async def test_a_draft_is_tried_in_shadow_then_on_all_chats_then_for_all(tmp_path: Path) -> None:
    """Until it is put to work nothing of it is sent in shadow, also after kill -9."""

    def shadows(stage: Stage) -> list[dict[str, Any]]:
        return rows(stage.settings.data_dir, "candidate_answers", "text")

    async with open_desk(tmp_path) as stage, open_browser(stage, "Olga", PASSWORD) as olga:
        assert (await change(olga, "candidate", text=NEW)).status_code == 422
        tried = await change(olga, "candidate", text=NEW, share=0)
        assert tried.status_code == 200, tried.text
        assert (tried.json()["text"], tried.json()["share"]) == (NEW, 0)
        await stage.crash()
        await stage.start()
        async with open_browser(stage, "Olga", PASSWORD) as again:
            stage.model.script(say("Sí."), say("En la sombra."))
            await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
            await stage.gateway.wait_sent(LAURA)
            assert await found(lambda: shadows(stage)) == [{"text": "En la sombra."}]
            live, shadow = (str(one.body["instructions"]) for one in stage.model.calls[-2:])
            assert NEW not in live
            assert shadow.startswith(NEW)
            assert len(stage.gateway.sent(LAURA)) == 1
            page = (await again.get("/dashboard/texts/main/instructions")).text
            assert 'data-testid="tried"' in page
            assert (await again.get("/dashboard/texts/main/candidate")).status_code == 404
            assert (await change(again, "candidate", text=NEW, share=1)).status_code == 200
            assert (await answered(stage, "¿Y mañana?")).startswith(NEW)
            assert (await change(again, "candidate")).status_code == 200
            assert NEW not in await answered(stage, "¿Y el lunes?")
            assert (await change(again, text=NEW)).status_code == 200
            as_all = await change(again, "candidate", text=NEW, share=0.5)
            assert as_all.status_code == 422
            listed = await recado_on(stage.settings.data_dir, "texts", "list")
            assert "candidate" not in listed.stdout
