"""What the store adds to a new message: quoted words, who is addressed, places that move."""

from typing import Any

import pytest
import trio
from support.ledgers import (
    CHANNEL,
    LAURA,
    accept,
    answered_turn,
    held_writer,
    hold,
    message,
    own_message,
    queued,
)
from support.place import sqlite_of
from trio.testing import wait_all_tasks_blocked

from daemon.domain.messages import (
    AnyContent,
    ChatKey,
    Location,
    Media,
    Message,
    Poll,
    Quote,
    Reaction,
    Text,
    Vote,
    Webhook,
)
from daemon.domain.records import NOT_ADDRESSED, Accepted, Known
from daemon.ledger.ledger import Store
from daemon.ledger.references import LIVE_SECONDS, Judging

OURS = "573009876543"
OUR_LID = "998877665544332@lid"
GROUP = ChatKey(CHANNEL, "120363012345678901@g.us")


async def known(store: Store, one: Message, *own_ids: str, now: float = 200) -> Known:
    (found,) = await store.references.know([one], own_ids=frozenset(own_ids), now=now)
    return found


def in_group(message_id: str, content: AnyContent | str = "Hola", **fields: Any) -> Message:
    return message(message_id, content, key=GROUP, **{"author": "573001234567", **fields})


async def test_the_words_of_a_quote_are_looked_up_where_they_are_missing(store: Store) -> None:
    await accept(store, message("m-1", "¿Le sirve el 301?"), message("m-2", Media(medium="image")))
    (row,) = await queued(store, "Cuesta cien")
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, "sent-1", now=104)
    quotes = [Quote(id=one) for one in ("m-1", "m-2", "sent-1", "nobody-knows")]
    quotes.append(Quote(id="m-1", body="como lo dice WhatsApp"))
    found = [await known(store, message("m-9", "Sí", quote=quote)) for quote in quotes]
    bodies = [one.message.quote.body if one.message.quote else "" for one in found]
    assert bodies[0] == "¿Le sirve el 301?"
    assert bodies[1].startswith("[image")
    assert bodies[2:] == ["Cuesta cien", "", "como lo dice WhatsApp"]


async def test_words_of_another_chat_are_not_looked_up(store: Store) -> None:
    """The id is its author's word; what was said in a group can be answered in private."""
    pedro = ChatKey(CHANNEL, "573007654321@s.whatsapp.net")
    poll = Poll(title="¿Hora?", options=("9",), option_ids=("id-9",))
    await accept(store, message("m-1", "Es un secreto"), in_group("g-1", "Hola a todos"))
    await accept(store, own_message("p-1", poll, source="api"))
    (row,) = await queued(store, "Cuesta cien")
    await store.outbox.sending(row, now=103)
    await store.outbox.sent(row, "sent-1", now=104)
    bodies = []
    for one in ("m-1", "sent-1", "g-1"):
        found = await known(store, message("q-1", "¿Qué?", key=pedro, quote=Quote(id=one)))
        bodies.append(found.message.quote.body if found.message.quote else None)
    assert bodies == ["", "", "Hola a todos"]
    for content in (Reaction(target="m-1", emoji="👍"), Vote(target="p-1", options=("id-9",))):
        found = await known(store, message("q-2", content, key=pedro))
        assert found.message.content == content
        assert not found.about_us


async def test_a_reaction_knows_its_message_and_the_author_of_that(store: Store) -> None:
    await accept(store, message("m-1", "Hola"), own_message("a-1", "Ya voy", source="mobile"))
    theirs = await known(store, message("r-1", Reaction(target="m-1", emoji="👍")))
    ours = await known(store, message("r-2", Reaction(target="a-1", emoji="👍")))
    assert theirs.message.content == Reaction(target="m-1", emoji="👍", about="Hola")
    assert ours.message.content == Reaction(target="a-1", emoji="👍", about="Ya voy")
    assert (theirs.about_us, ours.about_us) == (False, True)


async def test_a_vote_has_the_words_of_its_options(store: Store) -> None:
    poll = Poll(title="¿Hora?", options=("9", "10"), option_ids=("id-9", "id-10"))
    await accept(store, own_message("p-1", poll, source="mobile"))
    await accept(store, message("p-2", without_ids(poll)))
    votes = [
        Vote(target="p-1", options=("id-10",)),
        Vote(target="p-2", options=("9", "unknown")),
        Vote(target="p-1"),
        Vote(target="nobody-knows", options=("id-9",)),
    ]
    found = [(await known(store, message("v-1", vote))).message.content for vote in votes]
    assert found == [
        Vote(target="p-1", options=("id-10",), question="¿Hora?", chosen=("10",), ours=True),
        Vote(target="p-2", options=("9", "unknown"), question="¿Hora?", chosen=("9",)),
        Vote(target="p-1", question="¿Hora?", ours=True),
        votes[3],
    ]


def without_ids(poll: Poll) -> Poll:
    """A poll as it comes from somebody else: without the ids of its options."""
    return Poll(title=poll.title, options=poll.options)


