"""When the model server is away, slow, or wrong: what the customer hears of it, and what not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from support.brisk import open_brisk_stage
from support.model_script import Step, say
from support.rows import select, states_of
from support.stage import LAURA, Stage

from daemon.conversation import config_loader, opening
from daemon.conversation.live_config import ChatRules
from daemon.conversation.turn import turn
from daemon.domain.limits import LONGEST_WAIT_SECONDS
from daemon.domain.texts import texts
from daemon.sandbox.model_wire import Say
from daemon.settings import Settings

ANDRES = "573005550142"
APOLOGY, UNCLEAR = texts("es").apology, texts("es").unclear
MANY = 100


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after hundredths of a second."""
    original = config_loader.chat_rules

    def chat_rules(settings: Settings, instructions: str) -> ChatRules:
        return replace(original(settings, instructions), retry_seconds=0.05)

    monkeypatch.setattr(config_loader, "chat_rules", chat_rules)
    monkeypatch.setattr(turn, "RETRY_CAP_SECONDS", 0.1)
    monkeypatch.setattr(opening, "BREAKER_BASE_SECONDS", 0.05)
    monkeypatch.setattr(opening, "BREAKER_CAP_SECONDS", 0.1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon with little patience."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


def forget_errors(stage: Stage) -> None:
    """Take note of what the daemon has logged as an error: it was expected here."""
    assert stage.errors()
    stage.log.truncate(0)
    stage.log.seek(0)


@dataclass
class Outage:
    """A fault of the model server that lasts until it is over."""

    over: bool = False

    def steps(self, **fault: Any) -> list[Step]:
        """As many of this fault as there will be requests."""
        return [Step(when=lambda _body: not self.over, **fault) for _ in range(MANY)]


ONCE: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "code": "rate_limit_exceeded"},
    "500": {"status": 500, "message": "secret-detail"},
    "503": {"status": 503},
    "401": {"status": 401, "code": "invalid_api_key", "message": "secret-detail"},
    "hang up": {"hang_up": True},
    "garbage": {"garbage": True},
    "failed": {"failed": "server_error"},
    "error event": {"error_event": "server_error"},
}


async def test_one_fault_is_not_noticed_by_the_customer(stage: Stage) -> None:
    """Whatever it is, the answer comes a little later, and nothing else does."""
    for number, fault in enumerate(ONCE):
        contact = f"57300400000{number}"
        answer = f"Sí hay, a pesar de {fault}."
        stage.model.script(Step(**ONCE[fault]), say(answer))
        await stage.gateway.customer_says(contact, f"¿hay cupo? {fault}")
        await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert stage.received(contact) == [answer]


async def test_a_cut_stream_is_picked_up(stage: Stage) -> None:
    """The response runs on at the server: it is followed and not paid for again."""
    stage.model.script(say("Sí hay cupo.", cut_after=4))
    await stage.gateway.customer_says(LAURA, "¿hay cupo?")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert stage.received() == ["Sí hay cupo."]
    assert len(stage.model.calls) == 1


async def test_a_server_that_asks_for_time_gets_it(stage: Stage) -> None:
    """429 with Retry-After: no second request before that."""
    stage.model.script(Step(status=429, headers={"retry-after": "1"}))
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA)
    first, second = stage.model.calls
    assert second.started_at - first.started_at >= 1
    assert len(stage.received()) == 1


@pytest.mark.parametrize("fault", ["500", "garbage"])
async def test_an_outage_is_apologised_for_once_and_then_answered(stage: Stage, fault: str) -> None:
    """The customer hears at once that it takes a while, once, and gets the answer when it can be.

    Nothing of the server's words reaches anybody.
    """
    outage = Outage()
    stage.model.script(*outage.steps(**ONCE[fault]))
    await stage.gateway.customer_says(LAURA, "¿hay cupo?")
    await stage.gateway.wait_sent(LAURA)
    assert stage.received() == [APOLOGY]
    # Several more tries fail, and nothing more is said.
    await stage.model.wait_requests(len(stage.model.calls) + 4)
    assert stage.received() == [APOLOGY]
    outage.over = True
    await stage.gateway.wait_sent(LAURA, 2)
    await stage.quiet()
    assert len(stage.received()) == 2
    assert "¿hay cupo?" in stage.received()[1]
    assert "secret-detail" not in stage.log.getvalue()
    if stage.errors():
        forget_errors(stage)


