"""Answers that are not fit to be sent, over real HTTP: one second try, then the safe text."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from support.brisk import open_brisk_stage
from support.model_script import Step, call, say
from support.operator import recado
from support.rows import select
from support.scenes import role_of, words
from support.stage import LAURA, Stage

from daemon.domain.texts import texts
from daemon.domain.validation.results import RETRY

UNCLEAR = texts("es").unclear

HOTEL_TOOLS = '''
"""Tools of a hotel, for tests."""

from daemon.tools.tool import tool


@tool
async def price_of() -> str:
    """Say what the room costs."""
    return '{"room": "1722-A", "price": 180000}'
'''

OWN_VALIDATORS = '''
"""Validators of a hotel, for tests."""

from daemon.domain.validation.results import KEEP, Block, Candidate, Fix, Verdict, validator


@validator
def polite(candidate: Candidate) -> Verdict:
    """Say you."""
    return Fix(candidate.text.replace("oye", "disculpa"))


@validator(blocking=True)
def no_rivals(candidate: Candidate) -> Verdict:
    """Never name the hotel next door."""
    return Block("names a rival") if "Vecino" in candidate.text else KEEP


@validator
def broken(candidate: Candidate) -> Verdict:
    """Fail."""
    raise ZeroDivisionError
'''


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon with a tool that knows a price."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(HOTEL_TOOLS)
    async with open_brisk_stage(tmp_path / "data", tools={"folder": folder}) as stage:
        yield stage


async def reply_to(stage: Stage, words: str, contact: str = LAURA) -> str:
    """What a customer is answered."""
    before = len(stage.received(contact))
    await stage.gateway.customer_says(contact, words)
    await stage.gateway.wait_sent(contact, before + 1)
    await stage.quiet()
    assert len(stage.received(contact)) == before + 1
    return stage.received(contact)[-1]


def thread(stage: Stage) -> str:
    """All that the model will be told of the conversations."""
    rows = select(stage.settings.data_dir, "thread_items", "item", order="id")
    return "\n".join(json.dumps(json.loads(item), ensure_ascii=False) for (item,) in rows)


async def test_an_altered_price_is_put_right_by_a_second_try(stage: Stage) -> None:
    """The model is told why; neither its first answer nor the note stays in the thread."""
    stage.model.script(call("price_of"), say("Cuesta $810.000."), say("Cuesta **$180.000**."))
    assert await reply_to(stage, "¿cuánto cuesta?") == "Cuesta *$180.000*."
    again = stage.model.calls[2]
    why, order = again.items[-2:]
    assert "$810.000" in words(why)
    assert (role_of(why), order) == ("data", {"role": "developer", "content": RETRY})
    assert "810.000" not in thread(stage)
    assert "was not sent to the customer" not in thread(stage)
    stage.model.script(say("A ti."))
    assert await reply_to(stage, "gracias") == "A ti."
    assert "810.000" not in str(stage.model.calls[3].items)
    metrics = (await stage.get("/metrics")).text
    assert 'recado_validations_total{validator="amounts",verdict="doubt"} 1.0' in metrics
    assert 'recado_validations_total{validator="whatsapp",verdict="fix"} 1.0' in metrics
    assert 'recado_validations_total{validator="echo",verdict="block"} 0.0' in metrics
    assert stage.events("answer validated")[0]["verdicts"] == "amounts: doubt"
    assert "810.000" not in stage.log.getvalue()


async def test_explain_shows_the_verdicts(stage: Stage) -> None:
    stage.model.script(call("price_of"), say("Cuesta $810.000."), say("Cuesta **$180.000**."))
    await reply_to(stage, "¿cuánto cuesta?")
    ((message_id,),) = select(stage.settings.data_dir, "messages", "id", where={"from_me": 0})
    explained = await recado(stage.settings.data_dir, "explain", message_id)
    assert "validation: amounts doubt; the model was asked again" in explained.stdout
    assert "validation: whatsapp fix" in explained.stdout


async def test_an_amount_still_doubtful_at_the_second_try_is_sent_and_marked(
    stage: Stage,
) -> None:
    """For a person's eye: in the metrics, in explain and in the dashboard's work and bubbles."""
    stage.model.script(call("price_of"), say("Cuesta $810.000."), say("Cuesta $811.000."))
    assert await reply_to(stage, "¿cuánto cuesta?") == "Cuesta $811.000."
    assert len(stage.model.calls) == 3
    assert "811.000" in thread(stage)
    assert "810.000" not in thread(stage)
    metrics = (await stage.get("/metrics")).text
    assert 'recado_validations_total{validator="amounts",verdict="doubt"} 2.0' in metrics
    assert 'recado_validations_total{validator="amounts",verdict="flag"} 1.0' in metrics
    assert stage.events("doubtful answer sent")[0]["validators"] == "amounts"
    ((message_id,),) = select(stage.settings.data_dir, "messages", "id", where={"from_me": 0})
    explained = await recado(stage.settings.data_dir, "explain", message_id)
    assert "validation: amounts doubt; the model was asked again" in explained.stdout
    assert "validation: amounts flag; sent anyway, a person should" in explained.stdout
    (doubtful,) = (await stage.get("/dashboard/api/work")).json()["doubtful"]
    assert doubtful["reason"] == "amounts"
    page = (await stage.get("/dashboard/work")).text
    assert 'data-testid="doubtful-turn"' in page
    chat = (await stage.get(f"/dashboard/chats/{doubtful['ref']}")).text
    assert 'data-testid="doubt"' in chat
    story = (await stage.get(f"/dashboard/chats/{doubtful['ref']}?turn={doubtful['turn']}")).text
    assert "amounts: flag" in story


async def test_a_doubtful_amount_is_sent_also_where_no_second_try_can_be_had(stage: Stage) -> None:
    """The model was asked again a minute ago, or does not answer: the customer is answered."""
    stage.model.script(call("price_of"), say("Cuesta $810.000."), say("Cuesta $180.000."))
    assert await reply_to(stage, "¿cuánto cuesta?") == "Cuesta $180.000."
    stage.model.script(call("price_of"), say("Cuesta $812.000."))
    assert await reply_to(stage, "¿seguro?") == "Cuesta $812.000."
    stage.model.script(call("price_of"), say("Cuesta $813.000."))
    stage.model.script(Step(status=400, code="invalid_prompt"))
    assert await reply_to(stage, "¿y la otra?", contact="573007654321") == "Cuesta $813.000."
    work = (await stage.get("/dashboard/api/work")).json()
    assert len(work["doubtful"]) == 2


async def test_an_operator_may_block_doubtful_amounts(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(HOTEL_TOOLS)
    block = {"amounts": "block"}
    async with open_brisk_stage(
        tmp_path / "data", tools={"folder": folder}, validators=block
    ) as stage:
        stage.model.script(call("price_of"), say("Cuesta $810.000."), say("Cuesta $811.000."))
        assert await reply_to(stage, "¿cuánto cuesta?") == UNCLEAR
        assert "1722-A" in thread(stage), "what a tool did stays known"
        assert "81" not in thread(stage).replace("180", "")
        assert (await stage.get("/dashboard/api/work")).json()["doubtful"] == []
        stage.model.script(say("A ti."))
        assert await reply_to(stage, "gracias") == "A ti."
        assert all(asked.outcome == "finished" for asked in stage.model.calls)


async def test_after_a_bad_second_try_the_mended_text_is_sent(stage: Stage) -> None:
    leak = 'Abrimos a las 8. {"name": "price_of", "arguments": {}}'
    stage.model.script(say(leak), say(""))
    assert await reply_to(stage, "¿a qué hora abren?") == "Abrimos a las 8."


async def test_a_refused_second_try_leaves_the_mended_text(stage: Stage) -> None:
    leak = 'Abrimos a las 8. {"name": "price_of", "arguments": {}}'
    stage.model.script(say(leak), Step(status=400, code="invalid_prompt"))
    assert await reply_to(stage, "¿a qué hora abren?") == "Abrimos a las 8."


async def test_a_chat_gets_a_second_try_only_so_often(stage: Stage) -> None:
    """Within the cooldown the model is not asked again; another chat has its own."""
    stage.model.script(say(""), say("Hola."))
    assert await reply_to(stage, "hola") == "Hola."
    stage.model.script(say(""))
    assert await reply_to(stage, "¿y la suite?") == UNCLEAR
    assert len(stage.model.calls) == 3
    stage.model.script(say(""), say("Buenas."))
    assert await reply_to(stage, "buenas", contact="573007654321") == "Buenas."
    await stage.stop()
    stage.later_seconds = 301
    await stage.start()
    stage.model.script(say(""), say("La suite, sí."))
    assert await reply_to(stage, "¿la suite?") == "La suite, sí."


async def test_a_restart_within_the_second_try_neither_repeats_nor_forgets_it(
    stage: Stage,
) -> None:
    """The answer that was sent back is not paid for again, and the second one is the last."""
    thought = trio.Event()
    stage.model.script(call("price_of"), say("Cuesta $810.000."))
    stage.model.script(say("Cuesta $180.000.", gate=thought))
    await stage.gateway.customer_says(LAURA, "¿cuánto cuesta?")
    await stage.model.wait_requests(3)
    await stage.crash()
    await stage.start()
    thought.set()
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    assert stage.received() == ["Cuesta $180.000."]
    assert stage.model.unused_steps == ()
    assert "810.000" not in thread(stage)


async def test_validators_of_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fix and block, may block a thread, and a fault of theirs harms nobody."""
    (tmp_path / "hotel_validators.py").write_text(OWN_VALIDATORS)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = {"modules": ("hotel_validators",), "disabled": ("whatsapp",)}
    async with open_brisk_stage(tmp_path / "data", validators=own) as stage:
        stage.model.script(say("**oye**, ya te digo"))
        assert await reply_to(stage, "hola") == "**disculpa**, ya te digo"
        stage.model.script(say("Mejor el Hotel Vecino."))
        assert await reply_to(stage, "¿otro hotel?") == UNCLEAR
        assert len(stage.model.calls) == 2
        assert stage.events("validator failed")[0]["validator"] == "broken"
        assert stage.events("answer validated")[-1]["reason"] == "names a rival"
