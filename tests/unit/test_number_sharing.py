"""Numbers that come and go while a node takes over the work of others."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from daemon.conversation import reminders
from daemon.conversation.sharing import NumberSharing
from daemon.conversation.waiting_calls import WaitingIntake
from daemon.errors import NotOwned
from daemon.ledger.nodes import WaitingCall
from daemon.observability.node_metrics import NodeMetrics


class Lines:
    """A log that keeps the words of its lines."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __getattr__(self, _level: str) -> Any:
        return lambda words, **_fields: self.words.append(words)


async def nothing(*_arguments: object) -> None:
    """A step that has nothing to do."""
    await trio.lowlevel.checkpoint()


def telemetry() -> Any:
    node = NodeMetrics(CollectorRegistry())
    return SimpleNamespace(log=Lines(), metrics=SimpleNamespace(node=node), now=lambda: 0.0)


class Cluster:
    """Says which numbers this node owns."""

    leads = False
    namesake = ""
    clock_ahead = 0.0

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}

    @property
    def owned(self) -> frozenset[str]:
        return frozenset(self.epochs)

    def epoch(self, number: str) -> int:
        return self.epochs.get(number, 0)

    def lease_left(self) -> float:
        return 1.0

    async def noticed(self, _what: str) -> None:
        await trio.sleep_forever()


class Numbers:
    """Runtimes that have no work."""

    def __init__(self, *names: str) -> None:
        store = SimpleNamespace(outbox=SimpleNamespace(repair=nothing))
        self._all = [
            SimpleNamespace(
                name=name,
                services=SimpleNamespace(store=store),
                learn_own_ids=nothing,
                chats=SimpleNamespace(stop=lambda: None, wait_idle=nothing),
            )
            for name in names
        ]
        self.served: tuple[Any, ...] = ()

    def __iter__(self) -> Any:
        return iter(self._all)

    async def serve(self, name: str, _nursery: trio.Nursery) -> None:
        self.served = (*self.served, *(one for one in self._all if one.name == name))
        await trio.lowlevel.checkpoint()

    def end(self, name: str) -> None:
        self.served = tuple(one for one in self.served if one.name != name)


class Looks:
    """The looks for what former owners have left; each waits until it may end."""

    def __init__(self) -> None:
        self.begun: list[set[str]] = []
        self.gates: list[trio.Event] = []

    async def take_over(self, numbers: Collection[str]) -> None:
        self.begun.append(set(numbers))
        self.gates.append(trio.Event())
        await self.gates[-1].wait()


def sharing_of(cluster: Cluster, looks: Looks, world: Any) -> NumberSharing:
    """The sharing of three numbers."""
    return NumberSharing(
        cast("Any", cluster),
        cast("Any", Numbers("norte", "sur", "centro")),
        looks,
        world,
        held_chats=cast("Any", SimpleNamespace(look=nothing, run=nothing)),
        look=nothing,
        watch=lambda _nursery, _number: None,
        lead=nothing,
    )


async def two_wait_for_a_look(nursery: trio.Nursery) -> tuple[Cluster, Looks]:
    """A node that gains three numbers; while it looks for the work of one, the others wait."""
    cluster, looks = Cluster(), Looks()
    nursery.start_soon(sharing_of(cluster, looks, telemetry()).run)
    for number in ("centro", "sur", "norte"):
        cluster.epochs[number] = 1
        await trio.sleep(1)
    return cluster, looks


async def test_a_number_that_is_lost_and_gained_during_a_look_is_looked_at_again(
    autojump_clock: MockClock,  # noqa: ARG001 - it takes no time
) -> None:
    """Or its customers would wait for the sweep."""
    async with trio.open_nursery() as nursery:
        cluster, looks = await two_wait_for_a_look(nursery)
        assert looks.begun == [{"centro"}]
        looks.gates[0].set()
        await trio.sleep(1)
        assert looks.begun == [{"centro"}, {"norte", "sur"}]  # by the one that came first
        del cluster.epochs["norte"]
        await trio.sleep(1)
        cluster.epochs["norte"] = 3
        await trio.sleep(2)
        looks.gates[1].set()
        await trio.sleep(1)
        assert looks.begun == [{"centro"}, {"norte", "sur"}, {"norte"}]
        nursery.cancel_scope.cancel()


