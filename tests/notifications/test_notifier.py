"""People are told over real HTTP, beside the daemon's work: once, in few words, after any crash."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from support.model_script import Step, call, say
from support.operator import recado
from support.rows import select
from support.scenes import forgive, found, logged, open_scene
from support.stage import LAURA, Stage
from support.target import NotificationTarget, open_target

from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.postgres.database import PostgresDatabase
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.notifications import Notifications
from daemon.ops import notification_targets, notifier

ESCALATION = json.dumps(
    {
        "reason": "customer_complaint",
        "summary": "La ducha no funciona. Llamar al 573009876543.",
        "urgency": "high",
    }
)
WORDS = "mi pasaporte es AB123 y estoy furiosa"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look again at once where the daemon lets seconds pass."""
    monkeypatch.setattr(notifier, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(notifier, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(notifier, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(notification_targets, "SEND_SECONDS", 30.0)
    return iter([None])


@asynccontextmanager
async def notifying(
    folder: Path, *, more: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[tuple[Stage, NotificationTarget]]:
    """A running daemon that tells a real server of what people have to know."""
    async with open_target() as target:
        urls = tuple(SecretStr(url) for url in (target.address, *more))
        async with open_scene(folder, notify={"urls": urls}, **changes) as stage:
            yield stage, target


async def bodies(target: NotificationTarget, count: int = 1) -> list[dict[str, Any]]:
    return await found(lambda: target.taken, lambda taken: len(taken) >= count)


def rows(stage: Stage) -> list[tuple[str, str]]:
    return [
        (reason, state)
        for reason, state in select(
            stage.settings.data_dir, "notifications", "reason, state", order="id"
        )
    ]


async def escalate(stage: Stage) -> None:
    """Have the model hand Laura's chat to a person."""
    stage.model.script(call("escalate_to_human", ESCALATION), say("Una persona le escribe."))
    await stage.gateway.customer_says(LAURA, WORDS, name="Laura")


async def test_an_escalation_is_notified_once_and_without_the_customers_words(
    tmp_path: Path,
) -> None:
    async with notifying(tmp_path) as (stage, target):
        await escalate(stage)
        (body,) = await bodies(target)
        await stage.gateway.wait_sent(LAURA, 1)
        await stage.quiet()
        await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])
        await stage.crash()
        await stage.start()
        await logged(stage, "ready", 2)
        assert "una persona" in body["title"]
        assert "Laura (5730…4567): customer_complaint; La ducha" in body["message"]
        assert "573009876543" not in body["message"]
        assert "pasaporte" not in json.dumps(body)
        assert len(target.taken) == 1


async def test_a_target_that_was_down_is_notified_after_a_crash(tmp_path: Path) -> None:
    """The customer is answered meanwhile; what could not be sent is in the ledger."""
    async with notifying(tmp_path) as (stage, target):
        target.status = 503
        await escalate(stage)
        await stage.gateway.wait_sent(LAURA, 1)
        warned = await logged(stage, "notification not delivered", 2)
        assert {line["error"] for line in warned} == {"answered 503"}
        assert {line["target"] for line in warned} == {"notify.urls[0] (json)"}
        await stage.crash()
        target.status = 200
        await stage.start()
        await bodies(target)
        await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])
        assert len(target.taken) == 1
        assert str(target.port) not in stage.log.getvalue().replace(stage.url, "")


async def test_a_target_that_hangs_holds_up_neither_a_turn_nor_another_target(
    tmp_path: Path,
) -> None:
    async with open_target() as stuck:
        stuck.open = trio.Event()
        async with notifying(tmp_path, more=(stuck.address,)) as (stage, target):
            await escalate(stage)
            await bodies(target)
            await found(lambda: stuck.asked == 1)
            await stage.gateway.wait_sent(LAURA, 1)
            assert rows(stage) == [("escalation", "pending")]
            stuck.open.set()
            await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])


async def test_a_notification_is_given_up_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "GIVE_UP_SECONDS", 0.0)
    async with notifying(tmp_path) as (stage, target):
        target.status = 503
        await escalate(stage)
        await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "failed")])
        (line,) = await logged(stage, "notification given up")
        assert (line["level"], line["reason"]) == ("error", "escalation")
        forgive(stage)


async def test_only_targets_that_failed_are_tried_again(tmp_path: Path) -> None:
    async with open_target() as second:
        second.status = 503
        async with notifying(tmp_path, more=(second.address,)) as (stage, target):
            await escalate(stage)
            await found(lambda: second.asked, lambda asked: asked > 1)
            second.status = 200
            await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])
            assert (len(target.taken), len(second.taken)) == (1, 1)


async def test_what_was_taken_is_not_sent_again_because_the_store_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, failures = Notifications.settle, iter(range(3))

    async def settled(*arguments: Any, **named: Any) -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("the store is away")
        await settle(*arguments, **named)

    monkeypatch.setattr(Notifications, "settle", settled)
    async with notifying(tmp_path) as (stage, target):
        await escalate(stage)
        await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])
        assert (next(failures, None), len(target.taken)) == (None, 1)
        assert stage.errors() == []


