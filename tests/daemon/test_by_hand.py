"""What an operator does by hand: pausing and resuming a chat, clearing the locks, a full disk."""

from pathlib import Path

import httpx
import trio
from support.model_script import Step, say
from support.plain import NO_TLS
from support.rows import select, states
from support.scenes import model_input, open_scene
from support.stage import LAURA, Stage

from daemon.domain.states import WITH_AGENT
from daemon.sandbox.payloads import chat_id_of


async def post(stage: Stage, path: str, body: dict[str, object]) -> httpx.Response:
    """Post JSON to the running daemon."""
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=stage.url, timeout=30, trust_env=False
    ) as client:
        return await client.post(path, json=body)


async def test_a_chat_is_paused_and_resumed_by_hand(tmp_path: Path) -> None:
    """Nothing is said while it lasts; afterwards what was written in it is answered."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert (await post(stage, "/takeover/pause", {"chat": LAURA, "minutes": 60})).json() == {
            "chats": 1
        }
        await stage.gateway.customer_says(LAURA, "¿Sigue ahí?")
        await stage.quiet()
        assert states(stage.settings.data_dir) == {"answered", WITH_AGENT}
        assert len(stage.received()) == 1
        assert (await post(stage, "/takeover/resume", {"chat": LAURA})).json() == {"chats": 1}
        await stage.gateway.wait_sent(LAURA, 2)
        assert model_input(stage, role="user")[-1] == "¿Sigue ahí?"
        await stage.quiet()
        assert states(stage.settings.data_dir) == {"answered"}
        data_dir = stage.settings.data_dir
        audited = select(data_dir, "audit", "actor, address, action", order="id")
        assert audited == [("anybody", "127.0.0.1", "pause"), ("anybody", "127.0.0.1", "resume")]
        subjects = select(data_dir, "audit_details", "DISTINCT subject")
        assert subjects == [(chat_id_of(LAURA),)]


async def test_clearing_the_locks_begins_the_runs_again_and_loses_nothing(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(Step(gate=trio.Event()), say("Aquí estoy"))
        await stage.gateway.customer_says(LAURA, "Hola")
        (stuck,) = await stage.model.wait_requests(1)
        (chat,) = (await stage.get("/locks")).json()["chats"]
        assert (chat["state"], LAURA in chat["chat"]) == ("thinking", False)
        assert (await post(stage, "/locks/clear", {})).json()["cleared"] == 1
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Aquí estoy"]
        assert stuck.outcome == "cancelled"
        assert states(stage.settings.data_dir) == {"answered"}
