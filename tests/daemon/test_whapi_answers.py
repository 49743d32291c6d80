"""Each answer of Whapi's to a send, and what the daemon does next: a row of docs/faults.md each."""

from pathlib import Path
from typing import Any

import pytest
from support.faults import Fault, FaultKind
from support.model_script import call, say
from support.rows import states_of
from support.scenes import PEDRO, forgive, found, logged, open_scene, outbox, outcomes
from support.stage import LAURA, Stage

from daemon.conversation import number_state, send_pace
from daemon.domain.messages import JsonObject

HERS = f"{LAURA}@s.whatsapp.net"
NO_CHANNEL = "Channel not found"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a number in trouble again after tenths of a second."""
    monkeypatch.setattr(send_pace, "TROUBLE_BASE_SECONDS", 0.2)
    monkeypatch.setattr(number_state, "GAP_SECONDS", 0.02)
    monkeypatch.setattr(number_state, "AGAIN_SECONDS", 0.2)


def sends(stage: Stage) -> int:
    """How many sends the gateway was asked for."""
    return len(stage.gateway.calls("send"))


async def health(stage: Stage) -> dict[str, Any]:
    """The health page of this moment."""
    answer: dict[str, Any] = (await stage.get("/health")).json()
    return answer


def meet(stage: Stage, status: int, *, times: int = 1, **more: Any) -> Fault:
    """Answer the next sends with a status."""
    return stage.gateway.faults.add(
        operation="send", kind="status", status=status, times=times, **more
    )


STARTING_ASKS = 2
"""How often a start asks for the number's health: who we are, then the watch of the channel."""


async def started(stage: Stage) -> None:
    """Wait until the watch has asked for the first time: the next time it is in doubt."""
    await found(lambda: len(stage.gateway.calls("health")) == STARTING_ASKS)


async def others_are_answered(stage: Stage) -> None:
    """Another customer gets an answer at once, and the daemon calls itself well."""
    await stage.gateway.customer_says(PEDRO, "Buenas")
    await stage.gateway.wait_sent(PEDRO)
    assert (await health(stage))["status"] == "healthy"


@pytest.mark.parametrize(
    ("status", "message"),
    [(302, ""), (401, "need channel authorization"), (402, "Trial"), (404, NO_CHANNEL), (404, "")],
)
async def test_trouble_of_the_number_holds_every_send(
    tmp_path: Path, status: int, message: str
) -> None:
    """Nothing is lost, one alert, degraded with its reason, and said once when it is over."""
    async with open_scene(tmp_path) as stage:
        await started(stage)  # its first answer would end the trouble
        meet(stage, status, times=-1, message=message)
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel trouble, sends are held")
        await stage.gateway.customer_says(PEDRO, "Buenas")
        await found(lambda: len(outbox(stage)) == 2)
        page = await health(stage)
        assert page["status"] == "degraded"
        assert str(status) in " ".join(page["reasons"])
        assert outcomes(stage) == ["", ""]
        stage.gateway.reset_faults()
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.wait_sent(PEDRO)
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        assert (len(stage.received()), len(stage.received(PEDRO))) == (1, 1)
        assert len(stage.errors()) == 1
        assert (await health(stage))["status"] == "healthy"
        forgive(stage)


async def test_an_expired_token_is_noticed_and_sends_go_on_with_a_good_one(tmp_path: Path) -> None:
    """Every call is answered 404 "Channel not found", /health too: held, not killed."""
    async with open_scene(tmp_path) as stage:
        await started(stage)
        stage.gateway.token_is_good = False
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel is not usable")
        page = await health(stage)
        assert page["status"] == "degraded"
        assert "check whapi.token" in " ".join(page["reasons"])
        assert outcomes(stage) == [""]
        stage.gateway.token_is_good = True
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert len(stage.received()) == 1
        forgive(stage)


async def test_a_refusing_recipient_affects_no_other_chat(tmp_path: Path) -> None:
    """403: that send alone has failed, once; the number is asked how it is, and is well."""
    async with open_scene(tmp_path) as stage:
        await started(stage)
        meet(stage, 403, times=-1, chat=HERS)
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        assert sends(stage) == 1
        assert "403" in states_of(stage.settings.data_dir)[asked][1]
        await found(lambda: len(stage.gateway.calls("health")) == STARTING_ASKS + 1)
        await others_are_answered(stage)
        forgive(stage)


