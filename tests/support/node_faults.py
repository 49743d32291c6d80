"""What happens to nodes while customers write; `suffer` judges it.

Each fault begins and ends with all nodes running.
"""

import random
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx
import trio

from support.crash import SECRET, report
from support.crash_judges import Fault
from support.crash_process import POLL_SECONDS
from support.newer import HERE
from support.nodes import (
    CALL_SECONDS,
    LEASE_SECONDS,
    NUMBERS,
    WAIT_SECONDS,
    Node,
    Nodes,
    PairedNodes,
    ProxiedNodes,
    SplitNodes,
    open_nodes,
    write_meanwhile,
)
from support.plain import NO_TLS
from support.stage import CHANNEL

HOUR = 3600.0
HALF_A_MINUTE = 30.0

STEPS = ("before outbox sending", "before send", "after send")
"""Of a send, where a node may stand still."""

NodeFault = Callable[[Nodes, random.Random], Coroutine[Any, Any, None]]


async def kill_owner(nodes: Nodes, _rng: random.Random) -> None:
    """Kill a node with numbers; the others take them over."""
    owner = await nodes.owned()
    owner.kill()
    began = time.monotonic()
    await owner.lives.death()
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await owner.start()


async def kill_another(nodes: Nodes, rng: random.Random) -> None:
    """Kill another node."""
    owner = await nodes.owned()
    node = rng.choice([node for node in nodes.nodes if node is not owner])
    node.kill()
    await node.lives.death()
    await node.start()


async def hand_over(nodes: Nodes, _rng: random.Random) -> None:
    """Stop a node in the ordinary way."""
    owner = await nodes.owned()
    await owner.stop()
    await nodes.owned(not_by=owner)
    await owner.start()


async def rolling_upgrade(nodes: Nodes, _rng: random.Random) -> None:
    """Upgrade one node after the other, or take all back if they have the next version."""
    nodes.is_newer = not nodes.is_newer
    checkout = nodes.newer if nodes.is_newer else HERE
    for node in nodes.nodes:
        survivor = next(one for one in nodes.nodes if one is not node)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_takes_each_call, survivor)
            await node.stop()
            await nodes.owned()
            node.lives.install(checkout)
            await node.start()
            nursery.cancel_scope.cancel()


async def _takes_each_call(node: Node) -> None:
    """Check that a node refuses no webhook. Runs until cancelled."""
    body = {"statuses": [], "event": {"type": "statuses", "event": "post"}, "channel_id": CHANNEL}
    async with httpx.AsyncClient(
        verify=NO_TLS, timeout=WAIT_SECONDS, headers={"authorization": f"Bearer {SECRET}"}
    ) as client:
        while True:
            answer = await client.post(f"{node.lives.url}/n/{NUMBERS[0]}/hook", json=body)
            assert answer.status_code == 200, answer.text
            await trio.sleep(0.1)


async def stand_still(nodes: Nodes, _rng: random.Random) -> None:
    """A node stands still for longer than its lease; then it goes on, and finds that it lost."""
    owner = await nodes.owned()
    owner.takes_calls = owner.is_to_run = False
    owner.lives.signal(signal.SIGSTOP)
    began = time.monotonic()
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await trio.sleep(LEASE_SECONDS)
    await _goes_on(nodes, owner)


async def _goes_on(nodes: Nodes, node: Node) -> None:
    node.lives.signal(signal.SIGCONT)
    await _takes_part_again(nodes, node)


async def _takes_part_again(nodes: Nodes, node: Node) -> None:
    """Wait until a node that was replaced notices, and begins again without numbers."""
    with trio.fail_after(WAIT_SECONDS):
        while not nodes.takes_part(node):  # noqa: ASYNC110 - another process
            await trio.sleep(POLL_SECONDS)
    node.takes_calls = node.is_to_run = True


async def nap(nodes: Nodes, rng: random.Random) -> None:
    """A node stands still for less than its lease."""
    owner = await nodes.owned()
    owner.takes_calls = False
    owner.lives.signal(signal.SIGSTOP)
    await trio.sleep(rng.uniform(0.1, 0.4) * LEASE_SECONDS)
    owner.lives.signal(signal.SIGCONT)
    owner.takes_calls = True
    await _is_well(nodes)


async def _is_well(nodes: Nodes) -> None:
    """Wait until all nodes run, and each number has one."""
    await nodes.owned()
    await nodes.revive()


async def cut(nodes: Nodes, _rng: random.Random) -> None:
    """Cut all connections to the database."""
    await nodes.owned()
    nodes.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    await _is_well(nodes)


