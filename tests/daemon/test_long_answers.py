"""How an answer becomes messages, over real HTTP: bubbles, code, and what is too long for both."""

import base64
from pathlib import Path

import pytest
from support.brisk import open_brisk_stage
from support.model_script import say
from support.stage import LAURA, Stage

from daemon.domain.texts import texts

pytestmark = pytest.mark.usefixtures("both_file_stores")

OFFER = "Para el viernes quedan dos habitaciones dobles y la suite del último piso."


async def answered(stage: Stage, words: str, messages: int) -> list[str]:
    """What a customer gets for an answer of the model."""
    before = len(stage.received())
    stage.model.script(say(words))
    await stage.gateway.customer_says(LAURA, "¿Qué tienen para el viernes?")
    await stage.gateway.wait_sent(LAURA, before + messages)
    await stage.quiet()
    return stage.received()[before:]


async def test_a_greeting_joins_and_an_answer_has_four_messages(tmp_path: Path) -> None:
    delivery = {"short_characters": 40}
    async with open_brisk_stage(tmp_path / "data", delivery=delivery) as stage:
        told = await answered(stage, f"¡Hola!\n\n{OFFER}\n\nUn abrazo", 1)
        assert told == [f"¡Hola!\n\n{OFFER}\n\nUn abrazo"]
        many = "\n\n".join([OFFER] * 9)
        told = await answered(stage, many, 4)
        assert "\n\n".join(told) == many
        assert len(told) == 4
        code = f"```\nx = 1\n\ny = 2\n```\n\n{OFFER}"
        assert await answered(stage, code, 2) == ["```\nx = 1\n\ny = 2\n```", OFFER]


async def test_an_answer_that_is_too_long_is_a_document(tmp_path: Path) -> None:
    """Also one that is shorter, if the operator allows too few messages for it."""
    async with open_brisk_stage(tmp_path / "data", delivery={"max_bubbles": 1}) as stage:
        for length in (16_001, 5_000):
            words = f"Reglamento, artículo {'á' * (length - 21)}"
            assert await answered(stage, words, 1) == [texts("es").document]
            sent = stage.gateway.sent(LAURA)[-1]
            assert sent.kind == "document"
            assert sent.request["filename"] == "respuesta.txt"
            media = str(sent.request["media"])
            assert media.startswith("data:text/plain")
            assert base64.b64decode(media.partition(",")[2]).decode() == words
        stage.model.script(say("Con gusto."))
        await stage.gateway.customer_says(LAURA, "gracias")
        await stage.gateway.wait_sent(LAURA, 3)
        assert "Reglamento, artículo" in str(stage.model.calls[-1].items)