async def test_a_recipient_that_refuses_while_the_number_is_in_trouble(tmp_path: Path) -> None:
    """What /health says then holds the sends of the others."""
    async with open_scene(tmp_path) as stage:
        await started(stage)
        stage.gateway.channel.state = "STOP"  # no event tells of it
        meet(stage, 403, chat=HERS)
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel is not usable")
        await stage.gateway.customer_says(PEDRO, "Buenas")
        await found(lambda: len(outbox(stage)) == 2)
        assert sends(stage) == 1
        stage.gateway.set_channel_state("AUTH")
        await stage.gateway.wait_sent(PEDRO)
        forgive(stage)


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "Wrong"), (404, "specified media not found"), (413, "too large"), (415, ""), (422, "")],
)
async def test_a_message_refused_for_its_form_fails_alone(
    tmp_path: Path, status: int, message: str
) -> None:
    """A plain text has nothing that could be left out: one request, a dead turn with its reason."""
    async with open_scene(tmp_path) as stage:
        meet(stage, status, times=-1, chat=HERS, message=message)
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        assert sends(stage) == 1
        assert str(status) in states_of(stage.settings.data_dir)[asked][1]
        await others_are_answered(stage)
        forgive(stage)


async def test_an_answer_of_200_for_an_unsent_message_counts_by_its_error(tmp_path: Path) -> None:
    """The recipient's refusal is final, the limit is not."""
    async with open_scene(tmp_path) as stage:
        for status in (429, 403):
            stage.gateway.faults.add(operation="send", kind="not_sent", status=status, chat=HERS)
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        assert (sends(stage), stage.received()) == (2, [])
        assert "not sent" in states_of(stage.settings.data_dir)[asked][1]
        await others_are_answered(stage)
        forgive(stage)


@pytest.mark.parametrize("status", [409, 425, 429])
async def test_a_temporary_failure_is_sent_again(tmp_path: Path, status: int) -> None:
    """It certainly did not happen: no look into the chat before the next try."""
    async with open_scene(tmp_path) as stage:
        meet(stage, status, chat=HERS)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert (len(stage.received()), sends(stage)) == (1, 2)
        assert not stage.gateway.calls("list")


