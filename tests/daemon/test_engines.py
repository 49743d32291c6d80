"""The daemon with another engine than the usual one, and with webhooks of the model server."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import trio
from pydantic import SecretStr
from support.model_script import call, say
from support.plain import NO_TLS
from support.rows import count, select
from support.scenes import cancel_orphans_soon, found, logged
from support.stage import LAURA, open_stage

from daemon.assistant import assistants_engine

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ASSISTANTS = {"engine": "assistants"}
STUCK_ONCE = '''
"""A tool that never answers."""

import trio

from daemon.tools.tool import tool


@tool
async def stuck() -> str:
    """Look something up."""
    await trio.sleep_forever()
    return "found"
'''


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at runs more often than once a second."""
    monkeypatch.setattr(assistants_engine, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(assistants_engine, "AFTER_TOOLS_SECONDS", 0.02)
    return iter([None])


async def test_assistants_answer_with_a_tool_round(tmp_path: Path) -> None:
    """Two calls of the model, one answer, and no thread left at the server."""
    async with open_stage(tmp_path / "data", assistant=ASSISTANTS) as stage:
        stage.model.script(call("get_conversation_context"), say("¡Con gusto!"))
        await stage.gateway.customer_says(LAURA, "¿De qué hablamos?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["¡Con gusto!"]
        assert len(stage.model.calls) == 2
        assert stage.model.calls[1].items[-1]["type"] == "function_call_output"
        assert stage.model.assistants.threads == {}
        assert ("POST", "/responses") not in stage.model.hits


async def test_a_run_survives_a_crash(tmp_path: Path) -> None:
    """The next process finds the run by its thread, and nothing is asked or said twice."""
    async with open_stage(tmp_path / "data", assistant=ASSISTANTS) as stage:
        gate = trio.Event()
        stage.model.script(say("Aquí estoy.", gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_for(lambda: stage.model.running == 1)
        await stage.crash()
        gate.set()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Aquí estoy."]
        assert len(stage.model.calls) == 1


async def test_a_crash_in_a_tool_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that waits for outputs is cancelled with its thread; a new one goes on."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "stuck.py").write_text(STUCK_ONCE)
    async with open_stage(
        tmp_path / "data", assistant=ASSISTANTS, tools={"folder": folder}
    ) as stage:
        stage.model.script(call("stuck"), say("¡Listo!"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "tool started")
        (left,) = stage.model.assistants.threads.values()
        assert left.runs[0].status == "requires_action"
        await stage.crash()
        cancel_orphans_soon(monkeypatch)
        (folder / "stuck.py").write_text(STUCK_ONCE.replace("sleep_forever()", "sleep(0)"))
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await logged(stage, "orphan cancelled at the model server")
        assert stage.received() == ["¡Listo!"]
        assert left.runs[0].status == "cancelled"
        assert stage.model.assistants.threads == {}
        assert select(tmp_path / "data", "kept_responses") == []


@pytest.mark.parametrize("engine", ["assistants", "responses"])
async def test_responses_left_uncancelled_are_cancelled_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """An agent took over while the model server could not be reached; then came a restart."""
    assistant = {"engine": engine, "background": True}
    async with open_stage(tmp_path / "data", assistant=assistant) as stage:
        stage.model.script(say("nunca", gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_for(lambda: stage.model.running == 1)
        (made,) = stage.model.calls
        await found(lambda: kept(tmp_path / "data") == 1)
        stage.model.is_down = True
        await stage.gateway.agent_says(LAURA, "Te atiendo yo")
        await logged(stage, "response cancelled")
        assert (made.outcome, kept(tmp_path / "data")) == ("running", 1)
        await stage.crash()
        cancel_orphans_soon(monkeypatch)
        stage.model.is_down = False
        await stage.start()
        await made.ended.wait()
        await found(lambda: kept(tmp_path / "data") == 0)
        assert made.outcome == "cancelled"
        assert stage.model.assistants.threads == {}


@pytest.mark.parametrize("engine", ["assistants", "responses"])
async def test_a_cancelled_response_is_no_orphan(tmp_path: Path, engine: str) -> None:
    assistant = {"engine": engine, "background": True}
    async with open_stage(tmp_path / "data", assistant=assistant) as stage:
        stage.model.script(say("nunca", gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: kept(tmp_path / "data") == 1)
        await stage.gateway.agent_says(LAURA, "Te atiendo yo")
        await found(lambda: kept(tmp_path / "data") == 0)
        assert stage.model.calls[0].outcome == "cancelled"


def kept(data_dir: Path) -> int:
    """How many responses the server is known to keep for us."""
    return count(data_dir, "kept_responses")


async def test_the_model_servers_webhook_ends_the_wait(tmp_path: Path) -> None:
    """No stream is held open; the answer is fetched when the webhook says that it is there."""
    async with open_stage(
        tmp_path / "data", assistant={"webhook_secret": SecretStr(SECRET)}
    ) as stage:
        gate = trio.Event()
        stage.model.script(say("Con gusto.", gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        (made,) = stage.model.calls
        path = f"/responses/{made.response_id}"
        await stage.model.wait_for(lambda: ("GET", path) in stage.model.hits)
        gate.set()
        await made.ended.wait()
        body = json.dumps({"type": "response.completed", "data": {"id": made.response_id}}).encode()
        stamp = str(int(time.time()))
        mac = hmac.new(KEY, f"wh_1.{stamp}.".encode() + body, sha256).digest()
        headers = {
            "webhook-id": "wh_1",
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        }
        with trio.fail_after(30):  # less than the fallback's wait
            async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
                url = f"{stage.url}/openai/webhook"
                answer = await client.post(url, content=body, headers=headers)
            await stage.gateway.wait_sent(LAURA)
        assert answer.status_code == 200
        assert stage.received() == ["Con gusto."]
        assert made.body["stream"] is False
        # One look before the wait, which on a busy machine may find the end already, and one after.
        assert stage.model.hits.count(("GET", path)) <= 2


async def test_a_model_near_its_end_is_one_line_of_the_log(tmp_path: Path) -> None:
    """The start does not wait for it, and nothing else comes of it."""
    async with open_stage(tmp_path / "data", assistant={"model": "gpt-4o-mini"}) as stage:
        await stage.model.wait_for(lambda: ("GET", "/models") in stage.model.hits)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        (line,) = stage.events("models need attention")
    assert "gpt-4o-mini will be shut down on 2027-01-14" in line["models"]
