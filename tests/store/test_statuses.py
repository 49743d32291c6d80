"""What WhatsApp tells of sends: it only ever raises what is known, and a failure is mended once."""

import itertools
import random

import pytest
from support.ledgers import (
    LAURA,
    accept,
    answered_turn,
    message,
    message_state,
    outbox_states,
    own_message,
    queued,
)
from support.rows import count, select

from daemon.domain.messages import StatusUpdate
from daemon.domain.records import DeliveryUpdate, OutboxRow
from daemon.domain.transitions.sends import RANKS, tag_of
from daemon.ledger.ledger import Store
from daemon.ledger.statuses import MOST_EARLY


def update(status: str, message_id: str = "sent-1", **fields: object) -> StatusUpdate:
    return StatusUpdate(message_id=message_id, status=status, **fields)  # type: ignore[arg-type]


async def report(
    store: Store, *updates: StatusUpdate, now: float = 200.0, resend_since: float = 0.0
) -> tuple[DeliveryUpdate, ...]:
    accepted = await accept(store, statuses=updates, now=now, resend_since=resend_since)
    return accepted.delivery_updates


async def row_of(store: Store) -> tuple[object, ...]:
    (row,) = select(store, "outbox", "state, status, delivered_at, read_at, message_id")
    return row


async def sending(store: Store) -> OutboxRow:
    """A send that is under way, its answer still to come."""
    (row,) = await queued(store, "Claro")
    await store.outbox.sending(row, now=103)
    return row


async def test_delivered_and_read_have_their_times(store: Store) -> None:
    await answered_turn(store, "m-1")
    (delivery_update,) = await report(store, update("delivered", at=107))
    assert (delivery_update.status, delivery_update.seconds) == ("delivered", 3)
    await report(store, update("read", at=150))
    assert await row_of(store) == ("sent", "read", 107, 150, "sent-1")


@pytest.mark.parametrize("order", list(itertools.permutations(("sent", "delivered", "read"))))
async def test_no_order_lowers_a_status(store: Store, order: tuple[str, ...]) -> None:
    """Also told twice; what comes late or again says nothing new."""
    await answered_turn(store, "m-1")
    highest = -1
    for status in order:
        delivery_updates = await report(store, update(status), update(status))
        assert len(delivery_updates) == (RANKS[status] > highest)
        highest = max(highest, RANKS[status])
    assert (await row_of(store))[1] == "read"


async def test_a_delivered_send_cannot_fail(store: Store) -> None:
    await answered_turn(store, "m-1")
    await report(store, update("delivered"))
    assert await report(store, update("failed", error="late")) == ()
    assert (await row_of(store))[:2] == ("sent", "delivered")


async def test_a_failed_send_is_queued_again_only_once(store: Store) -> None:
    """Its second failure leaves the customer without an answer: the turn is dead after all."""
    await answered_turn(store, "m-1")
    (delivery_update,) = await report(store, update("failed", error="131026"))
    assert (delivery_update.again, delivery_update.error) == (True, "131026")
    (row,) = await store.outbox.open_rows(LAURA)
    assert await report(store, update("failed", error="131026")) == ()  # the same, told twice
    await store.outbox.sending(row, now=210)
    await store.outbox.sent(row, "sent-1b", now=211)
    (delivery_update,) = await report(store, update("failed", "sent-1b", error="131026"))
    assert not delivery_update.again
    assert outbox_states(store) == ["failed"]
    assert message_state(store, "m-1") == ("dead", "131026")
    assert select(store, "turns", "outcome, reason") == [("dead", "131026")]


async def test_one_part_that_arrived_keeps_the_turn_answered(store: Store) -> None:
    rows = await queued(store, "uno", "dos")
    for number, row in enumerate(rows, 1):
        await store.outbox.sending(row, now=103)
        await store.outbox.sent(row, f"sent-{number}", now=104)
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.turns.finish(turn, now=105)
    (delivery_update,) = await report(store, update("failed"), resend_since=1000)
    assert not delivery_update.again
    assert select(store, "turns", "outcome") == [("answered",)]


async def test_it_is_not_sent_again_if_it_is_too_old(store: Store) -> None:
    await answered_turn(store, "m-1")
    (delivery_update,) = await report(store, update("failed"), resend_since=103)
    assert not delivery_update.again
    assert outbox_states(store) == ["failed"]


