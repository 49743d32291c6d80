"""A refused message of ours, as a person may let it be said again or drop it."""

from pathlib import Path

import pytest
from support.forgetting import forget
from support.ledgers import (
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    message,
    message_state,
    open_turn,
    outbox_states,
    queued,
)
from support.place import cli_connection
from support.rows import change, insert, select

from daemon.domain.messages import ChatKey, StatusUpdate
from daemon.domain.records import NewPart, OutboxRow
from daemon.ledger.ledger import Store
from daemon.ledger.operator_actions import Obstacle

NOW = 500.0


async def refused(store: Store, *bodies: str, key: ChatKey = LAURA) -> tuple[OutboxRow, ...]:
    """The rows of an answer of which nothing could be said; its turn has ended."""
    rows = await queued(store, *bodies, key=key)
    turn = await store.turns.active(key)
    assert turn is not None
    for row in rows:
        await store.outbox.sending(row, now=103)
        await store.outbox.failed(row, "status 400")
    assert (await store.turns.finish(turn, now=105)).outcome == "dead"
    return rows


async def again(store: Store, row: OutboxRow, *, agents_chat: str = "") -> Obstacle:
    obstacle, key = await store.operator_actions.send_again(
        row.id, agents_chats={agents_chat}, by=OPERATOR, now=NOW
    )
    assert key == row.key
    return obstacle


def audit(store: Store) -> list[tuple[str, str, str]]:
    joined = "audit JOIN audit_details ON audit_id = id"
    rows = select(store, joined, "action, subject, after", order="id")
    return [(command, subject, detail) for command, subject, detail in rows]


async def test_it_waits_again_and_its_turn_counts_as_answered(store: Store) -> None:
    (row,) = await refused(store, "uno")
    assert message_state(store, "for-uno") == ("dead", "status 400")
    assert await again(store, row) == ""
    assert outbox_states(store) == ["pending"]
    assert message_state(store, "for-uno") == ("answered", "")
    assert select(store, "turns", "outcome, reason") == [("answered", "")]
    assert audit(store) == [("send again", LAURA.chat, f"outbox row {row.id}")]
    # The second click of a double click, and one while it is under way.
    assert await again(store, row) == "not refused"
    await store.outbox.sending(row, now=NOW)
    assert await again(store, row) == "not refused"
    assert len(audit(store)) == 1


async def test_refused_once_more_its_turn_is_dead_again(store: Store) -> None:
    (row,) = await refused(store, "uno")
    await again(store, row)
    await store.outbox.sending(row, now=NOW)
    await store.outbox.failed(row, "status 403")
    assert message_state(store, "for-uno") == ("dead", "status 403")
    assert await again(store, row) == ""


async def test_a_part_of_an_answer_that_arrived_leaves_its_turn_alone(store: Store) -> None:
    first, second = await queued(store, "uno", "dos")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.outbox.sending(first, now=103)
    await store.outbox.sent(first, "w-1", now=104)
    await store.outbox.sending(second, now=104)
    await store.outbox.failed(second, "status 400")
    assert (await store.turns.finish(turn, now=105)).outcome == "answered"
    assert await again(store, second) == ""
    await store.outbox.failed(second, "status 400")
    assert message_state(store, "for-uno-dos") == ("answered", "status 400")


@pytest.mark.parametrize("fate", ["sent", "failed"])
async def test_a_part_sent_again_before_the_other_was_refused_decides_the_turn(
    store: Store, fate: str
) -> None:
    """Somebody was quicker than the delivery: what waits to be said again is an answer, still."""
    first, second = await queued(store, "uno", "dos")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.outbox.sending(first, now=103)
    await store.outbox.failed(first, "status 400")
    assert await again(store, first) == ""
    await store.outbox.sending(second, now=104)
    await store.outbox.failed(second, "status 400")
    assert (await store.turns.finish(turn, now=105)).outcome == "answered"
    await store.outbox.sending(first, now=106)
    if fate == "sent":
        await store.outbox.sent(first, "w-1", now=107)
        assert message_state(store, "for-uno-dos") == ("answered", "status 400")
    else:
        await store.outbox.failed(first, "status 403")
        assert message_state(store, "for-uno-dos") == ("dead", "status 403")