@pytest.mark.parametrize("kind", ["status", "status_after"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_an_unknown_outcome_is_looked_up(
    tmp_path: Path, status: int, kind: FaultKind
) -> None:
    """Sent or not, the customer gets it once."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.gateway.faults.add(operation="send", kind=kind, status=status)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert len(stage.received()) == 1
        assert sends(stage) == (1 if kind == "status_after" else 2)
        assert stage.gateway.calls("list")


async def test_no_look_into_the_chat_of_a_number_in_trouble_counts_as_not_sent(
    tmp_path: Path,
) -> None:
    """A listing that a bad token is refused says nothing of the send, which had arrived."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.gateway.faults.add(operation="send", kind="drop_after")
        refused = stage.gateway.faults.add(
            operation="list", kind="status", status=404, message=NO_CHANNEL, times=2
        )
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert (refused.hits, sends(stage), len(stage.received())) == (2, 1, 1)


async def test_a_chat_that_cannot_be_looked_into_for_good_is_left_to_a_person(
    tmp_path: Path,
) -> None:
    """Nobody can tell whether it was sent: it is not repeated, and the turn is dead and listed."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.gateway.faults.add(operation="send", kind="drop_after")
        stage.gateway.faults.add(operation="list", kind="status", status=403, times=-1, chat=HERS)
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        assert "outcome is unknown" in states_of(stage.settings.data_dir)[asked][1]
        assert (sends(stage), len(stage.received())) == (1, 1)
        await others_are_answered(stage)


# -- once more, without the refused part -----------------------------------------------------------

GROUP = "120363012345678901@g.us"
OURS = "573000000001"
TOOLS = '''
"""A tool that asks with buttons, for tests."""

from daemon.tools.tool import ToolContext, tool


@tool(effects=True)
async def confirm(context: ToolContext) -> str:
    """Ask."""
    await context.send_buttons("¿Confirma?", {"si": "Sí", "no": "No"})
    return "asked"
'''


async def in_group(stage: Stage, author: str, body: str, message_id: str) -> None:
    """Somebody mentions us in the group."""
    message = {
        "id": message_id,
        "type": "text",
        "from_me": False,
        "source": "mobile",
        "chat_id": GROUP,
        "from": author,
        "timestamp": int(stage.environment.now()),
        "text": {"body": body},
        "context": {"mentions": [OURS]},
    }
    await stage.gateway.post("messages", "messages.post", {"messages": [message]})


def has(part: str) -> Any:
    return lambda fields: bool(fields.get(part))


@pytest.mark.parametrize("part", ["quoted", "mentions"])
async def test_a_quote_or_mention_that_is_refused_is_left_out(tmp_path: Path, part: str) -> None:
    """The other one stays, as the refusal names the culprit."""
    async with open_scene(tmp_path, groups={"own_number": (OURS,)}) as stage:
        stage.model.script(say("Sí hay"), say("También"))
        meet(stage, 400, times=-1, where=has(part), message=f"Wrong request parameters: {part}")
        await in_group(stage, PEDRO, "¿Hay cupo?", "m-1")
        await stage.gateway.wait_sent(GROUP)
        await in_group(stage, LAURA, "¿Y el domingo?", "m-2")
        _, sent = await stage.gateway.wait_sent(GROUP, 2)
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        if part == "quoted":
            assert (sent.quoted, sent.text) == ("", f"@{LAURA} También")
        else:
            assert (sent.quoted, sent.text) == ("m-2", "También")


async def test_a_refusal_that_names_nothing_costs_all_optional_parts(tmp_path: Path) -> None:
    """And a second refusal is the end: the message has failed after two requests."""
    async with open_scene(tmp_path, groups={"own_number": (OURS,)}) as stage:
        stage.model.script(say("Sí hay"), say("También"))
        meet(stage, 422, where=has("quoted"))
        await in_group(stage, PEDRO, "¿Hay cupo?", "m-1")
        (sent,) = await stage.gateway.wait_sent(GROUP)
        assert (sent.quoted, sends(stage)) == ("", 2)
        meet(stage, 422, times=-1)
        await in_group(stage, LAURA, "¿Y el domingo?", "m-2")
        await found(lambda: outcomes(stage) == ["answered", "dead"])
        assert sends(stage) == 4
        forgive(stage)


async def test_a_link_preview_that_is_refused_is_left_out(tmp_path: Path) -> None:
    def previews(fields: JsonObject) -> bool:
        return fields.get("no_link_preview") is False

    async with open_scene(tmp_path, delivery={"link_preview": True}) as stage:
        stage.model.script(say("Mira https://example.com/menu"))
        meet(stage, 400, times=-1, where=previews)
        await stage.gateway.customer_says(LAURA, "¿Tienen carta?")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Mira https://example.com/menu"]
        assert sends(stage) == 2


async def test_buttons_that_are_refused_become_numbered_lines(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "desk.py").write_text(TOOLS)
    async with open_scene(tmp_path, tools={"folder": tmp_path / "tools"}) as stage:
        stage.model.script(call("confirm"), say("Quedo atento"))
        meet(stage, 400, times=-1, where=has("action"), message="interactive is not supported")
        await stage.gateway.customer_says(LAURA, "Quiero reservar")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["¿Confirma?\n\n1. Sí\n2. No", "Quedo atento"]
        await found(lambda: outcomes(stage) == ["answered"])


# -- waits that are asked for ----------------------------------------------------------------------

A_DAY = "86400"


async def test_a_day_that_the_gateway_asks_for_is_not_waited_out(tmp_path: Path) -> None:
    """Half a minute at most; meanwhile degraded, and an operator has it tried at once."""
    async with open_scene(tmp_path) as stage:
        meet(stage, 429, retry_after=A_DAY)
        await stage.gateway.customer_says(LAURA, "Hola")
        page = await health(stage)
        while page["status"] == "healthy":
            page = await health(stage)
        (why,) = (line for line in page["reasons"] if "chats whose sends wait: 1" in line)
        assert "429" in why
        assert stage.received() == []
        assert await cleared(stage) == 1
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert (len(stage.received()), sends(stage)) == (1, 2)
        assert (await health(stage))["status"] == "healthy"


async def test_an_operator_can_have_a_number_in_trouble_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has paid, and nobody wants to wait for the next try."""
    monkeypatch.setattr(send_pace, "TROUBLE_BASE_SECONDS", 3600.0)
    monkeypatch.setattr(send_pace, "TROUBLE_CAP_SECONDS", 3600.0)
    async with open_scene(tmp_path) as stage:
        meet(stage, 402)
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel trouble, sends are held")
        await cleared(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        forgive(stage)


async def cleared(stage: Stage) -> int:
    """Clear the locks; gives how many chats were released."""
    count: int = (await stage.post({}, "/locks/clear")).json()["cleared"]
    return count


@pytest.mark.parametrize("kind", ["hold", "hold_answer"])
async def test_a_send_that_hangs_is_released_and_arrives_once(
    tmp_path: Path, kind: FaultKind
) -> None:
    """Nobody waits for its time limit, and whether it had arrived is looked up first."""
    async with open_scene(tmp_path, whapi={"timeout_seconds": 3600.0}) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.model.script(say("uno\n\ndos"))
        held = stage.gateway.faults.add(operation="send", kind=kind)
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        (chat,) = (await stage.get("/locks")).json()["chats"]
        assert chat["state"] == "sending"
        assert await cleared(stage) == 1
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        await stage.quiet()
        assert stage.received() == ["uno", "dos"]
