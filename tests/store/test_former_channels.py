"""Stores from before numbers had names."""

from functools import partial
from pathlib import Path

from support.forgetting import forget
from support.ledgers import CHANNEL, LAURA, OPERATOR, accept, answered_turn, message, open_turn
from support.place import cli_connection, store_in
from support.rows import change, rows, select

from daemon.domain.messages import ChatKey
from daemon.ledger.former_channels import Renamed, name_channels
from daemon.ledger.ledger import Store

SHOP = ChatKey("shop", LAURA.chat)


async def named(store: Store, only: str = "", **ids: str) -> Renamed:
    """Name the channels; ``ids`` is the channel of each name."""
    by_id = {channel: name for name, channel in ids.items()}
    return await store.database.write(partial(name_channels, ids=by_id, only=only))


async def test_all_rows_of_the_only_number_get_its_name(store: Store, tmp_path: Path) -> None:
    await answered_turn(store, "m-1")
    await accept(store, message("m-2"))
    assert await named(store, only="main") == Renamed(names={CHANNEL: "main"})
    for table in ("chats", "messages", "turns", "outbox", "events"):
        assert set(select(tmp_path, table, "channel")) == {("main",)}, table
    turn = await open_turn(store, ChatKey("main", LAURA.chat))
    assert [one.message.id for one in turn.messages] == ["m-2"]
    assert await named(store, only="main") == Renamed()


async def test_rows_without_an_id_join_the_only_number(store: Store, tmp_path: Path) -> None:
    await accept(store, message("m-1", key=ChatKey("", LAURA.chat)))
    await accept(store, message("m-2"))
    renamed = await named(store, only="main")
    assert renamed == Renamed(names={CHANNEL: "main", "": "main"})
    assert select(tmp_path, "chats", "channel") == [("main",)]
    assert set(select(tmp_path, "messages", "channel, id")) == {("main", "m-1"), ("main", "m-2")}


async def test_of_several_ids_only_the_last_active_one_is_the_only_number(
    store: Store, tmp_path: Path
) -> None:
    await accept(store, message("m-1", key=ChatKey("OLD-1", LAURA.chat)), now=100)
    await accept(store, message("m-2"), now=200)
    assert await named(store, only="main") == Renamed(names={CHANNEL: "main"}, left={"OLD-1": 1})
    assert await named(store, only="main") == Renamed(left={"OLD-1": 1})
    assert set(select(tmp_path, "chats", "channel")) == {("main",), ("OLD-1",)}
    assert await named(store, only="main", main="OLD-1") == Renamed(names={"OLD-1": "main"})
    assert select(tmp_path, "chats", "channel") == [("main",)]


async def test_with_several_numbers_each_gets_the_rows_of_its_id(
    store: Store, tmp_path: Path
) -> None:
    await accept(store, message("m-1"))
    await accept(store, message("m-2", key=ChatKey("OLD-1", LAURA.chat)))
    await accept(store, message("m-3", key=ChatKey("", LAURA.chat)))
    renamed = await named(store, shop=CHANNEL, bar="NEW-1")
    assert renamed == Renamed(names={CHANNEL: "shop"}, left={"OLD-1": 1, "": 1})
    assert set(select(tmp_path, "chats", "channel")) == {("shop",), ("OLD-1",), ("",)}


async def test_the_name_of_another_number_is_never_taken_for_an_id(
    store: Store, tmp_path: Path
) -> None:
    await accept(store, message("m-1", key=SHOP))
    assert await named(store, only="bar") == Renamed()
    assert select(tmp_path, "chats", "channel") == [("shop",)]


async def test_two_unfinished_turns_of_a_chat_wait_for_a_later_start(
    store: Store, tmp_path: Path
) -> None:
    nameless = ChatKey("", LAURA.chat)
    for key, message_id in ((nameless, "m-1"), (LAURA, "m-2")):
        await accept(store, message(message_id, key=key))
        await open_turn(store, key)
    assert (await named(store, only="main")).names == {CHANNEL: "main"}
    change(tmp_path, "turns", {"state": "done"}, where={"channel": "main"})
    assert (await named(store, only="main")).names == {"": "main"}


async def test_an_opt_out_outlives_the_new_name(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await answered_turn(store, "m-1")
        change(tmp_path, "chats", {"opted_out_at": 5.0})
        await accept(store, message("m-2", key=ChatKey(CHANNEL, "573007654321@s.whatsapp.net")))
        with cli_connection(tmp_path) as connection:
            forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=300.0)
        await named(store, only="main")
        await accept(store, message("m-3", key=ChatKey("main", LAURA.chat)), now=400)
        (chat,) = rows(tmp_path, "chats", where={"chat": LAURA.chat})
        assert (chat["channel"], chat["opted_out_at"]) == ("main", 5.0)
