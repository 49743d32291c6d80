"""Two ids of one person: what keeps them from becoming one chat for the time being."""

from support.ledgers import CHANNEL, LAURA, accept, message, open_turn, queued
from support.rows import select

from daemon.domain.messages import ChatKey, IdentityChange
from daemon.domain.records import NewPart
from daemon.ledger.ledger import Store

LID = ChatKey(CHANNEL, "112233445566778@lid")


async def test_a_turn_under_way_is_not_taken_from_its_task(store: Store) -> None:
    await accept(store, message("m-1", key=LID))
    turn = await open_turn(store, LID)
    assert not await store.identities.join(LID, LAURA.chat, now=300)
    await store.turns.close(turn, "handed_off", now=103)
    assert await store.identities.join(LID, LAURA.chat, now=300)
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

    assert not await store.identities.join(LID, LAURA.chat, now=300)
    assert select(store, "outbox", "chat, state", where={"id": apology.id}) == [
        (LID.chat, "sending")
    ]
    await store.outbox.sent(apology, "w-2", now=105)
    assert await store.identities.join(LID, LAURA.chat, now=300)


# -- ids that change -------------------------------------------------------------------------------

OLD_ID = ChatKey(CHANNEL, "CO.1111111111@bsuid")
NEW_ID = ChatKey(CHANNEL, "CO.2222222222@bsuid")
NEW_PHONE = ChatKey(CHANNEL, "573009999999@s.whatsapp.net")


def changed(before: tuple[str, ...], after: tuple[str, ...]) -> IdentityChange:
    return IdentityChange(number=CHANNEL, before=before, after=after)


def places(store: Store) -> dict[str, str]:
    """The chat of each message."""
    return dict(select(store, "messages", "id, chat"))


async def test_a_message_that_shows_two_ids_makes_them_one_chat(store: Store) -> None:
    await accept(store, message("m-1", key=OLD_ID, author=OLD_ID.chat))
    await accept(store, message("m-2", alias=OLD_ID.chat, author="573001234567"))
    await accept(store, message("m-3", key=OLD_ID, author=OLD_ID.chat))
    assert set(places(store).values()) == {LAURA.chat}
    assert select(store, "chats", "chat") == [(LAURA.chat,)]


async def test_while_the_other_id_has_a_turn_the_message_joins_it(store: Store) -> None:
    await accept(store, message("m-1", key=OLD_ID))
    turn = await open_turn(store, OLD_ID)
    await accept(store, message("m-2", alias=OLD_ID.chat))
    assert set(places(store).values()) == {OLD_ID.chat}
    await store.turns.close(turn, "handed_off", now=103)
    await accept(store, message("m-3", alias=OLD_ID.chat))
    assert set(places(store).values()) == {LAURA.chat}


async def test_a_new_user_id_keeps_the_chat_of_the_number(store: Store) -> None:
    await accept(store, message("m-1", alias=OLD_ID.chat))
    change = changed((OLD_ID.chat,), (NEW_ID.chat,))
    await accept(store, message("m-2", key=NEW_ID), identity_changes=(change,))
    assert set(places(store).values()) == {LAURA.chat}
    assert await store.identities.canonical(OLD_ID) == LAURA


async def test_without_a_number_the_chat_goes_to_the_new_id(store: Store) -> None:
    await accept(store, message("m-1", key=OLD_ID))
    change = changed((OLD_ID.chat,), (NEW_ID.chat,))
    await accept(store, message("m-2", key=NEW_ID), identity_changes=(change,))
    assert set(places(store).values()) == {NEW_ID.chat}
    # The number that is shown later is the person's under the old id, too.
    await accept(store, message("m-3", alias=NEW_ID.chat))
    assert set(places(store).values()) == {LAURA.chat}
    assert await store.identities.canonical(OLD_ID) == LAURA


async def test_a_new_number_takes_the_chat_along_and_the_old_one_is_free(store: Store) -> None:
    await accept(store, message("m-1", alias=OLD_ID.chat))
    change = changed((LAURA.chat, OLD_ID.chat), (NEW_PHONE.chat, NEW_ID.chat))
    await accept(
        store, message("m-2", key=NEW_PHONE, alias=NEW_ID.chat), identity_changes=(change,)
    )
    assert set(places(store).values()) == {NEW_PHONE.chat}
    assert await store.identities.canonical(OLD_ID) == NEW_PHONE
    await accept(store, message("m-3"))  # of whoever has the old number now
    assert places(store)["m-3"] == LAURA.chat
