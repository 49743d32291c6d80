"""What a chat's model remembers: heads of threads, what it was told, what was there before."""

from pathlib import Path

from support.forgetting import forget
from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message, open_turn, thread_of
from support.place import cli_connection
from support.rows import count, delete

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.prompt.context_line import Subject, as_text
from daemon.domain.prompt.history_budget import shown
from daemon.domain.records import ChatRecord, ChatUpdate, ThreadHead, ThreadItem
from daemon.ledger.ledger import Store

ALIAS = ChatKey(LAURA.number, "123456789012345@lid")
SUMMARY: JsonObject = {"role": "developer", "content": "[Summary] Two rooms are wanted."}


def _said(words: str, role: str = "user") -> JsonObject:
    return {"role": role, "content": words}


async def _turn(
    store: Store, *items: JsonObject, update: ChatUpdate | None = None, now: float = 102
) -> None:
    """One answered turn with these items."""
    await accept(store, message(f"m-{count(store, 'messages')}"))
    turn = await open_turn(store)
    await store.turns.conclude(turn, items=items, parts=[], chat_update=update, now=now)
    await store.turns.finish(turn, now=now)


async def _recalled(store: Store) -> list[JsonObject]:
    return [entry.item for entry in (await store.memories.recall(LAURA, tokens=10_000)).items]


async def _last(store: Store, place: int = -1) -> ThreadItem:
    return (await store.memories.recall(LAURA, tokens=10_000)).items[place]


async def test_an_unknown_chat_is_an_empty_memory(store: Store) -> None:
    memory = await store.memories.recall(LAURA, tokens=100)
    assert (memory.chat, memory.head, memory.items) == (ChatRecord(), ThreadHead(None), ())


async def test_a_thread_is_sent_from_its_head_on_and_kept_whole(store: Store) -> None:
    items = [_said("uno"), _said("dos"), _said("tres")]
    for item in items:
        await _turn(store, item)
    assert await store.memories.shorten(LAURA, await _last(store, 1), SUMMARY, now=103)
    memory = await store.memories.recall(LAURA, tokens=10_000)
    assert memory.head.item == SUMMARY
    assert memory.head.tokens > 0
    assert await _recalled(store) == [_said("tres")]
    assert await thread_of(store) == items


async def test_a_later_summary_takes_the_place_of_the_earlier(store: Store) -> None:
    for words in ("uno", "dos", "tres"):
        await _turn(store, _said(words))
    first, second = await _last(store, 0), await _last(store, 1)
    later = _said("later", "developer")
    assert await store.memories.shorten(LAURA, first, SUMMARY, now=103)
    assert await store.memories.shorten(LAURA, second, later, now=104)
    assert (await store.memories.recall(LAURA, tokens=10_000)).head.item == later
    # A slower one that covers less comes too late.
    assert not await store.memories.shorten(LAURA, first, SUMMARY, now=105)
    assert (await store.memories.recall(LAURA, tokens=10_000)).head.item == later


async def test_dropping_more_leaves_the_head_as_it_is(store: Store) -> None:
    for words in ("uno", "dos", "tres"):
        await _turn(store, _said(words))
    first, second = await _last(store, 0), await _last(store, 1)
    assert await store.memories.shorten(LAURA, first, SUMMARY, now=103)
    assert await store.memories.shorten(LAURA, second, None, now=104)
    assert (await store.memories.recall(LAURA, tokens=10_000)).head.item == SUMMARY
    assert await _recalled(store) == [_said("tres")]


async def test_a_summary_of_deleted_items_is_not_kept(store: Store) -> None:
    """The person was forgotten while the model summed up, and writes again."""
    await _turn(store, _said("uno"))
    last = await _last(store)
    delete(store, "thread_items")
    await _turn(store, _said("dos"), now=200)
    assert not await store.memories.shorten(LAURA, last, SUMMARY, now=201)
    assert not await store.memories.shorten(PEDRO, last, SUMMARY, now=201)


async def test_joining_two_ids_shows_all_of_the_thread_again(store: Store) -> None:
    await _turn(store, _said("uno"))
    await _turn(store, _said("dos"))
    await store.memories.shorten(LAURA, await _last(store, 0), SUMMARY, now=103)
    assert await store.identities.join(ALIAS, LAURA.chat, now=300)
    memory = await store.memories.recall(LAURA, tokens=10_000)
    assert memory.head == ThreadHead(None)
    assert len(memory.items) == 2


async def test_the_servers_own_compaction_becomes_the_head(store: Store) -> None:
    sealed: JsonObject = {"type": "compaction", "encrypted_content": "sealed"}
    await _turn(store, _said("uno"))
    await _turn(store, _said("dos"), sealed, _said("sí", "assistant"))
    memory = await store.memories.recall(LAURA, tokens=10_000)
    assert memory.head.item == sealed
    assert await _recalled(store) == [_said("sí", "assistant")]
    assert await thread_of(store) == [_said("uno"), _said("dos"), _said("sí", "assistant")]


async def test_the_chat_update_is_stored_with_the_turn(store: Store) -> None:
    text = as_text(Subject(contact_name="Laura"))
    await _turn(
        store, _said("uno"), update=ChatUpdate(context_text=text, token_ratio=1.25), now=150
    )
    chat = await store.threads.chat(LAURA)
    assert (chat.context_at, chat.context_text, chat.token_ratio) == (150, text, 1.25)
    assert (await _last(store)).created_at == 150
    await _turn(store, _said("dos"), update=ChatUpdate(), now=160)
    assert await store.threads.chat(LAURA) == chat


async def test_a_thread_gets_the_earlier_messages_only_once(store: Store) -> None:
    await accept(store, message("m-0"))
    assert await store.memories.is_blank(LAURA)
    assert await store.memories.begin_with(LAURA, [_said("antes")], now=102)
    assert not await store.memories.is_blank(LAURA)
    assert not await store.memories.begin_with(LAURA, [_said("antes")], now=103)
    assert await thread_of(store) == [_said("antes")]


async def test_a_chat_without_a_past_is_not_asked_for_it_again(store: Store) -> None:
    await accept(store, message("m-0"))
    assert await store.memories.begin_with(LAURA, [], now=102)
    assert not await store.memories.is_blank(LAURA)


async def test_a_thread_that_has_begun_gets_no_past(store: Store) -> None:
    await _turn(store, _said("uno"))
    assert not await store.memories.begin_with(LAURA, [_said("antes")], now=103)
    assert await thread_of(store) == [_said("uno")]


async def test_no_more_is_read_than_the_budget_needs(store: Store) -> None:
    for number in range(20):
        await _turn(store, _said(f"number {number}"))
    size = (await _last(store)).tokens
    memory = await store.memories.recall(LAURA, tokens=3 * size)
    assert len(memory.items) <= 4
    assert len(shown(memory, budget=3 * size)) == 3


async def test_imported_history_is_not_kept_of_a_person_being_forgotten(
    store: Store, tmp_path: Path
) -> None:
    """Whapi was being asked for it: the thread of nobody begins with it."""
    await accept(store, message("m-1"))
    with cli_connection(tmp_path) as connection:
        forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=103)
    assert not await store.memories.begin_with(LAURA, [_said("antes")], now=104)
    assert await thread_of(store) == []
