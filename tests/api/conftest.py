"""A daemon between the simulators with one conversation, and clients of its API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from support.api import Client, open_client, token_on
from support.model_script import say
from support.scenes import QUICK_RULES
from support.stage import LAURA, Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A daemon that has answered Laura once."""
    async with open_stage(
        tmp_path / "data", rules=QUICK_RULES, housekeeping={"sweep_seconds": 0.1}
    ) as stage:
        stage.model.script(say("Sí, hay cupo."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo el viernes?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        yield stage


@pytest.fixture
def client(stage: Stage) -> Client:
    """Opens a client with a new token of a role."""

    def opened(role: str) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return open_client(stage, token_on(stage.settings.data_dir, role))

    return opened
