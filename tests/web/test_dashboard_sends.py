"""Refused messages of ours on a whole daemon: said again by a click, or dropped."""

from pathlib import Path
from typing import Any

import httpx
import trio
from support.dashboard import bubbles_of, open_browser, ref_of, words_of
from support.model_script import say
from support.rows import select
from support.scenes import closes_with, forgive, found, open_scene, outbox, outcomes
from support.stage import LAURA, Stage

SENDS = "/api/v1/failed-messages"


async def refused(stage: Stage, answer: str = "Sí hay.") -> int:
    """Let an answer be refused by the gateway; gives the number of its row."""
    stage.gateway.faults.add(operation="send", kind="status", status=400)
    stage.model.script(say(answer))
    await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
    await found(lambda: outcomes(stage) == ["dead"])
    await stage.quiet()
    ((number,),) = select(stage.settings.data_dir, "outbox", "id")
    return int(number)


async def post(browser: httpx.AsyncClient, number: int, action: str) -> tuple[int, Any]:
    answer = await browser.post(f"{SENDS}/{number}/{action}")
    return answer.status_code, answer.json() if answer.content else {}


def audited(stage: Stage) -> list[str]:
    rows = select(stage.settings.data_dir, "audit", "action", order="id")
    return [command for (command,) in rows]


async def test_a_click_sends_a_refused_message_again_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        page = (await browser.get("/dashboard/work")).text
        assert f'data-send-again="{number}"' in page
        ref = await ref_of(browser, "Laura")
        chat = (await browser.get(f"/dashboard/chats/{ref}")).text
        assert f'data-send-again="{number}"' in chat
        assert "Enviar otra vez" in words_of(chat)
        assert await post(browser, number, "send-again") == (204, {})
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outbox(stage) == [("sent", "Sí hay.")])
        assert outcomes(stage) == ["answered"]
        status, told = await post(browser, number, "send-again")
        assert (status, told["detail"]) == (409, "the message is not in the failed state any more")
        replayed = await browser.post("/api/v1/dead-turns/replay", json={"chat": ref})
        assert replayed.json() == {"put_back": 0}
        await stage.quiet()
        assert stage.received() == ["Sí hay."]
        assert audited(stage) == ["send again"]
        forgive(stage)


async def test_refused_a_second_time_it_can_be_tried_a_third(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        fault = stage.gateway.faults.add(operation="send", kind="status", status=400)
        assert (await post(browser, number, "send-again"))[0] == 204
        await fault.reached.wait()
        await found(lambda: outbox(stage) == [("failed", "Sí hay.")])
        assert outcomes(stage) == ["dead"]
        await stage.quiet()
        assert (await post(browser, number, "send-again"))[0] == 204
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        forgive(stage)


async def test_it_is_not_sent_after_a_persons_message(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        ref = await ref_of(browser, "Laura")
        await browser.post(f"/api/v1/chats/{ref}/pause", json={})
        status, told = await post(browser, number, "send-again")
        assert (status, "a person has this chat" in told["detail"]) == (409, True)
        assert outbox(stage) == [("failed", "Sí hay.")]
        await browser.post(f"/api/v1/chats/{ref}/resume")
        assert (await post(browser, number, "send-again"))[0] == 204
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Sí hay."]
        forgive(stage)


async def test_a_takeover_while_it_waits_drops_it(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        stage.gateway.faults.add(operation="send", kind="status", status=503, times=-1)
        assert (await post(browser, number, "send-again"))[0] == 204
        await stage.gateway.wait_for(lambda: len(stage.gateway.calls("send")) > 1)
        await stage.gateway.agent_says(LAURA, "Soy Marta, ya te ayudo")
        await found(lambda: outbox(stage)[0][0] == "dropped")
        stage.gateway.reset_faults()
        await stage.quiet()
        assert stage.received() == []
        forgive(stage)


async def test_it_outlives_a_crash(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        async with open_browser(stage) as browser:
            number = await refused(stage)
            stage.gateway.faults.add(operation="send", kind="status", status=503, times=-1)
            assert (await post(browser, number, "send-again"))[0] == 204
        await stage.crash()
        stage.gateway.reset_faults()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Sí hay."]
        assert outcomes(stage) == ["answered"]
        forgive(stage)


async def test_a_dropped_one_is_listed_no_more_and_shown_as_such(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        page = words_of((await browser.get("/dashboard/work")).text)
        assert "falló 1" in page
        assert "vacía" not in page
        assert await post(browser, number, "drop") == (204, {})
        assert (await post(browser, number, "drop"))[0] == 409
        assert (await post(browser, number, "send-again"))[0] == 409
        work = (await browser.get("/dashboard/api/work")).json()
        assert (work["failed_sends"], work["outbox"]["failed"]) == ([], 0)
        assert [entry["messages"] for entry in work["dead_turns"]] == [1]  # still to be replayed
        ref = await ref_of(browser, "Laura")
        *_, bubble = (await bubbles_of(browser, ref))["bubbles"]
        assert bubble["state"] == "dropped"
        assert audited(stage) == ["drop send"]
        forgive(stage)


async def test_a_send_that_is_not_there_is_not_found_and_strangers_are_refused(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        number = await refused(stage)
        for nobody in (number + 1, 0, 2**62, 10**30):
            for action in ("send-again", "drop"):
                assert (await browser.post(f"{SENDS}/{nobody}/{action}")).status_code == 404
        foreign = {"Origin": "https://elsewhere.example"}
        for action in ("send-again", "drop"):
            answer = await browser.post(f"{SENDS}/{number}/{action}", headers=foreign)
            assert answer.status_code == 403
        assert outbox(stage) == [("failed", "Sí hay.")]
        forgive(stage)


async def test_the_words_before_an_edit_are_shown_and_the_model_has_the_newest(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path, buffer=closes_with(2)) as stage:
        laura = stage.gateway.contact(LAURA, name="Laura")
        asked = await laura.say("El sábado <b>")
        for words in ("El domingo", "El lunes"):
            await laura.edit(asked, words, deliver="acknowledged")
        await laura.say("¿Se puede?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [call.customer_texts for call in stage.model.calls] == [["El lunes\n¿Se puede?"]]
        async with open_browser(stage) as browser:
            ref = await ref_of(browser, "Laura")
            first, *_ = (await bubbles_of(browser, ref))["bubbles"]
            assert first["content"]["body"] == "El lunes"
            assert [w["words"] for w in first["earlier"]] == ["El sábado <b>", "El domingo"]
            page = (await browser.get(f"/dashboard/chats/{ref}")).text
            assert page.count('data-testid="earlier"') == 1
            assert "El sábado &lt;b&gt;" in page
            assert "Versiones anteriores" in words_of(page)
            with trio.fail_after(30):
                while "[edit]" not in (logged := (await browser.get("/dashboard/logs")).text):  # noqa: ASYNC110
                    await trio.sleep(0.05)  # on PostgreSQL it shows stored lines
            assert "[action]" not in logged
