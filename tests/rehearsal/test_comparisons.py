"""Comparisons in the dashboard: both answers, what people hold to be right, and their end."""

import json
import re
import time
import tomllib
from pathlib import Path

import trio
from click.testing import CliRunner
from support import accounts
from support.accounts import PASSWORD, open_desk
from support.compared import plant_comparison
from support.dashboard import open_browser, words_of
from support.operator import files_with, recado
from support.place import variables_of_store
from support.rows import count, rows, select
from support.scenes import PEDRO, found, open_scene
from support.stage import LAURA, Stage

from daemon.__main__ import main

CANDIDATE = '- When asked about "pool": "It opens at 8 am."'
DAY = 24 * 3600.0


async def talk(stage: Stage) -> None:
    """Two customers are answered."""
    await stage.gateway.customer_says(LAURA, "When does the pool open?", name="Laura Gómez")
    await stage.gateway.wait_sent(LAURA, 1)
    await stage.gateway.customer_says(PEDRO, "Thanks", name="Pedro")
    await stage.gateway.wait_sent(PEDRO, 1)
    answered = {"outcome": "answered"}
    await found(lambda: count(stage.settings.data_dir, "turns", where=answered) == 2)


async def compare(stage: Stage, folder: Path) -> str:
    """Have the conversations answered by a candidate; gives the page's address."""
    new = folder / "new.md"
    new.write_text(CANDIDATE)
    data_dir = stage.settings.data_dir
    environ = {
        "RECADO_CONFIG": "",
        "OPENAI_API_KEY": "",
        "RECADO_DATA_DIR": str(data_dir),
        **variables_of_store(data_dir),
    }
    words = ["rehearse", "--from", "1h", "--instructions", str(new)]
    done = await trio.to_thread.run_sync(lambda: CliRunner(env=environ).invoke(main, words))
    assert done.exit_code == 0, done.output
    (path,) = re.findall(r"/dashboard/comparisons/\d+", done.stderr)
    return str(path)


async def test_both_answers_are_shown_and_marked(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        browser.cookies.set("recado-language", "en")
        await talk(stage)
        path = await compare(stage, tmp_path)
        listed = words_of((await browser.get("/dashboard/comparisons")).text)
        assert "new.md" in listed
        assert "1 better" in listed
        page = (await browser.get(path)).text
        shown = words_of(page)
        assert "It opens at 8 am." in shown
        assert "When does the pool open?" in shown
        assert "Laura Gómez" in shown
        assert LAURA not in page
        assert "Pedro" not in shown  # nothing has changed
        assert "the simulated model costs nothing" in shown
        assert "Pedro" in words_of((await browser.get(f"{path}?show=all")).text)
        assert "No such turns" in (await browser.get(f"{path}?show=worse")).text
        ((row,),) = select(
            stage.settings.data_dir, "compared_turns", "id", where={"verdict": "better"}
        )
        done = await browser.post(f"{path}/{row}", data={"mark": "new", "show": "better"})
        assert done.status_code == 303
        assert done.headers["location"] == f"{path}?show=better&after=0#turn-{row}"
        shown = words_of((await browser.get(path)).text)
        assert "The new one is right · somebody" in shown
        assert "the judge agrees with 1 of 1 marks" in shown
        assert "No such turns" in (await browser.get(f"{path}?show=unmarked")).text
        # The other answer, and then none.
        await browser.post(f"{path}/{row}", data={"mark": "old"})
        assert "the judge agrees with 0 of 1 marks" in (await browser.get(path)).text
        await browser.post(f"{path}/{row}", data={"mark": ""})
        marked = rows(stage.settings.data_dir, "compared_turns", "mark, marked_by, marked_at")
        assert all(one == {"mark": "", "marked_by": "", "marked_at": None} for one in marked)
        assert (await browser.post(f"{path}/{row}", data={"mark": "both"})).status_code == 400
        assert (await browser.post(f"{path}9/{row}", data={"mark": "new"})).status_code == 404
        assert (await browser.get(f"{path}9")).status_code == 404
        (case,) = re.findall(r'href="([^"]+/case\.toml)"', page)
        text = (await browser.get(case)).text
        assert tomllib.loads(text)["case"][0]["turn"][0]["says"] == ["When does the pool open?"]
        assert "Gómez" not in text


async def test_who_only_reads_sees_no_number_and_marks_nothing(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage:
        await talk(stage)
        plant_comparison(stage.settings.data_dir)
        path = "/dashboard/comparisons/1"
        async with accounts.open_browser(stage, "Rita", PASSWORD) as rita:
            page = (await rita.get(f"{path}?show=all")).text
            assert "Laura Gómez" in page
            assert LAURA not in page
            for word in ("data-reveal", "mark-form", "case.toml"):
                assert word not in page
            ((row,),) = select(
                *(stage.settings.data_dir, "compared_turns", "MIN(id)"), where={"verdict": "better"}
            )
            assert (await rita.post(f"{path}/{row}", data={"mark": "new"})).status_code == 403
        async with accounts.open_browser(stage, "Olga", PASSWORD) as olga:
            assert "mark-form" in (await olga.get(path)).text
            assert (await olga.post(f"{path}/{row}", data={"mark": "new"})).status_code == 303
        marked = rows(stage.settings.data_dir, "compared_turns", "marked_by", where={"id": row})
        assert marked == [{"marked_by": "account Olga"}]


async def test_a_long_comparison_has_pages(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await talk(stage)
        for number in range(1, 4):
            plant_comparison(stage.settings.data_dir, number=number)
        path = "/dashboard/comparisons/2"
        first = (await browser.get(f"{path}?show=all")).text
        assert first.count('data-testid="compared-turn"') == 12  # two turns, each verdict
        assert "compared-turn" not in (await browser.get(f"{path}?show=all&after=2000000")).text
        assert (await browser.get(f"{path}?show=x&after=x")).status_code == 200


async def test_a_person_who_is_forgotten_is_in_no_comparison(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await talk(stage)
        await compare(stage, tmp_path)
        data_dir = stage.settings.data_dir
        held = json.loads((await recado(data_dir, "export", LAURA)).stdout)
        assert [one["answer"] for one in held["compared_turns"]] == ["It opens at 8 am."]
        assert (await recado(data_dir, "forget", LAURA, "--yes")).exit_code == 0
        assert rows(data_dir, "compared_turns", "verdict") == [{"verdict": "same"}]
        await stage.stop()
        assert files_with(data_dir, "It opens at 8 am.") == []


async def test_old_comparisons_are_deleted(tmp_path: Path) -> None:
    async with open_scene(tmp_path, retention={"event_days": 30}) as stage:
        await talk(stage)
        data_dir, now = stage.settings.data_dir, time.time()
        plant_comparison(data_dir, number=1, at=now - 31 * DAY)
        plant_comparison(data_dir, number=2, at=now)
        await stage.stop()
        await stage.start()
        await found(lambda: count(data_dir, "comparisons") == 1)
        assert select(data_dir, "compared_turns", "DISTINCT comparison_id") == [(2,)]
