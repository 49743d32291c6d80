"""The outbox: what is to be said is said once, or known not to be known."""

import pytest
from support.ledgers import LAURA, PEDRO, outbox_states, queued, select

from daemon.store.store import Store


async def test_rows_are_said_in_the_order_in_which_they_were_decided(store: Store) -> None:
    rows = await queued(store, "uno", "dos", "tres")
    assert [(r.body, r.state, r.attempts, r.created_at, r.attempted_at) for r in rows] == [
        ("uno", "pending", 0, 102, 0),
        ("dos", "pending", 0, 102, 0),
        ("tres", "pending", 0, 102, 0),
    ]
    assert await store.outbox.open_rows(PEDRO) == ()


async def test_a_send_that_worked_leaves_the_outbox(store: Store) -> None:
    first, second = await queued(store, "uno", "dos")
    await store.outbox.sending(first, now=103)
    under_way = await store.outbox.row(first.id)
    assert (under_way.state, under_way.attempts, under_way.attempted_at) == ("sending", 1, 103)
    await store.outbox.sent(first, "w-1", now=104)
    assert await store.outbox.open_rows(LAURA) == (second,)
    assert await select(store, "SELECT message_id, sent_at FROM outbox WHERE id = 1") == [
        ("w-1", 104.0)
    ]


async def test_an_unknown_send_is_repeated_only_after_it_was_looked_for(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.repeat(row)
    assert await outbox_states(store) == ["pending"]
    await store.outbox.sending(row, now=103)
    await store.outbox.repeat(row)
    assert await outbox_states(store) == ["sending"]
    unknown = await store.outbox.unknown(row, "timeout")
    assert (unknown.state, unknown.attempts) == ("unknown", 1)
    await store.outbox.repeat(row)
    await store.outbox.sending(row, now=110)
    assert (await store.outbox.row(row.id)).attempts == 2


async def test_a_send_that_certainly_did_not_happen_waits_again(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.pending(row, "429")
    assert await outbox_states(store) == ["pending"]
    assert await select(store, "SELECT error, attempts FROM outbox") == [("429", 1)]


@pytest.mark.parametrize("late", ["unknown", "pending"])
async def test_late_news_of_a_send_does_not_unsay_it(store: Store, late: str) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, "w-1", now=104)
    if late == "unknown":
        assert (await store.outbox.unknown(row, "timeout")).state == "sent"
    else:
        await store.outbox.pending(row, "429")
    assert await outbox_states(store) == ["sent"]


async def test_what_can_never_be_said_leaves_the_outbox(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "400: bad recipient")
    assert await store.outbox.open_rows(LAURA) == ()
    assert await select(store, "SELECT state, error FROM outbox") == [
        ("failed", "400: bad recipient")
    ]


async def test_a_human_stops_what_waits_but_not_what_is_under_way(store: Store) -> None:
    said, under_way, unsure, _ = await queued(store, "uno", "dos", "tres", "cuatro")
    await queued(store, "otra", key=PEDRO)
    for row in (said, under_way, unsure):
        await store.outbox.sending(row, now=103)
    await store.outbox.sent(said, "w-1", now=104)
    await store.outbox.unknown(unsure, "timeout")
    assert await store.outbox.drop(LAURA, "an agent has the chat") == 2
    assert await outbox_states(store) == ["sent", "sending", "dropped", "dropped", "pending"]
    assert await store.outbox.drop(LAURA, "again") == 0


async def test_work_is_found_again_and_counted(store: Store) -> None:
    assert await store.outbox.chats_with_work() == ()
    assert await store.outbox.counts() == {}
    rows = await queued(store, "uno", "dos", "tres")
    await queued(store, "otra", key=PEDRO)
    await store.outbox.sending(rows[0], now=103)
    await store.outbox.unknown(rows[0], "timeout")
    await store.outbox.sending(rows[1], now=104)
    await store.outbox.failed(rows[1], "no")
    assert set(await store.outbox.chats_with_work()) == {LAURA, PEDRO}
    assert await store.outbox.counts() == {"pending": 2, "unknown": 1}


async def test_after_a_crash_sends_under_way_are_unknown_and_others_as_they_were(
    store: Store,
) -> None:
    first, second, _ = await queued(store, "uno", "dos", "tres")
    await store.outbox.sending(first, now=103)
    await store.outbox.sent(first, "w-1", now=104)
    await store.outbox.sending(second, now=105)
    assert await store.outbox.repair() == 1
    assert await outbox_states(store) == ["sent", "unknown", "pending"]
