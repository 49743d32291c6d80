"""The app that stands in when the daemon cannot start."""

import subprocess
import sys

import httpx
import pytest
import trio
from support.edge import Start
from support.plain import NO_TLS

from daemon.http.front import minimal_app

APP = minimal_app("the store is damaged", "production", 8080, lambda: 1_769_860_800.25)


async def test_health_has_the_reason(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(APP)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.get(f"{served.url}/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "minimal",
        "reason": "the store is damaged",
        "error": "the store is damaged",
        "timestamp": "2026-01-31T12:00:00.250Z",
        "environment": "production",
        "port": 8080,
        "initialized": False,
    }


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ready"), ("POST", "/hook"), ("PUT", "/hook/x"), ("GET", "/")]
)
async def test_everything_else_is_put_off(start: Start, method: str, path: str) -> None:
    with trio.fail_after(30):
        served = await start(APP)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.request(method, f"{served.url}{path}", content=b"{}")
            assert answer.status_code == 503
            assert (await client.get(f"{served.url}/health")).status_code == 200


def test_it_needs_no_framework() -> None:
    """It must work when half of what is installed does not."""
    code = (
        "import sys, daemon.http.front;"
        "sys.exit({'quart', 'openai', 'httpx', 'daemon.ledger'} & set(sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
