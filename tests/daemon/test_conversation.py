"""Conversations over real HTTP, as customers have them."""

from pathlib import Path

import trio
from support.scenes import closes_with, open_scene
from support.stage import LAURA, Stage, text_webhook


async def test_one_text_gets_one_answer(stage: Stage) -> None:
    await stage.gateway.customer_says(LAURA, "Hola, ¿tienen cupo el viernes?", name="Laura")
    (answer,) = await stage.gateway.wait_sent(LAURA)
    assert answer.text
    assert len(stage.model.calls) >= 1


async def test_a_burst_of_three_is_one_run_and_one_answer(tmp_path: Path) -> None:
    async with open_scene(tmp_path, buffer=closes_with(3)) as stage:
        for words in ("Hola", "quiero reservar", "para dos personas"):
            await stage.gateway.customer_says(LAURA, words)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert len(stage.model.calls) == 1
        assert len(stage.received()) == 1
        assert stage.model.calls[0].customer_texts == ["Hola\nquiero reservar\npara dos personas"]


async def test_the_same_id_a_hundred_times_at_once_gives_one_answer(stage: Stage) -> None:
    webhook = text_webhook("Hola", "same-id-0001")
    statuses: list[int] = []

    async def post() -> None:
        statuses.append((await stage.post(webhook)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(post)
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert statuses == [200] * 100
    assert len(stage.received()) == 1
