"""The outbox: what is to be said is said once, or known not to be known."""

from functools import partial

import pytest
from support.ledgers import LAURA, PEDRO, accept, outbox_states, queued
from support.rows import change, select

from daemon.domain.messages import StatusUpdate
from daemon.domain.records import NewPart, OutboxRow, TurnEnd
from daemon.domain.rendering.outgoing import likeness
from daemon.ledger.ledger import Store
from daemon.ledger.statuses import NEVER


async def test_rows_are_sent_in_the_order_in_which_they_were_queued(store: Store) -> None:
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
    assert select(store, "outbox", "message_id, sent_at", where={"id": 1}) == [("w-1", 104.0)]


async def test_a_chat_that_is_not_known_is_not_paused(store: Store) -> None:
    """An agents' chat may get a message before anybody has written in it."""
    assert await store.outbox.paused_until(PEDRO) == 0


async def test_an_unknown_send_is_repeated_only_after_it_was_looked_for(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.repeat(row)
    assert outbox_states(store) == ["pending"]
    await store.outbox.sending(row, now=103)
    await store.outbox.repeat(row)
    assert outbox_states(store) == ["sending"]
    unknown = await store.outbox.unknown(row, "timeout")
    assert (unknown.state, unknown.attempts) == ("unknown", 1)
    assert (await store.outbox.repeat(row)).state == "pending"
    await store.outbox.sending(row, now=110)
    assert (await store.outbox.row(row.id)).attempts == 2


async def test_a_send_that_certainly_did_not_happen_waits_again(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.pending(row, "429")
    assert outbox_states(store) == ["pending"]
    assert select(store, "outbox", "error, attempts") == [("429", 1)]


@pytest.mark.parametrize("late", ["unknown", "pending", "plainer"])
async def test_a_late_status_does_not_undo_a_send(store: Store, late: str) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, "w-1", now=104)
    if late == "unknown":
        assert (await store.outbox.unknown(row, "timeout")).state == "sent"
    elif late == "plainer":
        assert (await store.outbox.plainer(row, NewPart("uno"), "400")).state == "sent"
    else:
        await store.outbox.pending(row, "429")
    assert outbox_states(store) == ["sent"]


async def test_unsendable_messages_leave_the_outbox(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "400: bad recipient")
    assert await store.outbox.open_rows(LAURA) == ()
    assert select(store, "outbox", "state, error") == [("failed", "400: bad recipient")]


async def test_an_agent_stops_pending_sends_but_not_a_begun_one(store: Store) -> None:
    said, under_way, unsure, _ = await queued(store, "uno", "dos", "tres", "cuatro")
    await queued(store, "otra", key=PEDRO)
    for row in (said, under_way, unsure):
        await store.outbox.sending(row, now=103)
    await store.outbox.sent(said, "w-1", now=104)
    await store.outbox.unknown(unsure, "timeout")
    assert await store.outbox.drop(LAURA, "an agent has the chat") == 2
    assert outbox_states(store) == ["sent", "sending", "dropped", "dropped", "pending"]
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
    assert outbox_states(store) == ["sent", "unknown", "pending"]


async def test_the_last_send_of_a_turn_finishes_it_in_the_same_write(store: Store) -> None:
    (row,) = await queued(store, "uno")
    turn = await store.turns.active(LAURA)
    await store.outbox.sending(row, now=103)
    sent = await store.outbox.sent(row, "w-1", finishes=turn, now=104)
    assert sent.row == await store.outbox.row(row.id)
    assert sent.end == TurnEnd("answered")
    assert await store.turns.active(LAURA) is None
    assert select(store, "turns", "outcome, closed_at") == [("answered", 104.0)]


@pytest.mark.parametrize(("since", "state"), [(0.0, "pending"), (NEVER, "failed")])
async def test_a_last_send_that_has_failed_before_its_answer_is_no_answer(
    store: Store, since: float, state: str
) -> None:
    """One that is to be said again leaves the turn open; one that is given up ends it as dead."""
    (row,) = await queued(store, "uno")
    turn = await store.turns.active(LAURA)
    await store.outbox.sending(row, now=103)
    failed = StatusUpdate(message_id="w-1", status="failed", error="470", at=103)
    await accept(store, statuses=(failed,), now=103)
    sent = await store.outbox.sent(row, "w-1", finishes=turn, now=104, resend_since=since)
    assert sent.row.state == state
    assert sent.end == (TurnEnd("dead") if state == "failed" else None)
    assert (await store.turns.active(LAURA) is None) == (state == "failed")


async def test_each_change_of_a_row_gives_it_as_it_is_then(store: Store) -> None:
    """Also one that changes nothing, because the row has another state by now."""
    outbox = store.outbox
    (row,) = await queued(store, "uno")
    for act in (
        partial(outbox.repeat, row),
        partial(outbox.set_voice_note, row, {"file": "a.ogg"}),
        partial(outbox.write_instead, row, "no voice"),
        partial(outbox.pending, row, "429"),
        partial(outbox.unknown, row, "timeout"),
        partial(outbox.failed, row, "400"),
    ):
        assert await act() == await outbox.row(row.id)
        await outbox.sending(row, now=103)
        assert await act() == await outbox.row(row.id)


async def _spoken(store: Store, *bodies: str) -> tuple[OutboxRow, ...]:
    await queued(store, *bodies)
    change(store, "outbox", {"kind": "voice"})
    return await store.outbox.open_rows(LAURA)


async def test_the_file_of_a_voice_note_is_named_only_before_its_send(store: Store) -> None:
    (row,) = await _spoken(store, "uno")
    made = await store.outbox.set_voice_note(row, {"file": "voice_1_1.ogg", "seconds": 2})
    assert (made.payload, made.body) == ({"file": "voice_1_1.ogg", "seconds": 2}, "uno")
    assert await store.outbox.files_in_use() == {"voice_1_1.ogg"}
    await store.outbox.sending(made, now=103)
    late = await store.outbox.set_voice_note(made, {"file": "voice_2_2.ogg"})
    assert late.payload["file"] == "voice_1_1.ogg"


async def test_an_unspeakable_part_is_written_with_the_parts_after_it(
    store: Store,
) -> None:
    first, second, third = await _spoken(store, "uno", "dos", "tres")
    await store.outbox.sending(first, now=103)
    await store.outbox.sent(first, "w-1", now=104)
    await store.outbox.sending(second, now=105)
    written = await store.outbox.write_instead(second, "refused")
    assert (written.kind, written.state, written.payload) == (
        *("text", "pending"),
        {"instead_of": "voice"},
    )
    assert [row.kind for row in await store.outbox.open_rows(LAURA)] == ["text", "text"]
    assert (await store.outbox.row(first.id)).kind == "voice"
    assert (await store.outbox.row(third.id)).body == "tres"


async def test_sends_are_known_by_their_ids_and_their_words(store: Store) -> None:
    first, second = await queued(store, "uno", "dos")
    for row, at in ((first, 103), (second, 105)):
        await store.outbox.sending(row, now=at)
        await store.outbox.sent(row, f"w-{row.id}", now=at)
    assert await store.outbox.known_ids(["w-1", "w-9", "w-2"]) == {"w-1", "w-2"}
    like = likeness("text", "dos", {})
    for since in (0, 105):
        assert await store.outbox.sent_since(LAURA, like, since) == ("w-2",)
    assert await store.outbox.sent_since(LAURA, like, 106) == ()
    assert await store.outbox.sent_since(PEDRO, like, 0) == ()
    assert await store.outbox.sent_since(LAURA, (), 0) == ()
    change(store, "outbox", {"kind": "contact", "payload": '{"name": "Pedro"}'})
    pedro = likeness("contact", "", {"name": "Pedro"})
    assert await store.outbox.sent_since(LAURA, pedro, 105) == ("w-2",)
