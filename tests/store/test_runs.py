"""Runs: nothing that the model or a tool did is paid for, or done, twice."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.ledgers import LAURA, accept, message, open_turn, tool_call
from support.place import store_in
from support.rows import select

from daemon.domain.messages import ModelResponse, Usage
from daemon.domain.records import RecordedCall, RecordedRound, Run
from daemon.ledger.ledger import Store
from daemon.ledger.runs import call_key

ANSWER = ModelResponse(
    id="resp-1",
    items=({"type": "message", "content": [{"type": "output_text", "text": "Sí"}]},),
    usage=Usage(input_tokens=10, output_tokens=2),
)


async def _run(store: Store) -> Run:
    await accept(store, message("m-1"))
    return await store.runs.begin(await open_turn(store), now=101)


async def _again(store: Store) -> Run:
    """The run as the next process finds it."""
    turn = await store.turns.active(LAURA)
    assert turn is not None
    return await store.runs.begin(turn, now=200)


async def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        run = await _run(store)
        assert run == Run(id=run.id, turn_id=run.turn_id)
        await store.runs.round_started(run, 0, now=102)
        await store.runs.round_named(run, 0, "resp-1", now=102)
        await store.runs.round_completed(run, 0, ANSWER, now=103)
        done = await store.runs.call_started(run, 0, tool_call(), effects=True, now=104)
        await store.runs.call_ended(done, '{"ok":true}', failed=False, now=105)
        lost = await store.runs.call_started(
            run, 0, tool_call('{"a":1}', call_id="c-2"), effects=False, now=106
        )
        await store.runs.round_started(run, 1, now=107)
        await store.runs.round_named(run, 1, "resp-2", now=102)
    async with store_in(tmp_path) as store:
        again = await _again(store)
        assert again.id == run.id
        assert again.rounds == (
            RecordedRound(round=0, response_id="resp-1", response=ANSWER, calls=1),
            RecordedRound(round=1, response_id="resp-2", response=None, calls=1),
        )
        keys = [call_key(run.turn_id, tool_call(arguments)) for arguments in ("{}", '{"a":1}')]
        assert again.calls == (
            RecordedCall(done, run.id, 0, "c-1", keys[0], effects=True, output='{"ok":true}'),
            RecordedCall(lost, run.id, 0, "c-2", keys[1], effects=False, output=None),
        )


async def test_a_failed_round_that_the_server_may_still_answer_keeps_its_id(store: Store) -> None:
    run = await _run(store)
    await store.runs.round_started(run, 0, now=102)
    await store.runs.round_named(run, 0, "resp-1", now=102)
    await store.runs.round_failed(run, 0, "the connection was cut", lost=False, now=103)
    assert (await _again(store)).rounds[0].response_id == "resp-1"
    await store.runs.round_failed(run, 0, "gone", lost=True, now=104)
    assert (await _again(store)).rounds[0].response_id == ""
    assert select(store, "responses", "state, error, ended_at") == [("failed", "gone", 104.0)]


async def test_asking_again_counts_and_forgets_the_earlier_id(store: Store) -> None:
    run = await _run(store)
    await store.runs.round_started(run, 0, now=102)
    await store.runs.round_named(run, 0, "resp-1", now=102)
    await store.runs.round_started(run, 0, now=103)
    assert (await _again(store)).rounds == (
        RecordedRound(round=0, response_id="", response=None, calls=2),
    )


async def test_a_failed_tool_call_has_an_output_too(store: Store) -> None:
    run = await _run(store)
    row = await store.runs.call_started(run, 0, tool_call(), effects=False, now=102)
    await store.runs.call_ended(row, '{"error":"no"}', failed=True, now=103)
    assert (await _again(store)).calls[0].output == '{"error":"no"}'
    assert select(store, "tool_calls", "state, arguments, tool") == [("failed", "{}", "book")]


async def test_a_superseded_run_leaves_its_calls_to_the_next(store: Store) -> None:
    """What had effects is known to every later run of the turn; the rounds are not."""
    run = await _run(store)
    await store.runs.round_started(run, 0, now=102)
    row = await store.runs.call_started(run, 0, tool_call(), effects=True, now=103)
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.turns.join(turn, limit=9, counts=True, now=104)
    again = await _again(store)
    assert again.id != run.id
    assert again.rounds == ()
    assert [(call.id, call.run_id) for call in again.calls] == [(row, run.id)]


async def test_a_response_given_up_is_named_once_so_that_it_can_be_cancelled(store: Store) -> None:
    run = await _run(store)
    await store.runs.round_started(run, 0, now=102)
    assert await store.runs.abandon_response(run.turn_id, now=103) == ""
    await store.runs.round_named(run, 0, "resp-1", now=102)
    assert await store.runs.abandon_response(run.turn_id, now=104) == "resp-1"
    assert await store.runs.abandon_response(run.turn_id, now=105) == ""


async def test_an_answered_round_is_not_given_up(store: Store) -> None:
    run = await _run(store)
    await store.runs.round_started(run, 0, now=102)
    await store.runs.round_completed(run, 0, ANSWER, now=103)
    assert await store.runs.abandon_response(run.turn_id, now=104) == ""
    assert (await _again(store)).rounds[0].response == ANSWER


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"room":"12","nights":2}', '{ "nights" : 2,\n "room" : "12" }'),
        ('{"guest":{"name":"Ana","age":3}}', '{"guest":{"age":3,"name":"Ana"}}'),
        ('{"name":"Muñoz"}', '{"name":"Mu\\u00f1oz"}'),
        ("not JSON", "not JSON"),
    ],
)
def test_the_same_action_has_the_same_key(one: str, other: str) -> None:
    assert call_key(7, tool_call(one)) == call_key(7, tool_call(other, call_id="c-2"))


def test_other_deeds_have_other_keys() -> None:
    actions = [
        call_key(7, tool_call('{"room":"12"}')),
        call_key(8, tool_call('{"room":"12"}')),
        call_key(7, tool_call('{"room":"12"}', name="cancel")),
        call_key(7, tool_call('{"room":"13"}')),
        call_key(7, tool_call('{"room":12}')),
        call_key(7, tool_call('{"rooms":["1","2"]}')),
        call_key(7, tool_call('{"rooms":["2","1"]}')),
        call_key(7, tool_call("not JSON")),
        call_key(7, tool_call("not  JSON")),
    ]
    assert len(set(actions)) == len(actions)


@given(st.text(st.characters(exclude_categories=())))
@example('"\ud83d"')  # half of a pair, as an output cut short may end
@example("[" * 100_000)
def test_every_text_that_a_model_may_write_has_a_key(arguments: str) -> None:
    assert len(call_key(1, tool_call(arguments))) == 32


async def test_a_new_run_starts_its_first_round_in_the_same_write(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    run, refused = await store.runs.start(turn, attempt=1, now=101)
    assert (run.is_asked, refused) == (True, "")
    assert select(store, "responses", "run_id, round, state, calls") == [(run.id, 0, "started", 1)]


async def test_a_run_that_goes_on_has_its_rounds_and_starts_none(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    run, _ = await store.runs.start(turn, attempt=1, now=101)
    await store.runs.round_named(run, 0, "resp-1", now=102)
    again, _ = await store.runs.start(turn, attempt=2, now=102)
    assert (again.id, again.is_asked) == (run.id, False)
    assert [(r.response_id, r.calls) for r in again.rounds] == [("resp-1", 1)]
