"""The life of a turn: what it takes in, how it ends, and that a chat has one at a time."""

from pathlib import Path

import pytest
from support.ledgers import (
    LAURA,
    PEDRO,
    accept,
    answered_turn,
    message,
    message_state,
    open_turn,
    outbox_states,
    own_message,
    queued,
    thread_of,
    tool_call,
)
from support.place import store_in
from support.rows import select

from daemon.domain.messages import JsonObject
from daemon.domain.records import NewPart, Turn, TurnEnd
from daemon.domain.states import Outcome
from daemon.errors import StoreError
from daemon.ledger.ledger import Store

USER: JsonObject = {"role": "user", "content": "Hola"}
ANSWER: JsonObject = {"role": "assistant", "content": "Buenas"}


def _ids(turn: Turn) -> list[str]:
    return [stored.message.id for stored in turn.messages]


async def _deliver(store: Store, *states_of: str) -> Turn:
    """A turn whose parts have met these states_of, ready to be finished."""
    rows = await queued(store, *(f"part {number}" for number in range(len(states_of))))
    for row, fate in zip(rows, states_of, strict=True):
        await store.outbox.sending(row, now=103)
        if fate == "sent":
            await store.outbox.sent(row, f"w-{row.id}", now=104)
        elif fate == "failed":
            await store.outbox.failed(row, f"refused {row.id}")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    return turn


async def test_a_turn_takes_waiting_messages_in_the_order_of_arrival(store: Store) -> None:
    await accept(store, message("m-2"), message("m-1"))
    await accept(store, own_message("a-1", "Ya voy", source="web"), message("p-1", key=PEDRO))
    await accept(store, message("m-3"))
    turn = await store.turns.open(LAURA, request_id="r-9", limit=50, quotes=True, now=111)
    assert turn is not None
    assert _ids(turn) == ["m-2", "m-1", "m-3"]
    assert (turn.key, turn.state, turn.request_id) == (LAURA, "open", "r-9")
    assert (turn.attempts, turn.superseded, turn.opened_at) == (0, 0, 111)
    assert turn.quotes
    assert not turn.effects
    assert await store.turns.active(LAURA) == turn
    assert message_state(store, "m-1") == ("in_turn", "")
    assert message_state(store, "p-1") == ("received", "")
    assert message_state(store, "a-1") == ("received", "")


async def test_a_turn_takes_only_so_many_and_leaves_the_others_waiting(store: Store) -> None:
    await accept(store, *(message(f"m-{n}") for n in range(5)))
    turn = await open_turn(store, limit=3)
    assert _ids(turn) == ["m-0", "m-1", "m-2"]
    waiting = await store.inbox.waiting(LAURA, from_me=False)
    assert [w.message.id for w in waiting] == ["m-3", "m-4"]
    await store.turns.close(turn, "answered", now=110)
    assert _ids(await open_turn(store, limit=3)) == ["m-3", "m-4"]


async def test_nothing_waits_nothing_opens(store: Store) -> None:
    await accept(store, own_message("a-1", "Ya voy", source="web"), message("p-1", key=PEDRO))
    turn = await store.turns.open(LAURA, request_id="r", limit=50, quotes=False, now=101)
    assert turn is None
    assert await store.turns.active(LAURA) is None
    assert select(store, "turns") == []


async def test_a_chat_has_one_living_turn(store: Store) -> None:
    await accept(store, message("m-1"))
    await open_turn(store)
    await accept(store, message("m-2"))
    with pytest.raises(StoreError, match=r"(?i)unique"):
        await open_turn(store)
    assert message_state(store, "m-2") == ("received", "")
    assert not store.database.fatal_error


