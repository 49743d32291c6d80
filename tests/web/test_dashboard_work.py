"""The page of work, on a whole daemon: runs, failed turns, recovery, what the day has cost."""

from pathlib import Path
from typing import Any

import httpx
import trio
from support.dashboard import open_browser, ref_of, words_of
from support.model_script import Step, call, say
from support.rows import count, select, states_of
from support.scenes import forgive, found, open_scene, outcomes
from support.stage import LAURA

from daemon.http.dashboard.work import share


async def work_of(browser: httpx.AsyncClient) -> dict[str, Any]:
    """Everything that the page shows."""
    answer = await browser.get("/dashboard/api/work")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_run_is_shown_and_cancelled_and_begins_again(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        stage.model.script(
            call("get_conversation_context"), say("nunca", gate=trio.Event()), say("ahora sí")
        )
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        *_, run = await stage.model.wait_requests(2)
        work = await work_of(browser)
        (entry,) = work["chats"]
        assert (entry["name"], entry["state"], entry["run"]["round"]) == ("Laura", "thinking", 2)
        assert work["stats"]["runs"] == 1
        assert LAURA not in str(work)
        page = await browser.get("/dashboard/work")
        assert "Cancelar" in words_of(page.text)
        done = await browser.post(f"/api/v1/chats/{entry['ref']}/cancel-run")
        assert done.status_code == 204
        await run.ended.wait()
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["ahora sí"]
        await found(lambda: outcomes(stage) == ["answered"])
        again = await browser.post(f"/api/v1/chats/{entry['ref']}/cancel-run")
        assert again.status_code == 409
        assert (await work_of(browser))["stats"]["runs"] == 0
        commands = select(stage.settings.data_dir, "audit", "action")
        assert commands == [("cancel run",)]


async def test_a_dead_letter_is_replayed(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        refusal: dict[str, Any] = {"status": 400, "code": "invalid_prompt", "message": "no"}
        stage.model.script(Step(**refusal), say("Mañana sí."))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await found(lambda: outcomes(stage) == ["dead"])
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        ref = await ref_of(browser, "Laura")
        (letter,) = (await work_of(browser))["dead_turns"]
        assert (letter["ref"], letter["messages"]) == (ref, 1)
        assert "invalid_prompt" in letter["reason"]
        done = await browser.post("/api/v1/dead-turns/replay", json={"chat": ref})
        assert done.json() == {"put_back": 1}
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[-1] == "Mañana sí."
        await found(lambda: states_of(stage.settings.data_dir)[asked][0] == "answered")
        (letter,) = (await work_of(browser))["dead_turns"]
        assert letter["messages"] == 0
        done = await browser.post("/api/v1/dead-turns/replay", json={"chat": None})
        assert done.json() == {"put_back": 0}
        forgive(stage)


async def test_an_event_that_was_partly_unreadable_is_listed_and_read_again(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        body = {"channel_id": "X", "messages": ["no message"], "event": {"type": "messages"}}
        assert (await stage.post(body)).status_code == 200
        (event,) = (await work_of(browser))["unreadable"]
        assert event["kept"]
        done = await browser.post(f"/api/v1/events/{event['id']}/replay")
        assert done.json() == {"put_back": 0}
        for senseless in (10**9, 10**30, "true", 0):
            answer = await browser.post(f"/api/v1/events/{senseless}/replay")
            assert answer.status_code == 404
        assert (await browser.post("/api/v1/dead-turns/replay", json={})).status_code == 422
        assert "ilegible en parte" in words_of((await browser.get("/dashboard/work")).text)


async def test_the_last_start_and_the_days_cost_are_reported(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        gate = trio.Event()
        stage.model.script(say("al fin", gate=gate))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.model.wait_requests(1)
        await found(
            lambda: count(stage.settings.data_dir, "responses", where={"response_id !=": ""})
        )
        await stage.crash()
        await stage.start()
        async with open_browser(stage) as browser:

            async def recovered() -> dict[str, Any]:
                told: dict[str, Any] = (await work_of(browser))["recovery"]
                return told

            with trio.fail_after(30):
                while not (await recovered())["ended_at"]:  # noqa: ASYNC110 - over HTTP
                    await trio.sleep(0.02)
            report = await recovered()
            assert [entry["name"] for entry in report["continued"]] == ["Laura"]
            assert report["in_time"]
            budget = (await work_of(browser))["budget"]
            assert [entry["name"] for entry in budget["chats"]] == ["Laura"]
            (total,) = budget["numbers"]
            assert total["tokens"] == budget["chats"][0]["tokens"] > 0
            page = words_of((await browser.get("/dashboard/work")).text)
            assert "Chats retomados 1" in page
            assert "USD" not in page  # no prices are configured
            gate.set()
            await stage.gateway.wait_sent(LAURA)
            with trio.fail_after(30):
                while not (await recovered())["harvested"]:  # noqa: ASYNC110 - over HTTP
                    await trio.sleep(0.02)


def test_the_share_of_a_limit() -> None:
    assert [share(5, 0), share(5, 20), share(30, 20)] == [0, 25, 100]
