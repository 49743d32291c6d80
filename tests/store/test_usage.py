"""The book of what was used up: no call is counted twice, no reservation is left behind."""

from pathlib import Path

import trio
from support.forgetting import forget
from support.ledgers import (
    CHANNEL,
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    answered_turn,
    message,
    open_turn,
)
from support.place import cli_connection, store_in
from support.rows import select

from daemon.domain.limits import NO_LIMITS, Budget, Charge, Refusal, Use
from daemon.domain.messages import ChatKey, ModelResponse
from daemon.domain.records import NewPart, Run, Turn
from daemon.ledger.ledger import Store

DAY, NEXT_DAY = "2026-03-01", "2026-03-02"
WANTED = Charge(DAY, Use(1000, 500))
REAL = Charge(DAY, Use(300, 120))
ANSWER = ModelResponse(id="resp-1", items=())
LID = ChatKey(LAURA.number, "99887766554433@lid")


async def _turn(store: Store, key: ChatKey = LAURA) -> Turn:
    await accept(store, message(f"m-{key.chat}-{await _count(store)}", key=key))
    return await open_turn(store, key)


async def _count(store: Store) -> int:
    ((count,),) = select(store, "messages", "COUNT(*)")
    return int(count)


async def _run(store: Store, key: ChatKey = LAURA) -> Run:
    return await store.runs.begin(await _turn(store, key), now=101)


async def _start(
    store: Store, run: Run, number: int = 0, *, wanted: Charge = WANTED, budget: Budget = NO_LIMITS
) -> Refusal:
    return await store.runs.round_started(run, number, wanted=wanted, budget=budget, now=102)


async def _sums(store: Store, day: str = DAY) -> dict[str, tuple[int, int]]:
    rows = select(store, "usage_days", "chat, tokens, micros", where={"day": day})
    return {chat: (tokens, micros) for chat, tokens, micros in rows}


async def _states(store: Store) -> list[str]:
    return [state for (state,) in select(store, "usage", "state", order="id")]


async def test_a_call_is_reserved_and_then_settled(store: Store) -> None:
    run = await _run(store)
    assert await _start(store, run) == ""
    assert await _sums(store) == {LAURA.chat: (1000, 500), "": (1000, 500)}
    await store.runs.round_completed(run, 0, ANSWER, charge=REAL, now=103)
    assert await _sums(store) == {LAURA.chat: (300, 120), "": (300, 120)}
    assert await store.usage.total(CHANNEL, DAY) == REAL.use


async def test_a_call_over_the_budget_has_not_started(store: Store) -> None:
    run = await _run(store)
    assert await _start(store, run, budget=Budget(contact_tokens=999)) == "contact"
    assert await _start(store, run, budget=Budget(total_cost=0.0004)) == "total"
    assert await _sums(store) == {}
    assert select(store, "responses") == []


async def test_of_two_chats_only_one_gets_the_last_of_the_total(store: Store) -> None:
    runs = [await _run(store, LAURA), await _run(store, PEDRO)]
    outcomes: list[Refusal] = []

    async def start(run: Run) -> None:
        outcomes.append(await _start(store, run, budget=Budget(total_tokens=1500)))

    async with trio.open_nursery() as nursery:
        for run in runs:
            nursery.start_soon(start, run)
    assert sorted(outcomes) == ["", "total"]
    assert await store.usage.total(CHANNEL, DAY) == WANTED.use


async def test_a_reservation_survives_a_crash_and_is_settled_when_the_run_goes_on(
    tmp_path: Path,
) -> None:
    async with store_in(tmp_path) as store:
        await _start(store, await _run(store))
    async with store_in(tmp_path) as store:
        turn = await store.turns.active(LAURA)
        assert turn is not None
        run = await store.runs.begin(turn, now=200)
        assert await store.usage.total(CHANNEL, DAY) == WANTED.use
        await store.runs.round_completed(run, 0, ANSWER, charge=Charge(NEXT_DAY, REAL.use), now=201)
        assert await store.usage.total(CHANNEL, DAY) == REAL.use
        assert await store.usage.total(CHANNEL, NEXT_DAY) == Use()


