"""The desk in the ledger: unread chats, whose they are, notes and prepared answers."""

from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message, open_turn
from support.rows import change, rows, select

from daemon.domain.audit_chain import Actor
from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.roles import AccessRole
from daemon.ledger.ledger import Store

MARIA = Actor(name="account María")


async def maria(store: Store) -> int:
    account = await store.accounts.add("María", AccessRole.AGENT, "hash", by=OPERATOR, now=1)
    assert account is not None
    return account.id


async def unread(store: Store) -> list[str]:
    return [chat["chat"] for chat in await store.desk.unread()]


async def escalate(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store, LAURA)
    assert await store.escalations.open(
        turn,
        reason="Quiere una factura",
        summary="Con NIT.",
        urgency="high",
        pause_seconds=600,
        notice=None,
        now=102,
    )
    await store.turns.close(turn, "answered", now=103)
    await store.turns.end(turn)


async def test_a_chat_is_unread_from_an_escalation_until_somebody_looks(store: Store) -> None:
    await escalate(store)
    assert await unread(store) == [LAURA.chat]
    await store.desk.seen(LAURA)
    assert await unread(store) == []


async def test_whoever_writes_or_takes_over_has_looked_and_has_the_chat(store: Store) -> None:
    number = await maria(store)
    await escalate(store)
    await store.operator_actions.pause(LAURA.chat, 9000, by=MARIA, now=110)
    assert await unread(store) == []
    assert select(store, "chats", "assigned_to", where={"chat": LAURA.chat}) == [(number,)]
    await store.operator_actions.done(LAURA.chat, by=MARIA, now=120)
    assert select(store, "chats", "assigned_to", where={"chat": LAURA.chat}) == [(None,)]


async def test_a_chat_that_is_handed_over_is_unread_for_the_colleague(store: Store) -> None:
    number = await maria(store)
    await accept(store, message("m-1"), message("p-1", key=PEDRO))
    assert await store.desk.assign(LAURA, number, by=OPERATOR, now=110)
    assert await unread(store) == [LAURA.chat]
    await store.desk.seen(LAURA)
    assert await store.desk.assign(PEDRO, number, by=MARIA, now=111)  # she takes it herself
    assert await unread(store) == []
    page = await store.views.chats(ChatQuery(mine=number, account=number), {}, now=120)
    assert {chat["chat"] for chat in page["chats"]} == {LAURA.chat, PEDRO.chat}
    assert page["mine"] == 2
    assert not await store.desk.assign(LAURA, 999, by=OPERATOR, now=112)
    assert await store.desk.assign(LAURA, None, by=OPERATOR, now=113)


async def test_the_queue_has_the_models_reason_and_what_is_urgent_first(store: Store) -> None:
    await escalate(store)
    page = await store.views.chats(ChatQuery(state="with_agent"), {}, now=120)
    (chat,) = page["chats"]
    assert chat["waiting"]["words"] == "Quiere una factura"
    assert chat["waiting"]["summary"] == "Con NIT."
    assert chat["waiting"]["urgency"] == "high"
    assert chat["unread"]
    assert page["states"]["with_agent"] == page["unread"] == 1
    idle = await store.views.chats(ChatQuery(state="idle"), {}, now=120)
    assert idle["chats"] == []


async def test_a_note_is_made_once_and_the_model_reads_marked_ones(store: Store) -> None:
    await accept(store, message("m-1"))
    for _ in range(2):
        await store.desk.add_note(
            LAURA, "Alérgica", author="María", for_model=True, action="a-1", by=MARIA, now=110
        )
    await store.desk.add_note(
        LAURA, "Cuidado", author="María", for_model=False, action="a-2", by=MARIA, now=111
    )
    assert [note["text"] for note in await store.desk.notes(LAURA)] == ["Alérgica", "Cuidado"]
    memory = await store.memories.recall(LAURA, tokens=1000)
    assert memory.notes == ("María: Alérgica",)
    assert "Alérgica" not in str(rows(store, "audit_details"))
    first, _ = await store.desk.notes(LAURA)
    assert not await store.desk.drop_note(PEDRO, first["id"], by=MARIA, now=112)
    assert await store.desk.drop_note(LAURA, first["id"], by=MARIA, now=112)


async def test_prepared_answers_are_kept_by_name(store: Store) -> None:
    for text in ("Hola", "Buenas"):
        await store.desk.keep_answer("Saludo", text, by=OPERATOR, now=1)
    (answer,) = await store.desk.answers()
    assert answer["text"] == "Buenas"
    await store.desk.drop_answer(answer["id"], by=OPERATOR, now=2)
    assert await store.desk.answers() == []


async def test_chats_are_found_by_the_time_of_their_messages(store: Store) -> None:
    for number in range(1, 9):
        key = LAURA if number % 2 else PEDRO
        await accept(store, message(f"m-{number}", f"palabra {number}", key=key))
        change(store, "messages", {"received_at": number * 100.0}, where={"id": f"m-{number}"})
    while await store.search.step():
        pass

    async def found(query: str = "", since: float = 0, until: float = 0) -> list[str]:
        wanted = ChatQuery(query=query, since=since, until=until)
        page = await store.views.chats(wanted, {}, now=9000)
        return sorted(chat["chat"] for chat in page["chats"])

    assert await found() == sorted([LAURA.chat, PEDRO.chat])
    assert await found(since=300, until=400) == [LAURA.chat]
    assert await found(since=350, until=450) == [PEDRO.chat]
    assert await found("palabra 3", since=300) == [LAURA.chat]
    assert await found("palabra 3", since=301) == []
    assert await found("palabra 3", until=301) == [LAURA.chat]
    assert await found(since=801) == []
