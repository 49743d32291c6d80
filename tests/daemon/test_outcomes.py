"""Outcome figures of a whole daemon: in the dashboard, as CSV, on the command line, as metrics."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.dashboard import open_browser, words_of
from support.model_script import call, say
from support.operator import recado
from support.rows import rows, select
from support.scenes import PEDRO, found, open_scene
from support.stage import LAURA, Stage

from daemon.ops.maintenance import outcomes

ANA = "573005550177"
ESCALATION = json.dumps({"reason": "asks", "summary": "Quiere hablar.", "urgency": "normal"})


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at once where the daemon lets seconds pass."""
    monkeypatch.setattr(outcomes, "LOOK_SECONDS", 0.02)
    return iter([None])


def found_outcomes(stage: Stage) -> dict[str, str]:
    """The outcome of the last enquiry of each contact, by digits."""
    found_rows = select(stage.settings.data_dir, "enquiries", "chat, outcome", order="id")
    return {chat.partition("@")[0]: outcome for chat, outcome in found_rows}


async def became(stage: Stage, **expected: str) -> None:
    wanted = {
        {"laura": LAURA, "pedro": PEDRO, "ana": ANA}[name]: word for name, word in expected.items()
    }
    await found(lambda: found_outcomes(stage), lambda now: now == wanted)


async def three_enquiries(stage: Stage) -> None:
    """Laura is answered by the bot, Pedro waits for a person, an agent answers Ana."""
    stage.model.script(say("A las nueve."))
    await stage.gateway.customer_says(LAURA, "¿A qué hora abren?", name="Laura")
    await stage.gateway.wait_sent(LAURA, 1)
    await stage.quiet()
    stage.model.script(call("escalate_to_human", ESCALATION), say("Ya le escriben."))
    await stage.gateway.customer_says(PEDRO, "Quiero una persona")
    await stage.gateway.wait_sent(PEDRO, 1)
    await stage.quiet()
    await stage.gateway.customer_says(PEDRO, "¿Hola?")
    stage.model.script(say("Sí."))
    await stage.gateway.customer_says(ANA, "¿Hay cupo?")
    await stage.gateway.wait_sent(ANA, 1)
    await stage.gateway.agent_says(ANA, "Sí, Ana, le guardo uno")
    await stage.quiet()


async def test_each_enquiry_is_counted_once_with_what_came_of_it(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await three_enquiries(stage)
        await became(stage, laura="automatic", pedro="waiting", ana="handed_over")
        seconds = select(stage.settings.data_dir, "enquiries", "first_answer_seconds", order="id")
        assert all(value is not None and value >= 0 for (value,) in seconds)
        async with open_browser(stage) as browser:
            await browser.post("/takeover/done", json={"chat": PEDRO})
            await became(stage, laura="automatic", pedro="handed_over", ana="handed_over")
            page = words_of((await browser.get("/dashboard/figures")).text)
            assert "Resueltas automáticamente" in page
            assert "1 de 3 terminadas" in page
            data = (await browser.get("/api/v1/outcomes?by=number")).json()
            (row,) = data["rows"]
            assert (row["enquiries"], row["automatic"], row["handed_over"]) == (3, 1, 2)
            text = (await browser.get("/dashboard/figures.csv?by=number")).text
            assert text.splitlines()[1].startswith("main,3,1,2,0,0,0,")
            assert (await browser.get("/dashboard/figures.csv?by=x")).status_code == 400
            assert (await browser.get("/dashboard/figures?from=2026-13-13")).status_code == 200
        done = await recado(stage.settings.data_dir, "figures", "--by", "number")
        assert "enquiries 3, automatic 1 (33%), handed over 2" in done.stdout
        as_json = json.loads((await recado(stage.settings.data_dir, "figures", "--json")).stdout)
        assert as_json["total"]["enquiries"] == 3


async def test_an_enquiry_ends_in_silence_and_is_reopened(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("A las nueve."))
        await stage.gateway.customer_says(LAURA, "¿A qué hora abren?", name="Laura")
        await stage.gateway.wait_sent(LAURA, 1)
        await became(stage, laura="automatic")
        await stage.stop()
        stage.pass_time(25 * 3600)
        await stage.start()
        data_dir = stage.settings.data_dir
        await found(lambda: select(data_dir, "enquiries", "settled") == [(1,)])
        exported = (await stage.get("/metrics")).text
        assert 'recado_enquiries_total{outcome="automatic"} 1.0' in exported
        assert "recado_first_answer_seconds_count 1.0" in exported
        stage.model.script(say("También."))
        await stage.gateway.customer_says(LAURA, "¿Y mañana?")
        await stage.gateway.wait_sent(LAURA, 2)
        await found(
            lambda: (
                rows(data_dir, "enquiries", "outcome, reopened", order="id")
                == [
                    {"outcome": "automatic", "reopened": 1},
                    {"outcome": "automatic", "reopened": 0},
                ]
            )
        )


async def test_the_messages_of_an_older_store_are_taken_in_and_a_crash_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, started=False) as stage:
        with monkeypatch.context() as patch:
            patch.setattr(outcomes, "LOOK_SECONDS", 1e9)
            await stage.start()
            await stage.quiet()
            await three_enquiries(stage)
            assert len(found_outcomes(stage)) <= 1  # the look at the start may be late
            await stage.crash()
        await stage.start()
        await became(stage, laura="automatic", pedro="waiting", ana="handed_over")
        await stage.crash()
        await stage.start()
        await became(stage, laura="automatic", pedro="waiting", ana="handed_over")
        assert len(select(stage.settings.data_dir, "enquiries", "id")) == 3


async def test_figures_outlive_a_person_who_is_forgotten(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("A las nueve."))
        await stage.gateway.customer_says(LAURA, "¿A qué hora abren?", name="Laura")
        await stage.gateway.wait_sent(LAURA, 1)
        await became(stage, laura="automatic")
        data_dir = stage.settings.data_dir
        held = json.loads((await recado(data_dir, "export", LAURA)).stdout)
        assert held["enquiries"][0]["outcome"] == "automatic"
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.output
        kept = rows(data_dir, "enquiries", "chat, outcome, first_seq")
        assert kept == [{"chat": "", "outcome": "automatic", "first_seq": 0}]
