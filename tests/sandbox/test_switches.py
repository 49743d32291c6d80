"""The phone page's switches for the model and for the daemon, as the sandbox puts them there."""

from collections.abc import Mapping
from io import StringIO

import httpx
import pytest
import trio
from support.plain import NO_TLS
from support.simulators import simulators
from support.stage import new_world

from daemon.sandbox.start import SLOW_TOKENS_PER_SECOND, TOKEN, add_switches


async def test_the_model_can_be_slow_and_fail_and_recover() -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with trio.fail_after(30):
        async with (
            simulators(new_world(StringIO()), tokens_per_second=40) as outside,
            httpx.AsyncClient(
                verify=NO_TLS, trust_env=False, headers=headers, timeout=60
            ) as client,
        ):
            add_switches(outside, {})

            async def turn(name: str, *, on: bool) -> int:
                body = {"name": name, "on": on}
                await client.post(f"{outside.gateway_url}/phone/control", json=body)
                return (await client.get(f"{outside.model_url}/v1/models")).status_code

            answers = [await turn("model_down", on=True), await turn("model_down", on=False)]
            await turn("model_refuses", on=True)
            refused = await client.post(f"{outside.model_url}/v1/responses", json={"input": "x"})
            await turn("model_refuses", on=False)
            await turn("token_expired", on=True)
            expired = await client.get(f"{outside.gateway_url}/health")
            await turn("model_slow", on=True)
            slow = outside.model.tokens_per_second
            await turn("model_slow", on=False)
            quick = outside.model.tokens_per_second
    assert answers == [503, 200]
    assert (refused.status_code, expired.status_code) == (400, 404)
    assert (slow, quick) == (SLOW_TOKENS_PER_SECOND, 40)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "no_supervisor"),
        ({"INVOCATION_ID": ""}, "no_supervisor"),
        ({"INVOCATION_ID": "0f3a"}, ""),
        ({"RECADO_SUPERVISED": "1"}, ""),
    ],
)
async def test_the_daemon_can_be_killed_where_a_supervisor_restarts_it(
    environ: Mapping[str, str], reason: str
) -> None:
    with trio.fail_after(30):
        async with simulators(new_world(StringIO())) as outside:
            add_switches(outside, environ)
            switches = {s["name"]: s for s in outside.gateway.controls.describe()}
    assert switches["kill"]["unavailable"] == reason
    assert switches["kill"]["button"] is True
