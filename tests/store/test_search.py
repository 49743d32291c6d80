"""The search in the words of all chats: what it finds, and what leaves it at once."""

from pathlib import Path
from typing import Any

import pytest
from support.forgetting import carry_out, forget
from support.ledgers import (
    HERE,
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    answered_turn,
    message,
)
from support.place import cli_connection, store_in
from support.rows import change, count, insert, select

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.messages import Deletion, Edit, Media
from daemon.domain.roles import AccessRole
from daemon.ledger.admin.person import names_of
from daemon.ledger.forget.jobs import ask_chat
from daemon.ledger.ledger import Store
from daemon.ledger.search import ROWS_A_STEP
from daemon.ledger.views.bubbles import Before

NOW = 9000.0
TIME = 3
"""Characters before each term of SQLite's index."""
WEEK = 7 * 86400.0


async def in_step(store: Store) -> None:
    while await store.search.step():
        pass
    assert not await store.search.lags()


async def find(store: Store, query: str, *, before: int = 0, **wanted: Any) -> dict[str, Any]:
    filters = ChatQuery(query=query, **wanted)
    return await store.views.found(filters, {}, before=before, now=NOW)


async def ids(store: Store, query: str, **wanted: Any) -> list[str]:
    return [text["id"] for text in (await find(store, query, **wanted))["found"]]


async def said(store: Store, *texts: str) -> None:
    """Messages of Laura, a second apart."""
    for number, text in enumerate(texts, 1):
        await accept(store, message(f"m-{number}", text), now=100.0 + number)


async def test_words_are_found_without_accents_in_any_order_and_while_they_are_typed(
    store: Store,
) -> None:
    await said(store, "Quería una habitación para los NIÑOS", "¿Hay habitación?", "Gracias")
    assert await ids(store, "habitacion") == []  # nobody has put it in yet
    await in_step(store)
    assert await ids(store, "habitacion") == ["in-2", "in-1"]
    assert await ids(store, "HABITACIÓN") == ["in-2", "in-1"]
    assert await ids(store, "ninos habitacion") == ["in-1"]
    assert await ids(store, "niños hab") == ["in-1"]
    assert await ids(store, "habi niños") == []  # only the last word may be unfinished
    assert await ids(store, "g") == ["in-3"]
    for nothing in ("", "  ", "%", '"', "=", "NEAR(", "no-such-word", "' | '"):
        assert await ids(store, nothing) == [], nothing


async def test_a_snippet_marks_what_was_found(store: Store) -> None:
    await said(store, "uno " * 40 + "la Habitación doble, " + "dos " * 60)
    await in_step(store)
    (found,) = (await find(store, "habitacion dob"))["found"]
    parts = [(part.text, part.marked) for part in found["parts"]]
    assert [text for text, marked in parts if marked] == ["Habitación", "doble"]
    assert parts[0] == parts[-1] == ("…", False)
    assert len("".join(text for text, _ in parts)) < 200
    assert (found["ref"], found["at"]) == (select(store, "chats", "ref")[0][0], 101.0)


async def test_both_sides_notes_and_what_was_heard_are_found(store: Store) -> None:
    await answered_turn(store, "m-1", answer="La piscina abre a las ocho")
    voice = Media(medium="voice", media_id="v-1", mime_type="audio/ogg")
    await accept(store, message("m-2", voice, kind="voice"), now=200)
    await store.desk.add_note(
        LAURA,
        "Piscina cerrada",
        author="María",
        for_model=False,
        action="a-1",
        by=OPERATOR,
        now=300,
    )
    await in_step(store)
    assert await ids(store, "piscina") == ["note-1", "out-1"]
    heard = {"channel": LAURA.number, "message_id": "m-2", "state": "stored", "wanted_at": 1}
    if not count(store, "media", where={"message_id": "m-2"}):
        insert(store, "media", heard)
    change(store, "media", {"words": "¿La piscina?"}, where={"message_id": "m-2"})
    await in_step(store)
    assert await ids(store, "piscina") == ["note-1", "in-2", "out-1"]
    assert await store.desk.drop_note(LAURA, 1, by=OPERATOR, now=301)
    assert await ids(store, "piscina") == ["in-2", "out-1"]


