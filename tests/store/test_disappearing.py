"""What its author wanted to disappear is not kept after its turn."""

import json
from pathlib import Path

import pytest
from support.ledgers import (
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
from support.rows import change, select

from daemon.domain.eligibility import A_REACTION
from daemon.domain.messages import ChatKey, Deletion, Edit, Media, Message, Reaction, Text
from daemon.domain.prompt.message_text import GONE
from daemon.domain.records import NOT_ADDRESSED, NewPart
from daemon.ledger.files import expire
from daemon.ledger.ledger import Store

SECRET = "mi clave es Sol"


def vanishing(message_id: str = "m-1") -> Message:
    return message(message_id, SECRET, ephemeral=True)


def traces(store: Store) -> list[str]:
    """Every text of messages and events in which the secret still is."""
    texts = [text for row in select(store, "messages", "message, earlier") for text in row]
    texts += [body.decode() for (body,) in select(store, "events", "body") if body]
    return [text for text in texts if text and SECRET in text]


async def test_it_is_kept_until_the_turn_has_its_outcome(store: Store) -> None:
    await accept(store, vanishing(), message("m-2", "y esto queda"))
    turn = await open_turn(store)
    await store.turns.conclude(turn, items=[], parts=[NewPart("Con gusto")], now=102)
    assert len(traces(store)) == 1
    await store.turns.close(turn, "answered", now=103)
    assert traces(store) == []
    stored = [json.loads(text) for (text,) in select(store, "messages", "message", order="seq")]
    assert [one["content"]["body"] for one in stored] == [GONE, "y esto queda"]
    assert select(store, "events", "body") == [(None,)]


async def test_the_raw_call_of_others_stays(store: Store) -> None:
    await accept(store, message("m-0"))
    await accept(store, vanishing())
    await store.turns.close(await open_turn(store), "expired", now=103)
    kept = select(store, "events", "id", where={"body !=": None})
    assert kept == [(1,)]


async def test_a_picture_to_be_seen_once_loses_its_words(store: Store) -> None:
    once = message("m-1", Media(medium="image", caption=SECRET, view_once=True), kind="image")
    await accept(store, once)
    await store.turns.close(await open_turn(store), "dead", now=103)
    assert traces(store) == []


async def test_disappearing_messages_handled_by_an_agent_disappear_too(store: Store) -> None:
    await accept(
        store,
        vanishing(),
        own_message("a-1", "Ya voy", source="mobile"),
        now=100,
        pause_until=1900,
    )
    (theirs,) = await store.inbox.waiting(LAURA, from_me=True)
    (customers,) = await store.handovers.to_note(LAURA, waiting_too=False)
    await store.threads.note_waiting(
        LAURA, [theirs.seq], [], noted=[customers.seq], state="ignored", reason="agent", now=1
    )
    assert traces(store) == []


@pytest.mark.parametrize("pause_until", [0, 1900])
async def test_a_disappearing_message_deleted_before_its_answer_is_not_kept(
    store: Store, pause_until: float
) -> None:
    """Whether it waits for the bot or for a person: nobody will see to it any more."""
    await accept(store, own_message("a-1", "Ya voy", source="mobile"), pause_until=pause_until)
    await accept(store, vanishing(), now=101)
    if pause_until:
        await store.handovers.hold(LAURA, now=101)
    waits = ("with_agent", "an agent has the chat") if pause_until else ("received", "")
    assert message_state(store, "m-1") == waits
    await accept(store, deletions=(Deletion(target="m-1", origin=HERE),))
    assert message_state(store, "m-1") == ("ignored", "deleted by its author")
    assert traces(store) == []


async def test_disappearing_messages_without_an_answer_are_not_kept(store: Store) -> None:
    group = ChatKey(LAURA.number, "120363012345678901@g.us")
    overheard = message("m-1", SECRET, ephemeral=True, key=group)
    await accept(store, overheard, verdicts=[NOT_ADDRESSED])
    assert traces(store) == []
    assert message_state(store, "m-1") == ("ignored", NOT_ADDRESSED)


async def test_a_second_arrival_and_a_late_edit_restore_nothing(store: Store) -> None:
    await accept(store, vanishing())
    await store.turns.close(await open_turn(store), "answered", now=103)
    await accept(store, vanishing(), edits=(Edit(target="m-1", body=SECRET, origin=HERE),))
    assert traces(store) == []
    assert await thread_of(store) == []


async def test_an_edit_counts_until_the_turn_has_its_outcome_and_is_not_kept(store: Store) -> None:
    """Told as an action or as an update, with or without a word that it disappears too."""
    await accept(
        store, message("m-1", "antes", ephemeral=True), message("m-2", "y", ephemeral=True)
    )
    edited = message("e-1", Edit(target="m-1", body=SECRET), ephemeral=True, kind="action")
    await accept(store, edited, verdicts=["a change of another message"])
    plain = message("e-2", Edit(target="m-2", body=SECRET), kind="action")
    await accept(store, plain, verdicts=["a change of another message"])
    await accept(store, edits=(Edit(target="m-2", body=f"{SECRET}, y ya", origin=HERE),))
    turn = await open_turn(store)
    assert [one.message.content for one in turn.messages] == [
        Text(body=SECRET),
        Text(body=f"{SECRET}, y ya"),
    ]
    await store.turns.close(turn, "answered", now=103)
    assert traces(store) == []


async def test_a_sign_that_disappears_is_not_noted(store: Store) -> None:
    await answered_turn(store, "m-0")
    sign = message("r-1", Reaction(target="m-0", emoji="👍", about="x"), ephemeral=True)
    await accept(store, sign, verdicts=[A_REACTION])
    assert await thread_of(store) == []


async def test_the_file_of_a_large_call_is_deleted_by_the_next_retention(
    store: Store, tmp_path: Path
) -> None:
    """At once would be in the middle of a write; its row says already that it is to go."""
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "large.json").write_text(SECRET)
    await accept(store, vanishing())
    change(store, "events", {"body": None, "body_file": "large.json"})
    await store.turns.close(await open_turn(store), "answered", now=103)
    expired = await store.database.write(
        lambda connection: expire(connection, before=0, folder=folder)
    )
    assert (expired.events, expired.more) == (1, False)
    assert list(folder.iterdir()) == []
    assert select(store, "events", "body_file, doomed") == [("", 0)]
