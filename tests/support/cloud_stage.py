"""The whole daemon with a number of the Cloud API, over real HTTP."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from pydantic import SecretStr

from daemon.http.server import serve
from daemon.sandbox.cloud_api import ACCOUNT_ID
from daemon.settings import Settings
from support.cloud_bodies import PHONE_NUMBER_ID
from support.cloud_script import ScriptedCloud
from support.edge import MemoryLog
from support.simulators import simulators
from support.stage import Stage, outside_world, played, quick_settings

TOKEN = "invented-token-1234567890"
APP_SECRET = "invented-app-secret-123456"
VERIFY_TOKEN = "invented-verify-token"
LAURA_CHAT = "573001234567@s.whatsapp.net"


class CloudStage(Stage):
    """A stage whose daemon's number is at the simulated Cloud API."""

    cloud: ScriptedCloud
    cloud_url = ""
    cloud_changes: Mapping[str, Any] = {}

    def outside_settings(self) -> Settings:
        """The settings with a number of the Cloud API."""
        update = {
            "api_url": self.cloud_url,
            "token": SecretStr(TOKEN),
            "app_secret": SecretStr(APP_SECRET),
            "verify_token": SecretStr(VERIFY_TOKEN),
            "phone_number_id": PHONE_NUMBER_ID,
            "business_account_id": ACCOUNT_ID,
            "status_seconds": 0.4,
            "pair_seconds": 0.0,
            **self.cloud_changes,
        }
        settings = super().outside_settings()
        cloud = settings.cloud.model_copy(update=update)
        return settings.model_copy(update={"gateway": "cloud", "cloud": cloud})

    async def start(self) -> None:
        """Start the daemon; the webhooks of the Cloud API go to it from now on."""
        await super().start()
        self.cloud.webhook_url = f"{self.url}/hook"

    def got(self, chat: str = LAURA_CHAT) -> list[str]:
        """The texts that a customer received, in order."""
        return [message.text for message in self.cloud.sent(chat)]


async def open_cloud(nursery: trio.Nursery) -> tuple[ScriptedCloud, str]:
    """A simulated Cloud API in a nursery, and its address."""
    rng = random.Random(7)  # noqa: S311 - repeatable on purpose
    api = ScriptedCloud(
        token=TOKEN, app_secret=APP_SECRET, phone_number_id=PHONE_NUMBER_ID, rng=rng
    )
    await nursery.start(api.run)
    start = partial(
        serve, api, binds=["127.0.0.1:0"], stop=trio.Event(), grace_seconds=1, log=MemoryLog()
    )
    (url,) = await nursery.start(start)
    api.set_base_url(url)
    return api, url


@asynccontextmanager
async def open_cloud_stage(
    data_dir: Path,
    *,
    cloud: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    **changes: Mapping[str, Any],
) -> AsyncIterator[CloudStage]:
    """Both simulators and a running daemon; see `support.stage.open_stage`."""
    settings = quick_settings(data_dir, changes)
    async with simulators(outside_world()) as outside, trio.open_nursery() as nursery:
        api, url = await open_cloud(nursery)
        stage = CloudStage(settings, outside, nursery)
        stage.cloud, stage.cloud_url, stage.cloud_changes = api, url, cloud or {}
        stage.rules = rules or {}
        with played(stage):
            await stage.start()
            yield stage
            await stage.stop()
        nursery.cancel_scope.cancel()
    errors = stage.errors()
    assert not errors, errors
