"""A person is forgotten while their number moves from one node to the other."""

import signal
from pathlib import Path

import pytest
import trio
from support.rows import insert, select
from support.shared_numbers import NUMBERS, SharedNumbers, open_shared_numbers

PEOPLE = ("573001234567", "573001234568", "573001234569", "573001234560")
STRANGER = "573009999999"
SECRET = "mi clave es caracola"
MANY = 400
"""Messages that were kept of each person: enough for the erasure to take a while."""

POINTS = [
    (signal.SIGTERM, "asked"),
    (signal.SIGKILL, "asked"),
    (signal.SIGTERM, "erasing"),
    (signal.SIGKILL, "erasing"),
]


async def test_nothing_of_a_person_is_left_or_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    async with open_shared_numbers(tmp_path) as shared:
        await shared.start("a", "b")
        await shared.until(lambda: shared.are_even("a", "b"))
        for person, (ending, point) in zip(PEOPLE, POINTS, strict=True):
            await forgotten_while_moving(shared, person, ending, point)
        for node in shared.nodes.values():
            if node.lives.pid:
                await node.lives.stop()


async def forgotten_while_moving(
    shared: SharedNumbers, person: str, ending: int, point: str
) -> None:
    """End the node that has the number when the erasure has come to a point."""
    folder, number = shared.folder, NUMBERS[0]
    owner = shared.owner(number)
    other = "b" if owner == "a" else "a"
    shared.call(other)  # so that the owner gets what the person writes from a row
    known = await refs(shared, other, number)
    await shared.converse(number, person, SECRET)
    (ref,) = await refs(shared, other, number) - known
    plant(folder, number, person)
    before = len(select(folder, "forgettings", "id"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_until_noted, shared, other, ref, person)
        await shared.until(lambda: has_come(folder, point, before))
        shared.nodes[owner].lives.signal(ending)
        await shared.nodes[owner].lives.ended()
    await shared.until(lambda: shared.owner(number) == other)
    await shared.until(lambda: is_over(folder))
    assert left_of(folder, person) == []

    await shared.start(owner)
    await shared.until(lambda: shared.are_even("a", "b"))
    await shared.converse(number, STRANGER, "¿Está abierto?")
    assert left_of(folder, person) == []
    await shared.converse(number, person, "hola, soy nueva")
    assert SECRET not in all_texts(folder)


def plant(folder: Path, number: str, person: str) -> None:
    """Keep more of what a person wrote, as of long ago."""
    chat = f"{person}@s.whatsapp.net"
    ((event, message),) = select(
        folder, "messages", "event_id, message", where={"chat": chat, "from_me": 0}
    )
    insert(
        folder,
        "messages",
        *(
            {
                "channel": number,
                "id": f"old-{person}-{place}",
                "chat": chat,
                "event_id": event,
                "kind": "text",
                "from_me": 0,
                "message": message,
                "sent_at": 1.0,
                "received_at": 1.0,
                "state": "answered",
            }
            for place in range(MANY)
        ),
    )


async def refs(shared: SharedNumbers, node: str, number: str) -> set[str]:
    """The chats of a number, by the names that pages give them."""
    chats = (await shared.get(node, "/dashboard/api/chats")).json()["chats"]
    return {one["ref"] for one in chats if one["ours"] == number}


async def ask_until_noted(shared: SharedNumbers, node: str, ref: str, person: str) -> None:
    """Forget a person as an operator who tries again if the node that has the number has ended."""
    before = len(select(shared.folder, "forgettings", "id"))
    while len(select(shared.folder, "forgettings", "id")) == before:
        answer = await shared.post(node, f"/api/v1/chats/{ref}/forget", confirm=person[-4:])
        assert answer.status_code in {200, 202}, answer.text


def has_come(folder: Path, point: str, before: int) -> bool:
    """Whether an erasure after the first ones has come to a point, or is over."""
    asked = select(folder, "forgettings", "stage, done_at", order="id")[before:]
    return any(point == "asked" or stage != "cut" or done for stage, done in asked)


def is_over(folder: Path) -> bool:
    return not select(folder, "forgettings", "id", where={"done_at": None})


def left_of(folder: Path, person: str) -> list[str]:
    """Where something of a person is: in the tables, or in files of the nodes."""
    texts = all_texts(folder)
    found = [f"the ledger has {word}" for word in (person, SECRET) if word in texts]
    for file in folder.rglob("data/**/*"):
        if file.is_file():
            content = file.read_bytes()
            found += [f"{file} has {word}" for word in (person, SECRET) if word.encode() in content]
    return found


def all_texts(folder: Path) -> str:
    """Everything that the ledger has."""
    tables = select(
        folder, "information_schema.tables", "table_name", where={"table_schema": "public"}
    )
    return "\n".join(str(select(folder, table)) for (table,) in tables)
