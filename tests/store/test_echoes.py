"""Our own sends come back as webhooks: by their id, by their words, or as somebody else's."""

from typing import Any

import pytest
from support.ledgers import (
    LAURA,
    PEDRO,
    accept,
    message,
    message_state,
    outbox_states,
    own_message,
    queued,
)
from support.rows import select

from daemon.domain.messages import Media, Other, Reaction, Text
from daemon.domain.records import OutboxRow
from daemon.ledger.arrivals import ECHO_SECONDS
from daemon.ledger.ledger import Store

WORDS = "Sí, tenemos cupo."


async def _echoed(store: Store, message_id: str, *, source: str = "api", now: float = 110) -> bool:
    """Accept our own words; gives whether they were taken as an echo."""
    accepted = await accept(
        store, own_message(message_id, WORDS, source=source), now=now, pause_until=1900
    )
    return len(accepted.echoed) == 1


async def _sending(store: Store) -> OutboxRow:
    (row,) = await queued(store, WORDS)
    await store.outbox.sending(row, now=103)
    return row


@pytest.mark.parametrize("source", ["api", "mobile", ""])
async def test_an_echo_is_known_by_its_id(store: Store, source: str) -> None:
    row = await _sending(store)
    await store.outbox.sent(row, "w-1", now=104)
    assert await _echoed(store, "w-1", source=source)
    assert message_state(store, "w-1") == ("ignored", "echo")
    assert (await store.threads.chat(LAURA)).paused_until == 0


@pytest.mark.parametrize("state", ["sending", "unknown"])
async def test_an_echo_settles_a_send_whose_outcome_is_open(store: Store, state: str) -> None:
    row = await _sending(store)
    if state == "unknown":
        await store.outbox.unknown(row, "timeout")
    assert await _echoed(store, "w-1")
    sends = select(store, "outbox", "state, message_id, sent_at, error")
    assert sends == [("sent", "w-1", 110.0, "")]


async def test_an_echo_before_the_answer_of_its_send_stands(store: Store) -> None:
    """The send's own answer may then be lost: it was said all the same."""
    row = await _sending(store)
    assert await _echoed(store, "w-1")
    after = await store.outbox.unknown(row, "the connection was cut")
    assert after.state == "sent"
    await store.outbox.pending(row, "429")
    assert outbox_states(store) == ["sent"]


async def test_one_echo_settles_one_send_of_the_same_words(store: Store) -> None:
    rows = await queued(store, WORDS, WORDS)
    for row in rows:
        await store.outbox.sending(row, now=103)
        await store.outbox.unknown(row, "timeout")
    assert await _echoed(store, "w-1")
    assert outbox_states(store) == ["sent", "unknown"]
    assert await _echoed(store, "w-2")
    assert outbox_states(store) == ["sent", "sent"]


async def test_a_send_that_has_not_begun_has_no_echo(store: Store) -> None:
    """A person who types what we were about to say is a person."""
    await queued(store, WORDS)
    assert not await _echoed(store, "w-1", source="mobile")
    assert outbox_states(store) == ["pending"]
    assert message_state(store, "w-1") == ("received", "")


async def test_the_same_words_in_another_chat_are_no_echo(store: Store) -> None:
    (row,) = await queued(store, WORDS, key=PEDRO)
    await store.outbox.sending(row, now=103)
    assert not await _echoed(store, "w-1", source="mobile")
    assert outbox_states(store) == ["sending"]


async def test_an_echo_under_another_id_is_known_by_its_words_for_a_while(store: Store) -> None:
    row = await _sending(store)
    await store.outbox.sent(row, "w-1", now=104)
    assert await _echoed(store, "other-1", now=104 + ECHO_SECONDS - 1)
    assert not await _echoed(store, "other-2", now=104 + ECHO_SECONDS + 1)
    assert message_state(store, "other-2") == (
        "ignored",
        "sent through the API by another client",
    )


async def test_a_person_who_repeats_our_words_is_still_an_agent(store: Store) -> None:
    row = await _sending(store)
    await store.outbox.sent(row, "w-1", now=104)
    assert not await _echoed(store, "a-1", source="mobile")
    assert message_state(store, "a-1") == ("received", "")


async def test_words_from_an_unknown_source_are_an_agents(store: Store) -> None:
    """Unless they are one of our sends, by its id or by its likeness."""
    row = await _sending(store)
    assert await _echoed(store, "w-1", source="unknown")
    await store.outbox.sent(row, "w-1", now=104)
    assert not await _echoed(store, "a-1", source="unknown", now=104 + ECHO_SECONDS + 1)
    assert message_state(store, "a-1") == ("received", "")
    assert (await store.threads.chat(LAURA)).paused_until == 1900


@pytest.mark.parametrize(
    ("kind", "content", "agent"),
    [
        ("image", Media(medium="image"), True),
        ("voice", Media(medium="voice", seconds=3), True),
        ("text", Text(body=""), False),
        ("unknown", Other(), False),
        ("system", Other(body="Messages are end-to-end encrypted"), False),
        ("action", Reaction(target="m-1", emoji="👍"), False),
    ],
)
async def test_which_messages_of_unknown_source_are_an_agents(
    store: Store, kind: str, content: Any, *, agent: bool
) -> None:
    """Protocol notices have no content."""
    said = message("a-1", content, kind=kind, from_me=True, source="unknown")
    await accept(store, said, pause_until=1900)
    assert (await store.threads.chat(LAURA)).paused_until == (1900 if agent else 0)


async def test_known_ids_are_those_of_our_own_sends(store: Store) -> None:
    first, second = await queued(store, "uno", "dos")
    await store.outbox.sending(first, now=103)
    await store.outbox.sent(first, "w-1", now=104)
    await store.outbox.sending(second, now=105)
    assert await store.outbox.known_ids(["w-1", "w-2"]) == {"w-1"}
    assert await store.outbox.known_ids([]) == frozenset()


async def test_the_ids_of_sent_texts_since_a_time(store: Store) -> None:
    """So that an unknown send is not taken for an earlier one of the same words."""
    rows = await queued(store, WORDS, WORDS, "otras")
    for number, row in enumerate(rows):
        await store.outbox.sending(row, now=200 + number)
        await store.outbox.sent(row, f"w-{number}", now=210)
    sent_since = store.outbox.sent_since
    assert await sent_since(LAURA, ("text", WORDS), 200) == ("w-0", "w-1")
    assert await sent_since(LAURA, ("text", WORDS), 201) == ("w-1",)
    assert await sent_since(LAURA, ("text", WORDS), 202) == ()
    assert await sent_since(PEDRO, ("text", WORDS), 0) == ()


async def test_a_person_at_the_phone_settles_no_send(store: Store) -> None:
    row = await _sending(store)
    await store.outbox.unknown(row, "timeout")
    assert not await _echoed(store, "a-1", source="mobile")
    assert outbox_states(store) == ["unknown"]
    assert (await store.threads.chat(LAURA)).paused_until == 1900
