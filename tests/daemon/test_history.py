"""Conversations from before Recado: told to the model when a customer first writes, once."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio
from support.model_script import Step
from support.scenes import found, model_input, open_scene, role_of, thread, words
from support.stage import LAURA, Stage

from daemon.conversation.turn.history import END_NOTE, NOTE, earlier_items
from daemon.domain.messages import ChatKey, Media, Message, Quote, Reaction, Text
from daemon.sandbox import payloads

KEY = ChatKey("", payloads.chat_id_of(LAURA))
IMPORTED = {"import_messages": 50}


def wrote(stage: Stage, words: str, *, hours_ago: float, source: str = "") -> None:
    """A message that is on the phones, and that no daemon was told of."""
    at, rng_id = time.time() - hours_ago * 3600, f"old-{words}"
    content, chat = payloads.text_content(words), payloads.chat_id_of(LAURA)
    if source:
        message = payloads.own_message(content, message_id=rng_id, chat=chat, at=at, source=source)
    else:
        message = payloads.customer_message(
            content, message_id=rng_id, chat=chat, at=at, author=LAURA, name="Laura", chat_name=""
        )
    stage.gateway.ledger.add_message(message)


def wrote_before(stage: Stage) -> None:
    """A conversation of yesterday, of all three sides."""
    wrote(stage, "¿Tienen piscina?", hours_ago=26)
    wrote(stage, "¿Y parqueadero?", hours_ago=25)
    wrote(stage, "Sí, las dos cosas.", hours_ago=24, source="mobile")
    wrote(stage, "¿Algo más?", hours_ago=23, source="api")


CONVERSATION = [
    NOTE,
    "¿Tienen piscina?\n¿Y parqueadero?",
    "Sí, las dos cosas.\n¿Algo más?",
    END_NOTE,
]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon that reads what was before."""
    async with open_scene(tmp_path, history=IMPORTED) as stage:
        yield stage


async def exchange(stage: Stage, *texts: str) -> None:
    """One burst, answered, and the chat at rest."""
    count = len(stage.received())
    await stage.gateway.announce([stage.gateway.compose(LAURA, text) for text in texts])
    await stage.gateway.wait_sent(LAURA, count + 1)
    await stage.quiet()


async def test_the_model_gets_the_earlier_messages(stage: Stage) -> None:
    wrote_before(stage)
    sent_before = len(stage.received())
    await exchange(stage, "Hola", "soy yo otra vez")
    words = model_input(stage)
    assert words[:4] == CONVERSATION
    assert words[-1] == "Hola\nsoy yo otra vez"
    roles = [role_of(item) for item in stage.model.calls[0].items]
    assert roles[:4] == ["data", "user", "assistant", "data"]
    assert len(stage.received()) == sent_before + 1


async def test_it_is_read_once(stage: Stage) -> None:
    wrote_before(stage)
    await exchange(stage, "Hola")
    await stage.stop()
    await stage.start()
    await exchange(stage, "¿Hay cupo?")
    assert model_input(stage).count(NOTE) == 1
    assert len(stage.gateway.calls("list")) == 1


async def test_a_crash_after_the_import_does_not_repeat_it(stage: Stage) -> None:
    wrote_before(stage)
    stage.model.script(Step(gate=trio.Event()))
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.model.wait_requests(1)
    await stage.crash()
    await stage.start()
    await found(lambda: stage.model.running == 1)
    assert [words(item) for item in thread(stage)] == CONVERSATION
    assert len(stage.gateway.calls("list")) == 1


async def test_a_crash_during_the_import_begins_it_again(stage: Stage) -> None:
    wrote_before(stage)
    held = stage.gateway.faults.add(operation="list", kind="hold", times=1)
    await stage.gateway.customer_says(LAURA, "Hola")
    await held.reached.wait()
    await stage.crash()
    assert thread(stage) == []
    await stage.start()
    await stage.gateway.wait_sent(LAURA)
    assert model_input(stage)[:4] == CONVERSATION


async def test_a_gateway_that_refuses_fails_no_answer(stage: Stage) -> None:
    wrote_before(stage)
    stage.gateway.faults.add(operation="list", kind="status", status=400, times=-1)
    await exchange(stage, "Hola")
    assert NOTE not in model_input(stage)


async def test_a_gateway_that_hangs_delays_the_answer_by_three_seconds_at_most(
    stage: Stage,
) -> None:
    stage.gateway.faults.add(operation="list", kind="hold", times=-1)
    await exchange(stage, "Hola")
    assert stage.events("earlier messages did not come in time")


async def test_a_customer_without_a_past_has_none(stage: Stage) -> None:
    await exchange(stage, "Hola")
    await exchange(stage, "¿Hay cupo?")
    assert len(stage.gateway.calls("list")) == 1
    assert NOTE not in model_input(stage)


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    async with open_scene(tmp_path, history={"import_messages": 0}) as stage:
        wrote_before(stage)
        await exchange(stage, "Hola")
        assert not stage.gateway.calls("list")


def _message(number: int, *, from_me: bool = False, **fields: float) -> Message:
    return Message(
        id=f"m-{number}",
        key=KEY,
        kind="text",
        content=Text(body=f"words {number}"),
        from_me=from_me,
        sent_at=fields.get("sent_at", number),
    )


def test_the_newest_are_taken_and_sent_oldest_first() -> None:
    listed = [_message(number, from_me=number % 2 == 1) for number in range(9, -1, -1)]
    items = earlier_items(listed, known=(), before=100, count=3)
    assert [(i["role"], i["content"]) for i in items[1:-1]] == [
        ("assistant", "words 7"),
        ("user", "words 8"),
        ("assistant", "words 9"),
    ]


def test_our_messages_do_not_repeat_their_quotes() -> None:
    quoting = msgspec.structs.replace(
        _message(1, from_me=True), quote=Quote(id="m-0", body="gratis")
    )
    items = earlier_items([quoting, _message(0)], known=(), before=100, count=3)
    assert [i["content"] for i in items[1:-1]] == ["words 0", "words 1"]


def test_other_types_are_left_out_of_the_history() -> None:
    """The burst, what came after it, and what is no message to answer."""
    emoji = Message(id="r", key=KEY, kind="action", content=Reaction(target="m-1"), sent_at=2)
    photo = Message(
        id="p", key=KEY, kind="image", content=Media(medium="image", caption="mi cédula"), sent_at=2
    )
    listed = [_message(9), _message(8), _message(7), emoji, photo, _message(1)]
    items = earlier_items(listed, known={"m-7"}, before=8, count=50)
    assert [i["content"] for i in items[1:-1]] == [
        "words 1\n[image, which you cannot see] mi cédula"
    ]
    assert earlier_items(listed, known={m.id for m in listed}, before=0, count=50) == []


def test_a_time_that_is_not_known_leaves_nothing_out() -> None:
    assert len(earlier_items([_message(5)], known=(), before=0, count=50)) == 3
