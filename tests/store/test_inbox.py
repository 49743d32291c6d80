"""Accepting webhook calls: each message once, in order, with nothing lost."""

import hashlib
import sqlite3
from pathlib import Path

import pytest
from support.ledgers import (
    LAURA,
    PEDRO,
    accept,
    answered_turn,
    message,
    message_state,
    open_turn,
    own_message,
    thread_of,
)
from support.rows import select

from daemon.domain.messages import ChatKey, StatusUpdate, Webhook
from daemon.domain.records import Accepted, Arrival
from daemon.errors import StoreUnavailable
from daemon.ledger.intake import ROW_BODY_BYTES
from daemon.ledger.ledger import Store


async def test_a_call_is_stored_with_all_its_messages_in_order(store: Store) -> None:
    accepted = await accept(store, message("m-1", "uno"), message("m-2", "dos", kind="voice"))
    assert accepted == Accepted(
        event_id=1,
        arrivals=(
            Arrival(key=LAURA, what="message", kind="text", received_at=100),
            Arrival(key=LAURA, what="message", kind="voice", received_at=100),
        ),
        stored=2,
        verdicts=("", ""),
    )
    waiting = await store.inbox.waiting(LAURA, from_me=False)
    assert [(w.message, w.received_at) for w in waiting] == [
        (message("m-1", "uno"), 100),
        (message("m-2", "dos", kind="voice"), 100),
    ]
    assert waiting[0].seq < waiting[1].seq
    assert await store.inbox.waiting(PEDRO, from_me=False) == ()


async def test_the_raw_call_is_kept(store: Store) -> None:
    webhook = Webhook(channel="c", event="chats.patch", unreadable=("a: odd", "b: odder"))
    accepted = await store.inbox.accept(webhook, b'{"odd":1}', verdicts=[], now=7, pause_until=0)
    rows = select(store, "events")
    assert rows == [
        (accepted.event_id, 7.0, "c", "chats.patch", b'{"odd":1}', "", "a: odd\nb: odder", 0)
    ]


async def test_a_repeated_message_is_counted_and_nothing_else(store: Store) -> None:
    await accept(store, message("m-1"))
    again = await accept(store, message("m-1"), message("m-2"), message("m-2"))
    assert (again.stored, again.duplicates, len(again.arrivals)) == (1, 2, 1)
    assert select(store, "messages", "id, duplicates", order="seq") == [
        ("m-1", 1),
        ("m-2", 1),
    ]


async def test_a_repeated_message_is_not_opened_again(store: Store) -> None:
    await answered_turn(store, "m-1")
    again = await accept(store, message("m-1"))
    assert (again.arrivals, again.duplicates) == ((), 1)
    assert message_state(store, "m-1") == ("answered", "")


async def test_the_same_id_on_two_channels_is_two_messages(store: Store) -> None:
    other = ChatKey("MANTIS-OTHER", LAURA.chat)
    accepted = await accept(store, message("m-1"), message("m-1", key=other))
    assert (accepted.stored, accepted.duplicates) == (2, 0)
    assert len(await store.inbox.waiting(other, from_me=False)) == 1


async def test_a_verdict_is_the_reason_to_ignore_a_message(store: Store) -> None:
    accepted = await accept(
        store, message("m-1"), message("m-2"), verdicts=["groups are not answered", ""]
    )
    assert accepted.stored == 2
    assert len(accepted.arrivals) == 1
    assert message_state(store, "m-1") == ("ignored", "groups are not answered")
    assert message_state(store, "m-2") == ("received", "")


@pytest.mark.sqlite
async def test_a_call_is_stored_whole_or_not_at_all(store: Store) -> None:
    def refuse_the_second(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.messages WHEN NEW.id = 'm-2'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    await store.database.write(refuse_the_second)
    with pytest.raises(Exception, match="refused a write: no"):
        await accept(store, message("m-1"), message("m-2"))
    for table in ("events", "messages", "chats"):
        assert select(store, table) == []


@pytest.mark.sqlite
async def test_a_large_body_is_in_its_file_before_its_row(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    def look(name: str) -> None:
        seen.append((name, (tmp_path / "events" / name).exists()))

    def watch(connection: sqlite3.Connection) -> None:
        connection.create_function("look", 1, look)
        connection.execute(
            "CREATE TEMP TRIGGER watch BEFORE INSERT ON main.events"
            " BEGIN SELECT look(NEW.body_file); END"
        )

    await store.database.write(watch)
    body = b'{"a":"' + bytes([120]) * ROW_BODY_BYTES + b'"}'
    for _ in range(2):  # the same call twice needs one file
        await store.inbox.accept(Webhook(), body, verdicts=[], now=1, pause_until=0)
    name = f"{hashlib.sha256(body).hexdigest()}.json"
    assert seen == [(name, True), (name, True)]
    assert [path.name for path in (tmp_path / "events").iterdir()] == [name]
    assert (tmp_path / "events" / name).read_bytes() == body
    assert select(store, "events", "body, body_file") == [(None, name)] * 2


@pytest.mark.sqlite
async def test_a_large_body_without_its_file_is_not_accepted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "events").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match="large event"):
        await store.inbox.accept(
            Webhook(messages=(message("m-1"),)),
            bytes(ROW_BODY_BYTES + 1),
            verdicts=[""],
            now=1,
            pause_until=0,
        )
    assert select(store, "events") == []
    assert await store.inbox.waiting(LAURA, from_me=False) == ()


