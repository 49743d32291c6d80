"""The day after a customer's message in which Meta takes anything, and the pace of one chat."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.cloud_stage import LAURA_CHAT, CloudStage
from support.dashboard import open_browser, ref_of
from support.model_script import say
from support.rows import change, select, states_of
from support.scenes import forgive, found, model_input, outbox, outcomes

from .test_cloud_number import NAMELESS_CHAT, cloud_scene

DAY = 24 * 3600.0
TEMPLATE = {"window_template": "seguimos_aqui:es"}


def fate(stage: CloudStage, message_id: str) -> tuple[str, str]:
    return states_of(stage.settings.data_dir).get(message_id, ("", ""))


async def wait_for_fate(stage: CloudStage, message_id: str, state: str) -> str:
    _, reason = await found(lambda: fate(stage, message_id), lambda now: now[0] == state)
    return reason


async def test_two_messages_to_one_customer_keep_their_distance(tmp_path: Path) -> None:
    two = {"max_bubbles": 2, "pair_seconds": 1.0}
    async with cloud_scene(tmp_path, cloud=two) as stage:
        stage.model.script(say(f"{'Uno. ' * 30}\n\n{'Dos. ' * 30}"))
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT, 2)
        first, second = stage.cloud.contact(LAURA_CHAT).sends
        await stage.cloud.customer_says(NAMELESS_CHAT, "Hola")
        await stage.cloud.wait_sent(NAMELESS_CHAT)
    assert second - first > 0.95


@pytest.mark.parametrize("operation", ["send", "delivery"])
async def test_an_answer_that_comes_too_late_waits_for_the_customer(
    tmp_path: Path, operation: str
) -> None:
    """Whether Meta refuses it at once or later: a person is asked for, and it is said then."""
    async with cloud_scene(tmp_path, cloud=TEMPLATE) as stage:
        stage.model.script(say("Sí hay cuarto."), say("Con gusto."))
        stage.cloud.faults.add(operation=operation, kind="code", code=131047)
        asked = await stage.cloud.customer_says(LAURA_CHAT, "¿Hay cuarto?")
        reason = await wait_for_fate(stage, asked, "with_agent")
        assert "only templates" in reason
        await stage.cloud.wait_sent(LAURA_CHAT)
        assert stage.got() == ["seguimos_aqui"]
        assert len(select(stage.settings.data_dir, "escalations", "turn_id")) == 1
        before = len(stage.cloud.sent(LAURA_CHAT))
        await stage.cloud.customer_says(LAURA_CHAT, "¿Hola?")
        await stage.cloud.wait_sent(LAURA_CHAT, before + 2)
        await wait_for_fate(stage, asked, "answered")
        await stage.quiet()
        assert stage.got()[before:] == ["Sí hay cuarto.", "Con gusto."]
        assert outcomes(stage) == ["answered", "answered"]
        assert "Sí hay cuarto." in model_input(stage)
        forgive(stage)


async def test_what_was_held_for_a_day_is_not_tried(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.status = "BANNED"
        stage.cloud.faults.add(operation="send", kind="code", code=131031)
        asked = await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await found(lambda: stage.cloud.calls("send") or stage.events("channel is not usable"))
        await found(lambda: outbox(stage), lambda rows: [s for s, _ in rows] == ["pending"])
        wrote_at = {"customer_wrote_at": stage.cloud.now() - DAY}
        change(stage.settings.data_dir, "chats", wrote_at)
        stage.cloud.status = "CONNECTED"
        await wait_for_fate(stage, asked, "with_agent")
        await stage.quiet()
        assert stage.got() == []
        forgive(stage)


async def test_messages_answered_by_a_person_meanwhile_are_not_answered(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path, takeover={"pause_minutes": 0.0}) as stage:
        stage.model.script(say("Sí hay cuarto."), say("Con gusto."))
        stage.cloud.faults.add(operation="send", kind="code", code=131047)
        asked = await stage.cloud.customer_says(LAURA_CHAT, "¿Hay cuarto?")
        await wait_for_fate(stage, asked, "with_agent")
        await stage.cloud.agent_says(LAURA_CHAT, "Le escribo yo")
        await wait_for_fate(stage, asked, "handed_off")
        await stage.cloud.customer_says(LAURA_CHAT, "Gracias")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.quiet()
        assert stage.got() == ["Con gusto."]
        forgive(stage)


async def test_an_older_message_does_not_shorten_the_time(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        ((wrote_at,),) = select(stage.settings.data_dir, "chats", "customer_wrote_at")
        late: dict[str, Any] = {"timestamp": str(int(stage.cloud.now() - DAY))}
        await stage.cloud.customer_sends(LAURA_CHAT, "text", {"body": "Antes"}, **late)
        await stage.quiet()
        ((still,),) = select(stage.settings.data_dir, "chats", "customer_wrote_at")
        forgive(stage)
    assert still == wrote_at > stage.cloud.now() - 3600


async def test_the_dashboard_shows_until_when_anything_may_be_sent(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        assert await _shut(stage) == "no"
        wrote_at = {"customer_wrote_at": stage.cloud.now() - DAY}
        change(stage.settings.data_dir, "chats", wrote_at)
        assert await _shut(stage) == "yes"


async def _shut(stage: CloudStage) -> str:
    async with open_browser(stage) as browser:
        page = await browser.get(f"/dashboard/chats/{await ref_of(browser, 'Laura')}")
    (shut,) = re.findall(r'data-testid="customers-window" data-shut="(\w+)"', page.text)
    return str(shut)
