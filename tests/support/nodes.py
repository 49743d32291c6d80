"""Several daemons on one PostgreSQL: the crash harness with nodes, and a balancer before them.

`support.node_faults` has what happens to them.
"""

import contextlib
import random
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import trio
from psycopg.conninfo import conninfo_to_dict

from daemon.ledger.drivers.postgres.connection import connect
from daemon.ledger.drivers.postgres.tables import migrate
from daemon.ledger.nodes import NodeState, running_nodes
from support.crash import Harness, open_harness
from support.crash_judges import Fault
from support.crash_process import POLL_SECONDS, Lives
from support.crash_victim import CLOCK_VARIABLE, ECHO_VARIABLE
from support.model_script import Step
from support.network import Network, open_network
from support.newer import newer_version
from support.place import POSTGRES, SHORT_LEASE
from support.ports import free_port
from support.postgres import OPTIONS, binaries, place_for_server
from support.postgres_pair import PostgresPair, running_pair
from support.postgres_proxy import Proxy, proxy_before

LEASE_SECONDS = 2.0
CALL_SECONDS = 2.0
NUMBERS = ("norte", "sur", "centro", "oeste")
NODE_SETTINGS = {"RECADO_NODE__LEASE_SECONDS": str(LEASE_SECONDS)} | {
    f"RECADO_NUMBERS__{number.upper()}__TIMEOUT_SECONDS": str(CALL_SECONDS) for number in NUMBERS
}
WAIT_SECONDS = 120.0
"""For any step of a fault, on any machine."""

DURABLE = "options=-c%20synchronous_commit%3Don"


