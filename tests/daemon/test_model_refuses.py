"""A model server that refuses every request, and one that asks for a day's wait."""

from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import Step, say
from support.rows import states_of
from support.scenes import PEDRO, forgive, found, logged, open_scene
from support.stage import LAURA, Stage

from daemon.conversation import opening
from daemon.domain.texts import texts
from daemon.domain.transitions.handover import REFUSED

APOLOGY = texts("es").apology
SCHEMA = "Invalid schema for function 'book': 'additionalProperties' is required to be false."
AGENTS = "573008889900"


def refuses(**fault: Any) -> list[Step]:
    """A server that refuses everything it is asked, until the script is replaced."""
    return [Step(status=400, **fault) for _ in range(50)]


async def health(stage: Stage) -> dict[str, Any]:
    """The health page of this moment."""
    answer: dict[str, Any] = (await stage.get("/health")).json()
    return answer


@pytest.mark.parametrize(
    "fault",
    [
        {"code": "invalid_function_parameters", "message": SCHEMA},
        {"code": "unsupported_parameter", "message": "Unsupported parameter: 'temperature'."},
        {"code": "model_not_found", "message": "The model 'gpt-none' does not exist."},
        {"message": "1 validation error"},
    ],
)
async def test_a_server_that_refuses_every_request_hands_chats_to_a_person(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    """A safe text, a person is asked for, degraded, one alert with the server's own reason."""
    escalation = {"chat": AGENTS, "pause_minutes": 60}
    async with open_scene(tmp_path, escalation=escalation) as stage:
        stage.model.script(*refuses(**fault))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo el sábado?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.customer_says(PEDRO, "Buenas")
        await stage.gateway.wait_sent(PEDRO)
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await stage.model.wait_requests(3)
        await stage.gateway.wait_sent(AGENTS, 2)
        await stage.quiet()
        assert (stage.received(), stage.received(PEDRO)) == ([APOLOGY], [APOLOGY])
        assert states_of(stage.settings.data_dir)[asked] == ("with_agent", REFUSED)
        assert len(stage.received(AGENTS)) == 2
        assert "¿Hay cupo el sábado?" in stage.received(AGENTS)[0]
        page = await health(stage)
        assert page["status"] == "degraded"
        assert fault["message"] in " ".join(page["reasons"])
        (alert,) = stage.events("model refuses every request")
        assert fault["message"] in alert["error"]
        forgive(stage)


async def test_a_person_is_notified_although_the_customer_knew_of_the_wait(
    tmp_path: Path,
) -> None:
    """A server that was down comes back and refuses everything: once, however much is written."""
    escalation = {"chat": AGENTS, "pause_minutes": 60}
    async with open_scene(tmp_path, escalation=escalation) as stage:
        stage.model.script(*[Step(status=503)] * 4, *refuses(code="unknown_parameter"))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.gateway.wait_sent(AGENTS)
        await found(lambda: states_of(stage.settings.data_dir)[asked] == ("with_agent", REFUSED))
        again = await stage.gateway.customer_says(LAURA, "¿Hola?")
        await found(lambda: states_of(stage.settings.data_dir)[again] == ("with_agent", REFUSED))
        await stage.quiet()
        assert stage.received() == [APOLOGY]
        assert len(stage.received(AGENTS)) == 1
        forgive(stage)


async def test_the_bot_resumes_when_the_server_accepts_requests_again(tmp_path: Path) -> None:
    """New messages are answered at once; what waits stays with the person who was asked for."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(Step(status=400, code="unknown_parameter"), say("Sí hay cupo"))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: states_of(stage.settings.data_dir)[asked][0] == "with_agent")
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await stage.gateway.wait_sent(LAURA, 2)
        await logged(stage, "model server is back")
        assert stage.received() == [APOLOGY, "Sí hay cupo"]
        assert "refuses" not in str(await health(stage))
        assert states_of(stage.settings.data_dir)[asked][0] == "with_agent"
        forgive(stage)


async def test_a_refusal_of_one_request_is_not_the_servers_trouble(tmp_path: Path) -> None:
    """What is refused for its content is one customer's; three customers in a row are the server's.

    The server's words stay out of the log while they may be the customer's own.
    """
    async with open_scene(tmp_path) as stage:
        stage.model.script(*refuses(code="invalid_prompt", message="No: Hola, soy la del sábado"))
        asked = [await stage.gateway.customer_says(LAURA, "Hola, soy la del sábado")]
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert (await health(stage))["status"] == "healthy"
        for contact in (PEDRO, "573005550142"):
            asked.append(await stage.gateway.customer_says(contact, "Hola"))
            await stage.gateway.wait_sent(contact)
        await stage.quiet()
        states = states_of(stage.settings.data_dir)
        assert [states[message][0] for message in asked] == ["dead", "dead", "with_agent"]
        assert (await health(stage))["status"] == "degraded"
        (alert,) = stage.events("model refuses every request")
        assert "invalid_prompt" in alert["error"]
        assert "sábado" not in alert["error"]
        forgive(stage)


async def test_the_alert_quotes_no_customer(tmp_path: Path) -> None:
    """Servers that check by a schema put the request into their refusal."""
    async with open_scene(tmp_path) as stage:
        quoting = "Field required, input={'content': 'Hola, vivo en la Calle Falsa 123'}"
        stage.model.script(*refuses(code="validation_error", message=quoting))
        await stage.gateway.customer_says(LAURA, "Hola, vivo en la Calle Falsa 123")
        await stage.gateway.wait_sent(LAURA)
        (alert,) = await logged(stage, "model refuses every request")
        assert "validation_error" in alert["error"]
        assert "Calle Falsa" not in str(alert) + str(await health(stage))
        await stage.quiet()
        forgive(stage)


@pytest.mark.parametrize(
    ("failures", "why"), [(5, "server: 1 (the model server answered 429"), (1, "does not answer")]
)
async def test_a_day_that_the_model_server_asks_for_is_not_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, why: str
) -> None:
    """The customer hears of the wait before it, /health says so, an operator has it cut short.

    Also if the server is left alone by everybody, after so many failures.
    """
    monkeypatch.setattr(opening, "BREAKER_FAILURES", failures)
    async with open_scene(tmp_path) as stage:
        stage.model.script(Step(status=429, headers={"retry-after": "86400"}), say("Sí hay"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        with trio.fail_after(30):
            await stage.gateway.wait_sent(LAURA)
        assert stage.received() == [APOLOGY]
        page = await health(stage)
        while page["status"] == "healthy":
            page = await health(stage)
        assert why in " ".join(page["reasons"])
        (line,) = stage.events("model error, trying again")
        assert line["wait"] == 30
        while (await stage.post({}, "/locks/clear")).json()["cleared"] == 0:
            pass  # the apology is still being written down
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == [APOLOGY, "Sí hay"]
        assert (await health(stage))["status"] == "healthy"
        forgive(stage)