@pytest.mark.parametrize("state", ["pending", "sending", "unknown", "sent", "dropped"])
async def test_only_refused_sends_are_changed(store: Store, state: str) -> None:
    """Above all nothing whose outcome is unknown: it may have been said."""
    (row,) = await queued(store, "uno")
    if state != "pending":
        await store.outbox.sending(row, now=103)
    if state == "unknown":
        await store.outbox.unknown(row, "timeout")
    elif state == "sent":
        await store.outbox.sent(row, "w-1", now=104)
    elif state == "dropped":
        await store.outbox.failed(row, "status 400")
        assert await store.operator_actions.drop_send(row.id, by=OPERATOR, now=104) == ""
    assert outbox_states(store) == [state]
    before = audit(store)
    assert await again(store, row) == "not refused"
    assert await store.operator_actions.drop_send(row.id, by=OPERATOR, now=NOW) == "not refused"
    assert outbox_states(store) == [state]
    assert audit(store) == before


async def test_an_unknown_number_and_a_forgotten_person_have_no_send(store: Store) -> None:
    (row,) = await refused(store, "uno")
    assert await store.operator_actions.send_again(99, agents_chats={""}, by=OPERATOR, now=NOW) == (
        "unknown",
        None,
    )
    assert await store.operator_actions.drop_send(99, by=OPERATOR, now=NOW) == "unknown"
    change(store, "outbox", {"chat": "forgotten-1"})
    assert await store.operator_actions.send_again(
        row.id, agents_chats={""}, by=OPERATOR, now=NOW
    ) == (
        "unknown",
        None,
    )
    assert await store.operator_actions.drop_send(row.id, by=OPERATOR, now=NOW) == "unknown"


async def test_the_bots_words_wait_until_the_person_gives_the_chat_back(store: Store) -> None:
    (row,) = await refused(store, "uno")
    await store.operator_actions.pause(LAURA.chat, NOW + 60, by=OPERATOR, now=NOW)
    assert await again(store, row) == "paused"
    assert outbox_states(store) == ["failed"]
    assert await again(store, row, agents_chat=PEDRO.chat) == "paused"
    await store.operator_actions.pause(LAURA.chat, 0, by=OPERATOR, now=NOW)
    assert await again(store, row) == ""


async def test_the_persons_own_words_and_the_agents_chat_know_no_pause(store: Store) -> None:
    await accept(store, message("m-1"))
    await store.operator_actions.send(
        LAURA, "Soy Marta", name="Marta", action="d-1", by=OPERATOR, now=110, pause_until=NOW + 60
    )
    (own,) = await store.outbox.open_rows(LAURA)
    await store.outbox.failed(own, "status 400")
    assert await again(store, own) == ""
    (row,) = await refused(store, "uno", key=PEDRO)
    await store.operator_actions.pause(PEDRO.chat, NOW + 60, by=OPERATOR, now=NOW)
    assert await again(store, row, agents_chat=PEDRO.chat) == ""


async def test_a_replayed_answer_is_not_also_sent_again(store: Store) -> None:
    (row,) = await refused(store, "uno")
    change(store, "messages", {"state": "received", "turn_id": None})
    assert await again(store, row) == "replayed"
    assert outbox_states(store) == ["failed"]
    assert await store.operator_actions.drop_send(row.id, by=OPERATOR, now=NOW) == ""
    assert outbox_states(store) == ["dropped"]