def stall_at(point: str, seconds: float = LEASE_SECONDS + CALL_SECONDS + 1) -> NodeFault:
    """A node stops at a point, for longer than its lease and the settling."""

    async def stall(nodes: Nodes, _rng: random.Random) -> None:
        node = await nodes.owned()
        await node.stop()
        await node.start(point=point, armed=True, signal=int(signal.SIGSTOP))
        others = [other for other in nodes.nodes if other is not node]
        for other in others:  # then it has work soon
            await other.stop()
        life = node.lives.pid
        with trio.fail_after(WAIT_SECONDS):
            while not node.is_stopped and len(nodes.owners()) < len(nodes.numbers):  # noqa: ASYNC110
                await trio.sleep(POLL_SECONDS)
        for other in others:
            await other.start()
        with trio.fail_after(WAIT_SECONDS):
            while not node.is_stopped:
                if node.lives.pid != life:
                    await _is_well(nodes)  # it was replaced before it came to the point
                    nodes.done[f"{stall.__name__}, not reached"] += 1
                    nodes.done[stall.__name__] -= 1
                    return
                await trio.sleep(POLL_SECONDS)
        node.takes_calls = node.is_to_run = False
        await nodes.owned(not_by=node)
        await trio.sleep(seconds)
        await _goes_on(nodes, node)
        await node.stop()  # its plan is over
        await node.start()

    stall.__name__ = f"stall {point}" + (f" for {seconds:g} s" if seconds > HALF_A_MINUTE else "")
    return stall


async def all_at_once(nodes: Nodes, _rng: random.Random) -> None:
    """Kill all nodes and start them together: of those that claim a number, one gets it."""
    for node in nodes.nodes:
        node.kill()
    for node in nodes.nodes:
        await node.lives.death()
    async with trio.open_nursery() as nursery:
        for node in nodes.nodes:
            nursery.start_soon(node.start)
    await nodes.owned()


async def clock_jumps(nodes: Nodes, rng: random.Random) -> None:
    """The wall clock of a node jumps, and back; its numbers may change hands between."""
    owner = await nodes.owned()
    owner.set_clock(rng.choice((HOUR, -HOUR, 24 * HOUR, -24 * HOUR)))
    await trio.sleep(rng.uniform(0.2, LEASE_SECONDS))
    if rng.random() < 0.5:
        await kill_owner(nodes, rng)
    owner.set_clock(0)


async def cut_commit(nodes: Nodes, rng: random.Random) -> None:
    """Cut the connection during a commit; sometimes nobody can say what became of it."""
    assert isinstance(nodes, ProxiedNodes)
    owner = await nodes.owned()
    proxy = nodes.proxies[owner.name]
    proxy.cut_next_commit(arrives=rng.random() < 0.5, refuses=rng.random() < 0.5)
    with trio.move_on_after(WAIT_SECONDS):
        while not proxy.over.is_set():  # noqa: ASYNC110 - a thread sets it
            await trio.sleep(POLL_SECONDS)
    await trio.sleep(rng.uniform(0.0, 7.0) if proxy.refuses else 0.1)
    proxy.refuses = False
    await _is_well(nodes)


async def black_hole(nodes: Nodes, _rng: random.Random) -> None:
    """A node hears nothing more from the database, which keeps its connections."""
    assert isinstance(nodes, ProxiedNodes)
    owner = await nodes.owned()
    began = time.monotonic()
    nodes.proxies[owner.name].flows.clear()
    owner.takes_calls = owner.is_to_run = False
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await trio.sleep(LEASE_SECONDS)
    nodes.proxies[owner.name].flows.set()
    await _takes_part_again(nodes, owner)


async def split(nodes: Nodes, rng: random.Random) -> None:
    """A node is cut off from the database, the gateways and the model."""
    assert isinstance(nodes, SplitNodes)
    owner = await nodes.owned()
    began = time.monotonic()
    nodes.network.pull(owner.name)
    owner.is_to_run = False
    await trio.sleep(rng.uniform(0.0, 1.0))  # until the balancer notices
    owner.takes_calls = False
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await trio.sleep(rng.uniform(0.0, 2.0) * LEASE_SECONDS)
    nodes.network.plug_in(owner.name)
    await _takes_part_again(nodes, owner)


