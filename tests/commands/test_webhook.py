"""`recado webhook` and `recado check --online` against the simulated gateway and model."""

import json
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from support.stage import Stage, open_stage

from daemon.__main__ import main
from daemon.gateway.whapi.kind import ANSWERED_MEDIA, USEFUL_EVENTS
from daemon.ops.checks import online_findings
from daemon.sandbox.channel import ChannelState
from daemon.sandbox.start import TOKEN, sandbox_settings
from daemon.settings import Settings

SECRET = "a-secret-of-the-webhook"
URL = "https://bot.example.com/hook"
OTHER = {"url": "https://crm.example.com/in", "mode": "body", "headers": {"X-Key": "k"}}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The simulators alone."""
    async with open_stage(tmp_path / "data", started=False) as stage:
        yield stage


def kept(stage: Stage) -> dict[str, Any]:
    return stage.gateway.settings._values


async def recado(stage: Stage, *arguments: str, url: str = URL, **more: str) -> Result:
    environ = {
        "WHAPI_TOKEN": TOKEN,
        "WHAPI_API_URL": stage._outside.gateway_url,
        "RECADO_WEB__WEBHOOK_SECRET": SECRET,
        "WEBHOOK_URL": url,
        "OPENAI_API_KEY": TOKEN,
        "OPENAI_BASE_URL": f"{stage.model_url}/v1",
        **more,
    }
    run = CliRunner(env=environ)
    return await trio.to_thread.run_sync(lambda: run.invoke(main, list(arguments)))


async def test_set_adds_our_webhook_and_keeps_the_others(stage: Stage) -> None:
    """Another webhook, and settings that are not webhooks, are as they were."""
    kept(stage)["webhooks"] = [OTHER]
    kept(stage)["callback_persist"] = False
    result = await recado(stage, "webhook", "set")
    assert (result.exit_code, result.output) == (0, f"added {URL}\n")
    first, ours = kept(stage)["webhooks"]
    assert first == OTHER
    assert ours["url"] == URL
    assert ours["headers"] == {"Authorization": f"Bearer {SECRET}"}
    assert {"type": "presences", "method": "post"} in ours["events"]
    assert kept(stage)["callback_persist"] is False


async def test_set_twice_changes_ours(stage: Stage) -> None:
    """Its own further headers stay; nothing is doubled."""
    entry = {"url": URL + "/", "mode": "path", "headers": {"X-Own": "1"}, "events": []}
    kept(stage)["webhooks"] = [entry, OTHER]
    for mode in ("method", "body"):
        result = await recado(stage, "webhook", "set", "--url", URL, "--mode", mode)
        assert result.output == f"changed {URL}\n"
    ours, other = kept(stage)["webhooks"]
    assert (ours["mode"], other) == ("body", OTHER)
    assert ours["headers"] == {"X-Own": "1", "Authorization": f"Bearer {SECRET}"}


async def test_show_names_faults_and_no_secret(stage: Stage) -> None:
    kept(stage)["webhooks"] = [{"url": URL, "headers": {"Authorization": "Bearer old-secret"}}]
    result = await recado(stage, "webhook", "show")
    assert result.exit_code == 1
    assert URL in result.output
    assert "does not get messages.post, messages.patch" in result.output
    assert "Authorization header is not web.webhook_secret" in result.output
    assert "old-secret" not in result.output
    assert SECRET not in result.output


async def test_a_wrong_token_is_logged_in_one_line(stage: Stage) -> None:
    result = await recado(stage, "webhook", "show", WHAPI_TOKEN="wrong-token-123")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "wrong-token-123" not in result.output


async def test_check_online_finds_nothing_wrong_after_set(stage: Stage) -> None:
    kept(stage)["media"] = {"auto_download": list(ANSWERED_MEDIA)}
    await recado(stage, "webhook", "set")
    result = await recado(stage, "check", "--online")
    lines = result.output.splitlines()
    assert f"ok: webhook: {URL}" in lines
    assert "ok: models: gpt-6-luna" in lines
    assert any(line.startswith("ok: channel:") for line in lines)


async def test_set_prints_its_result_as_json(stage: Stage) -> None:
    kept(stage)["webhooks"] = [OTHER]
    result = await recado(stage, "webhook", "set", "--json")
    done = {"done": "added", "url": URL, "carries_secret": True, "webhooks": 2}
    assert json.loads(result.output) == done


async def online(stage: Stage) -> set[tuple[str, str]]:
    """What `recado check --online --json` finds of Whapi, from the third word on."""
    result = await recado(stage, "check", "--online", "--json")
    rows = json.loads(result.output)
    assert result.exit_code == any(row["level"] == "error" for row in rows)
    return {(row["level"], row["text"]) for row in rows}


async def test_check_online_lets_whapi_try_the_webhook(stage: Stage) -> None:
    await recado(stage, "webhook", "set")
    reached = await online(stage)
    assert not any("reach" in text for _, text in reached)
    stage.gateway.settings.unreachable.add(URL)
    text = "Whapi does not reach the webhook: is the daemon running, and its address public?"
    assert ("error", text) in await online(stage)
    assert len(stage.gateway.calls("webhook_test")) == 2


async def test_a_server_without_the_test_of_webhooks_is_no_error(stage: Stage) -> None:
    await recado(stage, "webhook", "set")
    stage.gateway.faults.add(operation="webhook_test", kind="status", status=404, times=-1)
    found = {level for level, text in await online(stage) if "whether Whapi reaches" in text}
    assert found == {"warning"}


async def test_check_online_names_missing_events(stage: Stage) -> None:
    await recado(stage, "webhook", "set")
    (ours,) = kept(stage)["webhooks"]
    ours["events"] = [{"type": "messages", "method": "post"}]
    ours["headers"] = {}
    kept(stage)["media"] = {"auto_download": ["image"]}
    kept(stage)["offline_mode"] = True
    found = await online(stage)
    useful = ", ".join(USEFUL_EVENTS)
    missing = "messages.patch, messages.delete, presences.post"
    assert {
        ("error", f"the webhook does not get {missing}"),
        ("warning", f"the webhook does not get {useful}"),
        ("error", "the webhook's Authorization header is not web.webhook_secret"),
        ("warning", "media.auto_download leaves out voice, audio, video, document"),
        ("warning", "offline_mode is on: WhatsApp does not report when contacts type"),
    } <= found


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("STOP", "the channel is stopped: health STOP; start the channel"),
        (
            "QR",
            "the channel is not linked to a phone: health QR; scan the code",
        ),
        ("LAUNCH", "the channel is not usable: health LAUNCH"),
    ],
)
async def test_check_online_finds_a_number_in_trouble(
    stage: Stage, state: ChannelState, text: str
) -> None:
    stage.gateway.set_channel_state(state)
    assert any(level == "error" and text in said for level, said in await online(stage))


async def test_check_online_finds_a_wrong_token(stage: Stage) -> None:
    result = await recado(stage, "check", "--online", WHAPI_TOKEN="wrong-token-123")
    assert result.exit_code == 1
    assert "check whapi.token" in result.output
    assert "wrong-token-123" not in result.output


async def test_check_online_names_each_fault(stage: Stage) -> None:
    result = await recado(stage, "check", "--online", RECADO_ASSISTANT__MODEL="gpt-none")
    assert result.exit_code == 1
    assert "error: the channel has no webhook" in result.output
    assert "warning: media.auto_download is off" in result.output
    assert "error: the model server does not list gpt-none" in result.output


async def voice_checked(
    stage: Stage, what: str, model: str, url: str, key: str = TOKEN
) -> set[tuple[str, str]]:
    """What `recado check --online` finds of a server of its own for one model."""
    prefix = f"RECADO_VOICE__{what.upper()}"
    variables = {f"{prefix}_MODEL": model, f"{prefix}_BASE_URL": url, f"{prefix}_API_KEY": key}
    result = await recado(stage, "check", "--online", "--json", **variables)
    found = {(row["level"], row["text"]) for row in json.loads(result.output)}
    return {(level, text) for level, text in found if text.startswith(f"voice.{what}_")}


@pytest.mark.parametrize("what", ["speech", "transcription"])
async def test_check_online_asks_a_voice_server_of_its_own(stage: Stage, what: str) -> None:
    url = f"{stage.model_url}/v1"
    found = await voice_checked(stage, what, "gpt-6-luna", url)
    assert found == {("ok", f"voice.{what}_model: gpt-6-luna")}
    ((level, text),) = await voice_checked(stage, what, "nobody", url)
    assert (level, "does not list nobody" in text) == ("error", True)
    ((level, text),) = await voice_checked(stage, what, "gpt-6-luna", url, "of-somebody-else")
    assert (level, "check the key" in text) == ("error", True)
    ((level, text),) = await voice_checked(stage, what, "x", "http://127.0.0.1:9/v1")
    assert (level, text.startswith(f"voice.{what}_base_url: ")) == ("error", True)


async def test_a_voice_server_that_lists_no_models_is_a_warning(stage: Stage) -> None:
    ((level, text),) = await voice_checked(stage, "speech", "x", f"{stage.model_url}/v1/other")
    assert (level, "lists no models" in text) == ("warning", True)


async def test_a_model_near_its_end_is_an_error_and_a_far_end_a_warning(stage: Stage) -> None:
    settings: Settings = sandbox_settings(stage.settings, stage._outside)
    assistant = settings.assistant.model_copy(update={"model": "gpt-4o-mini"})
    settings = settings.model_copy(update={"assistant": assistant})
    levels = [
        next(f.level for f in await online_findings(settings, today=day) if "gpt-4o" in f.text)
        for day in (date(2026, 3, 1), date(2026, 11, 23), date(2027, 2, 1))
    ]
    assert levels == ["warning", "error", "error"]
