"""Several daemons on one PostgreSQL: the crash harness with nodes, and a balancer before them."""

import contextlib
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from support.crash import Harness, open_harness
from support.crash_judges import Fault
from support.crash_process import POLL_SECONDS, Lives
from support.model_script import Step
from support.place import POSTGRES

LEASE_SECONDS = 2.0
CALL_SECONDS = 2.0
NODE_SETTINGS = {
    "RECADO_NODE__LEASE_SECONDS": str(LEASE_SECONDS),
    "RECADO_WHAPI__TIMEOUT_SECONDS": str(CALL_SECONDS),
}
WAIT_SECONDS = 60.0
"""For any step of a fault, on any machine."""


class Node:
    """One daemon's place: its processes, and whether the balancer gives it webhooks."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.lives = Lives(folder / name)
        self.takes_calls = False
        self.start_at = 0.0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.lives.url)
        return str(parts.hostname), int(parts.port or 0)

    async def start(self, **plan: Any) -> None:
        """Start its next process; it takes webhooks as soon as it says that it can."""
        await self.lives.start(**plan)
        await self.lives.ready()
        self.takes_calls = True

    def kill(self) -> None:
        """End it at once; the balancer notices."""
        self.takes_calls = False
        self.lives.kill()

    @property
    def is_stopped(self) -> bool:
        """Whether its process stands still after SIGSTOP."""
        try:
            fields = Path(f"/proc/{self.lives.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return fields[0] == "T"


class Nodes(Harness):
    """A harness whose daemon is several nodes. `start_nodes` first."""

    count = 2

    def __init__(self, folder: Path, *world: Any) -> None:
        super().__init__(folder, *world)
        self.nodes = [Node(f"node{number}", folder) for number in range(self.count)]
        self._balancer = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.done: Counter[str] = Counter()
        """Faults by their kind."""
        self.failovers: list[float] = []
        """Seconds from a fault of the node at work until another one was."""

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the environment of all nodes; each has a folder of its own."""
        POSTGRES.url(self.data_dir)
        for node in self.nodes:
            own = {
                **environment,
                **NODE_SETTINGS,
                "RECADO_STORE__URL": f"{POSTGRES.url(self.data_dir)}"
                "&options=-c%20synchronous_commit%3Don",
                "RECADO_DATA_DIR": str(self.folder / node.name / "data"),
                "RECADO_NODE__NAME": node.name,
            }
            node.lives.configure(own)

    def connect(self, gateway_url: str, model_url: str) -> None:
        """Note where the simulators are, and send webhooks to the balancer."""
        super().connect(gateway_url, model_url)
        port = self._balancer.getsockname()[1]
        self.gateway.set_webhook(f"http://127.0.0.1:{port}/hook")

    def close(self) -> None:
        """See that no process is left."""
        super().close()
        for node in self.nodes:
            if node.is_stopped:
                node.lives.signal(signal.SIGCONT)
            node.lives.close()
        self._balancer.close()

    def sql(self, statement: str) -> list[Any]:
        """Ask the database."""
        with POSTGRES.connect(self.data_dir, read_only=False) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def owner(self) -> Node | None:
        """The node that has the ledger now, by the database."""
        rows = self.sql(
            "SELECT n.name FROM numbers o JOIN nodes n ON n.process = o.owner"
            " WHERE o.number = '' AND o.until > extract(epoch FROM clock_timestamp())"
        )
        names = {node.name: node for node in self.nodes}
        return names[rows[0][0]] if rows else None

    async def owned(self, *, not_by: Node | None = None) -> Node:
        """Wait until a node has the ledger, another one than this."""
        with trio.fail_after(WAIT_SECONDS):
            while (node := self.owner) is None or node is not_by:  # noqa: ASYNC110 - other processes
                await trio.sleep(POLL_SECONDS)
        return node

    async def balance(self) -> None:
        """Pass connections on to the nodes that take calls. Runs until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._balancer))
        await trio.serve_listeners(self._pass_on, [listener])

    async def _pass_on(self, client: trio.SocketStream) -> None:
        living = [node for node in self.nodes if node.takes_calls]
        if not living:
            return
        node = random.choice(living)  # noqa: S311 - a balancer
        with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with (
                await trio.open_tcp_stream(*node.address) as server,
                client,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_pump, server, client, nursery.cancel_scope)
                await _pump(client, server, nursery.cancel_scope)


async def _pump(
    source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
) -> None:
    with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
    scope.cancel()


@asynccontextmanager
async def open_nodes(
    folder: Path,
    *,
    rng: random.Random,
    spoil: Callable[[Step], Step] = lambda step: step,
    kind: type[Nodes] = Nodes,
) -> AsyncIterator[Nodes]:
    """The simulators, the balancer and the nodes, of which the first has the ledger."""
    async with (
        open_harness(folder, rng=rng, tokens_per_second=100, spoil=spoil, made=kind) as harness,
        trio.open_nursery() as nursery,
    ):
        assert isinstance(harness, Nodes)
        nursery.start_soon(harness.balance, name="balancer")
        for node in harness.nodes:
            await node.start()
        await harness.owned()
        yield harness
        nursery.cancel_scope.cancel()


NodeFault = Callable[[Nodes, random.Random], Coroutine[Any, Any, None]]

# -- faults: each begins and ends with all nodes running ---------------------------------------


async def kill_owner(nodes: Nodes, _rng: random.Random) -> None:
    """Kill the node at work; another takes over."""
    owner = await nodes.owned()
    owner.kill()
    began = time.monotonic()
    await owner.lives.death()
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await owner.start()


async def kill_standby(nodes: Nodes, rng: random.Random) -> None:
    """Kill a node that stands by."""
    owner = await nodes.owned()
    node = rng.choice([node for node in nodes.nodes if node is not owner])
    node.kill()
    await node.lives.death()
    await node.start()


async def hand_over(nodes: Nodes, _rng: random.Random) -> None:
    """Stop the node at work in the ordinary way."""
    owner = await nodes.owned()
    owner.takes_calls = False
    await owner.lives.stop()
    await nodes.owned(not_by=owner)
    await owner.start()


async def stand_still(nodes: Nodes, _rng: random.Random) -> None:
    """Stop the node at work for longer than its lease; then it goes on, and finds that it lost."""
    owner = await nodes.owned()
    owner.takes_calls = False
    owner.lives.signal(signal.SIGSTOP)
    began = time.monotonic()
    await nodes.owned(not_by=owner)
    nodes.failovers.append(time.monotonic() - began)
    await trio.sleep(LEASE_SECONDS)
    await _goes_on(owner)


async def _goes_on(node: Node) -> None:
    node.lives.signal(signal.SIGCONT)
    with trio.fail_after(WAIT_SECONDS):
        await node.lives.ended()
    await node.start()


async def nap(nodes: Nodes, rng: random.Random) -> None:
    """Stop the node at work for less than its lease."""
    owner = await nodes.owned()
    owner.takes_calls = False
    owner.lives.signal(signal.SIGSTOP)
    await trio.sleep(rng.uniform(0.1, 0.4) * LEASE_SECONDS)
    owner.lives.signal(signal.SIGCONT)
    owner.takes_calls = True
    await _is_well(nodes, owner)


async def _is_well(nodes: Nodes, node: Node) -> None:
    """Wait until a node has the ledger; one that has lost it meanwhile ends, and starts again."""
    with trio.fail_after(WAIT_SECONDS):
        while nodes.owner is None or not all(node.lives.pid for node in nodes.nodes):
            for one in nodes.nodes:
                if not one.lives.pid:
                    one.takes_calls = False
                    await one.lives.ended()
                    await one.start()
            await trio.sleep(POLL_SECONDS)
    assert node in nodes.nodes


async def cut(nodes: Nodes, _rng: random.Random) -> None:
    """Cut all connections to the database."""
    owner = await nodes.owned()
    nodes.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    await _is_well(nodes, owner)


def stall_at(point: str) -> NodeFault:
    """The node at work stops at a point, for longer than its lease and the settling."""

    async def stall(nodes: Nodes, _rng: random.Random) -> None:
        await hand_over(nodes, _rng)
        standing_by = next(node for node in nodes.nodes if node is not nodes.owner)
        standing_by.takes_calls = False
        await standing_by.lives.stop()
        await standing_by.start(point=point, armed=True, signal=int(signal.SIGSTOP))
        owner = await nodes.owned(not_by=standing_by)
        owner.takes_calls = False
        await owner.lives.stop()
        await owner.start()
        with trio.fail_after(WAIT_SECONDS):
            while not standing_by.is_stopped:  # noqa: ASYNC110 - another process
                await trio.sleep(POLL_SECONDS)
        standing_by.takes_calls = False
        await nodes.owned(not_by=standing_by)
        await trio.sleep(LEASE_SECONDS + CALL_SECONDS + 1)
        await _goes_on(standing_by)

    stall.__name__ = f"stall {point}"
    return stall


FAULTS: Sequence[NodeFault] = (
    kill_owner,
    kill_owner,
    kill_standby,
    hand_over,
    stand_still,
    nap,
    cut,
    cut,
    stall_at("before send"),
    stall_at("after send"),
)


async def write_meanwhile(
    nodes: Nodes, rng: random.Random, *, chats: int, per_second: float
) -> None:
    """Customers write at exponential intervals. Runs until cancelled."""
    contacts = [f"57300{1000 + number:07d}" for number in range(chats)]
    while True:
        await trio.sleep(rng.expovariate(per_second))
        if nodes.waiting() < 100:
            await nodes.write(rng.choice(contacts), book=rng.random() < 1 / 7)


async def suffer(
    folder: Path,
    faults: Sequence[NodeFault],
    *,
    seed: int,
    kind: type[Nodes] = Nodes,
    per_second: float = 4.0,
    tell: Callable[[str], None] = lambda _line: None,
) -> tuple[Nodes, list[Fault]]:
    """Let these faults happen while customers write; gives what the judges found."""
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
                await node.lives.stop()
        found = nodes.judge()
        if not finished:
            found.append(Fault("", "work is left"))
        return nodes, found
