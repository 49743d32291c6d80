"""Threads: the stored conversation, and what is known of a chat."""

from support.history import fit
from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message, open_turn, thread_of

from daemon.domain.messages import JsonObject
from daemon.domain.records import ChatRecord
from daemon.ledger.ledger import Store


def _said(role: str, words: str) -> JsonObject:
    return {"role": role, "content": words}


async def _turn_with(store: Store, *items: JsonObject) -> int:
    """A closed turn that put these items into the thread."""
    await accept(store, message(f"m-{items[0]['content']}"))
    turn = await open_turn(store)
    await store.turns.close(turn, "answered", items=items, now=103)
    return turn.id


async def _fitting(store: Store, budget: int) -> list[str]:
    """The words that the model is told within a budget."""
    history = await store.threads.history(LAURA, tokens=budget)
    kept = fit([(i.turn_id, i.item, i.tokens) for i in history], budget=budget)
    return [item["content"] for item in kept]


async def test_a_thread_is_given_oldest_first_with_its_turns(store: Store) -> None:
    first = await _turn_with(store, _said("user", "uno"), _said("assistant", "dos"))
    second = await _turn_with(store, _said("user", "tres"))
    entries = await store.threads.history(LAURA, tokens=1000)
    assert [(entry.turn_id, entry.item["content"]) for entry in entries] == [
        (first, "uno"),
        (first, "dos"),
        (second, "tres"),
    ]
    assert all(entry.tokens > 0 for entry in entries)
    assert await store.threads.history(PEDRO, tokens=1000) == ()


async def test_a_turn_that_fits_only_partly_is_left_out(store: Store) -> None:
    """An answer without its question would be worse than neither."""
    await _turn_with(store, _said("user", "uno"), _said("assistant", "dos"))
    await _turn_with(store, _said("user", "tres"), _said("assistant", "cuatro"))
    sizes = [entry.tokens for entry in await store.threads.history(LAURA, tokens=1000)]
    whole, last = sum(sizes), sum(sizes[2:])
    assert await _fitting(store, whole) == ["uno", "dos", "tres", "cuatro"]
    for budget in range(last, whole):
        assert await _fitting(store, budget) == ["tres", "cuatro"]
    for budget in range(last):
        assert await _fitting(store, budget) == []


async def test_a_long_thread_is_read_only_as_far_as_it_can_fit(store: Store) -> None:
    for number in range(20):
        await _turn_with(store, _said("user", f"number {number}"))
    (last,) = (await store.threads.history(LAURA, tokens=1000))[-1:]
    assert len(await store.threads.history(LAURA, tokens=3 * last.tokens)) <= 4


async def test_an_unknown_chat_is_an_empty_record(store: Store) -> None:
    assert await store.threads.chat(LAURA) == ChatRecord()


async def test_a_pause_can_be_set_and_ended(store: Store) -> None:
    await accept(store, message("m-1"))
    other = LAURA._replace(number="MANTIS-OTHER")
    await accept(store, message("m-1", key=other), message("p-1", key=PEDRO))
    keys, taken = await store.operator_actions.pause(LAURA.chat, 1900, by=OPERATOR, now=1)
    assert set(keys) == set(taken) == {LAURA, other}
    assert (await store.operator_actions.pause(LAURA.chat, 1900, by=OPERATOR, now=2))[1] == ()
    for key, until in ((LAURA, 1900), (other, 1900), (PEDRO, 0)):
        assert (await store.threads.chat(key)).paused_until == until
    await store.operator_actions.pause(LAURA.chat, 0, by=OPERATOR, now=1)
    assert (await store.threads.chat(LAURA)).paused_until == 0


async def test_recent_lines_are_those_of_people(store: Store) -> None:
    await _turn_with(
        store,
        _said("user", "¿Hay cupo?"),
        {"type": "function_call", "call_id": "c-1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c-1", "output": "2"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Sí, dos."}]},
        _said("developer", "a note"),
    )
    lines = await store.threads.recent_lines(LAURA, 10)
    assert lines == ["user: ¿Hay cupo?", "assistant: Sí, dos."]
    assert await store.threads.recent_lines(LAURA, 1) == ["assistant: Sí, dos."]
    assert await store.threads.recent_lines(PEDRO, 10) == []


async def test_chats_are_counted_with_the_active_ones(store: Store) -> None:
    assert await store.threads.counts(active_since=0) == (0, 0)
    await accept(store, message("m-1"), now=100)
    await accept(store, message("p-1", key=PEDRO), now=200)
    assert await store.threads.counts(active_since=150) == (2, 1)


async def test_items_are_returned_unchanged(store: Store) -> None:
    item: JsonObject = {
        "role": "user",
        "content": "¿Señora Muñoz? 👩‍👩‍👧 'quotes' \\ {}",
        "nested": [1, 2.5, None, True],
    }
    await _turn_with(store, item)
    assert await thread_of(store) == [item]
