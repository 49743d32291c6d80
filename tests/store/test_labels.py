"""Labels in the ledger: those of chats, and the desk's own list."""

from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message
from support.rows import change, select

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.labels import LabelChanges, label_fault
from daemon.domain.messages import ChatKey
from daemon.ledger.ledger import Store

ALIAS = ChatKey(LAURA.number, "998877@lid")


async def labelled(store: Store, key: ChatKey = LAURA) -> list[str]:
    chat = await store.views.chat(key, {}, now=200)
    assert chat is not None
    return list(chat["labels"])


async def put(
    store: Store, *add: str, remove: tuple[str, ...] = (), key: ChatKey = LAURA
) -> LabelChanges:
    return await store.chat_labels.change(key, add=add, remove=remove, now=110)


async def make(store: Store, *names: str) -> list[int]:
    for name in names:
        assert await store.desk_labels.add(name, "gold", by=OPERATOR, now=100) == ""
    known = {label.name: int(label.id) for label in await store.desk_labels.all()}
    return [known[name] for name in names]


async def listed(store: Store, label: str) -> list[str]:
    page = await store.views.chats(ChatQuery(label=label), {}, now=200)
    return [chat["chat"] for chat in page["chats"]]


async def test_labels_are_put_on_a_chat_by_any_spelling_and_taken_off(store: Store) -> None:
    await make(store, "Grupo grande", "VIP", "100 %_\\")
    await accept(store, message("m-1"), message("p-1", key=PEDRO))
    assert (await put(store, " grupo  GRANDE ", "vip")).fault == ""
    assert await labelled(store) == ["Grupo grande", "VIP"]
    await put(store, "VIP", "100 %_\\")
    assert await labelled(store) == ["Grupo grande", "VIP", "100 %_\\"]
    assert await listed(store, "100 %_\\") == [LAURA.chat]
    assert await listed(store, "Grupo") == []
    await put(store, remove=("VIP", "Grupo grande", "100 %_\\"))
    assert await labelled(store) == []
    assert await labelled(store, PEDRO) == []


async def test_an_unknown_label_changes_nothing_and_the_others_are_named(store: Store) -> None:
    await make(store, "VIP", "Factura")
    await accept(store, message("m-1"))
    done = await put(store, "VIP", "Grupo")
    assert done.fault == "there is no label Grupo; the labels are: Factura, VIP"
    assert await labelled(store) == []


async def test_a_label_from_another_time_can_be_taken_off(store: Store) -> None:
    await accept(store, message("m-1"))
    change(store, "chats", {"labels": "\nCotizado\n"}, where={"chat": LAURA.chat})
    assert (await put(store, remove=("cotizado",))).fault == ""
    assert await labelled(store) == []


async def test_a_label_is_renamed_and_deleted_on_the_chats_of_its_numbers(store: Store) -> None:
    (vip, _) = await make(store, "VIP", "Factura")
    other = ChatKey("other", LAURA.chat)
    for key, number in ((LAURA, "m"), (PEDRO, "p"), (other, "o")):
        await accept(store, message(f"{number}-1", key=key))
    await put(store, "VIP", "Factura")
    await put(store, "VIP", key=PEDRO)
    await put(store, "VIP", key=other)
    ours = (LAURA.number,)
    records = store.desk_labels
    fault = await records.edit(vip, "Oro", "gold", channels=ours, by=OPERATOR, now=120)
    assert fault == ""
    assert await labelled(store) == ["Oro", "Factura"]
    assert await labelled(store, PEDRO) == ["Oro"]
    assert await labelled(store, other) == ["VIP"]
    taken = await records.edit(vip, "factura", "gold", channels=ours, by=OPERATOR, now=121)
    assert taken == "There is a label of this name."
    await records.drop(vip, channels=ours, by=OPERATOR, now=130)
    assert await labelled(store) == ["Factura"]
    assert select(store, "chats", "labels", where={"chat": PEDRO.chat}) == [("",)]
    assert [label.name for label in await records.all()] == ["Factura"]


async def test_a_label_of_the_same_name_is_not_added_twice(store: Store) -> None:
    await make(store, "VIP")
    assert await store.desk_labels.add("vip", "gold", by=OPERATOR, now=101)
    assert len(await store.desk_labels.all()) == 1
    assert label_fault("VIP", "gold") == ""
    assert label_fault("", "gold")
    assert label_fault("a\x00b", "gold")
    assert label_fault("VIP", "url(x)")


async def test_whose_a_chat_is_and_its_labels_follow_a_person_to_another_id(store: Store) -> None:
    """Also that nobody has looked yet."""
    await make(store, "VIP", "Factura")
    await accept(store, message("a-1", key=ALIAS), message("m-1"))
    where = {"chat": ALIAS.chat}
    change(store, "chats", {"assigned_to": 7, "unread_at": 104.0}, where=where)
    await put(store, "VIP", key=ALIAS)
    await put(store, "Factura")
    assert await store.identities.join(ALIAS, LAURA.chat, now=140)
    assert await labelled(store) == ["Factura", "VIP"]
    assert select(store, "chats", "chat, assigned_to, unread_at") == [(LAURA.chat, 7, 104.0)]