async def test_it_is_not_sent_again_after_an_agent_took_over(store: Store) -> None:
    """Not even when the pause is over: the conversation has gone another way."""
    await answered_turn(store, "m-1")
    await accept(store, own_message("a-1", "Yo sigo", source="mobile"), now=110, pause_until=120)
    (delivery_update,) = await report(store, update("failed"), now=5000)
    assert not delivery_update.again


async def test_a_failed_send_that_arrives_after_all_is_not_repeated(store: Store) -> None:
    await answered_turn(store, "m-1")
    await report(store, update("failed"))
    assert await report(store, update("sent")) == ()  # an earlier stage, told late
    assert outbox_states(store) == ["pending"]
    (delivery_update,) = await report(store, update("delivered", at=150))
    assert delivery_update.status == "delivered"
    assert await row_of(store) == ("sent", "delivered", 150, None, "sent-1")


async def test_a_given_up_send_that_arrives_after_all_counts_as_answered(store: Store) -> None:
    await answered_turn(store, "m-1")
    await report(store, update("failed"), resend_since=1000)
    assert message_state(store, "m-1") == ("dead", "WhatsApp could not deliver it")
    await report(store, update("read"))
    assert outbox_states(store) == ["sent"]
    assert message_state(store, "m-1") == ("answered", "")
    assert select(store, "turns", "outcome") == [("answered",)]


async def test_a_status_before_the_answer_of_its_send_waits_for_it(store: Store) -> None:
    row = await sending(store)
    assert await report(store, update("delivered", at=150), update("sent", at=149)) == ()
    sent = await store.outbox.sent(row, "sent-1", now=160)
    assert [delivery_update.status for delivery_update in sent.delivery_updates] == ["delivered"]
    assert (await row_of(store))[1:3] == ("delivered", 150)
    assert select(store, "early_statuses") == []


async def test_a_failure_before_the_answer_of_its_send_is_noticed(store: Store) -> None:
    row = await sending(store)
    await report(store, update("failed"))
    sent = await store.outbox.sent(row, "sent-1", now=160, resend_since=0.0)
    assert [delivery_update.again for delivery_update in sent.delivery_updates] == [True]
    assert sent.row.state == "pending"
    assert sent.row == await store.outbox.row(row.id)


async def test_a_failure_between_echo_and_answer_is_not_undone_by_the_answer(store: Store) -> None:
    row = await sending(store)
    await accept(store, own_message("sent-1", "Claro", source="api"))
    assert outbox_states(store) == ["sent"]
    await report(store, update("failed"))
    await store.outbox.sent(row, "sent-1", now=160)
    assert (await row_of(store))[0] == "pending"


async def test_an_echo_claims_updates_that_came_before_it(store: Store) -> None:
    await sending(store)
    await report(store, update("delivered"))
    accepted = await accept(store, own_message("sent-1", "Claro", source="api"))
    assert [delivery_update.status for delivery_update in accepted.delivery_updates] == [
        "delivered"
    ]


async def test_a_late_echo_of_a_failed_attempt_is_no_words_of_an_agent(store: Store) -> None:
    """Nor does it settle the second attempt."""
    await answered_turn(store, "m-1", answer="Claro")
    await report(store, update("failed"))
    (row,) = await store.outbox.open_rows(LAURA)
    await store.outbox.sending(row, now=210)
    await accept(store, own_message("sent-1", "Claro", source="api"), now=220)
    assert outbox_states(store) == ["sending"]
    assert await store.outbox.known_ids(["sent-1", "other"]) == {"sent-1"}


async def test_our_reading_of_a_customers_message_is_no_status_of_a_send(store: Store) -> None:
    await accept(store, message("theirs"))
    await sending(store)
    assert await report(store, update("read", "theirs"), update("delivered", "theirs")) == ()
    assert select(store, "early_statuses") == []
    assert (await row_of(store))[1] == ""


