"""Sends that go wrong: each message is said exactly once, whatever the connection tells of it."""

from pathlib import Path

import pytest
import trio
from support.faults import FaultKind
from support.gateway import EchoMode
from support.model_script import say
from support.rows import states_of
from support.scenes import PEDRO, QUICK_RULES, forgive, found, logged, open_scene, outbox, outcomes
from support.stage import LAURA, Stage

from daemon.conversation import send_pace

UNCERTAIN: list[tuple[FaultKind, bool, EchoMode]] = [
    ("drop_after", True, "after"),
    ("drop_after", True, "missing"),
    ("status_after", True, "missing"),
    ("half_body", True, "after"),
    ("garbage", True, "missing"),
    ("no_id", True, "after"),
    ("no_id", True, "missing"),
    ("drop_before", False, "after"),
    ("status", False, "after"),
]
"""Faults after which the daemon cannot know, whether the customer has got the message, and how it
is told of then."""

SAME_WORDS: list[tuple[tuple[FaultKind, ...], EchoMode]] = [
    ((), "other_id"),
    (("drop_after",), "missing"),
    (("drop_before",), "after"),
    (("no_id", "drop_before"), "other_id"),
    (("no_id", "drop_before"), "missing"),
    (("status_after", "status_after"), "missing"),
]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a number in trouble again after tenths of a second."""
    monkeypatch.setattr(send_pace, "TROUBLE_BASE_SECONDS", 0.2)


def send_calls(stage: Stage) -> int:
    """How many sends the gateway was asked for."""
    return len(stage.gateway.calls("send"))


@pytest.mark.parametrize(("kind", "delivered", "echo"), UNCERTAIN)
async def test_a_send_of_unknown_outcome_arrives_once(
    tmp_path: Path, kind: FaultKind, echo: EchoMode, *, delivered: bool
) -> None:
    """Settled by its echo, else by listing the chat, and only repeated if it is not there."""
    comes = delivered and echo != "missing"
    rules = {**QUICK_RULES, **({"echo_seconds": 60.0} if comes else {})}
    async with open_scene(tmp_path, rules=rules) as stage:
        stage.gateway.echoes.mode = echo
        stage.model.script(say("uno\n\ndos"))
        stage.gateway.faults.add(operation="send", kind=kind)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == ["uno", "dos"]
        assert outbox(stage) == [("sent", "uno"), ("sent", "dos")]
        assert outcomes(stage) == ["answered"]
        assert send_calls(stage) == (2 if delivered else 3)
        listed = bool(stage.gateway.calls("list"))
        assert listed == (echo == "missing" or not delivered)


async def test_an_echo_wakes_the_send_that_waits_for_it(tmp_path: Path) -> None:
    """Nobody waits out the time that an echo may take once it has come."""
    patient = {**QUICK_RULES, "echo_seconds": 3600.0}
    async with open_scene(tmp_path, rules=patient) as stage:
        stage.model.script(say("uno\n\ndos"))
        stage.gateway.echoes.mode = "delayed"
        stage.gateway.faults.add(operation="send", kind="drop_after")
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: ("unknown", "uno") in outbox(stage))
        stage.gateway.echoes.mode = "after"
        stage.gateway.echoes.release()
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["uno", "dos"]
        assert not stage.gateway.calls("list")


@pytest.mark.parametrize(("faults", "echo"), SAME_WORDS)
async def test_the_same_words_twice_in_one_answer_are_sent_twice(
    tmp_path: Path, faults: tuple[FaultKind, ...], echo: EchoMode
) -> None:
    """The one said stands for itself only: neither swallows the other, neither is repeated."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = echo
        stage.model.script(say("¡Listo!\n\n¡Listo!\n\nAdiós"))
        for kind in faults:
            stage.gateway.faults.add(operation="send", kind=kind)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["¡Listo!", "¡Listo!", "Adiós"]


async def test_the_second_of_two_equal_chunks_fails_after_the_echo_of_the_first_came_late(
    tmp_path: Path,
) -> None:
    """A late echo under another id belongs to the first, so the second is still said."""
    async with open_scene(tmp_path) as stage:
        gateway = stage.gateway
        gateway.echoes.mode = "missing"
        stage.model.script(say("¡Listo!\n\n¡Listo!"))
        gateway.faults.add(operation="send", kind="hold").release()
        second = gateway.faults.add(operation="send", kind="hold")
        await gateway.customer_says(LAURA, "Hola")
        (first,) = await gateway.wait_sent(LAURA)
        await second.reached.wait()
        late = {**gateway.ledger.messages[first.id], "id": "another-id-of-the-first"}
        await gateway.announce([late], deliver="acknowledged")
        assert outbox(stage) == [("sent", "¡Listo!"), ("sending", "¡Listo!")]
        # The daemon dies before the second was made: it finds one such message in the chat.
        await stage.crash()
        await stage.start()
        await gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["¡Listo!", "¡Listo!"]


