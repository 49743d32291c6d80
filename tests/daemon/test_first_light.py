"""Many chats at once, and what the model is told of earlier conversations."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from support.brisk import open_brisk_stage
from support.model_script import Step, say
from support.rows import select, states
from support.stage import LAURA, Stage

CHATS = 50
EACH = 5


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


async def test_fifty_chats_at_once_keep_their_order_and_their_secrets(tmp_path: Path) -> None:
    """Every chat is answered, in its own order, and nobody's words reach another's model call."""
    contacts = [f"5730010000{number:02d}" for number in range(CHATS)]
    async with open_brisk_stage(tmp_path / "data", buffer={"window_seconds": 0.5}) as stage:
        for turn in range(EACH):
            for number, contact in enumerate(contacts):
                words = f"c{number:02d}-m{turn}"
                await stage.gateway.customer_says(contact, words, deliver="queued")
        for contact in contacts:
            await stage.gateway.wait_sent(contact)
        with trio.fail_after(
            60
        ):  # on a slow machine the last webhooks come after the first answers
            while len(
                select(tmp_path / "data", "messages", "id", where={"from_me": 0})
            ) < CHATS * EACH or (states(tmp_path / "data") != {"answered"}):
                await stage.quiet()
        await stage.quiet()
        for call in stage.model.calls:
            assert len(set(re.findall(r"c\d\d(?=-m\d)", str(call.body["input"])))) == 1
        for number, contact in enumerate(contacts):
            heard = select(
                tmp_path / "data",
                "thread_items",
                "item",
                where={"chat": f"{contact}@s.whatsapp.net", "item LIKE": '%"role":"user"%'},
                order="id",
            )
            told = re.findall(r"c\d\d-m\d", " ".join(item for (item,) in heard))
            assert told == [f"c{number:02d}-m{turn}" for turn in range(EACH)]
            assert set(re.findall(r"c\d\d", " ".join(stage.received(contact)))) == {
                f"c{number:02d}"
            }


async def exchange(stage: Stage, words: str) -> None:
    """One message of Laura's and the answer to it, which the model makes of the same words."""
    before = len(stage.received())
    stage.model.script(say(f"respuesta a {words}"))
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, before + 1)
    await stage.quiet()


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_model_knows_the_exchange_before(stage: Stage, *, restarted: bool) -> None:
    """The thread is the store's: a restart of the daemon does not change what the model is told."""
    await exchange(stage, "una habitación doble")
    if restarted:
        await stage.stop()
        await stage.start()
    await exchange(stage, "¿y con desayuno?")
    told = [
        (item["role"], words)
        for item in stage.model.calls[-1].items
        if item.get("role") in {"user", "assistant"}
        for words in re.findall(r"respuesta a [^\"']+|una habitación doble|¿y con", str(item))
    ]
    assert told == [
        ("user", "una habitación doble"),
        ("assistant", "respuesta a una habitación doble"),
        ("user", "¿y con"),
    ]


async def test_a_long_history_is_cut_to_its_budget(tmp_path: Path) -> None:
    """The newest turns that fit are told, whole; the oldest are not."""
    budget = 250
    assistant = {"history_tokens": budget, "compaction": "drop"}
    async with open_brisk_stage(tmp_path / "data", assistant=assistant) as stage:
        for number in range(6):
            await exchange(stage, f"tema{number} " + "palabra " * 10)
        last = stage.model.calls[-1]
        told = sorted(set(re.findall(r"tema\d", str(last.items))))
        assert told[-1] == "tema5"
        assert "tema4" in told
        assert "tema0" not in told
        # Whole turns: each burst that is told is told with its answer, but for the newest.
        answered = set(re.findall(r"respuesta a (tema\d)", str(last.items)))
        assert answered == set(told[:-1])
        items = select(tmp_path / "data", "thread_items", "item, tokens")
        kept = sum(size for item, size in items if set(re.findall(r"tema\d", item)) & answered)
        assert 0 < kept <= budget


async def test_an_answer_of_several_paragraphs_arrives_in_order(stage: Stage) -> None:
    """Each paragraph is a message, and the webhooks that echo them start nothing."""
    stage.model.script(say("Primero.\n\nSegundo.\n\nTercero."))
    await stage.gateway.customer_says(LAURA, "cuéntame")
    await stage.gateway.wait_sent(LAURA, 3)
    await stage.quiet()
    assert stage.received() == ["Primero.", "Segundo.", "Tercero."]
    assert len(stage.model.calls) == 1


async def test_a_message_during_the_run_joins_it(tmp_path: Path) -> None:
    """What comes while the model thinks is answered together with what it thinks about."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        stage.model.script(Step(gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "una habitación")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_says(LAURA, "no, mejor dos")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert len(stage.received()) == 1
        assert stage.model.calls[-1].customer_texts == ["una habitación\nno, mejor dos"]
        assert stage.model.calls[0].outcome == "cancelled"