async def split_another(nodes: Nodes, rng: random.Random) -> None:
    """Another node is cut off for some time, whether it lasts as long as its lease or not."""
    assert isinstance(nodes, SplitNodes)
    owner = await nodes.owned()
    node = rng.choice([node for node in nodes.nodes if node is not owner])
    nodes.network.pull(node.name)
    await trio.sleep(rng.uniform(0.0, 1.0))
    node.takes_calls = False
    await trio.sleep(rng.uniform(0.5, 3.0) * LEASE_SECONDS)
    nodes.network.plug_in(node.name)
    node.takes_calls = True
    await _is_well(nodes)


async def short_split(nodes: Nodes, rng: random.Random) -> None:
    """A node is cut off for less than its lease."""
    assert isinstance(nodes, SplitNodes)
    owner = await nodes.owned()
    nodes.network.pull(owner.name)
    await trio.sleep(rng.uniform(0.1, 0.4) * LEASE_SECONDS)
    nodes.network.plug_in(owner.name)
    await _is_well(nodes)


async def primary_killed(nodes: Nodes, rng: random.Random) -> None:
    """Kill the database's primary; its standby is promoted, and gets a new standby later."""
    assert isinstance(nodes, PairedNodes)
    await nodes.owned()
    await trio.to_thread.run_sync(nodes.pair.fail_over)
    await trio.sleep(rng.uniform(0.0, 3.0))
    await trio.to_thread.run_sync(nodes.pair.follow)
    await _is_well(nodes)
    if rng.random() < 0.3:
        await kill_owner(nodes, rng)


async def standby_gone(nodes: Nodes, rng: random.Random) -> None:
    """Stop the database's standby: nothing is acknowledged until it is back."""
    assert isinstance(nodes, PairedNodes)
    await nodes.owned()
    await trio.to_thread.run_sync(nodes.pair.standby.stop)
    await trio.sleep(1)  # answers on their way
    before = len(nodes.acknowledged())
    await trio.sleep(rng.uniform(1.0, 6.0))
    assert len(nodes.acknowledged()) == before, "acknowledged without the standby"
    await trio.to_thread.run_sync(nodes.pair.standby.start)
    await _is_well(nodes)


FAULTS: Sequence[NodeFault] = (
    kill_owner,
    kill_owner,
    kill_another,
    hand_over,
    stand_still,
    nap,
    cut,
    cut,
    *map(stall_at, STEPS),
    all_at_once,
    rolling_upgrade,
)
"""For any nodes."""

ALONE: Sequence[NodeFault] = (clock_jumps,)
"""Only by its name: while a clock is a day ahead, messages are too old to be answered."""

OF_PROXIED: Sequence[NodeFault] = (cut_commit, cut_commit, cut_commit, black_hole, kill_owner)
OF_SPLIT: Sequence[NodeFault] = (split, split, short_split, split_another, hand_over)
OF_PAIRED: Sequence[NodeFault] = (primary_killed, primary_killed, standby_gone, kill_owner, cut)
POOLS: dict[type[Nodes], Sequence[NodeFault]] = {
    ProxiedNodes: OF_PROXIED,
    SplitNodes: OF_SPLIT,
    PairedNodes: OF_PAIRED,
}
"""Those of other kinds of nodes."""


async def suffer(
    folder: Path,
    faults: Sequence[NodeFault],
    *,
    seed: int,
    kind: type[Nodes] = Nodes,
    per_second: float = 4.0,
    tell: Callable[[str], None] = lambda _line: None,
) -> tuple[dict[str, Any], list[Fault]]:
    """Let these faults happen while customers write; gives figures, and what the judges found."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    async with open_nodes(folder, rng=rng, kind=kind) as nodes:
        async with trio.open_nursery() as nursery:

            async def customers() -> None:
                writers = random.Random(seed + 1)  # noqa: S311 - likewise
                await write_meanwhile(nodes, writers, chats=20, per_second=per_second)

            nursery.start_soon(customers, name="customers")
            for number, fault in enumerate(faults):
                await trio.sleep(rng.uniform(0.2, 1.5))
                tell(f"{number + 1}/{len(faults)} {fault.__name__}: {nodes.progress()}")
                await fault(nodes, rng)
                nodes.done[fault.__name__] += 1
            nursery.cancel_scope.cancel()
        finished = await nodes.finish(seconds=120)
        for node in nodes.nodes:
            if node.lives.pid:
                await node.stop()
        found = nodes.judge()
        if not finished:
            found.append(Fault("", f"work is left: {nodes.left()}"))
        if found:
            tell(report(nodes, found, f"seed {seed}"))
        return nodes.figures(), found
