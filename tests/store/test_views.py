"""What people are shown of the ledger: the list of chats, their bubbles, their turns, the work."""

import time
from functools import partial
from typing import Any

import pytest
from support.ledgers import (
    CHANNEL,
    HERE,
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    answered_turn,
    message,
    open_turn,
    own_message,
    queued,
)
from support.rows import change, insert, select

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.messages import ChatKey, Deletion, Edit, Media, Quote, Reaction
from daemon.domain.records import NewPart
from daemon.domain.rendering.outgoing import contact_part, poll_part
from daemon.domain.transitions.changes import EARLIER_CHARACTERS, EARLIER_KEPT
from daemon.ledger.drivers.port import Connection
from daemon.ledger.ledger import Store
from daemon.ledger.views.bubbles import Before
from daemon.ledger.views.chat_states import STATES, Live

NOW = 1000.0


async def listed(store: Store, live: dict[ChatKey, Live] | None = None, **wanted: Any) -> Any:
    return await store.views.chats(ChatQuery(**wanted), live or {}, now=NOW)


async def states(store: Store, live: dict[ChatKey, Live] | None = None) -> dict[str, str]:
    page = await listed(store, live)
    return {chat["chat"][-4 - 15 : -15]: chat["state"] for chat in page["chats"]}


async def said(store: Store, key: ChatKey = LAURA, limit: int = 50) -> list[dict[str, Any]]:
    page, _ = await store.views.bubbles(key, before=Before(), limit=limit)
    return page


async def test_each_chat_has_a_public_name_that_reveals_nothing(store: Store) -> None:
    await accept(store, message("m-1"), message("m-2", key=PEDRO))
    page = await listed(store)
    refs = [chat["ref"] for chat in page["chats"]]
    assert len(set(refs)) == 2
    assert all(len(ref) == 16 and ref not in LAURA.chat for ref in refs)
    keys = {await store.views.key_of(ref) for ref in refs}
    assert keys == {LAURA, PEDRO}
    assert await store.views.key_of("") is None
    await accept(store, message("m-3"))
    assert {chat["ref"] for chat in (await listed(store))["chats"]} == set(refs)


async def test_a_chat_moved_to_another_name_gets_another_public_one(store: Store) -> None:
    await accept(store, message("m-1"))
    ((before,),) = select(store, "chats", "ref")
    change(store, "chats", {"chat": "forgotten-1"})
    ((after,),) = select(store, "chats", "ref")
    assert after not in {"", before}
    assert (await listed(store))["chats"] == []


async def test_cards_and_polls_of_ours_are_shown_like_those_that_come(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    parts = [contact_part("Pedro", "573007654321"), poll_part("¿Qué día?", ["Hoy", "Mañana"])]
    await store.turns.conclude(turn, items=[], parts=parts, now=102)
    card, poll = (bubble["content"] for bubble in (await said(store))[-2:])
    assert card["type"] == "contacts"
    assert (card["cards"][0]["name"], card["cards"][0]["number"]) == ("Pedro", "+573007654321")
    assert poll == {"type": "poll", "title": "¿Qué día?", "options": ["Hoy", "Mañana"]}


async def test_the_states_follow_the_store(store: Store) -> None:
    await accept(store, message("m-1"))
    assert await states(store) == {"4567": "waiting"}
    turn = await open_turn(store)
    assert await states(store) == {"4567": "thinking"}
    await store.turns.conclude(turn, items=[], parts=[NewPart("hola")], now=102)
    assert await states(store) == {"4567": "sending"}
    (row,) = await store.outbox.open_rows(LAURA)
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "no")
    await store.turns.finish(turn, now=104)
    assert await states(store) == {"4567": "failed"}
    await answered_turn(store, "m-2")
    assert await states(store) == {"4567": "idle"}
    await store.operator_actions.pause(LAURA.chat, NOW + 5, by=OPERATOR, now=NOW)
    assert await states(store) == {"4567": "paused"}
    await store.operator_actions.pause(LAURA.chat, 0, by=OPERATOR, now=NOW)
    assert await states(store) == {"4567": "idle"}


async def test_the_chats_live_state_overrides_the_store(store: Store) -> None:
    await accept(store, message("m-1"))
    live = {LAURA: Live("writing", 999.0, queued=1)}
    page = await listed(store, live, state="writing")
    (chat,) = page["chats"]
    assert (chat["state"], chat["since"], chat["unanswered"]) == ("writing", 999.0, 1)
    assert page["states"] == {**dict.fromkeys(STATES[:-1], 0), "writing": 1}
    assert (await listed(store, live, state="waiting"))["chats"] == []
    assert await states(store, {LAURA: Live("idle", 999.0)}) == {"4567": "waiting"}


