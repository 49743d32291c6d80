"""Edits and deletions: what they do depends on how far their message has come."""

from typing import Any

import msgspec
import pytest
from support.ledgers import (
    CHANNEL,
    HERE,
    LAURA,
    accept,
    answered_turn,
    message,
    message_state,
    open_turn,
    own_message,
    thread_of,
)
from support.place import store_in
from support.rows import count, select

from daemon.domain.messages import ChangeOrigin, ChatKey, Deletion, Edit, Media, Message, Text
from daemon.domain.prompt.message_text import is_data
from daemon.domain.records import Accepted, NewPart
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import BUDGET
from daemon.ledger.changes import EARLY_SECONDS, MOST_EARLY
from daemon.ledger.ledger import Store

EDIT = Edit(target="m-1", body="Para tres personas")
DELETION = Deletion(target="m-1")
EDIT_NOTE = "[The customer edited an earlier message. It now says:] Para tres personas"
DELETION_NOTE = "[The customer deleted an earlier message:] Hola"


async def _report(store: Store, change: Edit | Deletion, way: str = "messages") -> Accepted:
    """Tell the store of a change: as a message, or as Whapi's own kind of event."""
    if way == "messages":
        kind = "an edit" if isinstance(change, Edit) else "a deletion"
        known = select(store, "messages", "COUNT(*)")
        told = message(f"change-{known[0][0]}", change, kind="action")
        return await accept(store, told, verdicts=[kind])
    if isinstance(change, Edit):
        edit = msgspec.structs.replace(change, origin=HERE)
        return await accept(store, edits=(edit,))
    return await accept(store, deletions=(change,))


async def _stored(store: Store) -> Message:
    ((seq,),) = select(store, "messages", "seq", where={"id": "m-1"})
    waiting = await store.inbox.waiting(LAURA, from_me=False)
    turn = await store.turns.active(LAURA)
    known = {s.seq: s.message for s in (*waiting, *(turn.messages if turn else ()))}
    return known[seq]


async def _notes(store: Store) -> list[Any]:
    return [item["content"].split("\n")[1] for item in await thread_of(store) if is_data(item)]


@pytest.mark.parametrize("way", ["messages", "event"])
async def test_an_edit_of_a_waiting_message_is_its_new_text(store: Store, way: str) -> None:
    await accept(store, message("m-1", "Para dos personas"))
    accepted = await _report(store, EDIT, way)
    assert [(a.key, a.what) for a in accepted.arrivals] == [(LAURA, "change")]
    assert (await _stored(store)).content == Text(body="Para tres personas")
    assert message_state(store, "m-1") == ("received", "")
    assert await _notes(store) == []


@pytest.mark.parametrize("way", ["messages", "event"])
async def test_a_deleted_waiting_message_waits_no_more(store: Store, way: str) -> None:
    await accept(store, message("m-1"), message("m-2"))
    accepted = await _report(store, DELETION, way)
    assert [a.what for a in accepted.arrivals] == ["change"]
    assert message_state(store, "m-1") == ("ignored", "deleted by its author")
    assert [m.message.id for m in (await open_turn(store)).messages] == ["m-2"]


async def test_an_edited_picture_keeps_the_picture(store: Store) -> None:
    picture = Media(medium="image", media_id="p-1", caption="Este")
    await accept(store, message("m-1", picture, kind="image"))
    await _report(store, EDIT)
    content = (await _stored(store)).content
    assert content == Media(medium="image", media_id="p-1", caption="Para tres personas")


async def test_an_edit_in_an_open_turn_changes_the_turn(store: Store) -> None:
    await accept(store, message("m-1", "Para dos personas"))
    await open_turn(store)
    accepted = await _report(store, EDIT)
    assert [a.what for a in accepted.arrivals] == ["change"]
    turn = await store.turns.active(LAURA)
    assert turn is not None
    assert [m.message.content for m in turn.messages] == [Text(body="Para tres personas")]
    assert await _notes(store) == []


async def test_a_deletion_in_an_open_turn_takes_the_message_out_of_it(store: Store) -> None:
    await accept(store, message("m-1"), message("m-2"))
    await open_turn(store)
    accepted = await _report(store, DELETION)
    assert [a.what for a in accepted.arrivals] == ["change"]
    turn = await store.turns.active(LAURA)
    assert turn is not None
    assert [m.message.id for m in turn.messages] == ["m-2"]
    await store.turns.close(turn, "answered", now=110)
    assert (message_state(store, "m-1"))[0] == "answered"


@pytest.mark.parametrize(("change", "note"), [(EDIT, EDIT_NOTE), (DELETION, DELETION_NOTE)])
async def test_a_change_while_the_answer_is_sent_is_a_note(
    store: Store, change: Edit | Deletion, note: str
) -> None:
    await accept(store, message("m-1"))
    await store.turns.conclude(await open_turn(store), items=[], parts=[NewPart("Sí")], now=102)
    accepted = await _report(store, change)
    assert accepted.arrivals == ()
    assert await _notes(store) == [note]
    assert message_state(store, "m-1") == ("in_turn", "")


