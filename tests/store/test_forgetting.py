"""Forgetting in slices: whole at every cut, small in every write, and nobody else's rows."""

from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from support.forgetting import carry_out, forget
from support.ledgers import (
    CHANNEL,
    LAURA,
    OPERATOR,
    PEDRO,
    accept,
    answered_turn,
    message,
    open_turn,
    thread_of,
)
from support.operator import files_with
from support.place import cli_connection, database, store_in
from support.rows import count, insert, select

from daemon.domain.limits import Charge, Use
from daemon.domain.messages import ChatKey, ModelResponse
from daemon.domain.records import ChatUpdate, NewPart
from daemon.ledger.admin.person import names_of
from daemon.ledger.drivers.port import CliConnection
from daemon.ledger.forget.forget import close, erase_traces, look, moved, write
from daemon.ledger.forget.jobs import ask, ask_chat, done_as, next_work, old_chats
from daemon.ledger.forget.stages import ENQUIRIES, OVER, STAGES, is_held
from daemon.ledger.ledger import Store

GROUP = ChatKey(CHANNEL, "120363000000000001@g.us")
NUMBER = LAURA.chat.partition("@")[0]
WORDS = ("Zurriago", "Zarzuela", "Zapallo", NUMBER)
MANY = 100
"""Messages and enquiries, of which one batch takes less."""


async def fill(store: Store) -> None:
    """Laura in her chat and in a group, Pedro beside her and about her."""
    for number in range(MANY):
        await accept(store, message(f"laura-{number}", "Zurriago"), verdicts=["not now"])
    enquiry = {"channel": CHANNEL, "chat": LAURA.chat, "day": "2026-03-01", "began_at": 1}
    insert(store, "enquiries", *[{**enquiry, "last_at": 2, "first_seq": 1, "last_seq": 1}] * MANY)
    await accept(store, message("laura-q", "Zurriago a las cinco, por favor"))
    turn = await open_turn(store)
    run = await store.runs.begin(turn, now=101)
    wanted = Charge("2026-03-01", Use(100, 10))
    await store.runs.round_started(run, 0, wanted=wanted, now=101)
    answer = ModelResponse(id="resp-1", items=({"role": "assistant", "content": "Zarzuela"},))
    await store.runs.round_completed(run, 0, answer, charge=wanted, now=102)
    await store.facts.remember(turn, "Le gusta el Zapallo", now=102)
    said = [{"role": "user", "content": "Zurriago"}, {"role": "assistant", "content": "Zarzuela"}]
    await store.turns.conclude(turn, items=said, parts=[NewPart("Zarzuela")], now=102)
    (row,) = await store.outbox.open_rows(LAURA)
    await store.outbox.sent(row, "sent-laura", now=103, finishes=turn)
    spoken = message("laura-g", "Zapallo", key=GROUP, author=NUMBER)
    overheard = message("pedro-g", "Ya veo", key=GROUP, author="573007654321")
    await accept(store, spoken, overheard, verdicts=["not addressed to us"] * 2)
    await accept(store, message("pedro-1", f"El número es {NUMBER}", key=PEDRO))
    items = [{"role": "user", "content": f"El número es {NUMBER}"}]
    pedro = await open_turn(store, PEDRO)
    await store.turns.close(pedro, "answered", items=items, now=104)


def slices(connection: CliConnection, data_dir: Path, name: str) -> int:
    """Do it with a crash after each write: all that is known then is read again. Gives how many."""
    count = 0
    while (work := next_work(connection, data_dir, name=name)) and work.stage != OVER:
        while not (batch := look(connection, work)).rows and work.stage != OVER:
            work = moved(work, batch)
        if work.stage == OVER:
            break
        with connection.transaction():
            write(connection, work, batch, now=200)
        count += 1
    return count


async def test_a_crash_after_any_slice_leaves_nothing_behind_in_the_end(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store)
    with cli_connection(tmp_path) as connection:
        name = ask(connection, [LAURA.chat], by=OPERATOR, now=199)
        assert slices(connection, tmp_path, name) > len(STAGES)
        assert done_as(connection, name) is None
        carry_out(connection, name, tmp_path, now=201)
        done = done_as(connection, name)
        assert done is not None
        assert (done.messages, done.turns, done.sends, done.chats) == (MANY + 2, 1, 1, 1)
        assert count(tmp_path, "forgetting_ids") == 0
        assert database().orphaned_rows(tmp_path) == 0
    assert files_with(tmp_path, *WORDS, "laura-", "sent-laura") == []
    async with store_in(tmp_path) as store:
        rows = select(store, "messages", "id", where={"id LIKE": "pedro-%"}, order="seq")
        assert rows == [("pedro-g",), ("pedro-1",)]
        (item,) = await thread_of(store, PEDRO)
        assert item["content"] == f"El número es {name}"
        assert await thread_of(store) == []
        total = select(store, "usage_days", "tokens", where={"chat": ""})
        assert total == [(100,)]
        assert count(store, "enquiries", where={"chat": "", "settled": 1}) == MANY


async def test_no_enquiry_begins_of_messages_that_are_still_to_be_erased(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store)
    with cli_connection(tmp_path) as connection:
        ask(connection, [LAURA.chat], by=OPERATOR, now=199)
        work = next_work(connection, tmp_path)
        assert work is not None
        with connection.transaction():
            write(connection, work, look(connection, work), now=200)
    async with store_in(tmp_path) as store:
        while (await store.enquiries.take_in(CHANNEL, ZoneInfo("UTC"))).messages:
            pass
        assert select(store, "enquiries", "chat", where={"first_seq >": 1}) == [(PEDRO.chat,)]
        rows = select(store, "enquiries", "chat", where={"last_seq": 1}, order="id")
        # A new contact could go on with the last ones.
        assert rows == [(LAURA.chat,)] * (MANY - ENQUIRIES)


