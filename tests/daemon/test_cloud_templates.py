"""Templates in the whole daemon: kept up to date, and sent by tools, commands and the dashboard."""

from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from support.cloud_stage import LAURA_CHAT, TOKEN, CloudStage
from support.dashboard import open_browser, ref_of
from support.model_script import call, say
from support.place import VARIABLE, variables_of_store
from support.rows import change, count, select
from support.scenes import forgive, found, logged, model_input

from daemon.__main__ import main
from daemon.sandbox.cloud_api import ACCOUNT_ID

from .test_cloud_number import cloud_scene

DAY = 24 * 3600.0
TOOL = '''
"""Sends a template."""

from daemon.tools import ToolContext, tool


@tool(effects=True)
async def remind_of_booking(context: ToolContext, day: str) -> str:
    """Remind of a booking."""
    try:
        sent = await context.send_template("reserva", {"1": context.contact_name, "2": day})
    except ValueError as error:
        return str(error)
    return "sent" if sent else "not sent"
'''


def listed(name: str, text: str, *, language: str = "es", status: str = "APPROVED") -> Any:
    components = [{"type": "BODY", "text": text}]
    return {
        "name": name,
        "language": language,
        "status": status,
        "category": "UTILITY",
        "components": components,
    }


TEMPLATES = [
    listed("reserva", "Hola {{1}}, su reserva es el {{2}}."),
    listed("reserva", "Hi {{1}}, your booking is on {{2}}.", language="en"),
    listed("seguimos_aqui", "{{1}}, ¿seguimos?"),
    listed("oferta", "Solo hoy", status="PAUSED"),
]


def names(stage: CloudStage) -> list[tuple[str, str]]:
    rows = select(stage.settings.data_dir, "templates", "name, language", order="name, language")
    return [(name, language) for name, language in rows]


async def synchronised(stage: CloudStage) -> None:
    """Let the daemon see the account's templates."""
    stage.cloud.templates = list(TEMPLATES)
    await stage.cloud.call_webhook("message_template_status_update", {"event": "APPROVED"})
    await found(lambda: names(stage), lambda rows: len(rows) == len(TEMPLATES))


async def recado(stage: CloudStage, *arguments: str, **environ: str) -> Result:
    settings: dict[str, str | None] = {
        "RECADO_DATA_DIR": str(stage.settings.data_dir),
        **variables_of_store(stage.settings.data_dir),
        VARIABLE: None,
        "RECADO_GATEWAY": "cloud",
        "RECADO_CLOUD__API_URL": stage.cloud_url,
        "RECADO_CLOUD__TOKEN": TOKEN,
        "RECADO_CLOUD__PHONE_NUMBER_ID": stage.cloud.phone_number_id,
        "RECADO_CLOUD__BUSINESS_ACCOUNT_ID": ACCOUNT_ID,
        **environ,
    }
    run = CliRunner(env=settings)
    return await trio.to_thread.run_sync(lambda: run.invoke(main, list(arguments)))