@pytest.mark.parametrize(
    ("fields", "addressed"),
    [
        ({}, False),
        ({"mentions": (OURS,)}, True),
        ({"mentions": (OUR_LID,)}, True),
        ({"mentions": ("573007654321",)}, False),
        ({"content": Text(body=f"@{OURS} ¿hay cupo?")}, True),
        ({"content": Media(medium="image", caption=f"@{OUR_LID[:-4]} mira")}, True),
        ({"quote": Quote(id="nobody-knows", author=OURS, body="x")}, True),
        ({"quote": Quote(id="a-1")}, True),
        ({"quote": Quote(id="m-1", author="573007654321", body="x")}, False),
    ],
)
async def test_in_a_group_a_mention_or_an_answer_addresses_us(
    store: Store, fields: dict[str, Any], *, addressed: bool
) -> None:
    """Our number is learnt from what leaves it; the lid is configured here."""
    await accept(store, in_group("m-1"), verdicts=[NOT_ADDRESSED])
    await accept(store, own_message("a-1", "Hola", source="mobile", key=GROUP))
    echo = message("e-1", "Con gusto", from_me=True, source="api", author=OURS)
    await accept(store, echo)
    content = fields.pop("content", Text(body="Hola"))
    found = await known(store, in_group("m-2", content, **fields), OUR_LID)
    assert found.addressed == addressed


async def test_a_member_who_has_just_addressed_us_may_go_on(store: Store) -> None:
    await accept(store, in_group("m-1"))
    assert (await known(store, in_group("m-2", "para dos"))).addressed
    assert not (await known(store, in_group("m-3", author="573007654321"))).addressed


async def test_our_number_is_learnt_only_from_ourselves(store: Store) -> None:
    await accept(store, in_group("m-1"), verdicts=[NOT_ADDRESSED])
    await accept(store, message("m-2", author="573001234567"))
    await accept(store, message("me", from_me=True, source="mobile", author="573001234567"))
    assert not (await known(store, in_group("m-3", mentions=("573001234567",)))).addressed


async def test_a_place_that_moves_is_known_for_as_long_as_it_is_shared(store: Store) -> None:
    place = Location(latitude=4.7, longitude=-74, live=True)

    def shared(message_id: str, **fields: Any) -> Message:
        return message(message_id, place, kind="live_location", author="57300", **fields)

    assert not (await known(store, shared("m-1"))).moved
    await accept(store, shared("m-1"), now=100)
    assert (await known(store, shared("m-2"), now=200)).moved
    assert not (await known(store, shared("m-2"), now=101 + LIVE_SECONDS)).moved
    other = message("m-3", place, kind="live_location", author="57399")
    assert not (await known(store, other, now=200)).moved


async def test_a_person_is_known_by_all_ids(store: Store) -> None:
    lid = ChatKey(CHANNEL, "112233445566778@lid")
    await accept(store, message("m-1"))
    await store.identities.join(lid, LAURA.chat, now=300)
    found = await known(store, message("m-2", key=lid, author=lid.chat))
    assert found.names == found.authors == {lid.chat, LAURA.chat}


async def test_in_a_group_the_author_is_the_member(store: Store) -> None:
    found = await known(store, in_group("m-1"))
    assert found.names == {GROUP.chat}
    assert found.authors == {"573001234567@s.whatsapp.net"}


async def test_unaddressed_group_messages_since_the_last_turn(store: Store) -> None:
    """Only what came between the last turn and the end of this one, and the newest of it."""
    await accept(store, in_group("old"), verdicts=[NOT_ADDRESSED])
    await accept(store, in_group("m-1"))
    first = await store.turns.open(GROUP, request_id="r", limit=9, quotes=False, now=1)
    assert first is not None
    assert [m.message.id for m in await store.references.unaddressed(first, limit=9)] == ["old"]
    await store.turns.close(first, "ignored", now=2)
    for name in ("n-1", "n-2", "n-3"):
        await accept(store, in_group(name), verdicts=[NOT_ADDRESSED])
    await accept(store, in_group("ignored"), verdicts=["an empty text"])
    await accept(store, in_group("m-2"))
    await accept(store, in_group("later"), verdicts=[NOT_ADDRESSED])
    second = await store.turns.open(GROUP, request_id="r", limit=9, quotes=False, now=3)
    assert second is not None
    heard = await store.references.unaddressed(second, limit=2)
    assert [m.message.id for m in heard] == ["n-2", "n-3"]


async def test_a_thread_does_not_begin_with_a_sign(store: Store) -> None:
    reaction = message("r-1", Reaction(target="m-1", emoji="👍"))
    await accept(store, reaction, verdicts=["a reaction"])
    await answered_turn(store, "m-1")
    assert await store.threads.history(LAURA, tokens=10**6) == ()


@pytest.mark.sqlite  # it holds SQLite's writer
async def test_the_addressee_is_known_in_the_same_write(
    store: Store, nursery: trio.Nursery
) -> None:
    """Two calls at once share a write, and the second message goes on with the first."""
    judging = Judging(
        verdict=lambda one: "" if one.addressed else NOT_ADDRESSED,
        own_ids=frozenset({OURS}),
        mentions=True,
    )
    accepted: dict[str, Accepted] = {}

    async def call(one: Message) -> None:
        webhook = Webhook(channel=CHANNEL, event="messages.post", messages=(one,))
        accepted[one.id] = await store.inbox.accept(
            webhook, b"{}", verdicts=judging, now=200, pause_until=0
        )

    with trio.fail_after(60), held_writer() as held:
        async with trio.open_nursery() as calls:
            await hold(sqlite_of(store), held, nursery)
            for one in (in_group("g-1", mentions=(OURS,)), in_group("g-2", "y otra cosa")):
                calls.start_soon(call, one)
                await wait_all_tasks_blocked()
            held.let_go()
    assert [accepted[one].verdicts for one in ("g-1", "g-2")] == [("",), ("",)]