async def test_a_reservation_that_a_crash_has_left_is_replaced_when_it_is_asked_again(
    tmp_path: Path,
) -> None:
    async with store_in(tmp_path) as store:
        await _start(store, await _run(store))
    async with store_in(tmp_path) as store:
        turn = await store.turns.active(LAURA)
        assert turn is not None
        run = await store.runs.begin(turn, now=200)
        limit = Budget(total_tokens=1000)
        assert await _start(store, run, wanted=Charge(NEXT_DAY, WANTED.use), budget=limit) == ""
        assert await store.usage.total(CHANNEL, DAY) == Use()
        assert await store.usage.total(CHANNEL, NEXT_DAY) == WANTED.use
        assert await _states(store) == ["reserved"]


async def test_a_run_that_ends_leaves_no_reservation_behind(store: Store) -> None:
    turn = await _turn(store)
    await _start(store, await store.runs.begin(turn, now=101))
    turn = await store.turns.join(turn, limit=50, counts=True, now=102)
    assert await store.usage.total(CHANNEL, DAY) == Use()
    await _start(store, await store.runs.begin(turn, now=103))
    await store.turns.close(turn, "handed_off", now=104)
    assert await store.usage.total(CHANNEL, DAY) == Use()
    assert await _states(store) == []


async def test_settled_usage_stays_when_the_run_ends(store: Store) -> None:
    turn = await _turn(store)
    run = await store.runs.begin(turn, now=101)
    await _start(store, run)
    await store.runs.round_completed(run, 0, ANSWER, charge=REAL, now=102)
    await _start(store, run, 1)
    await store.turns.close(turn, "dead", now=104)
    assert await store.usage.total(CHANNEL, DAY) == REAL.use


async def test_a_failed_call_gives_its_reservation_back(store: Store) -> None:
    run = await _run(store)
    await _start(store, run)
    await store.runs.round_failed(run, 0, "refused", lost=True, now=103)
    assert await store.usage.total(CHANNEL, DAY) == Use()


async def test_a_call_keeps_an_answer_that_may_still_be_fetched(store: Store) -> None:
    run = await _run(store)
    await _start(store, run)
    await store.runs.round_named(run, 0, "resp-1", now=102)
    await store.runs.round_failed(run, 0, "cut", lost=False, now=103)
    assert await store.usage.total(CHANNEL, DAY) == WANTED.use
    await store.runs.round_completed(run, 0, ANSWER, charge=REAL, now=104)
    assert await store.usage.total(CHANNEL, DAY) == REAL.use


async def test_the_polite_words_are_queued_once_a_day_and_the_alert_is_given_once(
    store: Store,
) -> None:
    turn = await _turn(store)
    words = NewPart("Por hoy no más")
    said = [await store.usage.stop(turn, words, day=DAY, now=103) for _ in range(3)]
    said.append(await store.usage.stop(turn, words, day=NEXT_DAY, now=104))
    assert said == [True, False, False, True]
    assert len(await store.outbox.open_rows(LAURA)) == 2
    assert [await store.usage.alert(CHANNEL, DAY, now=1) for _ in range(2)] == [True, False]


async def test_a_summary_counts_although_it_belongs_to_no_run(store: Store) -> None:
    await accept(store, message("m-1"))
    assert await store.usage.refusal(LAURA, WANTED, Budget(contact_tokens=999)) == "contact"
    assert await store.usage.refusal(LAURA, WANTED, Budget(contact_tokens=1000)) == ""
    await store.usage.charge(LAURA, REAL)
    await store.usage.charge(LAURA, REAL)
    assert await _sums(store) == {LAURA.chat: (600, 240), "": (600, 240)}
    assert await store.usage.refusal(LAURA, WANTED, Budget(total_tokens=1599)) == "total"


