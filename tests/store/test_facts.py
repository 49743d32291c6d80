"""Facts about a contact: few, each once, and theirs under whichever id they appear."""

from support.ledgers import LAURA, accept, message, open_turn

from daemon.domain.messages import ChatKey
from daemon.domain.records import Fact
from daemon.ledger.ledger import Store
from daemon.ledger.people import MAX_FACTS


async def test_a_fact_is_kept_once_and_there_are_only_so_many(store: Store) -> None:
    await accept(store, message("m-1"))
    turn = await open_turn(store)
    numbers = [await store.facts.remember(turn, f"Fact {n}", now=1) for n in range(MAX_FACTS)]
    assert len(set(numbers)) == MAX_FACTS
    assert await store.facts.remember(turn, "Fact 0", now=2) == numbers[0]
    assert await store.facts.remember(turn, "One more", now=3) == 0
    assert await store.facts.forget(LAURA, numbers[0], now=4)
    assert not await store.facts.forget(LAURA, numbers[0], now=4)
    assert await store.facts.remember(turn, "One more", now=4) > numbers[-1]
    assert len(await store.facts.of(LAURA)) == MAX_FACTS


async def test_facts_belong_to_one_contact(store: Store) -> None:
    await accept(store, message("m-1"))
    number = await store.facts.remember(await open_turn(store), "Es zurda", now=1)
    other = ChatKey(LAURA.number, "573007654321@s.whatsapp.net")
    assert await store.facts.of(other) == ()
    assert not await store.facts.forget(other, number, now=4)
    assert await store.facts.of(LAURA) == (Fact(number, "Es zurda"),)