async def test_words_that_a_person_typed_do_not_settle_a_send(tmp_path: Path) -> None:
    """Somebody wrote the same on the phone while the bot may go on: ours is still to be said."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        stage.model.script(say("Con gusto"))
        stage.gateway.faults.add(operation="send", kind="drop_before")
        await stage.gateway.agent_says(LAURA, "Con gusto")
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Con gusto"]


async def test_the_same_words_of_the_customer_do_not_settle_a_send(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Hola"))
        stage.gateway.faults.add(operation="send", kind="drop_before")
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Hola"]


async def test_too_many_requests_are_waited_out(tmp_path: Path) -> None:
    """429 with Retry-After: not sent before that, then sent once."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.faults.add(operation="send", kind="status", status=429, retry_after="1")
        await stage.gateway.customer_says(LAURA, "Hola")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        refused, _ = stage.gateway.calls("send")
        assert refused.status == 429
        assert sent.at - refused.at >= 1
        assert len(stage.received()) == 1


async def test_channel_trouble_holds_all_sends_and_is_logged_once(tmp_path: Path) -> None:
    """Nothing is lost and nobody is told twice: what waited is said when the channel is back."""
    async with open_scene(tmp_path) as stage:
        gateway = stage.gateway
        gateway.faults.add(operation="send", kind="status", status=401, times=-1)
        await gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel trouble, sends are held")
        await gateway.customer_says(PEDRO, "Buenas")
        await gateway.wait_for(lambda: send_calls(stage) >= 2)
        assert stage.received() + stage.received(PEDRO) == []
        gateway.reset_faults()
        await gateway.wait_sent(LAURA)
        await gateway.wait_sent(PEDRO)
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        assert len(stage.received()) == len(stage.received(PEDRO)) == 1
        (alert,) = stage.errors()
        assert alert["event"] == "channel trouble, sends are held"
        assert "401" in alert["error"]
        forgive(stage)


@pytest.mark.parametrize("status", [401, 402])
async def test_channel_trouble_survives_a_restart(tmp_path: Path, status: int) -> None:
    """The answer is kept in the outbox and said by the next process, without another run."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.faults.add(operation="send", kind="status", status=status, times=-1)
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "channel trouble, sends are held")
        await stage.stop()
        assert [state for state, _ in outbox(stage)] == ["pending"]
        forgive(stage)
        stage.gateway.reset_faults()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert len(stage.received()) == len(stage.model.calls) == 1


async def test_a_refusal_for_good_is_not_tried_again(tmp_path: Path) -> None:
    """The turn is dead with its reason, and the chat goes on with the next message."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.faults.add(operation="send", kind="status", status=400)
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["dead"])
        state, reason = states_of(stage.settings.data_dir)[asked]
        assert (state, send_calls(stage)) == ("dead", 1)
        assert "400" in reason
        assert [s for s, _ in outbox(stage)] == ["failed"]
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["dead", "answered"])


async def test_a_refused_chunk_does_not_silence_the_others(tmp_path: Path) -> None:
    """One part of an answer cannot be sent: the rest is, and the turn counts as answered."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"))
        stage.gateway.faults.add(operation="send", kind="status", status=413)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["dos"]
        assert outbox(stage) == [("failed", "uno"), ("sent", "dos")]


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_crash_during_a_send_repeats_nothing_that_arrived(
    tmp_path: Path, *, delivered: bool
) -> None:
    """The next process looks into the chat before it says anything again."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"))
        stage.gateway.echoes.mode = "missing"
        held = stage.gateway.faults.add(
            operation="send", kind="hold_answer" if delivered else "hold"
        )
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        await stage.crash()
        await stage.start()
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["uno", "dos"]
        assert len(stage.model.calls) == 1


async def test_after_a_long_stop_no_echo_is_waited_for(tmp_path: Path) -> None:
    """Its time counts from the send, and was over before the next process began."""
    async with open_scene(tmp_path, rules={**QUICK_RULES, "echo_seconds": 60}) as stage:
        stage.model.script(say("uno"))
        stage.gateway.echoes.mode = "missing"
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        await stage.crash()
        stage.pass_time(90)
        await stage.start()
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["uno"]


async def test_the_looking_is_repeated_while_the_gateway_is_down(tmp_path: Path) -> None:
    """Not known and not to be found out for now: nothing is sent until it is."""
    async with open_scene(tmp_path) as stage:
        gateway = stage.gateway
        gateway.echoes.mode = "missing"
        gateway.faults.add(operation="send", kind="drop_after")
        down = gateway.faults.add(operation="list", kind="status", status=400, times=0)
        lists = gateway.faults.add(operation="list", kind="drop_before", times=2)
        await gateway.customer_says(LAURA, "Hola")
        await lists.reached.wait()
        await found(lambda: outcomes(stage) == ["answered"])
        assert (len(stage.received()), send_calls(stage), down.hits) == (1, 1, 0)


async def test_one_chat_in_trouble_does_not_hold_up_another(tmp_path: Path) -> None:
    """A send that hangs is one chat's own."""
    async with open_scene(tmp_path) as stage:
        held = stage.gateway.faults.add(
            operation="send", kind="hold", chat=f"{LAURA}@s.whatsapp.net"
        )
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        await stage.gateway.customer_says(PEDRO, "Buenas")
        await stage.gateway.wait_sent(PEDRO)
        assert stage.received() == []
        held.release()
        with trio.fail_after(30):
            await stage.gateway.wait_sent(LAURA)
