"""Three real daemons that share three numbers on one PostgreSQL, each number with its gateway."""

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import trio

from daemon.sandbox.payloads import chat_id_of
from support.gateway import ScriptedGateway
from support.model import ScriptedModel
from support.nodes import WAIT_SECONDS, Node
from support.place import POSTGRES
from support.plain import NO_TLS
from support.rows import select
from support.serving import serve_in
from support.stage import new_world

NUMBERS = ("one", "two", "three")
TOKEN = "numbers-token"
LEASE_SECONDS = "5"
"""Long enough that a node which lives renews it, also on a machine that is busy."""


class SharedNumbers:
    """The nodes, the gateways and the database. Webhooks go to the node that is chosen."""

    def __init__(
        self, folder: Path, gateways: dict[str, ScriptedGateway], model: ScriptedModel
    ) -> None:
        self.folder = folder
        self.gateways = gateways
        self.model = model
        self.nodes = {name: Node(name, folder) for name in ("a", "b", "c")}

    def configure(self, urls: dict[str, str], model_url: str, more: Mapping[str, str]) -> None:
        """Set the environments of the nodes; ``urls`` of the gateways by number."""
        numbers: dict[str, str] = {}
        for number, url in urls.items():
            table = f"RECADO_NUMBERS__{number.upper()}"
            numbers |= {f"{table}__TOKEN": TOKEN, f"{table}__API_URL": url}
            numbers |= {f"{table}__TIMEOUT_SECONDS": "2"}
        instructions = self.folder / "instructions.md"
        instructions.write_text("You answer for a small hotel.")
        for name, node in self.nodes.items():
            node.lives.configure(
                {
                    **numbers,
                    "RECADO_NODE__LEASE_SECONDS": LEASE_SECONDS,
                    "RECADO_NODE__NAME": name,
                    "RECADO_STORE__URL": POSTGRES.url(self.folder),
                    "RECADO_DATA_DIR": str(self.folder / name / "data"),
                    "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(instructions),
                    "RECADO_TOOLS__MODULES": "",
                    "OPENAI_API_KEY": TOKEN,
                    "OPENAI_BASE_URL": f"{model_url}/v1",
                    **more,
                }
            )

    def close(self) -> None:
        """See that no process is left."""
        for node in self.nodes.values():
            node.lives.close()

    def call(self, node: str) -> None:
        """Let all webhooks go to this node from now on."""
        self.call_at(self.nodes[node].lives.url)

    def call_at(self, url: str) -> None:
        """Let all webhooks go to this address, such as a balancer's."""
        for number, gateway in self.gateways.items():
            gateway.set_webhook(f"{url}/n/{number}/hook")

    async def start(self, *names: str) -> None:
        """Start nodes, one after the other, each when the last one is ready."""
        for name in names:
            await self.nodes[name].start()

    def owners(self) -> dict[str, tuple[str, int]]:
        """The living node that has each number, and the number's epoch, by the database."""
        rows = self.select(
            "numbers JOIN nodes ON process = owner",
            "number, name, epoch",
            where={"number !=": "", "until >": time.time()},
        )
        return {number: (name, epoch) for number, name, epoch in rows}

    def owner(self, number: str) -> str:
        """The node that has a number; empty if none has."""
        return self.owners().get(number, ("", 0))[0]

    async def until(self, holds: Callable[[], bool]) -> float:
        """Wait until something holds; gives how many seconds that took."""
        began = time.monotonic()
        with trio.fail_after(WAIT_SECONDS):
            while not holds():  # noqa: ASYNC110 - other processes
                await trio.sleep(0.02)
        return time.monotonic() - began

    def are_even(self, *names: str) -> bool:
        """Whether these nodes have all numbers, each as many as the others, or one more."""
        shares = dict.fromkeys(names, 0)
        for name, _ in self.owners().values():
            shares[name] = shares.get(name, 0) + 1
        counts = [*shares.values()]
        return (
            set(shares) == set(names)
            and sum(counts) == len(NUMBERS)
            and max(counts) - min(counts) <= 1
        )

    async def write(self, number: str, chat: str, words: str) -> None:
        """A customer writes to a number; ends when the webhook got its 200."""
        await self.gateways[number].customer_says(chat, words)

    def heard(self, number: str, chat: str) -> list[str]:
        """What a customer has got from a number."""
        sent = self.gateways[number].ledger.sends
        return [message.text for message in sent if message.chat == chat_id_of(chat)]

    async def converse(self, number: str, chat: str, words: str) -> float:
        """A customer writes and waits for one more answer; gives how many seconds that took."""
        before = len(self.heard(number, chat))
        began = time.monotonic()
        await self.write(number, chat, words)
        await self.until(lambda: len(self.heard(number, chat)) == before + 1)
        return time.monotonic() - began

    async def post(self, node: str, path: str, **fields: Any) -> httpx.Response:
        """Post to a page of a node."""
        async with httpx.AsyncClient(verify=NO_TLS, timeout=WAIT_SECONDS) as client:
            return await client.post(self.nodes[node].lives.url + path, json=fields)

    async def get(self, node: str, path: str) -> httpx.Response:
        """Get a page of a node."""
        async with httpx.AsyncClient(verify=NO_TLS, timeout=WAIT_SECONDS) as client:
            return await client.get(self.nodes[node].lives.url + path)

    async def gauges(self, node: str) -> dict[str, float]:
        """What a node exports of itself, by the rest of the metric's name."""
        lines = (await self.get(node, "/metrics")).text.splitlines()
        own = [line.split("_", 2)[2] for line in lines if line.startswith("recado_node_")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in own)}

    async def until_gauges(self, node: str, **values: float) -> None:
        """Wait until a node exports these values."""
        with trio.fail_after(WAIT_SECONDS):
            while not values.items() <= (await self.gauges(node)).items():  # noqa: ASYNC110
                await trio.sleep(0.05)

    def select(self, table: str, columns: str, **clauses: Any) -> list[Any]:
        """Read rows; see `support.rows.select`."""
        return select(self.folder, table, columns, **clauses)


@asynccontextmanager
async def open_shared_numbers(
    folder: Path, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[SharedNumbers]:
    """The simulators; no node is started yet. ``more``: further variables of all nodes."""
    rng = random.Random(5)  # noqa: S311 - a simulation
    world = new_world(StringIO())
    gateways = {
        number: ScriptedGateway(
            token=TOKEN, now=time.time, rng=rng, backoff_seconds=0.05, max_backoff_seconds=0.3
        )
        for number in NUMBERS
    }
    model = ScriptedModel(now=world.now, rng=rng, api_key=TOKEN, tokens_per_second=0)
    shared = SharedNumbers(folder, gateways, model)
    try:
        async with trio.open_nursery() as nursery:
            urls = {}
            for number, gateway in gateways.items():
                await nursery.start(gateway.run, name=f"webhooks of {number}")
                urls[number] = await serve_in(nursery, gateway, name=f"gateway of {number}")
            await nursery.start(model.run, name="simulated model's responses")
            model_url = await serve_in(nursery, model, name="model")
            shared.configure(urls, model_url, more)
            yield shared
            nursery.cancel_scope.cancel()
    finally:
        shared.close()
