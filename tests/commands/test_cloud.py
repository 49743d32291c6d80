"""Commands for a number of the Cloud API, and for people without a phone number."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import trio
from click.testing import CliRunner, Result
from support.cloud_stage import CloudStage, open_cloud_stage
from support.place import variables_of_store
from support.rows import count

from daemon.__main__ import main
from daemon.ops.checks import online_findings

TODAY = date(2026, 11, 30)
NAMELESS = "CO.13491208655302741918"
WORDS = "Tengo alergia al maní"


async def findings(stage: CloudStage, **web: Any) -> list[tuple[str, str]]:
    settings = stage.outside_settings()
    changed = settings.web.model_copy(update=web)
    settings = settings.model_copy(update={"web": changed})
    return [(f.level, f.text) for f in await online_findings(settings, today=TODAY)]


async def recado(stage: CloudStage, *arguments: str, **environ: str) -> Result:
    folder = stage.settings.data_dir
    place = {"RECADO_DATA_DIR": str(folder), **variables_of_store(folder)}
    run = CliRunner(env={**place, **environ})
    return await trio.to_thread.run_sync(lambda: run.invoke(main, list(arguments)))


async def test_check_online_shows_the_numbers_state(tmp_path: Path) -> None:
    async with open_cloud_stage(tmp_path / "data") as stage:
        found = await findings(stage)
        assert ("ok", "number: 106540352242922 (status CONNECTED, quality GREEN)") in found
        stage.cloud.webhook_shown = "https://old.example.com/hook"
        found = await findings(stage, webhook_url="https://bot.example.com/hook")
        assert ("error", "the number's webhooks do not go to web.webhook_url") in found
        stage.cloud.webhook_shown = "https://bot.example.com/hook/"
        found = await findings(stage, webhook_url="https://bot.example.com/hook")
        assert ("ok", "webhook: https://bot.example.com/hook") in found
        stage.cloud.status = "FLAGGED"
        found = await findings(stage)
        assert any(level == "warning" and "report or block" in text for level, text in found)
        stage.cloud.token_is_good = False
        (error, *_) = (text for level, text in await findings(stage) if level == "error")
        assert "cloud.token" in error


async def test_check_online_tries_the_template_for_late_answers(tmp_path: Path) -> None:
    settings = {"window_template": "seguimos_aqui:es", "window_template_parameters": {"1": "x"}}
    async with open_cloud_stage(tmp_path / "data", cloud=settings) as stage:
        problem = "cloud.window_template: there is no template seguimos_aqui in es"
        assert any(text.startswith(problem) for _, text in await findings(stage))
        template = {
            "name": "seguimos_aqui",
            "language": "es",
            "status": "PAUSED",
            "category": "UTILITY",
            "components": [{"type": "BODY", "text": "{{1}}, ¿seguimos?"}],
        }
        stage.cloud.templates = [template]
        refused = "cloud.window_template: template seguimos_aqui is not approved: paused"
        assert ("error", refused) in await findings(stage)
        stage.cloud.templates = [{**template, "status": "APPROVED"}]
        found = await findings(stage)
        assert ("ok", "templates: 1") in found
        assert not [text for level, text in found if level == "error"]


async def test_check_online_misses_the_secrets(tmp_path: Path) -> None:
    secrets = {"app_secret": None, "verify_token": None}
    async with open_cloud_stage(tmp_path / "data", cloud=secrets) as stage:
        found = await findings(stage)
    assert ("error", "cloud.app_secret is not set: anybody can post webhooks") in found
    assert any(level == "warning" and "cloud.verify_token" in text for level, text in found)


async def test_the_webhook_of_the_cloud_api_is_not_set_here(tmp_path: Path) -> None:
    async with open_cloud_stage(tmp_path / "data") as stage:
        result = await recado(stage, "webhook", "show", RECADO_GATEWAY="cloud")
    assert result.exit_code == 2
    assert "Meta's app dashboard" in result.output


async def test_a_person_without_a_number_is_exported_and_forgotten(tmp_path: Path) -> None:
    async with open_cloud_stage(tmp_path / "data") as stage:
        await stage.cloud.customer_says(f"{NAMELESS}@bsuid", WORDS)
        await stage.cloud.wait_sent(f"{NAMELESS}@bsuid")
        await stage.quiet()
        exported = await recado(stage, "export", NAMELESS)
        assert exported.exit_code == 0, exported.output
        assert WORDS in json.dumps(json.loads(exported.output), ensure_ascii=False)
        forgotten = await recado(stage, "forget", NAMELESS, "--yes")
        assert forgotten.exit_code == 0, forgotten.output
        left = await recado(stage, "export", NAMELESS)
        assert WORDS not in left.output
        assert count(stage.settings.data_dir, "chats", where={"chat": f"{NAMELESS}@bsuid"}) == 0