class Node:
    """One daemon's place: its processes, and whether the balancer gives it webhooks."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.lives = Lives(folder / name)
        self.takes_calls = False
        self.is_to_run = False
        """Whether a process that ends by itself is followed by another, as systemd sees to it."""
        self.clock = folder / f"{name}.clock"
        """A file with how far its wall clock is ahead, in seconds."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.lives.url)
        return str(parts.hostname), int(parts.port or 0)

    async def start(self, **plan: Any) -> None:
        """Start its next process; it takes webhooks as soon as it says that it can."""
        await self.lives.start(**plan)
        await self.lives.ready()
        self.takes_calls = self.is_to_run = True

    def kill(self) -> None:
        """End it at once; the balancer notices."""
        self.takes_calls = self.is_to_run = False
        self.lives.kill()

    async def stop(self) -> None:
        """Stop it in the ordinary way; it may have been replaced just before, and says so."""
        self.takes_calls = self.is_to_run = False
        self.lives.signal(signal.SIGTERM)
        with trio.fail_after(WAIT_SECONDS):
            status = await self.lives.ended()
        assert status in {0, 1}, f"{self.name} ended with {status}"

    def set_clock(self, ahead_seconds: float) -> None:
        """Let its wall clock jump."""
        draft = self.clock.with_suffix(".new")
        draft.write_text(str(ahead_seconds))
        draft.replace(self.clock)

    @property
    def is_stopped(self) -> bool:
        """Whether its process stands still after SIGSTOP."""
        try:
            fields = Path(f"/proc/{self.lives.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return fields[0] == "T"


class Nodes(Harness):
    """A harness whose daemon is several nodes, over which the numbers are spread."""

    numbers = NUMBERS
    count = 2
    settings: Mapping[str, str] = MappingProxyType({})

    def __init__(self, folder: Path, *world: Any) -> None:
        super().__init__(folder, *world)
        self.nodes = [Node(f"node{number}", folder) for number in range(self.count)]
        self.stack = ExitStack()
        """What ends with the harness."""
        self._balancer = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.done: Counter[str] = Counter()
        """Faults by their kind."""
        self.is_newer = False
        """Whether the nodes are of the next version."""
        self.failovers: list[float] = []
        """Seconds from a fault of a node until others had all numbers."""
        self._choice = random.Random(0)  # noqa: S311 - repeatable on purpose

    def store_url(self, node: Node) -> str:  # noqa: ARG002 - all nodes have the same way
        """The way of a node to the database."""
        return f"{POSTGRES.url(self.data_dir)}&{DURABLE}"

    @cached_property
    def newer(self) -> Path:
        """The checkout of the next version."""
        return newer_version(self.folder / "newer")

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the environment of all nodes; each has a folder of its own."""
        common = {name: value for name, value in environment.items() if name not in SHORT_LEASE}
        for node in self.nodes:
            node.set_clock(0)
            own = {
                **common,
                **NODE_SETTINGS,
                "RECADO_STORE__URL": self.store_url(node),
                "RECADO_DATA_DIR": str(self.folder / node.name / "data"),
                "RECADO_NODE__NAME": node.name,
                CLOCK_VARIABLE: str(node.clock),
                **self.settings,
            }
            node.lives.configure(own)

    def send_webhooks_to(self, _url: str) -> None:
        """They go to the balancer."""
        super().send_webhooks_to(f"http://127.0.0.1:{self._balancer.getsockname()[1]}")

    def close(self) -> None:
        """See that no process is left."""
        super().close()
        for node in self.nodes:
            if node.is_stopped:
                node.lives.signal(signal.SIGCONT)
            node.lives.close()
        self._balancer.close()
        self.stack.close()

    def figures(self) -> dict[str, Any]:
        """Counts of what happened."""
        return {
            "faults": dict(self.done),
            "failovers": [round(one, 1) for one in sorted(self.failovers)],
            "refused": dict(self.refusals()),
            **super().figures(),
        }

    def judge(self, **how: Any) -> list[Fault]:
        """All judges; while a clock is wrong, receivers of webhooks refuse its signatures."""
        jumped = "clock_jumps" in self.done
        return [
            fault
            for fault in super().judge(**how)
            if not (jumped and fault.what.endswith("is not signed"))
        ]

    def refusals(self) -> Counter[str]:
        """What the gateway got instead of a 200, and how often."""
        return Counter(
            f"{attempt.status} {attempt.reason}".strip()
            for delivery in self.deliveries()
            for attempt in delivery.attempts
            if attempt.status != 200
        )

    def sql(self, statement: str) -> list[Any]:
        """Ask the database."""
        with POSTGRES.connect(self.data_dir, read_only=False) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def owners(self) -> dict[str, Node]:
        """The living nodes by number, as `recado nodes` says."""
        named = {node.name: node for node in self.nodes}
        return {number: named[one.name] for one in self._living() for number in one.numbers}

    def takes_part(self, node: Node) -> bool:
        """Whether a node has a lease."""
        return any(one.name == node.name for one in self._living())

    def _living(self) -> list[NodeState]:
        """The nodes whose leases last; none if that is not known."""
        try:
            with POSTGRES.connect(self.data_dir) as connection:
                now = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
                found = running_nodes(connection, float(now[0]))
        except psycopg.Error:
            return []  # no server is the primary now
        return [one for one in found if one.lease_seconds > 0]

    async def owned(self, *, not_by: Node | None = None) -> Node:
        """Wait until each number has a node, another one than this; gives one of these nodes."""
        with trio.fail_after(WAIT_SECONDS):
            while len(owners := self.owners()) < len(self.numbers) or not_by in owners.values():
                await self.revive()
                await trio.sleep(POLL_SECONDS)
        return owners[self._choice.choice(self.numbers)]

    async def revive(self) -> None:
        """Start nodes again that have ended by themselves, such as by a stop under way."""
        for node in self.nodes:
            if node.is_to_run and not node.lives.pid:
                node.takes_calls = False
                await node.lives.ended()
                await node.start()

    async def finish(self, *, seconds: float) -> bool:
        """Wait until no work is left; False if that takes too long."""
        with trio.move_on_after(seconds) as scope:
            while not self.is_finished():
                await self.revive()
                await trio.sleep(POLL_SECONDS)
        return not scope.cancelled_caught

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


class PatientNodes(Nodes):
    """They wait longer for the echo of a send that was cut off: the gateway may be slow, too."""

    settings: Mapping[str, str] = MappingProxyType({ECHO_VARIABLE: "5"})


class ThreeNodes(Nodes):
    """Three nodes instead of two."""

    count = 3


class ProxiedNodes(Nodes):
    """Each node has a proxy of its own to the database, which loses what it is to lose."""

    def __init__(self, folder: Path, *world: Any) -> None:
        super().__init__(folder, *world)
        self.proxies: dict[str, Proxy] = {}

    def store_url(self, node: Node) -> str:
        """Through the proxy of this node."""
        url = super().store_url(node)
        server = str(conninfo_to_dict(url)["host"])
        proxy = self.stack.enter_context(proxy_before(Path(server)))
        self.proxies[node.name] = proxy
        return url.replace(server, str(proxy.folder))


class PairedNodes(Nodes):
    """Their database has a synchronous standby, without which nothing is committed."""

    def __init__(self, folder: Path, *world: Any) -> None:
        super().__init__(folder, *world)
        programs = binaries()
        assert programs is not None
        self.pair: PostgresPair = self.stack.enter_context(running_pair(programs))
        POSTGRES.adopt(self.data_dir, self.pair.url)
        with closing(connect(self.pair.url)) as connection:
            migrate(connection)


class SplitNodes(Nodes):
    """Each node is in a network namespace of its own, and can be cut off from all else.

    What was on its way when the cable was pulled has some seconds to arrive afterwards.
    """

    settings: Mapping[str, str] = MappingProxyType({ECHO_VARIABLE: "5"})

    def __init__(self, folder: Path, *world: Any) -> None:
        super().__init__(folder, *world)
        programs = binaries()
        assert programs is not None
        self.network: Network = self.stack.enter_context(
            open_network([node.name for node in self.nodes])
        )
        self.bind = self.network.host
        host = self.network.host
        port = free_port(host)
        options = f"{OPTIONS} -c listen_addresses={host} -c port={port}"
        server = self.stack.enter_context(place_for_server(programs, options))
        server.make()
        server.admit(self.network.addresses)
        server.start()
        address = f"postgresql://recado@{host}:{port}"
        with closing(connect(f"{address}/postgres")) as connection:
            connection.execute("CREATE DATABASE recado")
        POSTGRES.adopt(self.data_dir, f"{address}/recado?application_name=recado")
        with closing(connect(f"{address}/recado")) as connection:
            migrate(connection)
        for node in self.nodes:
            node.lives.launcher = self.network.inside(node.name)


@asynccontextmanager
async def open_nodes(
    folder: Path,
    *,
    rng: random.Random,
    spoil: Callable[[Step], Step] = lambda step: step,
    kind: type[Nodes] = Nodes,
) -> AsyncIterator[Nodes]:
    """The simulators, the balancer and the nodes."""
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


async def write_meanwhile(
    nodes: Nodes, rng: random.Random, *, chats: int, per_second: float
) -> None:
    """Customers write at exponential intervals. Runs until cancelled."""
    contacts = [f"57300{1000 + number:07d}" for number in range(chats)]
    while True:
        await trio.sleep(rng.expovariate(per_second))
        if nodes.waiting() < 100:
            await nodes.write(rng.choice(contacts), book=rng.random() < 1 / 7)