@pytest.mark.parametrize(("change", "note"), [(EDIT, EDIT_NOTE), (DELETION, DELETION_NOTE)])
async def test_a_change_after_the_outcome_is_a_note(
    store: Store, change: Edit | Deletion, note: str
) -> None:
    await accept(store, message("m-1"))
    await store.turns.close(await open_turn(store), "answered", now=105)
    accepted = await _report(store, change)
    assert accepted.arrivals == ()
    assert await _notes(store) == [note]
    assert message_state(store, "m-1") == ("answered", "")


@pytest.mark.parametrize(
    ("change", "state"),
    [(EDIT, (WITH_AGENT, BUDGET)), (DELETION, ("ignored", "deleted by its author"))],
)
@pytest.mark.parametrize("in_thread", [True, False])
async def test_a_change_of_a_message_with_an_agent_reaches_a_model_that_saw_it(
    store: Store, change: Edit | Deletion, state: tuple[str, str], *, in_thread: bool
) -> None:
    await accept(store, message("m-1"))
    items = [{"role": "user", "content": "Hola"}] if in_thread else []
    await store.turns.close(
        await open_turn(store), "handed_off", reason=BUDGET, items=items, now=105
    )
    accepted = await _report(store, change)
    assert accepted.arrivals == ()
    assert len(await _notes(store)) == in_thread
    assert message_state(store, "m-1") == state


@pytest.mark.parametrize("change", [EDIT, DELETION])
@pytest.mark.parametrize("outcome", ["ignored", "expired", "dead"])
async def test_a_change_of_an_unseen_message_does_not_reach_the_model(
    store: Store, change: Edit | Deletion, outcome: Any
) -> None:
    await accept(store, message("m-1"))
    await store.turns.close(await open_turn(store), outcome, now=105)
    assert (await _report(store, change)).arrivals == ()
    assert await _notes(store) == []
    assert (message_state(store, "m-1"))[0] == outcome


async def test_an_edit_that_came_before_its_message_is_applied_to_it(store: Store) -> None:
    assert (await _report(store, EDIT)).arrivals == ()
    accepted = await accept(store, message("m-1", "Para dos personas"))
    assert "message" in [a.what for a in accepted.arrivals]
    assert (await _stored(store)).content == Text(body="Para tres personas")
    assert select(store, "early_changes") == []


async def test_a_deletion_that_came_before_its_message_is_applied_to_it(store: Store) -> None:
    await _report(store, EDIT)
    await _report(store, DELETION)
    await accept(store, message("m-1"))
    assert message_state(store, "m-1") == ("ignored", "deleted by its author")
    assert await store.inbox.waiting(LAURA, from_me=False) == ()


async def test_an_early_edit_does_not_undo_an_early_deletion(store: Store) -> None:
    """Webhooks may come in any order; a deleted message stays deleted."""
    await _report(store, DELETION)
    await _report(store, EDIT)
    await accept(store, message("m-1"))
    assert message_state(store, "m-1") == ("ignored", "deleted by its author")


async def test_a_change_waits_for_the_message_of_its_own_channel(store: Store) -> None:
    await _report(store, EDIT)
    other = LAURA._replace(number="MANTIS-OTHER")
    await accept(store, message("m-1", "Otra", key=other))
    (waiting,) = await store.inbox.waiting(other, from_me=False)
    assert waiting.message.content == Text(body="Otra")
    assert select(store, "early_changes", "channel, target") == [(CHANNEL, "m-1")]


async def test_the_same_deletion_twice_is_one_note(store: Store) -> None:
    """Whapi tells it as a message and as an event, and repeats calls that it deems lost."""
    await answered_turn(store, "m-1")
    await _report(store, DELETION, "messages")
    await _report(store, DELETION, "event")
    await _report(store, DELETION, "event")
    assert await _notes(store) == [DELETION_NOTE]


async def test_the_same_edit_twice_is_one_note(store: Store) -> None:
    await answered_turn(store, "m-1")
    await _report(store, EDIT, "messages")
    await _report(store, EDIT, "event")
    assert await _notes(store) == [EDIT_NOTE]


async def test_a_deleted_message_is_not_edited_any_more(store: Store) -> None:
    await answered_turn(store, "m-1")
    await _report(store, DELETION)
    await _report(store, EDIT)
    assert await _notes(store) == [DELETION_NOTE]


async def test_an_edit_to_the_same_words_changes_nothing(store: Store) -> None:
    """WhatsApp reports an edit also when a link's preview arrives."""
    await accept(store, message("m-1", EDIT.body))
    assert (await _report(store, EDIT)).arrivals == ()
    assert select(store, "messages", "edited_at", where={"id": "m-1"}) == [(None,)]


async def test_changes_of_an_agents_message_have_no_effect(store: Store) -> None:
    await accept(store, own_message("m-1", "Buenas", source="web"))
    assert (await _report(store, EDIT)).arrivals == ()
    assert (await _report(store, DELETION)).arrivals == ()
    (words,) = await store.inbox.waiting(LAURA, from_me=True)
    assert words.message.content == Text(body="Buenas")