async def test_edits_and_deletions_leave_it_at_once(store: Store) -> None:
    await said(store, "Para dos", "Me llamo Zurriago")
    await in_step(store)
    await accept(store, edits=(Edit(target="m-1", body="Para tres", origin=HERE),), now=110)
    assert await ids(store, "dos") == []
    await in_step(store)
    assert (await ids(store, "dos"), await ids(store, "tres")) == ([], ["in-1"])
    await accept(store, deletions=(Deletion(target="m-2", origin=HERE),), now=111)
    assert await ids(store, "zurriago") == []
    await in_step(store)
    assert await ids(store, "zurriago") == []
    assert await ids(store, "llamo") == []


async def test_what_is_to_disappear_never_is_in_it(store: Store) -> None:
    await accept(store, message("m-1", "Mi clave es Zarzuela", ephemeral=True))
    await in_step(store)
    assert await ids(store, "zarzuela") == []
    assert count(store, "search_texts") == 0


async def test_filters_say_in_which_chats_words_are_looked_for(store: Store) -> None:
    for number in range(1, 7):
        key = LAURA if number % 2 else PEDRO
        await accept(store, message(f"m-{number}", f"hola {number}", key=key), now=number * 100.0)
    change(store, "chats", {"contact_name": "Pedro Pérez"}, where={"chat": PEDRO.chat})
    account = await store.accounts.add("María", AccessRole.AGENT, "hash", by=OPERATOR, now=1)
    assert account is not None
    await store.desk.assign(PEDRO, account.id, by=OPERATOR, now=2)
    await in_step(store)
    pedro, laura = ["in-6", "in-4", "in-2"], ["in-5", "in-3", "in-1"]
    assert await ids(store, "hola", person="pérez") == pedro
    assert await ids(store, "hola", person="300 123") == laura
    assert await ids(store, "hola", person="nobody") == []
    assert await ids(store, "hola", mine=account.id) == pedro
    assert await ids(store, "hola", unread=True) == pedro
    assert await ids(store, "hola", since=300, until=501) == ["in-5", "in-4", "in-3"]
    assert await ids(store, "hola", number=LAURA.number) == sorted(pedro + laura, reverse=True)
    assert await ids(store, "hola", number="another") == []
    assert await ids(store, "hola", state="waiting") == sorted(pedro + laura, reverse=True)
    assert await ids(store, "hola", state="idle") == []
    assert await ids(store, "hola", state="failed") == []


async def test_pages_follow_each_other(store: Store) -> None:
    await said(store, *(f"hola {number}" for number in range(7)))
    await in_step(store)
    first = await find(store, "hola", limit=3)
    second = await find(store, "hola", limit=3, before=first["next"])
    third = await find(store, "hola", limit=3, before=second["next"])
    shown = [text["id"] for page in (first, second, third) for text in page["found"]]
    assert shown == [f"in-{number}" for number in range(7, 0, -1)]
    assert third["next"] == 0


async def test_an_old_store_is_put_in_step_by_step(store: Store) -> None:
    """As many rows of one second as fit into it, and more."""
    many = 2 * ROWS_A_STEP + 20
    await accept(store, *(message(f"m-{number}", "Hola") for number in range(many)))
    await accept(store, message("m-last", "Adiós", key=PEDRO), now=101)
    change(store, "search_cursors", {"last": 0})
    assert await store.search.step()
    assert count(store, "search_texts") == ROWS_A_STEP
    await in_step(store)
    assert count(store, "search_texts") == many + 1
    assert await ids(store, "a") == [f"in-{many + 1}"]


async def test_a_row_that_became_visible_late_is_put_in(store: Store) -> None:
    """Another node's transaction took its number before the one that ended first."""
    await said(store, "primero", "segundo")
    change(store, "search_cursors", {"last": 2}, where={"source": "in"})
    await accept(store, message("m-3", "tercero"), now=103)
    await in_step(store)
    assert await ids(store, "primero") == ["in-1"]


