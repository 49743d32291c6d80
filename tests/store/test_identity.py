"""Two ids of one person: what keeps them from becoming one chat for the time being."""

from support.ledgers import CHANNEL, LAURA, accept, message, open_turn, queued
from support.rows import select

from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart
from daemon.ledger.ledger import Store

LID = ChatKey(CHANNEL, "112233445566778@lid")


async def test_a_turn_under_way_is_not_taken_from_its_task(store: Store) -> None:
    await accept(store, message("m-1", key=LID))
    turn = await open_turn(store, LID)
    assert not await store.identities.join(LID, LAURA.chat)
    await store.turns.close(turn, "handed_off", now=103)
    assert await store.identities.join(LID, LAURA.chat)
    assert await store.identities.canonical(LID) == LAURA


async def test_a_send_under_way_is_not_given_to_a_second_task(store: Store) -> None:
    """The task of the phone chat would take the row for one that a crash has cut."""
    (answer,) = await queued(store, "uno", key=LID)
    turn = await store.turns.active(LID)
    assert turn is not None
    await store.turns.apologise(turn, NewPart("Perdona."), now=102)
    rows = await store.outbox.open_rows(LID)
    (apology,) = [row for row in rows if row.turn_id is None]
    await store.outbox.sending(answer, now=103)
    await store.outbox.sent(answer, "w-1", finishes=turn, now=104)
    await store.outbox.sending(apology, now=104)

    assert not await store.identities.join(LID, LAURA.chat)
    assert select(store, "outbox", "chat, state", where={"id": apology.id}) == [
        (LID.chat, "sending")
    ]
    await store.outbox.sent(apology, "w-2", now=105)
    assert await store.identities.join(LID, LAURA.chat)