async def test_the_thread_is_empty_before_the_chat_is_released(
    tmp_path: Path,
) -> None:
    async with store_in(tmp_path) as store:
        await fill(store)
        await accept(store, message("laura-open", "Zurriago"))
        turn = await open_turn(store)
    with cli_connection(tmp_path) as connection:
        ask(connection, [LAURA.chat], by=OPERATOR, now=199)
        work = next_work(connection, tmp_path)
        assert work is not None
        while is_held(work):
            batch = look(connection, work)
            work = write(connection, work, batch, now=200) if batch.rows else moved(work, batch)
    async with store_in(tmp_path) as store:
        assert await thread_of(store) == []
        assert await store.facts.of(LAURA) == ()
        assert (await store.turns.end(turn)).outcome == "ignored"
        assert await store.turns.all_active() == ()
        assert await store.outbox.chats_with_work() == ()
        assert "Zap" not in str(select(store, "messages", "message"))


async def test_rows_written_during_forgetting_belong_to_a_new_contact(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store)
        with cli_connection(tmp_path) as connection:
            name = ask(connection, [LAURA.chat], by=OPERATOR, now=199)
            work = next_work(connection, tmp_path)
            assert work is not None
            write(connection, work, look(connection, work), now=200)
            await accept(store, message("new-1", "Hola de nuevo"), now=201)
            carry_out(connection, name, tmp_path, now=202)
        assert select(store, "messages", "id, state", where={"id": "new-1"}) == [
            ("new-1", "received")
        ]
        turn = await open_turn(store)
        assert [stored.message.id for stored in turn.messages] == ["new-1"]
        assert await thread_of(store) == []


async def test_an_old_chat_goes_and_the_totals_stay(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await fill(store)
        await answered_turn(store, "pedro-2")
        total = select(store, "usage_days", "tokens, micros", where={"chat": ""})
        find = partial(old_chats, before=150, most=10)
        assert set(await store.database.read(find)) == {LAURA, PEDRO, GROUP}
        pedro = select(store, "messages", where={"chat": PEDRO.chat})
        name = await store.database.write(partial(ask_chat, key=LAURA, before=150, now=500))
        work = await store.database.read(partial(next_work, data_dir=tmp_path, name=name))
        assert work is not None
        while work.stage != OVER:
            batch = await store.database.read(partial(look, work=work))
            work = (
                await store.database.write(partial(write, work=work, batch=batch, now=500))
                if batch.rows
                else moved(work, batch)
            )
        await store.database.write(partial(erase_traces, work=work))
        await store.database.write(partial(close, work=work, now=500))
        for table in ("chats", "turns", "messages", "outbox", "thread_items", "facts"):
            assert count(store, table, where={"chat": LAURA.chat}) == 0
        assert count(store, "responses") == 0
        assert count(store, "usage") == 0
        assert select(store, "usage_days", "chat") == [("",)]
        assert select(store, "usage_days", "tokens, micros") == total
        assert select(store, "messages", where={"chat": PEDRO.chat}) == pedro
        assert count(store, "forgettings") == 0
        assert database().orphaned_rows(store) == 0


async def test_a_chat_with_something_open_is_not_too_old(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await accept(store, message("m-1"))
        find = partial(old_chats, before=10_000, most=10)
        assert await store.database.read(find) == ()
        turn = await open_turn(store)
        assert await store.database.read(find) == ()
        await store.turns.close(turn, "dead", parts=[NewPart("Disculpa")], now=101)
        assert await store.database.read(find) == ()
        (row,) = await store.outbox.open_rows(LAURA)
        await store.outbox.sent(row, "s-1", now=102)
        assert await store.database.read(find) == (LAURA,)
        await accept(store, message("m-2"), verdicts=["not now"], now=20_000)
        assert (
            await store.database.write(partial(ask_chat, key=LAURA, before=10_000, now=20_001))
            == ""
        )


async def test_an_opt_out_holds_under_the_persons_other_id(tmp_path: Path) -> None:
    lid = ChatKey(CHANNEL, "99887766554433@lid")
    async with store_in(tmp_path) as store:
        await accept(store, message("m-1", key=lid))
        assert await store.identities.join(lid, LAURA.chat, now=300)
        turn = await open_turn(store)
        await store.turns.conclude(
            turn, items=[], parts=[], chat_update=ChatUpdate(choice="out"), now=102
        )
        await store.turns.finish(turn, now=103)
        with cli_connection(tmp_path) as connection:
            names = names_of(connection, LAURA.chat)
            forget(connection, names, tmp_path, by=OPERATOR, now=199)
        assert select(store, "chats", "chat", where={"opted_out_at": 0}) == []
        await accept(store, message("m-2", key=lid, sent_at=300), now=300)
        turn = await open_turn(store, lid)
        assert not await store.turns.apologise(turn, NewPart("Disculpa"), now=301)
        assert (
            await store.identities.join(lid, LAURA.chat, now=300) is False
        )  # it is being answered
        await store.turns.close(turn, "answered", now=302)
        assert await store.identities.join(lid, LAURA.chat, now=300)
        ((opted_out_at,),) = select(store, "chats", "opted_out_at", where={"chat": LAURA.chat})
        assert opted_out_at == 102