async def test_a_message_in_an_outage_is_answered_with_the_others(stage: Stage) -> None:
    """One apology an outage, however many messages come in it; one answer for all of them."""
    outage = Outage()
    stage.model.script(*outage.steps(status=500))
    await stage.gateway.customer_says(LAURA, "¿hay cupo?")
    await stage.gateway.wait_sent(LAURA)
    await stage.gateway.customer_says(LAURA, "¿hola?")
    await stage.model.wait_for(lambda: "¿hola?" in str(stage.model.calls[-1].items))
    await stage.model.wait_requests(len(stage.model.calls) + 3)
    outage.over = True
    await stage.gateway.wait_sent(LAURA, 2)
    await stage.quiet()
    assert stage.received()[0] == APOLOGY
    assert len(stage.received()) == 2
    assert stage.model.calls[-1].customer_texts == ["¿hay cupo?\n¿hola?"]
    if stage.errors():
        forget_errors(stage)


async def test_a_run_that_hangs_is_cut_and_tried_again(tmp_path: Path) -> None:
    """Beyond the time limit the server is told that nobody waits any more."""
    async with open_brisk_stage(tmp_path / "data", assistant={"run_timeout_seconds": 4}) as stage:
        stage.model.script(Step(gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        (answer,) = stage.received()
        assert "¿hay cupo?" in answer
        assert [call.outcome for call in stage.model.calls] == ["cancelled", "finished"]


async def test_a_model_that_always_hangs_is_given_up(tmp_path: Path) -> None:
    """Each hanging run is paid for, so it ends; the chat goes on with the next message."""
    async with open_brisk_stage(tmp_path / "data", assistant={"run_timeout_seconds": 2.0}) as stage:
        outage = Outage()
        stage.model.script(*outage.steps(gate=trio.Event()))
        message_id = await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == [APOLOGY]
        assert select(tmp_path / "data", "turns", "attempts") == [(turn.MAX_TIMEOUTS,)]
        assert states_of(tmp_path / "data")[message_id][0] == "dead"
        outage.over = True
        await stage.gateway.customer_says(LAURA, "¿y mañana?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert "¿y mañana?" in " ".join(stage.received()[1:])
        forget_errors(stage)


async def test_a_request_that_is_refused_for_good_is_not_repeated(tmp_path: Path) -> None:
    """One apology, a dead turn with its reason, and the next message is answered."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        refusal: dict[str, Any] = {
            "status": 400,
            "code": "invalid_prompt",
            "message": "secret-detail",
        }
        stage.model.script(Step(**refusal), say("Mañana sí."))
        message_id = await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == [APOLOGY]
        assert len(stage.model.calls) == 1
        state, reason = states_of(tmp_path / "data")[message_id]
        assert state == "dead"
        assert "invalid_prompt" in reason
        turns = select(tmp_path / "data", "turns", "outcome, reason")
        assert turns == [("dead", reason)]
        await stage.gateway.customer_says(LAURA, "¿y mañana?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == [APOLOGY, "Mañana sí."]
        assert "secret-detail" not in stage.log.getvalue()
        forget_errors(stage)


async def test_each_outage_has_its_own_apology(stage: Stage) -> None:
    """An answer between two outages ends the first: the second is apologised for again."""
    for number in (1, 2):
        stage.model.script(Step(status=400, code="invalid_prompt"), say("Mañana sí."))
        await stage.gateway.customer_says(LAURA, f"¿hay cupo? {number}")
        await stage.gateway.wait_sent(LAURA, 2 * number - 1)
        await stage.quiet()
        await stage.gateway.customer_says(LAURA, f"¿y mañana? {number}")
        await stage.gateway.wait_sent(LAURA, 2 * number)
        await stage.quiet()
    assert stage.received() == [APOLOGY, "Mañana sí."] * 2
    forget_errors(stage)


async def test_two_refusals_in_a_row_are_one_apology(stage: Stage) -> None:
    stage.model.script(*[Step(status=400, code="invalid_prompt")] * 2)
    await stage.gateway.customer_says(LAURA, "uno")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    await stage.gateway.customer_says(LAURA, "dos")
    await stage.model.wait_requests(2)
    await stage.quiet()
    assert stage.received() == [APOLOGY]
    assert "recado_fallbacks_total 1.0" in (await stage.get("/metrics")).text
    forget_errors(stage)


UNFIT: dict[str, dict[str, Any]] = {
    "nothing": {"outputs": ()},
    "blank": {"outputs": (Say("  \n "),)},
    "echo": {"echo": True},
    "cut off": {"outputs": (Say("La tarifa es de"),), "incomplete": "max_output_tokens"},
}


async def test_an_unsendable_answer_becomes_the_safe_text(stage: Stage) -> None:
    """However often the model is asked, the customer gets one sentence, and it is ours."""
    for number, unfit in enumerate(UNFIT.values()):
        contact, outage = f"57300400000{number}", Outage()
        stage.model.script(*outage.steps(**unfit))
        await stage.gateway.customer_says(contact, "¿Cuánto cuesta la suite?")
        await stage.gateway.wait_sent(contact)
        await stage.quiet()
        assert stage.received(contact) == [UNCLEAR]
        outage.over = True
        stage.model.script(say("La doble, 180000."))
        await stage.gateway.customer_says(contact, "¿y la doble?")
        await stage.gateway.wait_sent(contact, 2)
        assert stage.received(contact) == [UNCLEAR, "La doble, 180000."]


async def test_an_outage_of_one_chat_is_not_another_ones(stage: Stage) -> None:
    """A chat whose requests are refused does not hold up the chat beside it."""
    refused = Step(status=400, code="invalid_prompt", when=lambda body: "maldito" in str(body))
    stage.model.script(refused)
    await stage.gateway.customer_says(LAURA, "maldito")
    await stage.gateway.customer_says(ANDRES, "Hola")
    await stage.gateway.wait_sent(ANDRES)
    await stage.gateway.wait_sent(LAURA)
    assert stage.received() == [APOLOGY]
    assert APOLOGY not in stage.received(ANDRES)
    forget_errors(stage)


async def test_an_outage_of_the_model_is_an_alert_once_and_seen_on_health(stage: Stage) -> None:
    """The breaker is shared: many chats meet one outage, and the operator hears of it once."""
    back = trio.Event()
    down = Step(status=500, when=lambda _items: not back.is_set())
    stage.model.script(*[down] * 200)
    contacts = [f"5730055502{number:02}" for number in range(8)]
    for contact in contacts:
        await stage.gateway.customer_says(contact, "Hola")
    while "model server does not answer" not in (await stage.get("/health")).text:
        await stage.model.wait_requests(len(stage.model.calls) + 1)
    back.set()
    for contact in contacts:
        await stage.gateway.wait_sent(contact)
    await stage.quiet()
    assert len(stage.events("model server is down")) == 1
    assert len(stage.events("model server is back")) == 1
    assert (await stage.get("/health")).json()["status"] == "healthy"
    forget_errors(stage)


async def test_a_customer_who_writes_during_the_servers_retry_after_is_notified_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat waits as long as the server has asked another one to, and apologises before that."""
    monkeypatch.setattr(opening, "BREAKER_FAILURES", 1)
    await stage.stop()
    await stage.start()
    stage.model.script(Step(status=429, headers={"retry-after": "86400"}))
    await stage.gateway.customer_says(LAURA, "¿hay cupo?")
    await stage.gateway.wait_sent(LAURA)
    await stage.gateway.customer_says(ANDRES, "Hola")
    await stage.gateway.wait_sent(ANDRES)
    assert [stage.received(), stage.received(ANDRES)] == [[APOLOGY], [APOLOGY]]
    assert len(stage.model.calls) == 1
    first, second = stage.events("model error, trying again")
    assert first["wait"] == LONGEST_WAIT_SECONDS
    assert 1 < second["wait"] <= LONGEST_WAIT_SECONDS
    forget_errors(stage)
