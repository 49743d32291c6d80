"""A turn asks for a person once; the same write puts the words for the agents into the outbox."""

from support.ledgers import LAURA, PEDRO, accept, message, open_turn
from support.rows import change, select

from daemon.domain.records import Turn
from daemon.ledger.ledger import Store


async def ask(store: Store, turn: Turn, *, now: float, again: bool = True) -> bool:
    return await store.escalations.open(
        turn,
        reason="Pide una persona",
        summary="Quiere facturar",
        urgency="high",
        pause_seconds=60,
        notice=(PEDRO.chat, "Laura quiere facturar"),
        now=now,
        again=again,
    )


async def test_a_turn_asks_once(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    assert await ask(store, turn, now=102)
    assert not await ask(store, turn, now=103)
    assert select(store, "escalations", "turn_id, reason, summary, urgency, pause_seconds") == [
        (turn.id, "Pide una persona", "Quiere facturar", "high", 60.0)
    ]
    (row,) = await store.outbox.open_rows(PEDRO)
    assert (row.body, row.created_at) == ("Laura quiere facturar", 102)
    assert select(store, "outbox", "turn_id") == [(None,)]


async def test_it_asks_again_where_nobody_has_come_only_if_that_is_wanted(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    change(store, "chats", {"escalated_at": 90}, where={"chat": LAURA.chat})
    assert not await ask(store, turn, now=102, again=False)
    assert select(store, "escalations", "turn_id") == []
    assert await ask(store, turn, now=103)
    assert select(store, "escalations", "turn_id, created_at") == [(turn.id, 103.0)]
