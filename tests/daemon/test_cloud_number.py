"""The whole daemon with a number of the Cloud API: its webhooks, its sends, and its people."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from support.cloud_bodies import body, change, message
from support.cloud_stage import LAURA_CHAT, VERIFY_TOKEN, CloudStage, open_cloud_stage
from support.model_script import say
from support.plain import NO_TLS
from support.rows import select, states_of
from support.scenes import QUICK_RULES, forgive, found, logged, model_input, outbox, outcomes

from daemon.sandbox import samples

NAMELESS = "CO.13491208655302741918"
NAMELESS_CHAT = f"{NAMELESS}@bsuid"


@asynccontextmanager
async def cloud_scene(folder: Path, **changes: Any) -> AsyncIterator[CloudStage]:
    """A stage whose chats wait hardly at all."""
    rules = {**QUICK_RULES, **changes.pop("rules", {})}
    quick = {"buffer": {"window_seconds": 0.1, "idle_seconds": 0.1}}
    async with open_cloud_stage(folder / "data", rules=rules, **quick, **changes) as stage:
        yield stage


def chats(stage: CloudStage) -> list[str]:
    return [chat for (chat,) in select(stage.settings.data_dir, "chats", "chat")]


async def delivered(stage: CloudStage) -> list[str]:
    """Wait until all sends have been delivered; give their states."""
    look = lambda: select(stage.settings.data_dir, "outbox", "state, status")  # noqa: E731
    rows = await found(look, lambda rows: all(status == "delivered" for _, status in rows))
    return [state for state, _ in rows]


# -- one conversation ------------------------------------------------------------------------------


async def test_a_customer_is_answered_in_one_message(tmp_path: Path) -> None:
    """Each message is billed, so an answer is not cut into several."""
    async with cloud_scene(tmp_path) as stage:
        stage.model.script(say("Buenas tardes, Laura.\n\nSí hay cuarto para dos personas."))
        asked = await stage.cloud.customer_says(LAURA_CHAT, "¿Hay cuarto? 🏨")
        await stage.cloud.wait_sent(LAURA_CHAT)
        assert await delivered(stage) == ["sent"]
        (receipt,) = stage.cloud.calls("read")
        assert receipt.content["message_id"] == asked
        assert receipt.content["typing_indicator"] == {"type": "text"}
    (sent,) = stage.cloud.sent(LAURA_CHAT)
    assert sent.text == "Buenas tardes, Laura.\n\nSí hay cuarto para dos personas."
    assert sent.content["to"] == "573001234567"
    assert "¿Hay cuarto? 🏨" in model_input(stage)[-1]
    assert outcomes(stage) == ["answered"]


async def test_a_call_that_comes_three_times_is_answered_once(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.copies = 3
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.quiet()
    assert len(stage.cloud.sent(LAURA_CHAT)) == 1


async def test_a_picture_is_fetched_with_the_token_and_seen(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        picture = samples.first_of("image").data
        await stage.cloud.customer_sends_file(LAURA_CHAT, "image", picture, "image/jpeg")
        await stage.cloud.wait_sent(LAURA_CHAT)
        (file,) = select(stage.settings.data_dir, "media", "state, mime")
        assert file == ("stored", "image/jpeg")
        assert [call.operation for call in stage.cloud.made if "/" not in call.operation].count(
            "file"
        ) == 1


async def test_a_person_in_the_business_app_takes_over(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.cloud.agent_says(LAURA_CHAT, "Yo sigo con usted")
        held = await stage.cloud.customer_says(LAURA_CHAT, "Gracias")
        await stage.quiet()
        assert states_of(stage.settings.data_dir)[held][0] == "with_agent"
    assert len(stage.cloud.sent(LAURA_CHAT)) == 1


async def test_messages_answered_by_the_business_agent_are_not_answered_twice(
    tmp_path: Path,
) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.call_webhook("standby", {"messages": [message(id="wamid.S")]})
        state = states_of(stage.settings.data_dir)["wamid.S"]
        await stage.quiet()
    assert state == ("ignored", "the Meta Business Agent has the chat")
    assert stage.got() == []


# -- who may call ----------------------------------------------------------------------------------


async def test_only_signed_calls_are_accepted(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        whole = body(change(messages=[message()]))
        for headers in ({}, {"x-hub-signature-256": "sha256=00"}, {"authorization": "Bearer x"}):
            async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
                answer = await client.post(f"{stage.url}/hook", content=whole, headers=headers)
            assert answer.status_code == 401
        assert select(stage.settings.data_dir, "events", "id") == []
        forgive(stage)


async def test_metas_challenge_is_answered(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
        good = await stage.get(f"/hook?{query}{VERIFY_TOKEN}")
        bad = await stage.get(f"/hook?{query}wrong")
        forgive(stage)
    assert (good.status_code, good.text) == (200, "1158201444")
    assert bad.status_code == 403
    assert "1158201444" not in bad.text


# -- sends whose outcome is not known --------------------------------------------------------------


async def test_a_status_may_come_before_the_answer_to_its_send(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.status_before_answer = True
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_sent(LAURA_CHAT)
        assert await delivered(stage) == ["sent"]
    assert len(stage.cloud.calls("send")) == 1


async def test_a_send_without_an_answer_is_settled_by_its_status(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.faults.add(operation="send", kind="drop_after")
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await found(lambda: outcomes(stage), lambda found: found == ["answered"])
        (row,) = select(stage.settings.data_dir, "outbox", "state, message_id")
        assert row == ("sent", stage.cloud.sent(LAURA_CHAT)[0].id)
    assert len(stage.cloud.calls("send")) == 1


@pytest.mark.parametrize(
    ("unknown", "sends", "state"), [("leave", 1, "failed"), ("repeat", 2, "sent")]
)
async def test_an_unsettled_send_is_left_or_repeated(
    tmp_path: Path, unknown: str, sends: int, state: str
) -> None:
    async with cloud_scene(tmp_path, delivery={"unknown": unknown}) as stage:
        stage.cloud.sends_statuses = False
        stage.cloud.faults.add(operation="send", kind="drop_after")
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await found(lambda: [s for s, _ in outbox(stage)], lambda found: found == [state])
        await stage.quiet()
        if unknown == "leave":
            assert stage.errors()
        forgive(stage)
    assert len(stage.cloud.calls("send")) == sends


@pytest.mark.parametrize(("code", "sends"), [(131026, 1), (131000, 2)])
async def test_a_failure_is_repeated_only_if_that_may_help(
    tmp_path: Path, code: int, sends: int
) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.faults.add(operation="delivery", kind="failed", code=code)
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")
        await stage.cloud.wait_for(lambda: len(stage.cloud.calls("send")) == sends)
        await found(
            lambda: select(stage.settings.data_dir, "outbox", "status"),
            lambda rows: rows == [("failed" if sends == 1 else "delivered",)],
        )
        await stage.quiet()
        forgive(stage)
    assert len(stage.cloud.calls("send")) == sends


# -- the window of 24 hours ------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["", "seguimos_aqui:es"])
async def test_after_a_day_only_a_template_is_sent_and_a_person_is_asked_for(
    tmp_path: Path, template: str
) -> None:
    """No model is asked: its words could not be sent."""
    async with cloud_scene(tmp_path, cloud={"window_template": template}) as stage:
        yesterday = stage.cloud.now() - 25 * 3600
        content = {"body": "¿Hay cuarto?"}
        sends = partial(stage.cloud.customer_sends, LAURA_CHAT, "text", content)
        late = await sends(timestamp=str(int(yesterday)))
        stage.cloud.contact(LAURA_CHAT).written_at = yesterday
        data = stage.settings.data_dir
        look = lambda: states_of(data)[late]  # noqa: E731
        _, reason = await found(look, lambda fate: fate[0] == "with_agent")
        assert "only templates" in reason
        await stage.quiet()
        assert stage.got() == ([template.partition(":")[0]] if template else [])
        assert len(select(data, "escalations", "turn_id")) == 1
        assert stage.model.calls == []
        # With the customer's next message everything may be said again.
        await stage.cloud.customer_says(LAURA_CHAT, "¿Hola?")
        await found(lambda: outcomes(stage), lambda found: found == ["handed_off", "answered"])
        assert any("¿Hay cuarto?" in words for words in model_input(stage))
        forgive(stage)


# -- people without a phone number -----------------------------------------------------------------


async def test_a_person_without_a_number_is_answered(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(NAMELESS_CHAT, "Hola")
        (sent,) = await stage.cloud.wait_sent(NAMELESS_CHAT)
        await stage.quiet()
    assert sent.content["recipient"] == NAMELESS
    assert "to" not in sent.content
    assert chats(stage) == [NAMELESS_CHAT]
    assert NAMELESS.partition(".")[2] not in stage.log.getvalue()


async def test_a_number_that_appears_later_is_the_same_persons(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(NAMELESS_CHAT, "Soy Laura")
        await stage.cloud.wait_sent(NAMELESS_CHAT)
        await stage.quiet()
        person = stage.cloud.contact(LAURA_CHAT)
        person.scoped = NAMELESS
        await stage.cloud.customer_says(LAURA_CHAT, "¿Se acuerda de mí?")
        await stage.cloud.wait_sent(LAURA_CHAT)
        await stage.quiet()
        # An echo, and a message, that show only the other id belong to the same chat.
        person.phone = ""
        await stage.cloud.customer_says(LAURA_CHAT, "¿Y ahora?")
        await stage.cloud.wait_sent(LAURA_CHAT, 2)
        await stage.quiet()
    assert chats(stage) == [LAURA_CHAT]
    assert any("Soy Laura" in words for words in model_input(stage))


async def test_a_person_with_a_new_user_id_keeps_their_chat(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        await stage.cloud.customer_says(NAMELESS_CHAT, "Soy Laura")
        await stage.cloud.wait_sent(NAMELESS_CHAT)
        await stage.quiet()
        system = {
            "type": "user_changed_user_id",
            "previous_user_id": NAMELESS,
            "user_id": "CO.2",
        }
        changed = message("system", by="", scoped="", system=system)
        await stage.cloud.call_webhook("messages", {"messages": [changed]})
        await stage.cloud.customer_says("CO.2@bsuid", "¿Y ahora?")
        (sent,) = await stage.cloud.wait_sent("CO.2@bsuid")
        await stage.quiet()
    assert sent.content["recipient"] == "CO.2"
    assert chats(stage) == ["CO.2@bsuid"]
    assert any("Soy Laura" in words for words in model_input(stage))


# -- the number ------------------------------------------------------------------------------------


async def test_news_of_the_account_reach_the_operator(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        value = {"event": "FLAGGED", "current_limit": "TIER_1K"}
        await stage.cloud.call_webhook("phone_number_quality_update", value)
        (line,) = await logged(stage, "the gateway reports about the number")
        assert "FLAGGED" in line["detail"]


async def test_nothing_is_sent_while_the_number_is_in_trouble(tmp_path: Path) -> None:
    async with cloud_scene(tmp_path) as stage:
        stage.cloud.status = "BANNED"
        stage.cloud.faults.add(operation="send", kind="code", code=131031, times=-1)
        await stage.cloud.customer_says(LAURA_CHAT, "Hola")

        async def is_degraded() -> bool:
            health = json.loads((await stage.get("/health")).content)
            return bool(health["status"] != "healthy")

        with trio.fail_after(30):
            while not await is_degraded():  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.05)
        rows = await found(lambda: outbox(stage))
        assert rows[0][0] == "pending"
        forgive(stage)
    assert stage.got() == []