async def test_a_change_that_waits_for_its_message_survives_a_restart(tmp_path: Any) -> None:
    async with store_in(tmp_path) as store:
        await _report(store, DELETION)
    async with store_in(tmp_path) as store:
        await accept(store, message("m-1"))
        assert (message_state(store, "m-1"))[0] == "ignored"


# -- whose message it is ---------------------------------------------------------------------------

PEDRO = ChatKey(CHANNEL, "573007654321@s.whatsapp.net")
GROUP = ChatKey(CHANNEL, "120363012345678901@g.us")


def _change_by(change: Edit | Deletion, key: ChatKey, **fields: Any) -> Message:
    return message("change-by", change, key=key, kind="action", **fields)


@pytest.mark.parametrize("change", [EDIT, DELETION])
@pytest.mark.parametrize("way", ["messages", "event"])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("answered", [False, True])
async def test_a_chat_cannot_change_messages_of_another_chat(
    store: Store, change: Edit | Deletion, way: str, *, early: bool, answered: bool
) -> None:
    """Whoever knows the id of a message may name it; before it comes, while it waits, after."""

    async def attack() -> None:
        if way == "messages":
            await accept(store, _change_by(change, PEDRO), verdicts=["a change"])
            return
        there = ChangeOrigin(chat=PEDRO.chat)
        if isinstance(change, Edit):
            await accept(store, edits=(msgspec.structs.replace(change, origin=there),))
        else:
            await accept(store, deletions=(msgspec.structs.replace(change, origin=there),))

    if early:
        await attack()
    await accept(store, message("m-1", "Para dos personas"))
    if answered:
        await store.turns.close(await open_turn(store), "answered", now=105)
    if not early:
        await attack()
    rows = select(store, "messages", "message, state", where={"id": "m-1"})
    assert "Para dos personas" in rows[0][0]
    assert rows[0][1] == ("answered" if answered else "received")
    assert await _notes(store) == []


@pytest.mark.parametrize("change", [EDIT, DELETION])
@pytest.mark.parametrize("early", [False, True])
async def test_a_member_changes_no_words_of_another_member(
    store: Store, change: Edit | Deletion, *, early: bool
) -> None:
    theirs = message("m-1", "Para dos personas", key=GROUP, author="573001234567")
    attacks = [
        _change_by(change, GROUP, author="573007654321"),
        _change_by(change, GROUP),
        _change_by(change, GROUP, from_me=True, source="mobile", author="573001234567"),
    ]
    for number, attack in enumerate(attacks):
        if not early:
            await accept(store, theirs)
        named = msgspec.structs.replace(attack, id=f"a-{number}")
        await accept(store, named, verdicts=["a change"])
    await accept(store, theirs)
    (waiting,) = await store.inbox.waiting(GROUP, from_me=False)
    assert waiting.message.content == Text(body="Para dos personas")


@pytest.mark.parametrize("way", ["phone", "lid"])
async def test_a_member_changes_their_own_words_under_either_id(store: Store, way: str) -> None:
    lid = ChatKey(CHANNEL, "123456789012345@lid")
    await store.identities.join(lid, LAURA.chat, now=300)
    names = ["573001234567", lid.chat]
    author, editor = names if way == "phone" else reversed(names)
    await accept(store, message("m-1", "Para dos personas", key=GROUP, author=author))
    await accept(store, _change_by(EDIT, GROUP, author=editor), verdicts=["a change"])
    (waiting,) = await store.inbox.waiting(GROUP, from_me=False)
    assert waiting.message.content == Text(body="Para tres personas")


async def test_a_person_changes_their_own_words_under_either_id(store: Store) -> None:
    lid = ChatKey(CHANNEL, "123456789012345@lid")
    await accept(store, message("m-1", "Para dos personas", key=lid))
    await store.identities.join(lid, LAURA.chat, now=300)
    await accept(store, _change_by(EDIT, LAURA), verdicts=["a change"])
    assert (await _stored(store)).content == Text(body="Para tres personas")


async def test_a_stranger_cannot_keep_the_authors_own_early_change_out(store: Store) -> None:
    await accept(store, _change_by(DELETION, PEDRO), verdicts=["a change"])
    await _report(store, EDIT)
    await accept(store, message("m-1", "Para dos personas"))
    assert (await _stored(store)).content == Text(body="Para tres personas")


async def test_changes_of_unknown_messages_are_bounded(store: Store) -> None:
    """The newest of each chat are kept, and all of them for a day."""
    edits = tuple(Edit(target=f"none-{n}", body="x", origin=HERE) for n in range(2_000))
    await accept(store, edits=edits)
    assert count(store, "early_changes", where={"chat": LAURA.chat}) == MOST_EARLY
    other = ChangeOrigin(chat=PEDRO.chat)
    await accept(store, edits=(Edit(target="a", body="x", origin=other),), now=200)
    assert count(store, "early_changes") == MOST_EARLY + 1
    later = 150 + EARLY_SECONDS
    await accept(store, edits=(Edit(target="b", body="x", origin=other),), now=later)
    assert select(store, "early_changes", "target", order="target") == [("a",), ("b",)]
