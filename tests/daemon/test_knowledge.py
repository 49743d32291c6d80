"""The business's documents on a whole daemon: kept in step, searched, cited, and their gaps."""

import json
from pathlib import Path

import httpx
from support.dashboard import open_browser, ref_of, words_of
from support.model_script import call, say
from support.operator import recado
from support.rows import select
from support.scenes import found, model_input, open_scene
from support.stage import LAURA, Stage

from daemon.domain.knowledge.reply import NOTHING

POOL = """# Hotel Mirador
## Piscina
La piscina abre de ocho a ocho y los niños entran con un adulto.
## Mascotas
Se admiten perros de hasta diez kilos.
"""


def folder_in(place: Path) -> Path:
    folder = place / "documents"
    folder.mkdir()
    (folder / "hotel.md").write_text(POOL)
    return folder


def documents(stage: Stage) -> list[tuple[str, str]]:
    """The current documents, each with its fault."""
    return select(
        stage.settings.data_dir,
        "knowledge_documents",
        "path, error",
        where={"state": "current"},
        order="path",
    )


async def test_documents_are_kept_in_step_and_a_broken_one_stops_nothing(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing else")
    knowledge = {"folder": folder, "check_seconds": 0.05}
    async with open_scene(tmp_path, knowledge=knowledge) as stage:
        await found(lambda: len(documents(stage)) == 2)
        assert [fault != "" for _, fault in documents(stage)] == [True, False]
        await found(lambda: stage.events("a document cannot be read") != [])
        assert stage.events("a document cannot be read")[0]["document"] == "broken.pdf"
        (folder / "broken.pdf").unlink()
        (folder / "bar.txt").write_text("El bar cierra a medianoche.")
        await found(lambda: documents(stage) == [("bar.txt", ""), ("hotel.md", "")])
        (folder / "bar.txt").write_text("El bar cierra a las dos de la madrugada.")
        await found(lambda: "madrugada" in str(select(stage.settings.data_dir, *BODIES)))
        await found(lambda: "medianoche" not in str(select(stage.settings.data_dir, *BODIES)))
        folder.rename(tmp_path / "elsewhere")  # a disk that is gone for a while
        await found(lambda: stage.events("the documents are out of reach") != [])
        assert documents(stage) == [("bar.txt", ""), ("hotel.md", "")]


BODIES = ("knowledge_passages", "body")


async def ask(stage: Stage, text: str, question: str, answer: str) -> None:
    """Let Laura ask, the model search for ``question``, and answer."""
    arguments = json.dumps({"question": question})
    stage.model.script(call("search_knowledge", arguments), say(answer))
    before = len(stage.received())
    await stage.gateway.customer_says(LAURA, text, name="Laura")
    await stage.gateway.wait_sent(LAURA, before + 1)
    await stage.quiet()


async def test_an_answer_shows_its_sources_and_gaps_are_kept(tmp_path: Path) -> None:
    knowledge = {"folder": folder_in(tmp_path), "check_seconds": 0.05}
    async with open_scene(tmp_path, knowledge=knowledge) as stage, open_browser(stage) as browser:
        await found(lambda: len(documents(stage)) == 1)
        await ask(stage, "¿Mi perrita puede ir?", "¿Se admiten perros?", "Sí, hasta diez kilos.")
        output = json.loads(model_input(stage)[-1])
        assert output["passages"][0]["source"] == "Hotel Mirador > Mascotas"
        assert output["passages"][0]["text"] == "Se admiten perros de hasta diez kilos."
        await ask(stage, "¿Hay gimnasio?", "¿Tienen gimnasio?", "Le pregunto a una persona.")
        assert json.loads(model_input(stage)[-1]) == {"passages": [], "note": NOTHING}
        await ask(stage, "¿gimnasio?", "¿Tienen un gimnasio?", "No tengo esa información.")
        await ask(stage, "¿Es honda?", "¿Cómo es la piscina?", "No sé qué tan honda es.")

        explained = await recado(stage.settings.data_dir, "explain", first_message(stage))
        assert "source: Hotel Mirador > Mascotas (hotel.md)" in explained.stdout
        assert "diez kilos" not in explained.stdout
        await shows_sources(stage, browser)
        work = (await browser.get("/dashboard/api/work")).json()
        kept = [(group["count"], group["text"]) for group in work["questions"]]
        assert kept == [(2, "¿Tienen un gimnasio?"), (1, "¿Cómo es la piscina?")]
        page = words_of((await browser.get("/dashboard/work")).text)
        assert "Preguntas sin respuesta" in page
        assert "¿Tienen un gimnasio?" in page


def first_message(stage: Stage) -> str:
    ((message,),) = select(stage.settings.data_dir, "messages", "id", order="seq", limit=1)
    return str(message)


async def shows_sources(stage: Stage, browser: httpx.AsyncClient) -> None:
    """The turn in the dashboard names where the answer is from."""
    ref = await ref_of(browser, "Laura")
    ((name,),) = select(stage.settings.data_dir, "turns", "request_id", order="id", limit=1)
    shown = (await browser.get(f"/dashboard/api/chats/{ref}/turns/{name}")).json()
    (tool,) = shown["tool_calls"]
    assert tool["sources"][0]["name"] == "Hotel Mirador > Mascotas"
    page = words_of((await browser.get(f"/dashboard/chats/{ref}?turn={name}")).text)
    assert "Fuentes Hotel Mirador &gt; Mascotas (hotel.md)" in page


async def test_without_documents_the_model_has_no_search(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Hola"))
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        offered = [tool["name"] for tool in stage.model.calls[0].body["tools"]]
        assert "remember" in offered
        assert "search_knowledge" not in offered


async def test_two_numbers_may_have_their_own_documents(tmp_path: Path) -> None:
    """A document of a folder is not found by a search in another one."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "pool.md").write_text("# Tienda\nVendemos piscinas inflables.")
    knowledge = {"folder": shop, "check_seconds": 0.05}
    async with open_scene(tmp_path, knowledge=knowledge) as stage:
        await found(lambda: documents(stage) == [("pool.md", "")])
        await ask(stage, "¿piscina?", "¿Venden piscinas?", "Sí.")
        output = json.loads(model_input(stage)[-1])
        assert [one["source"] for one in output["passages"]] == ["Tienda"]