async def test_a_node_whose_lease_is_over_leaves_notifications_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still, and cannot know yet that another one leads."""
    looks: list[float] = []
    due = Notifications.due

    async def noted(*arguments: Any, **named: Any) -> Any:
        looks.append(named["now"])
        return await due(*arguments, **named)

    async def look_on() -> None:
        seen = len(looks)
        await found(lambda: len(looks), lambda looked: looked > seen + 2)

    monkeypatch.setattr(Notifications, "due", noted)
    monkeypatch.setattr(notifier, "RETRY_SECONDS", 0.0)  # it is due at each look
    async with notifying(tmp_path) as (stage, target):
        target.status = 503
        await escalate(stage)
        await stage.gateway.wait_sent(LAURA, 1)
        await logged(stage, "notification not delivered")
        await stage.quiet()
        with pytest.MonkeyPatch.context() as stood_still:
            stood_still.setattr(SqliteDatabase, "lease_left", lambda *_: 0.0)
            stood_still.setattr(PostgresDatabase, "lease_left", lambda *_: 0.0)
            await look_on()
            asked, target.status = target.asked, 200
            await look_on()
            assert (target.asked, target.taken) == (asked, [])
        await bodies(target)
        await found(lambda: rows(stage), lambda all_: all_ == [("escalation", "sent")])


async def test_a_customer_who_waits_for_a_person_causes_a_notification(tmp_path: Path) -> None:
    async with notifying(tmp_path, takeover={"pause_minutes": 30, "remind_minutes": 0.002}) as (
        stage,
        target,
    ):
        await stage.gateway.agent_says(LAURA, "Te atiendo yo")
        await stage.gateway.customer_says(LAURA, WORDS, name="Laura")
        (body,) = await bodies(target)
        assert "esperan a una persona" in body["title"]
        assert "Laura (5730…4567): espera desde" in body["message"]
        assert "pasaporte" not in json.dumps(body)


async def test_trouble_of_the_number_is_notified_with_advice(tmp_path: Path) -> None:
    async with notifying(tmp_path, whapi={"check_seconds": 0.05}) as (stage, target):
        stage.gateway.set_channel_state("QR")
        (body,) = await bodies(target)
        assert "canal de WhatsApp" in body["title"]
        assert "in Whapi's panel" in body["message"]
        await found(lambda: rows(stage), lambda all_: all_ == [("channel", "sent")])
        forgive(stage)


async def test_the_spent_budget_is_notified_once_a_day(tmp_path: Path) -> None:
    async with notifying(tmp_path, budget={"total_tokens": 10}) as (stage, target):
        for number in range(2):
            await stage.gateway.customer_says(LAURA, f"Hola {number}")
        (body,) = await bodies(target)
        assert "presupuesto" in body["title"]
        await found(lambda: rows(stage), lambda all_: ("budget", "sent") in all_)
        assert len(target.taken) == 1
        forgive(stage)


async def test_a_model_that_refuses_every_request_is_notified_with_its_reason(
    tmp_path: Path,
) -> None:
    """And that the customer waits for a person, without what was written."""
    async with notifying(tmp_path) as (stage, target):
        stage.model.script(Step(status=400, code="unknown_parameter", message="Unknown: 'x'."))
        await stage.gateway.customer_says(LAURA, WORDS, name="Laura")
        await bodies(target, 2)
        titles = {body["title"]: body["message"] for body in target.taken}
        refusal = next(body for title, body in titles.items() if "rechaza todas" in title)
        assert "Unknown: 'x'." in refusal
        assert any("a una persona" in title for title in titles)
        assert "pasaporte" not in json.dumps(target.taken)
        forgive(stage)


async def test_a_person_who_is_forgotten_leaves_nothing_here(tmp_path: Path) -> None:
    """Nor is anybody told of the escalation once more while it is being erased."""
    async with notifying(tmp_path) as (stage, target):
        target.status = 503
        await escalate(stage)
        await stage.gateway.wait_sent(LAURA, 1)
        await logged(stage, "notification not delivered")
        await stage.quiet()
        done = await recado(stage.settings.data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.stderr
        noted = select(stage.settings.data_dir, "notifications", "channel, chat, line, state")
        assert noted == [("", "", "", "sent")]
        target.status = 200
        stage.gateway.set_channel_state("QR")
        (body,) = await bodies(target)
        assert "canal de WhatsApp" in body["title"], "it has looked again, and this alone is new"
        forgive(stage)


async def test_without_a_target_there_is_no_notification_and_the_start_warns(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path) as stage:
        (line,) = await logged(
            stage,
            "neither escalation.chat nor notify.urls is set: when the bot"
            " hands a customer to a person, nobody is notified",
        )
        assert line["level"] == "warning"
        assert rows(stage) == []