async def test_a_chat_opens_at_the_message(store: Store) -> None:
    await said(store, *(f"hola {number}" for number in range(40)))
    place = await store.views.place_of(LAURA, "in-5")
    assert place is not None
    page, more = await store.views.bubbles(LAURA, before=place, limit=20)
    shown = [bubble["id"] for bubble in page]
    assert "in-5" in shown
    assert "in-10" in shown
    assert more is None
    assert await store.views.place_of(LAURA, "in-40") == Before()
    for name in ("in-41", "out-1", "note-1", "in-x", "x", ""):
        assert await store.views.place_of(LAURA, name) is None, name
    assert await store.views.place_of(PEDRO, "in-5") is None


async def test_texts_of_all_times_are_found_the_newest_first(store: Store) -> None:
    for number, weeks in enumerate((0, 1, 1, 5, 70), 1):
        await accept(store, message(f"m-{number}", "Reserva hotel"), now=100.0 + weeks * WEEK)
    await accept(store, message("m-6", "Reserva hostal"), now=100.0 + 80 * WEEK)
    await in_step(store)
    assert await ids(store, "reserva") == [f"in-{number}" for number in (6, 5, 4, 3, 2, 1)]
    assert await ids(store, "reserva hot") == [f"in-{number}" for number in (5, 4, 3, 2, 1)]
    since = {"since": WEEK, "until": 50 * WEEK}
    assert await ids(store, "hotel", **since) == ["in-4", "in-3", "in-2"]
    page = await find(store, "hotel", limit=2)
    assert [text["id"] for text in page["found"]] == ["in-5", "in-4"]
    rest = await find(store, "hotel", before=page["next"], limit=2)
    assert [text["id"] for text in rest["found"]] == ["in-3", "in-2"]


@pytest.mark.sqlite
async def test_no_merge_writes_all_texts_of_a_word(store: Store) -> None:
    """A merge ends between two terms, so no term has the texts of more than a week."""
    for number in range(40):
        await accept(store, message(f"m-{number}", "Hola"), now=100.0 + number * WEEK)
    await in_step(store)
    assert max(select(store, "search_terms", "doc"))[0] == 1


def terms(store: Store) -> str:
    """All that the index of SQLite has, whatever of it can still be found."""
    return " ".join(row[0] for row in select(store, "search_terms", "term"))


async def forget_laura(data_dir: Path) -> None:
    """Laura and Pedro say something; Laura is forgotten."""
    async with store_in(data_dir) as store:
        for number in range(300):
            key = LAURA if number % 3 else PEDRO
            word = "Zurriago" if number % 3 else "Zapallo"
            await accept(store, message(f"m-{number}", f"{word} x{number}", key=key))
            if number % 10 == 0:
                await in_step(store)
        await answered_turn(store, "m-last", answer="Zarzuela")
        await in_step(store)
        assert await ids(store, "zarzuela") == ["out-1"]
    with cli_connection(data_dir, read_only=False) as connection:
        forget(connection, names_of(connection, LAURA.chat), data_dir, by=OPERATOR, now=200)


async def test_a_forgotten_person_is_not_found(tmp_path: Path) -> None:
    await forget_laura(tmp_path)
    async with store_in(tmp_path) as store:
        for _ in range(2):
            for word in ("zurriago", "zarzuela"):
                assert await ids(store, word) == [], word
            await in_step(store)
        assert len(await ids(store, "zapallo", limit=200)) == 100
        assert count(store, "search_texts", where={"terms LIKE": "%zurriago%"}) == 0


@pytest.mark.sqlite
async def test_no_word_of_a_forgotten_person_is_left_in_the_index(tmp_path: Path) -> None:
    """FTS5 only marks what is deleted, so its older parts are merged."""
    await forget_laura(tmp_path)
    terms = {row[0][TIME:] for row in select(tmp_path, "search_terms", "term")}
    assert "zapallo" in terms
    assert terms.isdisjoint({"zurriago", "zarzuela", "x1"})
    assert b"urriago" not in (tmp_path / "recado.db").read_bytes()


async def test_an_old_chat_leaves_it_in_the_same_transaction(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await answered_turn(store, "m-1", answer="Zarzuela")
        await in_step(store)
        assert await ids(store, "zarzuela") == ["out-1"]
    with cli_connection(tmp_path, read_only=False) as connection:
        with connection.transaction():
            name = ask_chat(connection, LAURA, before=5000, now=6000)
        carry_out(connection, name, tmp_path, now=6000)
    assert count(tmp_path, "search_texts") == 0
