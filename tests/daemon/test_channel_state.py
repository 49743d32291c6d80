"""The state of our channel: what Whapi's words mean, and what the daemon does about them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from support.model_script import say
from support.scenes import PEDRO, forgive, found, logged, open_scene, outbox, outcomes
from support.stage import LAURA, Stage, new_world
from trio.testing import MockClock

from daemon.conversation import number_state
from daemon.conversation.number_state import PATIENCE_SECONDS, NumberState
from daemon.conversation.send_pace import SendPace
from daemon.domain.messages import NumberHealth
from daemon.errors import GatewayTemporary, NumberTrouble
from daemon.gateway.whapi.payloads.answers import read_health
from daemon.sandbox.channel import ChannelState as ChatUpdate

LOOK_OFTEN = {"check_seconds": 0.05}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once where the daemon lets half a second pass."""
    monkeypatch.setattr(number_state, "GAP_SECONDS", 0.02)


def health(status: str) -> NumberHealth:
    return read_health(json.dumps({"status": {"text": status}}).encode())


async def state_shown(stage: Stage) -> str:
    """The one state whose series is 1."""
    rows = (await stage.get("/metrics")).text.splitlines()
    (shown,) = [
        row for row in rows if row.startswith("recado_channel_state{") and row[-3:] == "1.0"
    ]
    return shown.partition('state="')[2].partition('"')[0]


async def is_shown(stage: Stage, state: str) -> dict[str, Any]:
    """Wait until the metrics show a state; gives the health page of that time."""
    while await state_shown(stage) != state:
        pass
    answer: dict[str, Any] = (await stage.get("/health")).json()
    return answer


async def test_one_alert_for_each_trouble_and_one_line_when_it_is_over(
    autojump_clock: MockClock,
) -> None:
    """A channel that only connects is none, unless it takes too long."""
    lines = StringIO()
    environment = new_world(lines)
    state = NumberState(
        SendPace(per_minute=0, log=environment.log),
        log=environment.log,
        metrics=environment.metrics,
        now=environment.now,
    )
    for status in ("AUTH", "LAUNCH", "AUTH", "QR", "QR", "LAUNCH", "AUTH"):
        state.asked(health(status))
        state.check_time_limit()
    assert state.reconnects == 2
    state.asked(health("INIT"))
    autojump_clock.jump(PATIENCE_SECONDS + 1)
    for _ in range(3):
        state.check_time_limit()
    assert "connecting" in state.fault
    state.not_answered(GatewayTemporary("no answer", status=502))
    assert (state.view.state, state.fault) == ("unknown", "")
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["event"] for line in said if line["level"] == "error"] == [
        "channel is not usable",
        "channel does not connect",
    ]
    assert [line["event"] for line in said].count("channel is usable again") == 1


async def test_a_refusal_of_sends_alone_does_not_end_when_health_is_good() -> None:
    """A trial's limit is no state of the channel: the sends find out themselves."""
    environment = new_world(StringIO())
    channel = SendPace(per_minute=0, log=environment.log)
    state = NumberState(
        channel, log=environment.log, metrics=environment.metrics, now=environment.now
    )
    state.asked(health("AUTH"))
    channel.refused(NumberTrouble("trial", status=402))
    assert channel.doubt.is_set()
    state.asked(health("AUTH"))
    assert channel.trouble == "trial"


@pytest.mark.parametrize(
    ("told", "state"),
    [("QR", "needs_qr"), ("STOP", "stopped"), ("ERROR", "error"), ("LAUNCH", "connecting")],
)
async def test_sends_wait_until_the_number_works(
    tmp_path: Path, told: ChatUpdate, state: str
) -> None:
    """Nothing is tried meanwhile; nobody is seen typing; runs wait for nothing."""
    async with open_scene(tmp_path) as stage:
        await is_shown(stage, "ok")
        stage.gateway.set_channel_state(told)
        page = await is_shown(stage, state)
        assert page["status"] == ("healthy" if state == "connecting" else "degraded")
        assert (await stage.get("/ready")).status_code == 200
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outbox(stage) == [("pending", "Con gusto")])
        for _ in range(3):  # round trips in which it would go out
            await stage.get("/health")
        assert not stage.gateway.calls("send")
        assert not stage.gateway.presences(LAURA)
        stage.gateway.set_channel_state("AUTH")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        page = await is_shown(stage, "ok")
        assert page["status"] == "healthy"
        if state != "connecting":
            await logged(stage, "channel is usable again")
        forgive(stage)


