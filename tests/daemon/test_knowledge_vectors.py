"""Passages found by their meaning, with the simulated embedding model; and without its server."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.model_script import call, say
from support.rows import count, select
from support.scenes import found, model_input, open_scene
from support.stage import LAURA, Stage

from daemon.assistant.embeddings import Embedder
from daemon.errors import ModelTemporary

BREAKFAST = "# Hotel\n## Mesa\nEl desayuno se sirve a las siete.\n## Piscina\nAbre a las ocho.\n"
QUESTION = "¿A qué hora son los desayunitos?"
"""No word of it is in the documents; the simulated vectors compare the beginnings of words."""


def knowledge(place: Path, **changes: Any) -> dict[str, Any]:
    folder = place / "documents"
    folder.mkdir(exist_ok=True)
    (folder / "hotel.md").write_text(BREAKFAST)
    return {
        "folder": folder,
        "check_seconds": 0.05,
        "embedding_model": "sandbox-embedding",
        "similarity": 0.3,
        "threshold": 0.9,
        **changes,
    }


def vectors(stage: Stage, model: str = "sandbox-embedding") -> int:
    return count(stage.settings.data_dir, "knowledge_vectors", where={"model": model})


async def passages_for(stage: Stage, question: str) -> list[str]:
    """What the model gets when it searches."""
    arguments = json.dumps({"question": question})
    stage.model.script(call("search_knowledge", arguments), say("Listo."))
    before = len(stage.received())
    await stage.gateway.customer_says(LAURA, question, name="Laura")
    await stage.gateway.wait_sent(LAURA, before + 1)
    await stage.quiet()
    return [one["text"] for one in json.loads(model_input(stage)[-1])["passages"]]


async def test_a_passage_is_found_by_its_meaning(tmp_path: Path) -> None:
    async with open_scene(tmp_path, knowledge=knowledge(tmp_path)) as stage:
        await found(lambda: vectors(stage) == 2)
        assert (await passages_for(stage, QUESTION))[0] == "El desayuno se sirve a las siete."
        folder = stage.settings.knowledge.folder
        assert folder is not None
        (folder / "hotel.md").write_text("# Hotel\nLos desayunos son a las nueve.\n")
        await found(
            lambda: "nueve" in str(select(stage.settings.data_dir, "knowledge_passages", "body"))
        )
        await found(lambda: vectors(stage) == 1)
        assert await passages_for(stage, QUESTION) == ["Los desayunos son a las nueve."]


async def test_without_the_embedding_server_words_alone_count(tmp_path: Path) -> None:
    changes = {"embedding_base_url": "http://127.0.0.1:9/v1", "threshold": 0.1}
    async with open_scene(tmp_path, knowledge=knowledge(tmp_path, **changes)) as stage:
        await found(lambda: stage.events("passages have no vectors yet") != [])
        assert await passages_for(stage, "¿desayuno?") == ["El desayuno se sirve a las siete."]
        assert stage.events("documents are searched by words alone") != []
        assert await passages_for(stage, QUESTION) == []


async def test_another_model_makes_new_vectors(tmp_path: Path) -> None:
    async with open_scene(tmp_path, knowledge=knowledge(tmp_path)) as stage:
        await found(lambda: vectors(stage) == 2)
        await stage.stop()
        section = stage.settings.knowledge.model_copy(update={"embedding_model": "unknown"})
        stage.settings = stage.settings.model_copy(update={"knowledge": section})
        await stage.start()
        await found(lambda: stage.events("passages have no vectors yet") != [])
        assert await passages_for(stage, QUESTION) == []
        assert vectors(stage) == 2


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": "no list"},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
    ],
)
async def test_an_answer_without_a_vector_for_each_text_is_none(answer: dict[str, Any]) -> None:
    class Connection:
        async def get(self) -> "Connection":
            return self

        async def call(self, *_: object) -> dict[str, Any]:
            return answer

    embedder = Embedder(Connection(), model="m")  # type: ignore[arg-type]
    with pytest.raises(ModelTemporary):
        await embedder.embed(["a", "b"], timeout_seconds=30)