async def test_statuses_of_unknown_ids_are_kept_within_bounds(store: Store) -> None:
    """And only while a send is under way whose id they may name."""
    await report(store, update("sent", "nobody's"))
    assert count(store, "early_statuses") == 0
    await sending(store)
    many = [update("sent", f"other-{number}") for number in range(MOST_EARLY + 50)]
    await report(store, *many[: MOST_EARLY // 2], now=200)
    await report(store, *many[MOST_EARLY // 2 :], now=201)
    assert count(store, "early_statuses") == MOST_EARLY
    await report(store, update("sent", "newest"), now=201 + 2 * 24 * 3600)
    assert select(store, "early_statuses", "message_id") == [("newest",)]


async def test_an_unknown_status_changes_nothing(store: Store) -> None:
    await answered_turn(store, "m-1")
    assert await report(store, update("deleted"), update("teleported")) == ()
    assert (await row_of(store))[1] == ""


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_statuses_ends_at_the_furthest(store: Store, seed: int) -> None:
    """Shuffled and repeated, without a failure: the highest of them is what is known."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    await answered_turn(store, "m-1")
    statuses = rng.choices(["pending", "sent", "delivered", "read", "played"], k=12)
    for status in statuses:
        await report(store, update(status))
    assert (await row_of(store))[1] == max(statuses, key=RANKS.__getitem__)


# -- updates that carry the tag of their send ------------------------------------------------------


@pytest.mark.parametrize("state", ["sending", "unknown", "pending"])
async def test_a_tag_settles_a_send_whose_id_is_not_known(store: Store, state: str) -> None:
    row = await sending(store)
    if state != "sending":
        row = await store.outbox.unknown(row, "no answer")
    if state == "pending":
        row = await store.outbox.repeat(row)
    tag = tag_of(row.id, row.created_at)
    (found,) = await report(store, update("delivered", "w-1", tag=tag, at=150))
    assert (found.settled, found.row_id) == (True, row.id)
    assert await row_of(store) == ("sent", "delivered", 150, None, "w-1")
    assert (await report(store, update("read", "w-1", tag=tag)))[0].settled is False
    if state == "sending":  # the answer comes after it
        await store.outbox.sent(row, "w-1", now=201)
        assert (await row_of(store))[:2] == ("sent", "read")


@pytest.mark.parametrize("tag", ["", "1", "x-1", "1-1", "999-100000", "1-100000-1"])
async def test_a_tag_of_another_store_settles_nothing(store: Store, tag: str) -> None:
    row = await sending(store)
    assert tag_of(row.id, row.created_at) != tag
    assert await report(store, update("delivered", "w-1", tag=tag)) == ()
    assert (await row_of(store))[0] == "sending"


async def test_a_tag_does_not_change_an_id_that_is_known(store: Store) -> None:
    row = await sending(store)
    await store.outbox.sent(row, "w-1", now=104)
    tag = tag_of(row.id, row.created_at)
    assert await report(store, update("delivered", "w-2", tag=tag)) == ()
    assert (await row_of(store))[4] == "w-1"


async def test_a_late_update_of_a_failed_attempt_does_not_settle_the_next(store: Store) -> None:
    row = await sending(store)
    tag = tag_of(row.id, row.created_at)
    await store.outbox.sent(row, "w-1", now=104)
    (failed,) = await report(store, update("failed", "w-1", tag=tag, error="later"))
    assert failed.again
    (row,) = await store.outbox.open_rows(LAURA)
    await store.outbox.sending(row, now=105)
    await report(store, update("sent", "w-1", tag=tag))
    assert await row_of(store) == ("sending", "", None, None, "")


async def test_a_status_settles_a_send_left_as_unknown(store: Store) -> None:
    row = await store.outbox.unknown(await sending(store), "no answer")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.outbox.failed(row, "nobody can tell")
    assert (await store.turns.finish(turn, now=105)).outcome == "dead"
    tag = tag_of(row.id, row.created_at)
    await report(store, update("delivered", "w-1", tag=tag))
    assert (await row_of(store))[:2] == ("sent", "delivered")
    assert select(store, "turns", "outcome") == [("answered",)]


async def test_a_failure_that_is_final_is_not_repeated(store: Store) -> None:
    await answered_turn(store, "m-1")
    (found,) = await report(store, update("failed", error="no WhatsApp", is_final=True))
    assert (found.again, outbox_states(store)) == (False, ["failed"])