async def test_a_held_send_is_dropped_when_an_agent_takes_over(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.gateway.set_channel_state("QR")
        await is_shown(stage, "needs_qr")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        await found(lambda: outcomes(stage) == ["handed_off"])
        assert stage.received() == []
        forgive(stage)


async def test_a_stop_does_not_wait_for_held_sends(tmp_path: Path) -> None:
    """What was not said is said by the next start, when the channel is well."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.set_channel_state("STOP")
        await is_shown(stage, "stopped")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await found(lambda: outcomes(stage) == [""])
        await stage.stop()
        stage.gateway.set_channel_state("AUTH")
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Con gusto"]
        forgive(stage)


async def test_an_event_that_is_out_of_date_is_corrected_by_asking(tmp_path: Path) -> None:
    """Events keep no order: the channel is well, whatever a late one says."""
    async with open_scene(tmp_path) as stage:
        await is_shown(stage, "ok")
        late = {"health": {"status": {"code": 3, "text": "QR"}}}
        await stage.gateway.post("channel", "channel.post", late, deliver="acknowledged")
        await logged(stage, "channel is usable again")
        await is_shown(stage, "ok")
        forgive(stage)


async def test_trouble_without_an_event_is_found_by_polling(tmp_path: Path) -> None:
    async with open_scene(tmp_path, whapi=LOOK_OFTEN) as stage:
        stage.gateway.channel.state = "STOP"
        page = await is_shown(stage, "stopped")
        assert "start the channel" in " ".join(page["reasons"])
        stage.gateway.channel.state = "AUTH"
        await is_shown(stage, "ok")
        forgive(stage)


async def test_a_refused_send_makes_the_daemon_ask_how_the_channel_is(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await is_shown(stage, "ok")
        stage.gateway.channel.state = "QR"  # no event of it has come
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await is_shown(stage, "needs_qr")
        sends = len(stage.gateway.calls("send"))
        stage.gateway.set_channel_state("AUTH")
        await stage.gateway.wait_sent(LAURA)
        assert len(stage.gateway.calls("send")) == sends + 1
        forgive(stage)


async def test_if_the_state_of_the_number_is_unknown_sends_are_tried(tmp_path: Path) -> None:
    async with open_scene(tmp_path, whapi=LOOK_OFTEN) as stage:
        stage.gateway.faults.add(operation="health", kind="status", status=400, times=-1)
        await is_shown(stage, "unknown")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert (await stage.get("/health")).json()["status"] == "healthy"


async def test_the_code_that_links_our_number_is_never_logged(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        code = "2@invented-code-of-a-test"
        body = {"qr": {"status": "OK", "base64": code, "rowdata": code, "expire": 20}}
        await stage.gateway.post("channel", "channel.patch", body, deliver="acknowledged")
        await logged(stage, "channel is not usable")
        await logged(stage, "channel is usable again")
        assert code not in stage.log.getvalue()
        forgive(stage)


async def test_subscriptions_are_renewed_after_a_reconnect(tmp_path: Path) -> None:
    """WhatsApp's new session of ours knows of none; the contacts at work are asked for at once."""
    async with open_scene(tmp_path, buffer={"idle_seconds": 20.0}) as stage:
        gateway = stage.gateway
        for chat in (LAURA, PEDRO):
            await gateway.customer_says(chat, "Hola")
        await gateway.wait_for(lambda: {LAURA, PEDRO} <= gateway.ledger.subscriptions)
        await found(lambda: outcomes(stage) == ["answered"] * 2)  # nothing is refused later
        await is_shown(stage, "ok")
        gateway.ledger.subscriptions.clear()
        gateway.set_channel_state("LAUNCH")
        await is_shown(stage, "connecting")
        gateway.set_channel_state("AUTH")
        await gateway.wait_for(lambda: {LAURA, PEDRO} <= gateway.ledger.subscriptions)