async def test_of_two_calls_outside_of_runs_only_one_gets_the_last(store: Store) -> None:
    budget, answers = Budget(total_cost=0.0007), []

    async def take(key: ChatKey) -> None:
        answers.append(await store.usage.take(key, Charge(DAY, Use(micros=400)), budget))

    async with trio.open_nursery() as nursery:
        for key in (LAURA, PEDRO):
            nursery.start_soon(take, key)
    assert sorted(answers) == ["", "total"]
    assert (await store.usage.total(CHANNEL, DAY)) == Use(micros=400)


async def test_a_call_under_another_id_is_charged_to_the_person(store: Store) -> None:
    await accept(store, message("m-1", key=LID))
    assert await store.identities.join(LID, LAURA.chat, now=300)
    assert await store.usage.take(LID, REAL, NO_LIMITS) == ""
    await store.usage.charge(LID, Charge(DAY, Use(-100, -20)))
    assert await _sums(store) == {LAURA.chat: (200, 100), "": (200, 100)}


async def test_a_call_of_a_person_being_forgotten_restores_no_number(
    store: Store, tmp_path: Path
) -> None:
    """A voice note was being made: what it did not cost is given back to the day alone."""
    await accept(store, message("m-1"))
    assert await store.usage.take(LAURA, REAL, NO_LIMITS) == ""
    with cli_connection(tmp_path) as connection:
        name = forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=103).name
    await store.usage.charge(LAURA, Charge(DAY, Use(-100, -20)))
    assert await store.usage.take(LAURA, REAL, NO_LIMITS) == ""
    assert await _sums(store) == {name: (300, 120), "": (500, 220)}


async def test_two_ids_of_one_person_have_one_budget(store: Store) -> None:
    for key in (LAURA, LID):
        turn = await _turn(store, key)
        run = await store.runs.begin(turn, now=101)
        await _start(store, run)
        await store.runs.round_completed(run, 0, ANSWER, charge=REAL, now=102)
        await store.turns.close(turn, "handed_off", now=103)
    assert await store.identities.join(LID, LAURA.chat, now=300)
    assert await _sums(store) == {LAURA.chat: (600, 240), "": (600, 240)}


async def test_recent_exchanges_have_their_words_and_times(store: Store) -> None:
    await answered_turn(store, "m-1")
    (exchange,) = await store.exchanges.recent(LAURA, since=0)
    assert exchange.texts == ("Hola",)
    assert (exchange.inbound_at, exchange.sent_from, exchange.sent_until) == (100, 104, 104)
    assert await store.exchanges.recent(LAURA, since=104) == ()
    assert await store.exchanges.recent(PEDRO, since=0) == ()


async def test_exchanges_before_a_loop_was_stopped_count_no_more(store: Store) -> None:
    await answered_turn(store, "m-1")
    await store.exchanges.stop_loop(LAURA, until=2000, now=200)
    assert await store.exchanges.recent(LAURA, since=0) == ()
    record = await store.threads.chat(LAURA)
    assert (record.paused_until, record.loop_until) == (2000, 2000)
    await store.operator_actions.pause(LAURA.chat, 0, by=OPERATOR, now=1)
    assert (await store.threads.chat(LAURA)).loop_until == 0


async def test_a_run_begins_and_reserves_in_one_write(store: Store) -> None:
    """A run that the budget does not pay for begins, and asks as soon as it does."""
    turn = await _turn(store)
    tight = Budget(total_tokens=999)
    run, refused = await store.runs.start(turn, attempt=1, wanted=WANTED, budget=tight, now=101)
    assert (run.is_asked, refused) == (False, "total")
    assert await _sums(store) == {}
    again, refused = await store.runs.start(turn, attempt=2, wanted=WANTED, now=102)
    assert (again.id, again.is_asked, refused) == (run.id, True, "")
    assert await _sums(store) == {LAURA.chat: (1000, 500), "": (1000, 500)}
