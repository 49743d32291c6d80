"""The figures of the overview, from the webhook to the number on the page."""

import re
import time
from io import StringIO
from pathlib import Path

import httpx
import trio
from support.dashboard import open_browser, ref_of, words_of
from support.model_script import say
from support.place import store_in
from support.plain import NO_TLS
from support.scenes import PEDRO, found, open_scene, outcomes
from support.stage import LAURA, Stage, new_world

from daemon.domain.dashboard_values import Sample
from daemon.http.dashboard.overview import NOTHING
from daemon.ops.maintenance.figures import Sampler
from daemon.sandbox.start import TOKEN

MODEL = "gpt-6-luna"
PRICES = {MODEL: {"input": 1000.0, "cached": 1000.0, "output": 1000.0}}
"""A thousandth of the currency a token: the cost is read off the tokens."""

CARD = re.compile(
    r'data-testid="chart-(\w+)".*?<p class="figure">([^<]*)</p>\s*<p class="note[^>]*>([^<]*)</p>',
    re.DOTALL,
)
STANDING = re.compile(r'data-testid="(paused|oldest|dead|runs|outbox)">(.*?)</dd>', re.DOTALL)


def cards_of(page: str) -> dict[str, tuple[str, str]]:
    """The number of each chart, and the words below it."""
    return {name: (figure, note) for name, figure, note in CARD.findall(page)}


def status_figures(page: str) -> dict[str, str]:
    """What is so right now."""
    return {name: words_of(value) for name, value in STANDING.findall(page)}