async def test_living_turns_are_found_again_oldest_first(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await answered_turn(store, "m-0")
        await accept(store, message("p-1", key=PEDRO), message("m-1"))
        await open_turn(store, PEDRO)
        turn = await open_turn(store)
    async with store_in(tmp_path) as store:
        assert await store.turns.all_active() == (PEDRO, LAURA)
        assert await store.turns.active(LAURA) == turn


async def test_joining_messages_come_after_the_earlier_ones(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    run = await store.runs.begin(turn, now=101)
    await accept(store, message("m-2"), message("m-3"), message("m-4"))
    joined = await store.turns.join(turn, limit=2, counts=True, now=102)
    assert _ids(joined) == ["m-1", "m-2", "m-3"]
    assert (joined.id, joined.superseded) == (turn.id, 1)
    assert message_state(store, "m-4") == ("received", "")
    assert select(store, "runs", "state, ended_at") == [("superseded", 102.0)]
    assert (await store.runs.begin(joined, now=103)).id != run.id


async def test_a_join_that_threw_no_run_away_does_not_count(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    await accept(store, message("m-2"))
    assert (await store.turns.join(turn, limit=9, counts=False, now=102)).superseded == 0


async def test_attempts_are_counted_through_restarts(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await accept(store, message("m-1"))
        turn = await open_turn(store)
        await store.runs.start(turn, attempt=1, now=102)
    async with store_in(tmp_path) as store:
        again = await store.turns.active(LAURA)
        assert again is not None
        assert again.attempts == 1
        await store.runs.start(again, attempt=2, now=103)
        await store.runs.start(again, attempt=1, now=104)
        assert select(store, "turns", "attempts") == [(2,)]


async def test_a_turn_knows_that_a_tool_with_effects_was_called_for_it(store: Store) -> None:
    await accept(store, message("m-1"))
    run = await store.runs.begin(await open_turn(store), now=101)
    await store.runs.call_started(run, 0, tool_call(), effects=False, now=102)
    turn = await store.turns.active(LAURA)
    assert turn is not None
    assert not turn.effects
    await store.runs.call_started(run, 0, tool_call(call_id="c-2"), effects=True, now=103)
    turn = await store.turns.active(LAURA)
    assert turn is not None
    assert turn.effects


async def test_an_answer_is_decided_in_one_write(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    await store.runs.begin(turn, now=101)
    parts = [NewPart("Buenas", quoted="m-1"), NewPart("¿En qué le ayudo?")]
    concluded, rows, _ = await store.turns.conclude(
        turn, items=[USER, ANSWER], parts=parts, now=102
    )
    assert concluded == await store.turns.active(LAURA)
    assert concluded.state == "delivering"
    assert _ids(concluded) == ["m-1"]
    assert await thread_of(store) == [USER, ANSWER]
    assert rows == await store.outbox.open_rows(LAURA)
    assert [(r.body, r.quoted, r.state, r.turn_id) for r in rows] == [
        ("Buenas", "m-1", "pending", turn.id),
        ("¿En qué le ayudo?", "", "pending", turn.id),
    ]
    assert select(store, "runs", "state, ended_at") == [("completed", 102.0)]
    assert message_state(store, "m-1") == ("in_turn", "")


@pytest.mark.parametrize(
    ("states_of", "outcome", "reason"),
    [
        (["sent"], "answered", ""),
        (["sent", "sent"], "answered", ""),
        (["sent", "failed"], "answered", "refused 2"),
        (["failed", "sent"], "answered", "refused 1"),
        (["failed"], "dead", "refused 1"),
        (["failed", "failed"], "dead", "refused 2"),
        ([], "answered", ""),
    ],
)
async def test_a_turn_is_answered_if_any_part_of_it_was_sent(
    store: Store, states_of: list[str], outcome: Outcome, reason: str
) -> None:
    turn = await _deliver(store, *states_of)
    end = await store.turns.finish(turn, now=120)
    assert end == await store.turns.end(turn) == TurnEnd(outcome)
    assert await store.turns.active(LAURA) is None
    assert select(store, "turns", "state, outcome, reason, closed_at") == [
        ("done", outcome, reason, 120.0)
    ]
    assert select(store, "messages", "state, reason") == [(outcome, reason)]


@pytest.mark.parametrize("outcome", ["answered", "ignored", "expired", "dead"])
async def test_a_closed_turn_gives_its_messages_the_outcome(store: Store, outcome: Outcome) -> None:
    await accept(store, message("m-1"), message("m-2"))
    turn = await open_turn(store, limit=1)
    await store.runs.begin(turn, now=101)
    await store.turns.close(turn, outcome, reason="because", items=[USER], now=102)
    assert await store.turns.active(LAURA) is None
    assert message_state(store, "m-1") == (outcome, "because")
    assert message_state(store, "m-2") == ("received", "")
    assert await thread_of(store) == [USER]
    assert select(store, "runs", "state") == [("abandoned",)]


async def test_a_close_drops_unsent_messages_and_sends_its_own(store: Store) -> None:
    said, _under_way, _unsure, _waiting = await queued(store, "uno", "dos", "tres", "cuatro")
    await store.outbox.sending(said, now=103)
    await store.outbox.sent(said, "w-1", now=104)
    await store.outbox.sending(_under_way, now=105)
    await store.outbox.sending(_unsure, now=106)
    await store.outbox.unknown(_unsure, "timeout")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.turns.close(turn, "handed_off", parts=[NewPart("Le atiende Ana")], now=107)
    assert outbox_states(store) == ["sent", "sending", "dropped", "dropped", "pending"]
    assert select(store, "outbox", "error", where={"state": "dropped"}) == [("handed_off",)] * 2
    (_, row) = await store.outbox.open_rows(LAURA)
    assert (row.body, row.turn_id) == ("Le atiende Ana", None)


async def test_a_promise_of_an_apology_is_retracted_once(store: Store) -> None:
    """A customer who was told that an answer comes hears that none will."""
    apology, expired = NewPart("Le contestaremos"), NewPart("No pudimos")
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    assert await store.turns.apologise(turn, apology, now=101)
    assert await store.turns.apologise(turn, expired, now=102, corrects=True)
    assert not await store.turns.apologise(turn, expired, now=103, corrects=True)
    assert not await store.turns.apologise(turn, apology, now=104)
    rows = await store.outbox.open_rows(LAURA)
    assert [row.body for row in rows] == ["Le contestaremos", "No pudimos"]


async def test_one_outage_is_one_apology_until_the_next_answer(store: Store) -> None:
    part = NewPart("Disculpa")
    await accept(store, message("m-1"), message("p-1", key=PEDRO))
    turn = await open_turn(store)
    assert await store.turns.apologise(turn, part, now=101)
    assert not await store.turns.apologise(turn, part, now=102)
    assert (await store.threads.chat(LAURA)).apologised_at == 101
    assert await store.turns.apologise(await open_turn(store, PEDRO), part, now=103)
    await store.turns.close(turn, "dead", now=104)
    await accept(store, message("m-2"))
    turn = await open_turn(store)
    assert not await store.turns.apologise(turn, part, now=105)
    await store.turns.conclude(turn, items=[], parts=[NewPart("Ya")], now=106)
    assert (await store.turns.finish(turn, now=107)).outcome == "answered"
    await accept(store, message("m-3"))
    assert await store.turns.apologise(await open_turn(store), part, now=108)
    rows = await store.outbox.open_rows(LAURA)
    assert [(row.body, row.turn_id is None) for row in rows] == [
        ("Disculpa", True),
        ("Ya", False),
        ("Disculpa", True),
    ]
