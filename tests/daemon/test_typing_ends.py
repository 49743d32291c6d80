"""The typing indicator: how long before a message, its end in every outcome; no half answers."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from support.model_script import Step, say
from support.rows import select
from support.scenes import forgive, found, logged, open_scene, outcomes
from support.stage import LAURA, Stage

from daemon.conversation import delivery, presence
from daemon.domain.rendering.split import pause_before_next
from daemon.domain.texts import texts

TYPING = {"typing": True}
HALF = "Primera parte.\n\nSegunda parte."


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Type for a tenth of a second where a person takes three, and show it once, however slow."""
    monkeypatch.setattr(presence, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(presence, "CLEAR_SECONDS", 30.0)
    monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", 0.1)
    monkeypatch.setattr(delivery, "NEXT_TYPING_SECONDS", 0.05)


def shows_typing(stage: Stage) -> bool:
    """Whether the customer is shown typing: the last sign was that, and no message has ended it."""
    shown = stage.gateway.presences(LAURA)
    if not shown or shown[-1].presence != "typing":
        return False
    sent = stage.gateway.sent(LAURA)
    return not sent or sent[-1].at < shown[-1].at


async def ends_typing(stage: Stage) -> None:
    """The indicator was shown, and is not shown any more."""
    await stage.gateway.wait_for(lambda: bool(stage.gateway.presences(LAURA)))
    with trio.fail_after(30):
        await found(lambda: not shows_typing(stage))


async def test_after_an_answer(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.model.script(say(HALF))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        await ends_typing(stage)


@pytest.mark.parametrize(("first_seconds", "next_seconds"), [(0.5, 0.05), (0.05, 0.5)])
async def test_each_message_is_typed_once_for_as_long_as_a_person_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_seconds: float, next_seconds: float
) -> None:
    """What is sent again after a refusal was typed before."""
    monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", first_seconds)
    monkeypatch.setattr(delivery, "NEXT_TYPING_SECONDS", next_seconds)
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.gateway.faults.add(operation="send", kind="status", status=429)
        stage.model.script(say(f"{'muy ' * 75}larga.\n\nSegunda parte."))
        await stage.gateway.customer_says(LAURA, "Hola")
        first, second = await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        during_run, before_first, before_second = stage.gateway.presences(LAURA)
        shown = {sign.presence for sign in (during_run, before_first, before_second)}
        assert shown == {"typing"}
        assert first.at - before_first.at >= first_seconds - 0.04
        assert before_second.at - first.at >= pause_before_next(first.text) - 0.1
        assert second.at - before_second.at >= next_seconds - 0.04


@pytest.mark.parametrize(("typing", "answer"), [(False, HALF), (True, "Primera parte.")])
async def test_only_typing_takes_time_and_only_between_two_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, typing: bool
) -> None:
    monkeypatch.setattr(delivery, "pause_before_next", lambda _text: 3600.0)
    async with open_scene(tmp_path, delivery={"typing": typing}) as stage:
        stage.model.script(say(answer))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == answer.split("\n\n")


async def test_after_a_turn_that_is_given_up(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.model.script(Step(status=400, code="invalid_prompt"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        await stage.gateway.wait_sent(LAURA)
        await ends_typing(stage)
        forgive(stage)


async def test_after_a_send_that_is_refused(tmp_path: Path) -> None:
    """The text can never be sent, so no message ends the indicator for us."""
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.gateway.faults.add(operation="send", kind="status", status=400)
        stage.model.script(say("Hola"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        await ends_typing(stage)


async def test_when_an_agent_takes_over_a_run(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.model.script(say("nunca", gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.agent_says(LAURA, "Yo le ayudo")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await ends_typing(stage)
        assert stage.received() == []


async def test_when_the_only_message_is_deleted_during_the_run(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.model.script(say("nunca", gate=trio.Event()))
        message_id = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_deletes(message_id)
        await found(lambda: outcomes(stage) == ["ignored"])
        await ends_typing(stage)


@pytest.mark.parametrize("where", ["run", "delivery"])
async def test_at_the_stop_of_the_daemon(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it thinks or types: no indicator of a dead process is left."""
    async with open_scene(tmp_path, delivery=TYPING, shutdown={"deadline_seconds": 1.0}) as stage:
        if where == "run":
            stage.model.script(say("Hola", gate=trio.Event()))
        else:
            monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", 5.0)
            stage.model.script(say("Hola"))
        await stage.gateway.customer_says(LAURA, "Hola")
        if where == "run":
            await stage.model.wait_requests(1)
        else:
            await stage.gateway.wait_for(lambda: len(stage.gateway.presences(LAURA)) >= 2)
        await stage.stop()
        assert not shows_typing(stage)
        stage.url = ""


@pytest.mark.parametrize(
    "broken",
    [
        (Step(outputs=say(HALF).outputs, cut_after=6), say("La buena")),
        (Step(outputs=say(HALF).outputs, failed="server_error"), say("La buena")),
        (Step(outputs=say(HALF).outputs, error_event="server_error"), say("La buena")),
        (Step(outputs=say(HALF).outputs, incomplete="max_output_tokens"), say("La buena")),
    ],
    ids=["cut", "failed", "error", "incomplete"],
)
async def test_half_an_answer_is_never_sent(tmp_path: Path, broken: Sequence[Step]) -> None:
    """Whole, or not at all; a background response that was cut is fetched whole."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(*broken)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        whole = (HALF.split("\n\n"), ["La buena"], [texts("es").unclear])
        assert stage.received() in whole


async def test_an_indicator_that_cannot_be_shown_costs_no_answer(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery=TYPING) as stage:
        stage.gateway.faults.add(operation="presence", kind="status", status=500, times=-1)
        answer = trio.Event()
        stage.model.script(say(HALF, gate=answer))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_for(lambda: bool(stage.gateway.calls("presence")))
        answer.set()
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Primera parte.", "Segunda parte."]
        assert not stage.gateway.presences(LAURA)
        (turn,) = select(stage.settings.data_dir, "turns", "attempts")
        assert turn == (1,)
