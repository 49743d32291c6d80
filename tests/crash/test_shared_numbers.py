"""Three real daemons that share three numbers on one PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.rows import states
from support.shared_numbers import NUMBERS, SharedNumbers, open_shared_numbers

LAURA, PEDRO = "573001234567", "573007654321"


@pytest.fixture
async def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SharedNumbers]:
    monkeypatch.setenv("TEST_STORE", "postgres")
    async with open_shared_numbers(tmp_path) as shared:
        await shared.start("a", "b", "c")
        await shared.until(lambda: shared.are_even("a", "b", "c"))
        yield shared
        for node in shared.nodes.values():
            if node.lives.pid:
                await node.lives.stop()


async def test_numbers_are_spread_and_go_on_elsewhere_when_their_node_ends(
    shared: SharedNumbers,
) -> None:
    shared.call("a")
    for number in NUMBERS:  # two of them are stored for other nodes
        await shared.converse(number, LAURA, f"hola {number}")

    before = shared.owners()
    lost = next(number for number in NUMBERS if before[number][0] == "b")
    others = [number for number in NUMBERS if number != lost]
    shared.nodes["b"].lives.kill()
    await shared.write(lost, LAURA, "sigo aquí")
    await shared.until(lambda: shared.owner(lost) in {"a", "c"})
    await shared.until(lambda: len(shared.heard(lost, LAURA)) == 2)
    await shared.nodes["b"].lives.death()
    for number in others:
        await shared.converse(number, PEDRO, "¿y yo?")
        assert shared.owners()[number] == before[number]  # undisturbed

    await shared.start("b")
    await shared.until(lambda: shared.are_even("a", "b", "c"))
    for number in NUMBERS:
        await shared.converse(number, PEDRO, "otra vez")

    given = next(number for number in NUMBERS if shared.owner(number) == "c")
    await shared.nodes["c"].lives.stop()
    await shared.until(lambda: shared.are_even("a", "b"))
    await shared.converse(given, LAURA, "¿seguimos?")
    await shared.until(lambda: states(shared.folder) == {"answered"})  # noted after it was heard
    await shared.until(lambda: shared.select("waiting_calls", "id") == [])


async def test_operators_act_on_nodes_that_do_not_own_the_number(
    shared: SharedNumbers,
) -> None:
    shared.call("a")
    number = next(number for number in NUMBERS if shared.owner(number) == "b")
    await shared.converse(number, LAURA, "hola")
    answer = await shared.post("c", "/takeover/pause", chat=LAURA, number=number, minutes=30)
    assert (answer.status_code, answer.json()) == (200, {"chats": 1})
    await shared.write(number, LAURA, "¿hay alguien?")
    await shared.until(
        lambda: len(shared.select("messages", "id", where={"state": "with_agent"})) == 1
    )
    answer = await shared.post("a", "/takeover/resume", chat=LAURA, number=number)
    assert (answer.status_code, answer.json()) == (200, {"chats": 1})
    await shared.until(lambda: len(shared.heard(number, LAURA)) == 2)
    audit = shared.select("audit", "action", where={"action": ("pause", "resume")}, order="id")
    assert audit == [("pause",), ("resume",)]
    assert {row[0] for row in shared.select("commands", "arguments")} == {""}

    for other in NUMBERS:
        await shared.converse(other, LAURA, "me llamo Laura")
    chats = (await shared.get("c", "/dashboard/api/chats")).json()["chats"]
    ref = next(chat["ref"] for chat in chats if chat["ours"] == number)
    path = f"/api/v1/chats/{ref}/forget"
    answer = await shared.post("c", path, confirm=LAURA[-4:])
    assert (answer.status_code, "erased" in answer.json()) == (200, True), answer.text
    assert not [row for row in shared.select("messages", "chat, message") if LAURA in str(row)]
    for other in NUMBERS:  # whoever writes again is a new contact, and is answered
        await shared.converse(other, LAURA, "hola de nuevo")


async def test_a_node_that_is_stopped_hands_its_numbers_over_long_before_its_lease_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its gauges say what it has."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    more = {"RECADO_NODE__LEASE_SECONDS": "600"}
    async with open_shared_numbers(tmp_path, more) as shared:
        await shared.start("a", "b")
        await shared.until(lambda: shared.are_even("a", "b"))
        await shared.until_gauges("a", leads=1, numbers=2, **hand_overs(handed_over=1))
        assert 0 < (await shared.gauges("a"))["lease_seconds"] <= 600
        await shared.until_gauges("b", **hand_overs(gained=1))

        shared.call("b")
        await shared.nodes["a"].lives.stop()
        await shared.until(lambda: {name for name, _ in shared.owners().values()} == {"b"})
        for number in NUMBERS:
            await shared.converse(number, LAURA, f"hola {number}")
        shown = hand_overs(gained=3, lost=0)
        await shared.until_gauges("b", leads=1, numbers=3, waiting_calls=0, **shown)
        await shared.nodes["b"].lives.stop()


def hand_overs(**counts: int) -> dict[str, int]:
    """The counters of numbers that have moved, by how, as they are exported."""
    return {f'hand_overs_total{{how="{how}"}}': count for how, count in counts.items()}