async def test_statuses_are_kept_with_the_sends_they_are_about(store: Store) -> None:
    await answered_turn(store, "m-1")
    update = StatusUpdate(message_id="sent-1", status="read")
    await accept(store, statuses=(update, StatusUpdate(message_id="not ours", status="read")))
    assert select(store, "outbox", "status") == [("read",)]


async def test_a_chat_is_known_by_the_names_its_customer_used_last(store: Store) -> None:
    await accept(store, message("m-1", author_name="Laura", chat_name="Laura Gómez"))
    await accept(store, message("m-2", author_name=""))
    await accept(store, own_message("m-3", "Hola", source="mobile"))
    chat = await store.threads.chat(LAURA)
    assert (chat.name, chat.contact_name) == ("Laura Gómez", "Laura")


async def test_the_people_of_a_group_do_not_name_it(store: Store) -> None:
    group = ChatKey(LAURA.number, "120363012345678901@g.us")
    await accept(store, message("m-1", key=group, author_name="Laura", chat_name="Familia"))
    chat = await store.threads.chat(group)
    assert (chat.name, chat.contact_name) == ("Familia", "")


@pytest.mark.parametrize("source", ["mobile", "web", ""])
async def test_a_human_agent_pauses_the_chat(store: Store, source: str) -> None:
    accepted = await accept(
        store, own_message("a-1", "Yo le ayudo", source=source), pause_until=1900
    )
    assert [arrival.what for arrival in accepted.arrivals] == ["agent"]
    assert (await store.threads.chat(LAURA)).paused_until == 1900
    (words,) = await store.inbox.waiting(LAURA, from_me=True)
    assert words.message.id == "a-1"
    assert await store.inbox.waiting(LAURA, from_me=False) == ()


async def test_a_pause_never_becomes_shorter_by_an_agents_message(store: Store) -> None:
    await accept(store, own_message("a-1", "uno", source="web"), pause_until=1900)
    await accept(store, own_message("a-2", "dos", source="web"), pause_until=1800)
    assert (await store.threads.chat(LAURA)).paused_until == 1900


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("api", "sent through the API by another client"),
        ("business_api", "automatic message of our number"),
        ("system", "automatic message of our number"),
    ],
)
async def test_machines_of_our_number_are_no_agents(store: Store, source: str, reason: str) -> None:
    accepted = await accept(
        store, own_message("a-1", "Gracias por escribir", source=source), pause_until=1900
    )
    assert accepted.arrivals == ()
    assert accepted.echoed == ()
    assert message_state(store, "a-1") == ("ignored", reason)
    assert (await store.threads.chat(LAURA)).paused_until == 0


async def test_waiting_messages_are_found_again_in_order(store: Store) -> None:
    await accept(store, message("m-1"), now=100)
    await accept(store, message("m-2", key=PEDRO, kind="voice"), now=101)
    await accept(store, own_message("a-1", "Ya voy", source="web"), now=102)
    await answered_turn(store, "m-3")
    assert await store.inbox.chats_with_work() == (
        Arrival(key=PEDRO, what="message", kind="voice", received_at=101),
        Arrival(key=LAURA, what="agent", kind="text", received_at=102),
    )


async def test_the_oldest_unanswered_message_is_a_customers(store: Store) -> None:
    assert await store.inbox.oldest_unanswered() is None
    await accept(store, own_message("a-1", "Hola", source="web"), now=50)
    await accept(store, message("m-1"), now=60)
    await accept(store, message("m-2"), now=70)
    assert await store.inbox.oldest_unanswered() == 60
    turn = await open_turn(store)
    assert await store.inbox.oldest_unanswered() == 60
    await store.turns.close(turn, "expired", now=80)
    assert await store.inbox.oldest_unanswered() is None


async def test_notes_give_messages_their_outcome_and_go_into_the_thread(store: Store) -> None:
    await accept(store, message("m-1", "uno"), message("m-2", "dos"))
    first, _ = await store.inbox.waiting(LAURA, from_me=False)
    item = {"role": "user", "content": "uno"}
    await store.threads.note_waiting(
        LAURA, [first.seq], [item], state="handed_off", reason="an agent has the chat", now=101
    )
    assert message_state(store, "m-1") == ("handed_off", "an agent has the chat")
    assert message_state(store, "m-2") == ("received", "")
    assert await thread_of(store) == [item]


async def test_notes_leave_messages_of_a_turn_alone(store: Store) -> None:
    await accept(store, message("m-1"))
    (waiting,) = await store.inbox.waiting(LAURA, from_me=False)
    await open_turn(store)
    await store.threads.note_waiting(
        LAURA, [waiting.seq], [], state="ignored", reason="late", now=101
    )
    assert message_state(store, "m-1") == ("in_turn", "")
