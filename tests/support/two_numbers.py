"""A stage with two numbers, *shop* and *bar*, each behind a gateway of its own."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import trio
from pydantic import SecretStr

from daemon.observability.metrics import Metrics
from daemon.sandbox.phone import CONTACTS
from daemon.sandbox.start import TOKEN, sandbox_settings
from daemon.settings import Settings
from support.gateway import ScriptedGateway
from support.serving import serve_in
from support.simulators import Simulators, simulators
from support.stage import Stage, new_world, played, quick_settings

SHOP_SECRET = "secret of the shop"
BAR_SECRET = "secret of the bar"
SHOP_ID, BAR_ID = "SHOP-00001", "BAR-00001"


class TwoNumbers(Stage):
    """A daemon with two numbers; `gateway` is the shop's, `bar` the other's."""

    def __init__(
        self,
        settings: Settings,
        outside: Simulators,
        nursery: trio.Nursery,
        bar: ScriptedGateway,
        bar_url: str,
        changes: dict[str, Mapping[str, Any]],
    ) -> None:
        super().__init__(settings, outside, nursery)
        self.bar = bar
        self._bar_url = bar_url
        self.changes = changes
        """Tables of the settings by number, from the next start or reload."""
        self.names: tuple[str, ...] = ("shop", "bar")
        """Which of the two the daemon has, from its next start."""

    async def start(self) -> None:
        """Start the daemon; each gateway calls the address of its own number."""
        await super().start()
        self.gateway.set_webhook(f"{self.url}/n/shop/hook")
        self.bar.set_webhook(f"{self.url}/n/bar/hook")

    async def _run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        metrics = Metrics(version="test", by_number=True)
        self.environment = replace(
            self.environment, metrics=metrics, read_settings=self.outside_settings
        )
        await super()._run(task_status=task_status)

    def outside_settings(self) -> Settings:
        """The settings of the daemon, with both numbers."""
        shared = sandbox_settings(self.settings, self._outside)
        places = {
            "shop": (self._outside.gateway_url, SHOP_ID, SHOP_SECRET),
            "bar": (self._bar_url, BAR_ID, BAR_SECRET),
        }
        numbers = {}
        for name, (url, channel, secret) in places.items():
            whapi = {"api_url": url, "token": SecretStr(TOKEN), "channel_id": channel}
            own = {"whapi": whapi, "web": {"webhook_secret": (SecretStr(secret),)}}
            tables = {**own, **self.changes.get(name, {})}
            numbers[name] = shared.model_copy(
                update={
                    table: getattr(shared, table).model_copy(update=values)
                    for table, values in tables.items()
                }
            )
        chosen = {name: numbers[name] for name in self.names}
        return shared.model_copy(update={"numbers": chosen})


@asynccontextmanager
async def open_two(
    data_dir: Path,
    *,
    shop: Mapping[str, Any] | None = None,
    bar: Mapping[str, Any] | None = None,
    started: bool = True,
    **changes: Mapping[str, Any],
) -> AsyncIterator[TwoNumbers]:
    """Three simulators and a running daemon with two numbers.

    ``shop`` and ``bar`` are tables of the settings of one number, ``changes`` those of both.
    """
    settings = quick_settings(data_dir, changes)
    environment = new_world(StringIO())
    rng = random.Random(3)  # noqa: S311 - a simulation
    gateway = ScriptedGateway(
        token=TOKEN,
        now=environment.now,
        rng=rng,
        contacts=CONTACTS,
        webhook_secret=BAR_SECRET,
    )
    async with (
        simulators(environment, webhook_secret=SHOP_SECRET) as outside,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(gateway.run, name="webhooks of the bar's gateway")
        url = await serve_in(nursery, gateway, name="the bar's gateway")
        gateway.set_base_url(url)
        stage = TwoNumbers(
            settings, outside, nursery, gateway, url, {"shop": shop or {}, "bar": bar or {}}
        )
        with played(stage):
            if started:
                await stage.start()
            yield stage
            await stage.stop()
        nursery.cancel_scope.cancel()
    errors = stage.errors()
    assert not errors, errors