async def test_the_ledger_has_what_the_account_has(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await synchronised(stage)
        assert len(stage.cloud.calls("templates")) >= len(TEMPLATES) / 2  # two to a page
        stage.cloud.templates = TEMPLATES[:1]
        await stage.cloud.call_webhook("message_template_status_update", {"event": "DELETED"})
        await found(lambda: names(stage), lambda rows: rows == [("reserva", "es")])
        stage.cloud.faults.add(operation="templates", kind="code", code=100)
        await stage.cloud.call_webhook("message_template_status_update", {"event": "APPROVED"})
        await logged(stage, "the templates are not known")
        assert names(stage) == [("reserva", "es")]


@pytest.mark.parametrize("parameters", [{"1": "{name}"}, {}])
async def test_the_template_of_a_shut_window_has_parameters(
    tmp_path: Path, parameters: dict[str, str]
) -> None:
    """One that does not fit is not sent, and an operator can read why."""
    cloud = {
        "window_template": "seguimos_aqui:es",
        "window_template_parameters": parameters,
    }
    async with cloud_scene(tmp_path, cloud=cloud) as stage:
        await synchronised(stage)
        yesterday = stage.cloud.now() - 25 * 3600
        late: dict[str, Any] = {"timestamp": str(int(yesterday))}
        await stage.cloud.customer_sends(LAURA_CHAT, "text", {"body": "¿Hay cuarto?"}, **late)
        if parameters:
            (sent,) = await stage.cloud.wait_sent(LAURA_CHAT)
            assert sent.content["template"]["components"] == [
                {"type": "body", "parameters": [{"type": "text", "text": "Laura"}]}
            ]
            (row,) = select(stage.settings.data_dir, "outbox", "body", where={"error": ""})
            assert row == ("Laura, ¿seguimos?",)
        else:
            (line,) = await logged(stage, "the template of cloud.window_template cannot be sent")
            assert "takes 1, not no parameters" in line["error"]
            await stage.quiet()
            assert stage.got() == []
        assert count(stage.settings.data_dir, "escalations") == 1
        forgive(stage)


async def test_a_tool_sends_a_template(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "reminders.py").write_text(TOOL)
    async with cloud_scene(tmp_path, tools={"folder": tmp_path / "tools"}) as stage:
        stage.model.script(call("remind_of_booking", '{"day": "viernes"}'), say("Listo."))
        await stage.cloud.customer_says(LAURA_CHAT, "Recuérdeme la reserva")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.quiet()
        assert "there is no template reserva" in "\n".join(model_input(stage))
        await synchronised(stage)
        stage.model.script(call("remind_of_booking", '{"day": "viernes"}'), say("Listo."))
        await stage.cloud.customer_says(LAURA_CHAT, "¿Otra vez?")
        await stage.cloud.wait_sent(LAURA_CHAT, 3)
        await stage.quiet()
    _, template, answer = stage.cloud.sent(LAURA_CHAT)
    assert template.content["template"]["language"]["code"] == "es"
    texts = [one["text"] for one in template.content["template"]["components"][0]["parameters"]]
    assert texts == ["Laura", "viernes"]
    assert answer.text == "Listo."


async def test_commands_list_show_and_send_them(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.quiet()
        stage.cloud.templates = list(TEMPLATES)
        done = await recado(stage, "templates", "sync")
        assert (done.exit_code, done.output) == (0, "4 templates\n")
        assert (await recado(stage, "templates", "sync")).output == "4 templates, as before\n"
        shown = await recado(stage, "templates", "list")
        assert "oferta  es  utility  paused  no parameters" in shown.output.splitlines()
        assert "reserva  es  utility  approved  1, 2" in shown.output.splitlines()
        one = await recado(stage, "templates", "show", "reserva", "--language", "en")
        assert "Hi {{1}}, your booking is on {{2}}." in one.output
        before = {"customer_wrote_at": stage.cloud.now() - 2 * DAY}
        change(stage.settings.data_dir, "chats", before)
        stage.cloud.contact(LAURA_CHAT).written_at = stage.cloud.now() - 2 * DAY
        order = ("templates", "send", "573001234567", "reserva")
        good = await recado(stage, *order, "-p", "1=Laura", "-p", "2=viernes", "--wait", "30")
        assert good.exit_code == 0, good.output
        assert "sent as wamid." in good.output
        bad = await recado(stage, *order, "-p", "1=Laura")
        assert bad.exit_code == 2
        assert "takes 1, 2, not 1" in bad.output
        none = await recado(stage, "templates", "send", "573001234567", "oferta")
        assert "not approved: paused" in none.output
    assert stage.got()[1:] == ["reserva"]


async def test_sync_names_missing_configuration(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        missing = await recado(stage, "templates", "sync", RECADO_CLOUD__BUSINESS_ACCOUNT_ID="")
        assert missing.exit_code == 2
        assert "cloud.business_account_id: must be set" in missing.output
        stage.cloud.faults.add(operation="templates", kind="code", code=190, status=401, times=-1)
        refused = await recado(stage, "templates", "sync")
        assert refused.exit_code == 1
        assert "cloud.token" in refused.output


async def test_a_person_sends_one_from_the_dashboard(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await synchronised(stage)
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        change(stage.settings.data_dir, "chats", {"customer_wrote_at": stage.cloud.now() - DAY})
        async with open_browser(stage) as browser:
            ref = await ref_of(browser, "Laura")
            page = (await browser.get(f"/dashboard/chats/{ref}")).text
            assert page.count('data-template="') == 3  # the paused one is not offered
            assert "Hola {{1}}, su reserva es el {{2}}." in page
            order: dict[str, Any] = {
                "type": "template",
                "template": "reserva",
                "language": "es",
                "parameters": {"1": "Laura", "2": "viernes"},
                "agent": "Marta",
            }
            path = f"/api/v1/chats/{ref}/messages"
            key = {"Idempotency-Key": "0123456789abcdef"}
            for _ in range(2):  # the same click
                assert (await browser.post(path, json=order, headers=key)).status_code == 202
            await stage.cloud.wait_sent(LAURA_CHAT, 2)
            bad = await browser.post(path, json={**order, "parameters": {}})
            assert bad.status_code == 409
            assert "takes 1, 2" in bad.json()["detail"]
        await stage.quiet()
    assert stage.got()[1:] == ["reserva"]
    (row,) = select(stage.settings.data_dir, "outbox", "body", where={"author": "Marta"})
    assert row == ("Hola Laura, su reserva es el viernes.",)
