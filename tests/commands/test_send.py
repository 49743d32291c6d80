"""`recado send`: an operator's words through the outbox of a running or stopped daemon."""

from pathlib import Path

import pytest
from support.operator import recado, recado_at
from support.rows import rows
from support.stage import LAURA, Stage, open_stage


async def test_a_running_daemon_sends_it_and_the_command_prints_its_id(stage: Stage) -> None:
    data_dir = stage.settings.data_dir
    done = await recado(data_dir, "send", f"+{LAURA}", "Su mesa está lista", "--wait", "30")
    (sent,) = stage.gateway.sent(LAURA)
    assert sent.text == "Su mesa está lista"
    assert done.stdout.splitlines() == ["outbox row 1", f"sent as {sent.id}"]
    assert done.exit_code == 0


async def test_it_is_sent_by_the_chats_number_and_noted_in_the_thread(
    stage: Stage,
) -> None:
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    data_dir = stage.settings.data_dir
    assert (await recado(data_dir, "send", LAURA, "¿Confirma a las 8?")).exit_code == 0
    await stage.gateway.wait_sent(LAURA, 2)
    await stage.gateway.customer_says(LAURA, "Sí")
    await stage.gateway.wait_sent(LAURA, 3)
    (chat,) = rows(data_dir, "chats", "channel")
    assert chat["channel"]
    assert rows(data_dir, "outbox", "DISTINCT channel") == [chat]
    assert "¿Confirma a las 8?" in str(stage.model.calls[-1].body["input"])
    (audited,) = rows(data_dir, "audit JOIN audit_details ON audit_id = id", "action, after")
    assert audited == {"action": "send", "after": "outbox row 2"}


async def test_a_stopped_daemon_sends_it_when_it_starts(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await stage.stop()
        data_dir = stage.settings.data_dir
        done = await recado(data_dir, "send", LAURA, "Buenos días", "--wait", "0.3")
        assert done.exit_code == 1
        assert "not sent yet, pending; it stays in the outbox" in done.stderr
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Buenos días"]


async def test_it_is_not_sent_during_a_takeover(stage: Stage) -> None:
    await stage.gateway.agent_says(LAURA, "Ya la atiendo yo")
    done = await recado(stage.settings.data_dir, "send", LAURA, "Hola", "--wait", "30")
    assert done.exit_code == 1
    assert "not sent, dropped: an agent has the chat" in done.stderr
    assert stage.received() == []


@pytest.mark.parametrize("chat", ["", "hola", "12", "573001234567@example", "stories", "1" * 16])
async def test_an_unusable_chat_is_refused(stage: Stage, chat: str) -> None:
    done = await recado(stage.settings.data_dir, "send", chat, "Hola")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "chat" in done.stderr
    assert rows(stage.settings.data_dir, "outbox", "id") == []


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    done = recado_at(tmp_path, "send", LAURA, " \n")
    assert done.exit_code == 2
    assert "the text is empty" in done.stderr