async def test_a_dropped_one_leaves_its_turn_to_be_replayed(store: Store) -> None:
    (row,) = await refused(store, "uno")
    assert await store.operator_actions.drop_send(row.id, by=OPERATOR, now=NOW) == ""
    assert message_state(store, "for-uno") == ("dead", "status 400")
    work = await store.views.work([], days={}, since=0, now=0)
    assert (work["failed_sends"], work["outbox"]["failed"]) == ([], 0)
    assert audit(store) == [("drop send", LAURA.chat, f"outbox row {row.id}")]


async def test_a_tools_own_words_do_not_answer_the_turn(store: Store) -> None:
    """The turn was given up for another reason: it stays to be replayed."""
    (row,) = await refused(store, "Un momento")
    insert(store, "interim_messages", {"key": "k", "ordinal": 0, "outbox_id": row.id})
    assert await again(store, row) == ""
    assert message_state(store, "for-Un momento") == ("dead", "status 400")


async def test_one_that_whatsapp_could_not_deliver_forgets_the_old_attempt(store: Store) -> None:
    """A late word that the old attempt has arrived settles it before it is said again."""
    (row,) = await queued(store, "uno")
    turn = await store.turns.active(LAURA)
    assert turn is not None
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, "w-1", now=104)
    await store.turns.finish(turn, now=105)
    failed = StatusUpdate(message_id="w-1", status="failed", error="131026")
    await accept(store, statuses=(failed,), now=106)
    assert outbox_states(store) == ["failed"]
    assert await again(store, row) == ""
    assert message_state(store, "for-uno") == ("answered", "")
    late = StatusUpdate(message_id="w-1", status="delivered")
    await accept(store, statuses=(late,), now=107)
    assert outbox_states(store) == ["sent"]


async def refused_in_a_group(store: Store) -> OutboxRow:
    """What was to be said to two people of a group, and was refused; the turn has ended."""
    group = ChatKey(LAURA.number, "120363000000000001@g.us")
    for number, person in enumerate((LAURA, PEDRO)):
        digits = person.chat.partition("@")[0]
        await accept(store, message(f"m-{number}", key=group, author=digits))
    parts = [NewPart("Laura", kind="contact", payload={"name": "Laura", "vcard": "BEGIN:VCARD"})]
    turn, (row,), _ = await store.turns.conclude(
        await open_turn(store, group), items=[], parts=parts, now=102
    )
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "status 400")
    assert (await store.turns.finish(turn, now=104)).outcome == "dead"
    return row


async def test_forgetting_two_members_cancels_the_resend_of_their_answer(
    store: Store, tmp_path: Path
) -> None:
    """The row that was given up with the first is no obstacle to the second."""
    assert await again(store, await refused_in_a_group(store)) == ""
    for person in (LAURA, PEDRO):
        with cli_connection(tmp_path) as connection:
            gone = forget(connection, [person.chat], tmp_path, by=OPERATOR, now=NOW)
            assert gone.messages == 1
    assert select(store, "outbox", "state, body") == [("dropped", "")]


async def test_a_group_answer_to_a_forgotten_person_is_not_sent_again(
    store: Store, tmp_path: Path
) -> None:
    """Nothing is left of it that could be."""
    row = await refused_in_a_group(store)
    with cli_connection(tmp_path) as connection:
        forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=NOW)
    assert await again(store, row) == "not refused"
    assert outbox_states(store) == ["dropped"]


async def test_a_notice_about_a_forgotten_person_is_not_sent_again(
    store: Store, tmp_path: Path
) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    assert await store.escalations.open(
        turn,
        reason="Pide una persona",
        summary="Quiere facturar",
        urgency="high",
        pause_seconds=0,
        notice=(PEDRO.chat, "Laura quiere facturar"),
        now=102,
    )
    (row,) = await store.outbox.open_rows(PEDRO)
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "status 400")
    with cli_connection(tmp_path) as connection:
        forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=NOW)
    assert await again(store, row, agents_chat=PEDRO.chat) == "not refused"
    assert select(store, "outbox", "state, body") == [("dropped", "")]
