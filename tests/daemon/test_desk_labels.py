"""The desk's own labels, over the whole daemon with a number of the Cloud API, which has none."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio
from support.api import open_client, token_on
from support.cloud_stage import LAURA_CHAT, CloudStage, open_cloud_stage
from support.dashboard import chats_of, open_browser, ref_of
from support.model_script import call, say
from support.operator import recado
from support.receiver import Receiver, open_receiver
from support.rows import count, select
from support.scenes import QUICK_RULES, found, model_input, open_scene

PAGE = "/dashboard/labels"


@asynccontextmanager
async def desk(
    folder: Path, receiver: Receiver | None = None, **changes: Any
) -> AsyncIterator[tuple[CloudStage, httpx.AsyncClient]]:
    """A daemon that has answered Laura, and a browser."""
    quick = {"buffer": {"window_seconds": 0.1, "idle_seconds": 0.1}}
    async with open_cloud_stage(
        folder / "data", rules=QUICK_RULES, **{**quick, **changes}
    ) as stage:
        if receiver is not None:
            await stage.stop()
            webhooks = (receiver.settings(),)
            stage.settings = stage.settings.model_copy(update={"webhooks": webhooks})
            await stage.start()
        async with open_browser(stage) as browser:
            yield stage, browser


async def ask(stage: CloudStage, words: str, *, nth: int = 1) -> None:
    stage.cloud.contact(LAURA_CHAT).name = "Laura"
    await stage.cloud.customer_says(LAURA_CHAT, words)
    await stage.cloud.wait_sent(LAURA_CHAT, nth)
    await stage.quiet()


async def make(browser: httpx.AsyncClient, name: str, color: str = "gold") -> None:
    answer = await browser.post(PAGE, data={"name": name, "color": color})
    assert answer.status_code == 303, answer.text


async def known(browser: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    labels = (await browser.get("/api/v1/labels")).json()["labels"]
    return {label["name"]: label for label in labels}


async def put(browser: httpx.AsyncClient, ref: str, **changes: list[str]) -> httpx.Response:
    return await browser.post(f"/api/v1/chats/{ref}/labels", json={"add": [], **changes})


async def test_a_label_is_made_put_on_a_chat_renamed_and_deleted(tmp_path: Path) -> None:
    async with desk(tmp_path) as (stage, browser):
        await ask(stage, "Hola")
        ref = await ref_of(browser, "Laura")
        # Before there is any, a chat says where they are made.
        assert PAGE in (await browser.get(f"/dashboard/chats/{ref}")).text
        await make(browser, "VIP", "gold")
        await make(browser, "Factura", "limegreen")
        refused = await put(browser, ref, add=["Grupo"])
        assert refused.status_code == 409
        assert "Factura, VIP" in refused.json()["detail"]
        assert (await put(browser, ref, add=["vip"])).status_code == 204
        assert (await browser.get(f"/api/v1/chats/{ref}")).json()["labels"] == ["VIP"]
        assert await chats_of(browser, label="VIP")
        assert await chats_of(browser, label="Factura") == []
        for label, is_there in (("VIP", True), ("Factura", False)):
            search = {"query": "hola", "label": label}
            page = (await browser.get("/api/v1/search", params=search)).json()
            assert bool(page["found"]) is is_there
        page = (await browser.get(f"/dashboard/chats/{ref}?label=VIP")).text
        assert page.count('fill="gold"') == 2  # in the list, and in the chat
        number = (await known(browser))["VIP"]["id"]
        change = {"name": "Oro", "color": "salmon"}
        assert (await browser.post(f"{PAGE}/{number}", data=change)).status_code == 303
        assert (await chats_of(browser))[0]["labels"] == ["Oro"]
        assert (await browser.post(f"{PAGE}/{number}/drop")).status_code == 303
        assert (await chats_of(browser))[0]["labels"] == []
        assert list(await known(browser)) == ["Factura"]
    actions = select(stage.settings.data_dir, "audit", "action", order="id")
    assert [action for (action,) in actions if "label" in action] == [
        *["label list"] * 2,
        "label",
        *["label list"] * 2,
    ]


async def test_programs_change_the_list_with_the_role_for_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as (stage, _):
        data_dir = stage.settings.data_dir
        agent = await trio.to_thread.run_sync(token_on, data_dir, "agent")
        operator = await trio.to_thread.run_sync(token_on, data_dir, "operator")
        body = {"name": " VIP ", "color": "gold"}
        async with open_client(stage, agent) as client:
            assert (await client.post("labels", json=body)).status_code == 403
        async with open_client(stage, operator) as client:
            assert (await client.post("labels", json=body)).status_code == 204
            other = {**body, "name": "vip"}
            assert (await client.post("labels", json=other)).status_code == 409
            odd = {"name": "X", "color": "url(x)"}
            assert (await client.post("labels", json=odd)).status_code == 422
            (label,) = (await client.get("labels")).json()["labels"]
            assert (label["name"], label["color"]) == ("VIP", "gold")
            path = f"labels/{label['id']}"
            change = {"name": "Oro", "color": "silver"}
            assert (await client.put(path, json=change)).status_code == 204
            assert (await client.get("labels")).json()["labels"] == [
                {"id": label["id"], "name": "Oro", "color": "silver"}
            ]
            assert (await client.delete(path)).status_code == 204
            assert (await client.delete(path)).status_code == 404
            assert (await client.put(path, json=change)).status_code == 404


async def test_the_model_labels_a_chat_and_knows_its_labels(tmp_path: Path) -> None:
    async with desk(tmp_path) as (stage, browser):
        await make(browser, "Cotizado")
        wish = {"add": ["cotizado", "VIP"], "remove": None}
        right = {"add": ["cotizado"], "remove": None}
        stage.model.script(
            call("set_labels", json.dumps(wish)),
            call("set_labels", json.dumps(right)),
            say("Listo"),
            say("Con gusto"),
        )
        await ask(stage, "¿Me cotiza?")
        assert any("the labels are: Cotizado" in said for said in model_input(stage))
        (chat,) = await chats_of(browser)
        assert chat["labels"] == ["Cotizado"]
        await ask(stage, "Gracias", nth=2)
        assert "Cotizado" in json.dumps(stage.model.calls[-1].items, ensure_ascii=False)
        await make(browser, "Oro")
        assert (await put(browser, await ref_of(browser, "Laura"), add=["Oro"])).is_success
        await ask(stage, "¿Sigues?", nth=3)
        assert any("Cotizado, Oro" in said for said in model_input(stage))


async def test_a_chat_that_is_handed_over_gets_the_label_for_it(tmp_path: Path) -> None:
    escalation = {"label": "Persona"}
    async with desk(tmp_path, escalation=escalation) as (stage, browser):
        await make(browser, "Persona")
        asks = {"reason": "r", "summary": "s", "urgency": "normal"}
        stage.model.script(call("escalate_to_human", json.dumps(asks)), say("Ya le paso."))
        await ask(stage, "Quiero una persona")
        assert (await chats_of(browser))[0]["labels"] == ["Persona"]


async def test_other_systems_are_told_of_a_chats_labels(tmp_path: Path) -> None:
    async with open_receiver() as receiver, desk(tmp_path, receiver) as (stage, browser):
        await make(browser, "VIP")
        await ask(stage, "Hola")
        ref = await ref_of(browser, "Laura")
        for changes in ({"add": ["VIP"]}, {"remove": ["VIP"]}, {"remove": ["VIP"]}):
            assert (await put(browser, ref, **changes)).is_success
        await stage.quiet()
        told = await found(
            lambda: [one.data for one in receiver.of("contact.changed")], lambda all_: len(all_) > 2
        )
        assert [(one["changed"], one["labels"]) for one in told] == [
            ("new", []),
            ("labels", ["VIP"]),
            ("labels", []),
        ]


async def test_labels_are_exported_and_forgotten_with_the_person(tmp_path: Path) -> None:
    async with desk(tmp_path) as (stage, browser):
        await make(browser, "VIP")
        await ask(stage, "Hola")
        assert (await put(browser, await ref_of(browser, "Laura"), add=["VIP"])).is_success
        data_dir = stage.settings.data_dir
        exported = await recado(data_dir, "export", LAURA_CHAT)
        assert exported.exit_code == 0, exported.stderr
        assert "VIP" in exported.stdout
        forgotten = await recado(data_dir, "forget", LAURA_CHAT, "--yes")
        assert forgotten.exit_code == 0, forgotten.output
        assert count(data_dir, "chats", where={"labels": "\nVIP\n"}) == 0


async def test_a_number_with_labels_of_whatsapp_has_no_list_of_the_desk(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        page = await browser.get(PAGE)
        assert page.status_code == 200
        assert 'data-testid="add-desk-label"' not in page.text
        body = {"name": "VIP", "color": "gold"}
        assert (await browser.post("/api/v1/labels", json=body)).status_code == 409
