"""What Meta charges for messages, beside what the model costs, in the whole daemon."""

import json
from pathlib import Path

import trio
from click.testing import CliRunner
from support.cloud_stage import LAURA_CHAT, CloudStage
from support.dashboard import open_browser, ref_of, words_of
from support.place import VARIABLE, variables_of_store
from support.rows import select
from support.scenes import found

from daemon.__main__ import main

from .test_cloud_number import NAMELESS, NAMELESS_CHAT, cloud_scene, delivered

PRICES = {
    "CO": {"calling_code": "57", "service": 0.0008},
    "other": {"service": 0.5},
}


def charged(stage: CloudStage) -> list[tuple[str, int]]:
    rows = select(stage.settings.data_dir, "outbox", "charged_as, charged_micros", order="id")
    return [(charged_as, micros) for charged_as, micros in rows]


def sums(stage: CloudStage) -> dict[str, int]:
    rows = select(stage.settings.data_dir, "usage_days", "chat, gateway_micros")
    return {chat: micros for chat, micros in rows if micros}


async def recado(stage: CloudStage, *arguments: str) -> str:
    folder = stage.settings.data_dir
    run = CliRunner(
        env={"RECADO_DATA_DIR": str(folder), **variables_of_store(folder), VARIABLE: None}
    )
    done = await trio.to_thread.run_sync(lambda: run.invoke(main, list(arguments)))
    assert done.exit_code == 0, done.output
    return str(done.output)


async def test_each_message_is_charged_once(tmp_path: Path) -> None:
    """Also if its status comes three times; the first one here is free."""
    async with cloud_scene(tmp_path, cloud={"prices": PRICES}) as stage:
        stage.cloud.free_messages = 1
        stage.cloud.copies = 3
        for count in (1, 2, 3):
            await stage.cloud.customer_says(LAURA_CHAT, "Hola")
            await stage.cloud.wait_sent(LAURA_CHAT, count)
            await stage.quiet()
        await delivered(stage)
        assert charged(stage) == [("free", 0), ("service", 800), ("service", 800)]
        assert sums(stage) == {LAURA_CHAT: 1600, "": 1600}
        metrics = (await stage.get("/metrics")).text
        assert 'recado_gateway_messages_total{kind="service"} 2.0' in metrics
        assert 'recado_gateway_messages_total{kind="free"} 1.0' in metrics
        assert "recado_gateway_cost_total 0.0016" in metrics


async def test_people_see_it_beside_what_the_model_costs(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path, cloud={"prices": PRICES}) as stage:
        stage.cloud.free_messages = 0
        asked = await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await found(lambda: charged(stage), lambda rows: rows == [("service", 800)])
        await stage.quiet()
        told = await recado(stage, "budget")
        assert told.count("+ 0.0008 for messages") == 2  # in all, and of this contact
        report = json.loads(await recado(stage, "budget", "--json"))
        assert report["total"]["gateway_cost"] == 0.0008
        assert [one["gateway_cost"] for one in report["contacts"]] == [0.0008]
        assert "charged as service: 0.0008" in await recado(stage, "explain", asked)
        async with open_browser(stage) as browser:
            ref = await ref_of(browser, "Laura")
            chat = words_of((await browser.get(f"/dashboard/chats/{ref}")).text)
            work = words_of((await browser.get("/dashboard/work")).text)
        assert "+ 0,0008 por mensajes" in chat
        assert "+ 0,0008 por mensajes" in work
        assert "Por mensajes" in work


async def test_what_was_charged_stays_when_a_person_shows_their_number(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path, cloud={"prices": PRICES}) as stage:
        stage.cloud.free_messages = 0
        await stage.cloud.customer_says(NAMELESS_CHAT, "Soy Laura")
        await stage.cloud.wait_sent(NAMELESS_CHAT)
        await found(lambda: sums(stage), lambda found: found == {NAMELESS_CHAT: 800, "": 800})
        await stage.quiet()
        stage.cloud.contact(LAURA_CHAT).scoped = NAMELESS
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await found(lambda: sums(stage), lambda found: found == {LAURA_CHAT: 1600, "": 1600})
