"""Statuses of our sends: written down with their times, and a failure mended once or said aloud."""

import time
from pathlib import Path

import pytest
from support.model_script import say
from support.rows import select, states_of
from support.scenes import forgive, found, logged, open_scene, outbox, outcomes
from support.stage import LAURA, Stage


def sends(stage: Stage) -> list[tuple[str, str, bool, bool]]:
    """State and status of each row of the outbox, and whether it has its times."""
    rows = select(
        stage.settings.data_dir, "outbox", "state, status, delivered_at, read_at", order="id"
    )
    return [(state, status, bool(delivered), bool(read)) for state, status, delivered, read in rows]


async def metric(stage: Stage, line: str) -> float:
    """One figure of the metrics."""
    text = (await stage.get("/metrics")).text
    return next(float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line))


async def test_delivered_and_read_are_written_down(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: sends(stage) == [("sent", "delivered", True, False)])
        stage.gateway.set_status(sent.id, "read")
        stage.gateway.set_status(sent.id, "delivered")  # late, and told already
        await found(lambda: sends(stage) == [("sent", "read", True, True)])
        assert await metric(stage, 'recado_statuses_total{status="read"}') == 1
        assert await metric(stage, "recado_delivery_seconds_count") == 1


async def test_an_undelivered_message_is_sent_once_more(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.gateway.faults.add(operation="delivery", kind="failed")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        first, second = await stage.gateway.wait_sent(LAURA, 2)
        assert (first.text, second.text) == ("Con gusto", "Con gusto")
        await found(lambda: sends(stage) == [("sent", "delivered", True, False)])
        await found(lambda: outcomes(stage) == ["answered"])
        (line,) = stage.events("WhatsApp could not deliver, saying it again")
        assert "131026" in line["error"]
        assert await metric(stage, 'recado_send_failures_total{then="sent_again"}') == 1


async def test_a_second_failure_is_reported_and_the_message_counts_as_unanswered(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path) as stage:
        stage.gateway.faults.add(operation="delivery", kind="failed", times=2)
        stage.model.script(say("Con gusto"))
        message_id = await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "WhatsApp could not deliver, given up")
        await found(lambda: outcomes(stage) == ["dead"])
        assert len(stage.received()) == 2
        assert outbox(stage) == [("failed", "Con gusto")]
        for then in ("sent_again", "given_up"):
            assert await metric(stage, f'recado_send_failures_total{{then="{then}"}}') == 1
        assert states_of(stage.settings.data_dir)[message_id][0] == "dead"
        forgive(stage)


async def test_the_status_before_the_answer_of_the_send_is_kept_for_it(tmp_path: Path) -> None:
    """A message that failed before we knew its id is said again as soon as we do."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.gateway.echoes.statuses = False
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        status = {"id": sent.id, "status": "failed", "timestamp": str(int(time.time()))}
        await stage.gateway.post(
            LAURA, "statuses.post", {"statuses": [status]}, deliver="acknowledged"
        )
        assert outbox(stage) == [("sending", "Con gusto")]
        held.release()
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])


async def test_each_status_of_a_webhook_counts(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.statuses = False
        stage.model.script(say("uno\n\ndos"))
        await stage.gateway.customer_says(LAURA, "Hola")
        first, second = await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        now = str(int(time.time()))
        both = [
            {"id": first.id, "status": "delivered", "timestamp": now},
            {"id": second.id, "status": "failed", "timestamp": now},
        ]
        await stage.gateway.post(LAURA, "statuses.post", {"statuses": both})
        await logged(stage, "WhatsApp could not deliver, saying it again")
        assert await metric(stage, 'recado_statuses_total{status="delivered"}') == 1
        assert await metric(stage, 'recado_statuses_total{status="failed"}') == 1


async def test_nothing_is_sent_again_into_an_agents_chat(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.statuses = False
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        stage.gateway.set_status(sent.id, "failed", error="not deliverable")
        await logged(stage, "WhatsApp could not deliver, given up")
        await stage.quiet()
        assert stage.received() == ["Con gusto"]
        forgive(stage)


@pytest.mark.parametrize("status", ["failed", "read"])
async def test_statuses_of_customers_messages_are_not_ours(tmp_path: Path, status: str) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Con gusto"))
        message_id = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: sends(stage) == [("sent", "delivered", True, False)])
        update = {"id": message_id, "status": status, "code": 4}
        await stage.gateway.post(
            LAURA, "statuses.post", {"statuses": [update]}, deliver="acknowledged"
        )
        assert sends(stage) == [("sent", "delivered", True, False)]
        assert states_of(stage.settings.data_dir)[message_id][0] == "answered"