async def test_the_list_is_paged_without_a_gap_or_a_repeat(store: Store) -> None:
    keys = [ChatKey(CHANNEL, f"57300000{n:04d}@s.whatsapp.net") for n in range(7)]
    for number, key in enumerate(keys):  # several at the same moment
        await accept(store, message(f"m-{number}", key=key), now=100 + number // 3)
    seen, place = [], None
    while True:
        page = await listed(store, limit=2, before=place)
        seen += [chat["chat"] for chat in page["chats"]]
        place = page["next"]
        if place is None:
            break
    assert sorted(seen) == [key.chat for key in keys]
    assert seen[0] == keys[6].chat


async def test_both_sides_are_merged_in_the_order_of_time(store: Store) -> None:
    await answered_turn(store, "m-1", answer="Claro")
    await accept(store, message("m-2", "Gracias"), now=110)
    await accept(store, own_message("a-1", "Con gusto", source="mobile"), now=111)
    await accept(store, own_message("sent-1", "Claro", source="api"), now=112)  # the echo
    page = await said(store)
    assert [(b["side"], b["content"]["body"]) for b in page] == [
        ("customer", "Hola"),
        ("bot", "Claro"),
        ("customer", "Gracias"),
        ("agent", "Con gusto"),
    ]
    assert page[0]["turn"] == page[1]["turn"] == "r-1"


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_bubbles_are_paged_without_a_gap_or_a_repeat(store: Store, limit: int) -> None:
    for number in range(6):
        await answered_turn(store, f"m-{number}", answer=f"respuesta {number}")
    whole = [bubble["id"] for bubble in await said(store)]
    assert len(whole) == 12
    seen: list[str] = []
    place: Before | None = Before()
    while place is not None:
        page, place = await store.views.bubbles(LAURA, before=place, limit=limit)
        seen = [bubble["id"] for bubble in page] + seen
    assert seen == whole


async def test_changes_reactions_and_quotes_are_on_their_bubbles(store: Store) -> None:
    await answered_turn(store, "m-1", answer="Claro")
    both = (message("m-2", "dos", quote=Quote(id="sent-1")), message("m-3", "tres"))
    await accept(store, *both, now=105)
    await accept(store, edits=(Edit(target="m-2", body="dos noches", origin=HERE),), now=106)
    await accept(store, deletions=(Deletion(target="m-3"),), now=107)
    for number, emoji in enumerate(("👍", "❤️")):
        reaction = message(f"r-{number}", Reaction(target="sent-1", emoji=emoji), kind="action")
        await accept(store, reaction, verdicts=["a reaction"])
    _, answer, edited, deleted = await said(store)
    assert answer["reactions"] == ["❤️"]
    assert (edited["content"]["body"], edited["edited_at"]) == ("dos noches", 106)
    assert (edited["quote"]["body"], edited["quote"]["mine"]) == ("Claro", True)
    assert deleted["deleted_at"] == 107


async def test_the_earlier_words_of_a_message_are_kept_within_bounds(store: Store) -> None:
    await accept(store, message("m-1", "uno"))
    for number in range(30):
        body = f"vez {number} " + "x" * (EARLIER_CHARACTERS + 9)
        edit = Edit(target="m-1", body=body, origin=HERE)
        await accept(store, edits=(edit,), now=200 + number)
    (bubble,) = await said(store)
    assert bubble["content"]["body"].startswith("vez 29 ")
    wordings = bubble["earlier"]
    assert [(w["words"].split("x")[0], w["until"]) for w in wordings] == [
        ("uno", 200),
        *((f"vez {number} ", 201 + number) for number in range(20, 29)),
    ]
    assert len(wordings) == EARLIER_KEPT
    assert {len(w["words"]) for w in wordings[1:]} == {EARLIER_CHARACTERS + 1}


async def test_an_edit_that_came_before_its_message_leaves_the_words_it_replaced(
    store: Store,
) -> None:
    await accept(store, edits=(Edit(target="m-1", body="dos", origin=HERE),), now=90)
    await accept(store, message("m-1", "uno"), now=100)
    (bubble,) = await said(store)
    assert bubble["content"]["body"] == "dos"
    assert bubble["earlier"] == [{"words": "uno", "until": 100}]


async def test_a_file_is_named_without_where_it_came_from(store: Store) -> None:
    media = Media(medium="image", link="https://example.invalid/x", caption="la factura")
    await accept(store, message("m-1", media, kind="image"))
    (bubble,) = await said(store)
    assert bubble["content"] == {"type": "media", "medium": "image", "caption": "la factura"}
    assert "example.invalid" not in str(bubble)


async def test_an_agents_words_are_in_the_outbox_and_pause_the_chat_in_one_write(
    store: Store,
) -> None:
    await accept(store, message("m-1"))
    row_id, said_once = await store.operator_actions.send(
        LAURA, "Soy Marta", name="Marta", action="d-1", by=OPERATOR, now=110, pause_until=200
    )
    assert said_once is not None
    assert said_once.what == "agent"
    same_id, again = await store.operator_actions.send(
        LAURA, "Soy Marta", name="Marta", action="d-1", by=OPERATOR, now=111, pause_until=201
    )
    assert again is None
    (row,) = await store.outbox.open_rows(LAURA)
    assert row_id == same_id == row.id
    assert (row.body, row.author, row.turn_id) == ("Soy Marta", "Marta", None)
    assert (await store.threads.chat(LAURA)).paused_until == 200
    assert [b["side"] for b in await said(store)] == ["customer", "agent"]
    assert await store.outbox.drop(LAURA, "an agent has the chat") == 0
    (waiting,) = await store.inbox.waiting(LAURA, from_me=True)
    assert waiting.message.author_name == "Marta"


async def test_a_turn_is_found_by_its_name_and_shown_whole(store: Store) -> None:
    turn = await answered_turn(store, "m-1")
    assert await store.views.chat_of_turn("r-1") == LAURA
    assert await store.views.chat_of_turn("r-2") is None
    life = await store.views.trace("r-1")
    assert life is not None
    assert life.turn is not None
    assert (life.turn["id"], [m["id"] for m in life.messages]) == (turn.id, ["m-1"])
    (told,) = await store.views.turns(LAURA, limit=5)
    assert (told["outcome"], told["messages"], told["sent"]) == ("answered", 1, 1)
    assert await store.views.trace("") is None


async def test_the_work_lists_waiting_and_failed_rows(store: Store) -> None:
    (row,) = await queued(store, "uno")
    await queued(store, "dos", key=PEDRO)
    await store.outbox.sending(row, now=103)
    await store.outbox.failed(row, "refused")
    work = await store.views.work([], days={}, since=0, now=0)
    assert work["outbox"] == {"pending": 1, "sending": 0, "unknown": 0, "failed": 1}
    assert [entry["key"] for entry in work["sends"]] == [PEDRO]
    assert [(entry["key"], entry["reason"]) for entry in work["failed_sends"]] == [
        (LAURA, "refused")
    ]
    assert set(work["people"]) == {LAURA, PEDRO}


@pytest.mark.sqlite
async def test_no_view_reads_whole_tables_where_an_index_serves(store: Store) -> None:
    """A chat's page costs what it shows, however much was ever said anywhere."""

    def explain(statement: str, connection: Connection) -> list[tuple[Any, ...]]:
        return connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()

    for statement in (
        "SELECT 1 FROM messages m WHERE m.channel || '/' || m.chat = 'a' AND m.seq < 9",
        "SELECT 1 FROM turns WHERE channel || '/' || chat = 'a' AND id < 9",
        "SELECT 1 FROM turns WHERE request_id = 'a'",
        "SELECT 1 FROM outbox o WHERE o.channel = 'a' AND o.chat = 'b' AND o.id < 9",
        "SELECT 1 FROM chats WHERE ref = 'a' AND ref != ''",
    ):
        plan = await store.database.read(partial(explain, statement))
        assert all("SEARCH" in step[3] for step in plan), (statement, plan)


async def test_a_long_list_is_read_quickly(store: Store) -> None:
    """Ten thousand chats, searched and counted: well under the time that anybody notices."""
    chats = [
        {
            "channel": CHANNEL,
            "chat": f"57{n:010d}@s.whatsapp.net",
            "contact_name": f"Contacto {n}",
            "first_seen_at": 0,
            "last_activity_at": n,
        }
        for n in range(10_000)
    ]
    insert(store, "chats", *chats)
    began = time.process_time()
    page = await listed(store, query="Contacto 77", limit=40)
    assert len(page["chats"]) == 40
    assert time.process_time() - began < 5