async def test_a_number_whose_look_is_cut_off_leaves_the_others_theirs(
    autojump_clock: MockClock,  # noqa: ARG001 - it takes no time
) -> None:
    async with trio.open_nursery() as nursery:
        cluster, looks = await two_wait_for_a_look(nursery)
        looks.gates[0].set()
        await trio.sleep(1)
        del cluster.epochs["sur"]  # whose task has the look for both
        await trio.sleep(1)
        assert "norte" in looks.begun[-1]
        assert len(looks.begun) == 3
        nursery.cancel_scope.cancel()


async def test_a_wrong_clock_is_reported_once_and_so_is_its_end(
    autojump_clock: MockClock,  # noqa: ARG001 - it takes no time
) -> None:
    cluster, world = Cluster(), telemetry()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sharing_of(cluster, Looks(), world).run)
        for ahead in (0.0, -60.0, -61.0, 0.0):
            cluster.clock_ahead = ahead
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert world.log.words == [
        "our clock differs from the database's",
        "our clock and the database's are in step again",
    ]


async def test_a_number_in_trouble_keeps_no_other_from_its_calls(
    autojump_clock: MockClock,
) -> None:
    """Its row may be locked for seconds."""
    left = [WaitingCall(1, "norte", "", b""), WaitingCall(2, "sur", "", b"")]
    taken: list[str] = []

    async def counts() -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        return {call.number: 1 for call in left}

    async def of_number(number: str, *, beside: Collection[int]) -> list[WaitingCall]:
        await trio.lowlevel.checkpoint()
        return [call for call in left if call.number == number and call.id not in beside]

    async def forget(done: Collection[int]) -> None:
        await trio.lowlevel.checkpoint()
        left[:] = [call for call in left if call.id not in done]

    async def accept(_body: bytes, _event: str, number: str) -> None:
        if number == "norte":
            await trio.sleep(100)
        taken.append(f"{number} {trio.current_time() < 50}")

    calls = SimpleNamespace(counts=counts, of_number=of_number, taken=forget)
    intake = WaitingIntake(cast("Any", calls), accept, telemetry())
    cluster = cast("Any", Cluster())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(intake.run, cluster, lambda: ("norte", "sur"))
        await trio.sleep(5)
        left.append(WaitingCall(3, "sur", "", b""))
        await trio.sleep(200)
        nursery.cancel_scope.cancel()
    assert taken == ["sur True", "sur True", "norte False"]
    assert autojump_clock.current_time() >= 200


async def test_a_call_waits_for_those_before_it_and_for_no_later_ones(
    autojump_clock: MockClock,
) -> None:
    """However many another node stores meanwhile; and not for the one who takes these in."""
    left = [WaitingCall(number, "sur", "", b"") for number in (1, 2)]
    taken: list[str] = []

    async def of_number(_number: str, *, beside: Collection[int]) -> list[WaitingCall]:
        await trio.lowlevel.checkpoint()
        return [call for call in left if call.id not in beside]

    async def forget(done: Collection[int]) -> None:
        await trio.lowlevel.checkpoint()
        left[:] = [call for call in left if call.id not in done]
        taken.extend(map(str, done))

    async def accept(_body: bytes, _event: str, _number: str) -> None:
        await trio.sleep(1)
        left.append(WaitingCall(left[-1].id + 1, "sur", "", b""))

    calls = SimpleNamespace(of_number=of_number, taken=forget)
    intake = WaitingIntake(cast("Any", calls), accept, telemetry())
    with trio.fail_after(3):
        await intake.take("sur")
    assert taken == ["1", "2"]
    assert [call.id for call in left] == [3, 4]
    left.clear()
    async with intake._one_by_one["sur"]:
        with trio.fail_after(1):
            await intake.take("sur")
    assert autojump_clock.current_time() < 3


async def test_a_reminder_of_a_number_that_has_gone_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,  # noqa: ARG001 - it takes no time
) -> None:
    fired: list[str] = []

    async def fire(_task: object, reminder: Any, _number: object) -> None:
        await trio.lowlevel.checkpoint()
        if reminder.key.number == "norte":
            raise NotOwned("another node has it")
        fired.append(reminder.key.number)

    async def due(*_arguments: object, **_named: object) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [SimpleNamespace(key=SimpleNamespace(number=name)) for name in ("norte", "sur")]

    monkeypatch.setattr(reminders.ReminderTask, "_fire", fire)
    store = SimpleNamespace(reminders=SimpleNamespace(due=due))
    process = SimpleNamespace(store=store, telemetry=telemetry())
    numbers = SimpleNamespace(served=[SimpleNamespace(name=name) for name in ("norte", "sur")])
    task = reminders.ReminderTask(cast("Any", process), cast("Any", numbers))
    with trio.move_on_after(0.5):
        await task.run()
    assert fired == ["sur"]
