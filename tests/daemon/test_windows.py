"""When the daemon thinks that a customer has finished writing, over real HTTP."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.brisk import open_brisk_stage
from support.rows import states_of
from support.stage import LAURA, Stage

ANDRES = "573005550142"
TYPING = {"contact_id": LAURA, "status": "typing"}
LONG = 60.0
"""Longer than any of these tests waits for an answer."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


async def gap(stage: Stage, since: float) -> float:
    """Seconds from `since` until the model was asked first."""
    (call, *_) = await stage.model.wait_requests(1)
    return call.started_at - since


@pytest.mark.parametrize("status", ["typing", "recording"])
async def test_a_sign_of_writing_keeps_the_window_open(tmp_path: Path, status: str) -> None:
    """One sign is believed for the typing time, and no longer."""
    buffer = {"typing_seconds": 0.7, "max_wait_seconds": LONG}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        since = time.time()
        hello = stage.gateway.compose(LAURA, "Hola")
        await stage.gateway.announce([hello], presences=[{"contact_id": LAURA, "status": status}])
        assert 0.7 <= await gap(stage, since) < LONG


async def test_a_message_being_typed_is_answered_with_the_earlier_ones(tmp_path: Path) -> None:
    buffer = {"typing_seconds": LONG, "max_wait_seconds": LONG}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        hello = stage.gateway.compose(LAURA, "Hola")
        await stage.gateway.announce([hello], presences=[TYPING])
        await stage.gateway.customer_says(LAURA, "¿hay cupo el viernes?")
        await stage.gateway.wait_sent(LAURA)
        assert [c.customer_texts for c in stage.model.calls] == [["Hola\n¿hay cupo el viernes?"]]


async def test_a_contact_who_stops_typing_is_answered_early(tmp_path: Path) -> None:
    buffer = {"typing_seconds": LONG, "max_wait_seconds": LONG}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        stage.gateway.presences_need_subscription = False
        since = time.time()
        hello = stage.gateway.compose(LAURA, "Hola")
        await stage.gateway.announce([hello], presences=[TYPING])
        await stage.gateway.customer_stops(LAURA)
        assert await gap(stage, since) < LONG - 1


async def test_a_typing_sign_that_never_ends_is_capped(tmp_path: Path) -> None:
    """The daemon asks to be told of typing; whoever types for ever is answered all the same."""
    buffer = {"typing_seconds": LONG, "max_wait_seconds": 1.5}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        since = time.time()
        hello = stage.gateway.compose(LAURA, "Hola")
        await stage.gateway.announce([hello], presences=[TYPING])
        await stage.gateway.wait_for(lambda: LAURA in stage.gateway.ledger.subscriptions)
        assert 1.4 <= await gap(stage, since) < LONG - 1


async def test_typing_alone_does_nothing(stage: Stage) -> None:
    stage.gateway.presences_need_subscription = False
    await stage.gateway.customer_types(LAURA)
    assert (await stage.get("/locks")).json()["stats"]["totalUsers"] == 0
    await stage.gateway.customer_says(ANDRES, "Buenas")
    await stage.gateway.wait_sent(ANDRES)
    await stage.quiet()
    assert stage.received() == []
    assert len(stage.model.calls) == 1


async def test_a_voice_note_is_waited_for_longer(tmp_path: Path) -> None:
    buffer = {"window_seconds": 0.1, "voice_seconds": 0.9}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        note = {"type": "voice", "voice": {"id": "media-1", "seconds": 4}}
        since = time.time()
        await stage.gateway.customer_sends(LAURA, note)
        assert await gap(stage, since) >= 0.9


async def test_a_text_after_a_voice_note_does_not_shorten_the_wait(tmp_path: Path) -> None:
    buffer = {"window_seconds": 0.1, "voice_seconds": 0.9}
    async with open_brisk_stage(tmp_path / "data", buffer=buffer) as stage:
        note = stage.gateway.compose(LAURA, {"type": "voice", "voice": {"id": "media-1"}})
        text = stage.gateway.compose(LAURA, "eso era todo")
        since = time.time()
        await stage.gateway.announce([note, text])
        assert await gap(stage, since) >= 0.9
        await stage.gateway.wait_sent(LAURA)
        assert len(stage.model.calls) == 1


def answered_lines(stage: Stage) -> list[str]:
    """The lines of the bursts that the model has answered, in order."""
    finished = [call for call in stage.model.calls if call.outcome == "finished"]
    return [line for call in finished for text in call.customer_texts for line in text.split("\n")]


@pytest.mark.parametrize("together", [True, False])
async def test_the_fifty_first_message_is_kept(tmp_path: Path, *, together: bool) -> None:
    """A full window closes at once; what it had no room for is answered next, none twice."""
    words = [f"frase{number:02d}" for number in range(51)]
    changes = {
        "buffer": {"window_seconds": 0.6, "max_messages": 50},
        "recovery": {"delay_seconds": 60.0},  # its look into the store would find what was lost
    }
    async with open_brisk_stage(tmp_path / "data", **changes) as stage:
        messages = [stage.gateway.compose(LAURA, word) for word in words]
        if together:
            await stage.gateway.announce(messages)
        else:
            for message in messages:
                await stage.gateway.announce([message], deliver="queued")
        await stage.model.wait_for(lambda: "frase50" in answered_lines(stage))
        await stage.quiet()
        assert answered_lines(stage) == words
        assert {state for state, _ in states_of(tmp_path / "data").values()} == {"answered"}
        assert len(states_of(tmp_path / "data")) == 51


async def test_the_same_words_twice_are_two_messages(stage: Stage) -> None:
    """A customer who says "sí" twice has said it twice: only ids tell repetitions apart."""
    yes = [stage.gateway.compose(LAURA, "sí", id=f"yes-000{number}") for number in (1, 2)]
    await stage.gateway.announce(yes)
    await stage.gateway.announce(yes)
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    finished = [call.customer_texts for call in stage.model.calls if call.outcome == "finished"]
    assert finished == [["sí\nsí"]]