async def tokens_of(stage: Stage, response_id: str) -> int:
    """What the model server says that a response has used."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, headers=headers) as client:
        answer = await client.get(f"{stage.model_url}/v1/responses/{response_id}")
    return int(answer.json()["usage"]["total_tokens"])


async def test_the_first_minute_is_counted_while_it_goes_on(tmp_path: Path) -> None:
    """No sample has been stored yet: the owner sees the message all the same, and its hour."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        before = cards_of((await browser.get("/dashboard")).text)
        assert (before["messages"], before["answers"]) == (("0", "0 en 24 h"), ("0", "0 en 24 h"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        await stage.quiet()
        page = (await browser.get("/dashboard")).text
        cards = cards_of(page)
        assert (cards["messages"], cards["answers"]) == (("1", "1 en 24 h"), ("1", "1 en 24 h"))
        assert "95% en" in cards["turn"][1]
        figures = (await browser.get("/dashboard/stats")).json()
        assert figures["lastHour"]["messages"] == figures["lastDay"]["answers"] == 1
        # The bar of the running hour is the last one.
        (said,) = re.findall(r'aria-label="Mensajes por hora[^"]*"\s*data-labels="([^"]*)"', page)
        assert [part.split(" · ")[1] for part in said.split("|")][-2:] == [NOTHING, "1"]


async def test_the_days_cost_is_that_of_its_tokens(tmp_path: Path) -> None:
    budget = {"prices": PRICES, "total_cost": 5.0, "total_tokens": 90_000, "currency": "COP"}
    async with open_scene(tmp_path, budget=budget) as stage, open_browser(stage) as browser:
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        (call,) = stage.model.calls
        used = await tokens_of(stage, call.response_id)
        cards = cards_of((await browser.get("/dashboard")).text)
        assert cards["tokens"] == (str(used), "de 90.000")
        shown, note = cards["cost"]
        assert float(shown.replace(",", ".")) == round(used / 1000, 4)
        assert note == "COP · de 5,00"


async def test_chats_that_wait_for_a_person_are_on_the_page_and_in_health(tmp_path: Path) -> None:
    quick = {"figures_seconds": 0.05}
    takeover = {"pause_minutes": 60, "remind_minutes": 1 / 6000}
    async with (
        open_scene(tmp_path, housekeeping=quick, takeover=takeover) as stage,
        open_browser(stage) as browser,
    ):
        health = (await stage.get("/health")).json()
        assert health["waitingForPerson"] == {"chats": 0, "oldestSeconds": 0}
        assert (await browser.get("/dashboard")).text.count('data-testid="waiting"') == 0
        for person in (LAURA, PEDRO):
            await stage.gateway.agent_says(person, "Hola, soy Marta")
            await stage.gateway.customer_says(person, "¿Hay cupo?")
        with trio.fail_after(30):
            while (await stage.get("/health")).json()["waitingForPerson"]["oldestSeconds"] < 1:  # noqa: ASYNC110 - over HTTP
                await trio.sleep(0.02)
        health = (await stage.get("/health")).json()
        assert health["waitingForPerson"]["chats"] == 2
        assert health["status"] == "degraded"
        (reason,) = health["reasons"]
        assert reason.startswith("a customer has waited for a person for more than")
        page = (await browser.get("/dashboard")).text
        (waiting,) = re.findall(r'data-testid="waiting">([^<]*)<', page)
        assert waiting.startswith("2 ")
        now = (await browser.get("/dashboard/stats")).json()["now"]
        assert now["waitingForPerson"]["chats"] == 2
        assert now["waitingForPerson"]["oldestSeconds"] >= 1
        figures = (await browser.get("/metrics")).text
        assert "recado_waiting_for_person_chats 2.0" in figures
        assert 'recado_queue_messages{state="with_agent"} 2.0' in figures
        assert "recado_oldest_unanswered_timestamp_seconds 0.0" not in figures
        assert 'recado_oldest_waiting_timestamp_seconds{owed_by="bot"} 0.0' in figures


async def test_takeovers_and_the_longest_wait_are_on_the_page(tmp_path: Path) -> None:
    quick = {"figures_seconds": 0.05}
    async with (
        open_scene(tmp_path, housekeeping=quick, takeover={"pause_minutes": 60}) as stage,
        open_browser(stage) as browser,
    ):
        page = (await browser.get("/dashboard")).text
        assert status_figures(page) == dict.fromkeys(("runs", "outbox", "paused", "dead"), "0") | {
            "oldest": NOTHING
        }
        assert cards_of(page)["takeovers"] == ("0", "en la última hora: 0")
        await stage.gateway.agent_says(PEDRO, "Hola, soy Marta")
        gate = trio.Event()
        stage.model.script(say("Sí", gate=gate))
        asked_at = time.time()
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.model.wait_requests(1)

        async def waits() -> str:
            return status_figures((await browser.get("/dashboard")).text)["oldest"]

        with trio.fail_after(30):
            while await waits() == NOTHING:  # noqa: ASYNC110 - over HTTP
                await trio.sleep(0.02)
        page = (await browser.get("/dashboard")).text
        shown = status_figures(page)
        assert (shown["paused"], shown["runs"]) == ("1", "1")
        (since,) = re.findall(r'data-testid="oldest"><time datetime="([^"]*)"', page)
        stats = (await browser.get("/dashboard/stats")).json()
        assert stats["now"]["oldestUnanswered"].startswith(since[:19])
        assert since <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        assert since >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(asked_at - 1))
        assert cards_of(page)["takeovers"] == ("1", "en la última hora: 1")
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        with trio.fail_after(30):
            while await waits() != NOTHING:  # noqa: ASYNC110 - over HTTP
                await trio.sleep(0.02)


async def test_takeovers_at_the_phone_and_in_the_dashboard_count(tmp_path: Path) -> None:
    """A chat that is paused already is not taken over again by a click."""
    async with (
        open_scene(tmp_path, takeover={"pause_minutes": 60}) as stage,
        open_browser(stage) as browser,
    ):
        await stage.gateway.agent_says(PEDRO, "Hola, soy Marta")
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        path = f"/api/v1/chats/{await ref_of(browser, 'Laura')}"
        for _ in range(2):
            assert (await browser.post(f"{path}/pause", json={})).is_success
        sent = {"type": "text", "text": "Soy Marta", "agent": "Marta"}
        assert (await browser.post(f"{path}/messages", json=sent)).is_success
        metrics = (await browser.get("/metrics")).text
        assert "recado_takeovers_total 3.0" in metrics


async def test_the_memory_shown_is_that_of_the_process(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        shown, _ = cards_of((await browser.get("/dashboard")).text)["memory"]
        told = await trio.Path("/proc/self/statm").read_text("ascii")
        pages = int(told.split()[1])
        real = pages * 4096 / 1024**2
        assert shown.endswith(" MB")
        assert real * 0.8 < float(shown.removesuffix(" MB").replace(".", "")) < real * 1.2


async def test_nothing_is_counted_twice_or_missed_while_a_sample_is_stored(tmp_path: Path) -> None:
    environment = new_world(StringIO())
    async with store_in(tmp_path) as store:
        sampler = Sampler(
            metrics=environment.metrics,
            store=store.samples,
            log=environment.log,
            now=time.time,
            seconds=0.001,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sampler.run)
            told: tuple[Sample, ...] = ()
            for number in range(1, 101):
                environment.metrics.count_message("text")
                told = await sampler.recent(3600)
                assert sum(sample.messages for sample in told) == number
            assert len(told) > 2
            nursery.cancel_scope.cancel()
