"""Calls to our number: noted once, and answered at most once an hour a chat."""

import pytest
from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message, open_turn, thread_of
from support.rows import count, select

from daemon.domain.messages import Call, ChatKey
from daemon.domain.records import NewPart
from daemon.ledger.intake import NOTE, REPLY_EVERY_SECONDS
from daemon.ledger.ledger import Store

REPLY = NewPart("Por aquí no contestamos llamadas")


def call(
    call_id: str = "c-1", *, key: ChatKey = LAURA, status: str = "missed", at: float = 0
) -> Call:
    return Call(id=call_id, key=key, status=status, at=at)


async def replied(store: Store, *calls: Call, now: float = 5000) -> int:
    return len(await store.calls.take_in(calls, reply=REPLY, now=now))


async def test_a_missed_call_is_answered_once_however_often_it_is_reported(store: Store) -> None:
    assert await replied(store, call(status="ringing")) == 0
    assert await replied(store, call(), call()) == 1
    assert await replied(store, call()) == 0
    assert select(store, "outbox", "chat, body") == [(LAURA.chat, REPLY.body)]


async def test_at_most_one_reply_an_hour_a_chat(store: Store) -> None:
    assert await replied(store, call("c-1"), call("c-2"), call("c-3", key=PEDRO)) == 2
    assert await replied(store, call("c-4"), now=5001 + REPLY_EVERY_SECONDS) == 1


@pytest.mark.parametrize("status", ["answered", "initiated", ""])
async def test_a_call_that_is_not_missed_needs_no_reply(store: Store, status: str) -> None:
    assert await replied(store, call(status=status)) == 0


async def test_an_old_call_and_one_to_an_agent_get_none(store: Store) -> None:
    assert await replied(store, call(at=5000 - REPLY_EVERY_SECONDS - 1)) == 0
    await accept(store, message("m-1"))
    await store.operator_actions.pause(LAURA.chat, 9000, by=OPERATOR, now=1)
    assert await replied(store, call("c-2")) == 0


async def test_without_the_setting_nothing_is_sent(store: Store) -> None:
    assert await store.calls.take_in([call()], reply=None, now=1) == ()
    assert count(store, "outbox") == 0


async def test_the_thread_knows_of_a_call_if_it_has_begun(store: Store) -> None:
    await store.calls.take_in([call("c-1")], reply=None, now=1)
    assert await thread_of(store) == []
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    await store.turns.conclude(turn, items=[{"role": "user", "content": "Hola"}], parts=[], now=2)
    await store.calls.take_in([call("c-2"), call("c-2", status="ringing")], reply=None, now=3)
    assert [item["content"] for item in await thread_of(store)] == ["Hola", NOTE]
