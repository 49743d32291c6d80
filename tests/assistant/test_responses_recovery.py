"""Responses that outlive a connection or a process, and those that do not."""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import httpx
import pytest
import trio
from support.model import ScriptedModel
from support.model_script import Step, say
from support.plain import NO_TLS

from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.domain.messages import ModelRequest
from daemon.errors import ModelTemporary, ResponseGone
from daemon.sandbox.model_wire import Say

Open = Callable[..., AbstractAsyncContextManager[Engine]]
Ask = Callable[..., ModelRequest]


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


def posts(server: ScriptedModel) -> int:
    return server.hits.count(("POST", "/responses"))


async def leave_running(url: str) -> str:
    """Start a background response and vanish, as a killed process does; return its id."""
    body = {"model": "m", "input": "hola", "background": True, "store": True}
    headers = {"authorization": "Bearer sk-test-0123456789abcdef"}
    async with httpx.AsyncClient(verify=NO_TLS, timeout=60) as client:
        answer = await client.post(f"{url}/responses", json=body, headers=headers)
    return str(answer.json()["id"])


async def test_a_cut_background_stream_is_picked_up(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """The answer is whole, and the model ran once."""
    server.script(say("uno dos tres cuatro cinco", cut_after=6))
    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            response = await engine.respond(ask("hola"), on_started=ignore)
    assert response.text == "uno dos tres cuatro cinco"
    assert posts(server) == 1


async def test_a_stream_is_followed_after_the_last_event_seen(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A response still running after the cut is read on, not asked for over and over."""
    gate = trio.Event()
    server.script(say("uno dos tres", cut_after=4, gate=gate, gate_at=5))
    with trio.fail_after(60):
        async with open_engine(background=True) as engine, trio.open_nursery() as nursery:

            async def release() -> None:
                path = f"/responses/{(await server.wait_requests(1))[0].response_id}"
                await server.wait_for(lambda: server.hits.count(("GET", path)) == 2)
                gate.set()

            nursery.start_soon(release, name="release")
            response = await engine.respond(ask("hola"), on_started=ignore)
    assert response.text == "uno dos tres"
    assert posts(server) == 1


async def test_a_cut_foreground_stream_is_lost(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """It is not run again in secret."""
    server.script(say("uno dos tres", cut_after=6))
    with trio.fail_after(60):
        async with open_engine() as engine:
            with pytest.raises(ModelTemporary):
                await engine.respond(ask("hola"), on_started=ignore)
    assert posts(server) == 1
    assert server.calls[0].outcome == "cut"


async def test_a_response_that_the_server_lost_is_reported_at_once(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A server that forgets the response after the cut makes the engine say so at once."""
    server.script(say("uno", cut_after=3))

    with trio.fail_after(60):
        async with open_engine(background=True) as engine:

            async def forget(response_id: str) -> None:
                await trio.lowlevel.checkpoint()
                del server._kept[response_id]

            with pytest.raises(ResponseGone):
                await engine.respond(ask("hola"), on_started=forget)


async def test_a_new_process_harvests_a_finished_response(
    server: ScriptedModel, server_url: str, open_engine: Open
) -> None:
    """The answer that was paid for is used."""
    server.script(say("Tu reserva está lista."))
    with trio.fail_after(60):
        response_id = await leave_running(server_url)
        await server.calls[0].ended.wait()
        async with open_engine(background=True) as engine:
            response = await engine.resume(response_id, starting_after=0)
    assert (response.id, response.text) == (response_id, "Tu reserva está lista.")
    assert posts(server) == 1


async def test_a_new_process_follows_a_running_response(
    server: ScriptedModel, server_url: str, open_engine: Open
) -> None:
    """It waits for the end of what the old one began."""
    gate = trio.Event()
    server.script(say("uno dos", gate=gate))
    with trio.fail_after(60):
        response_id = await leave_running(server_url)
        async with open_engine(background=True) as engine, trio.open_nursery() as nursery:

            async def release() -> None:
                path = f"/responses/{response_id}"
                await server.wait_for(lambda: server.hits.count(("GET", path)) == 2)
                gate.set()

            nursery.start_soon(release, name="release")
            response = await engine.resume(response_id, starting_after=1)
    assert response.text == "uno dos"


async def test_cancelling_a_resume_leaves_the_response(
    server: ScriptedModel, server_url: str, open_engine: Open
) -> None:
    """The next start of the daemon finds it still running."""
    gate = trio.Event()
    server.script(Step(outputs=(Say("sigo aquí"),), gate=gate))
    with trio.fail_after(60):
        response_id = await leave_running(server_url)
        async with open_engine(background=True) as engine:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(engine.resume, response_id), name="resume")
                await server.wait_for(
                    lambda: server.hits.count(("GET", f"/responses/{response_id}")) == 2
                )
                nursery.cancel_scope.cancel()
            gate.set()
            assert (await engine.resume(response_id)).text == "sigo aquí"


@pytest.mark.parametrize("end", ["cancelled", "failed", "unknown"])
async def test_a_response_that_will_not_finish_is_not_waited_for(
    server: ScriptedModel, server_url: str, open_engine: Open, end: str
) -> None:
    """The caller then runs the model again."""
    server.script(Step(failed="server_error") if end == "failed" else Step(gate=trio.Event()))
    with trio.fail_after(60):
        response_id = await leave_running(server_url)
        async with open_engine(background=True) as engine:
            if end == "failed":
                await server.calls[0].ended.wait()
            elif end == "cancelled":
                assert await engine.cancel(response_id)
            else:
                response_id = "resp_nobody/knows"
            with pytest.raises(ResponseGone):
                await engine.resume(response_id)
            assert await engine.cancel(response_id), "cancelling is idempotent"


async def test_a_server_that_keeps_nothing_is_not_asked(
    server: ScriptedModel, open_engine: Open
) -> None:
    """There is nothing to resume where nothing is stored."""
    with trio.fail_after(60):
        async with open_engine() as engine:
            with pytest.raises(ResponseGone):
                await engine.resume("resp_1")
    assert server.hits == []


async def test_a_server_that_cannot_be_reached(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cancel` says so without an error; `resume` tries a few times and calls it temporary."""
    monkeypatch.setattr("daemon.assistant.responses_engine.FOLLOW_DELAYS", (0.0, 0.01))
    with trio.fail_after(60):
        async with open_responses_engine(
            base_url="http://127.0.0.1:9/v1",
            api_key="",
            model="m",
            timeout_seconds=30,
            rng=rng,
            background=True,
        ) as engine:
            assert not await engine.cancel("resp_1")
            with pytest.raises(ModelTemporary, match="no connection"):
                await engine.resume("resp_1")


async def test_a_server_that_does_not_stream_again_is_polled(
    server: ScriptedModel, server_url: str, open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeping responses and streaming them again are two abilities."""
    monkeypatch.setattr("daemon.assistant.responses_engine.POLL_SECONDS", 0.01)
    gate = trio.Event()
    server.script(say("uno dos", gate=gate))
    with trio.fail_after(60):
        response_id = await leave_running(server_url)
        await server.wait_for(lambda: server.running == 1)
        server.streams_again = False
        async with open_engine(background=True) as engine, trio.open_nursery() as nursery:

            async def release() -> None:
                path = f"/responses/{response_id}"
                await server.wait_for(lambda: server.hits.count(("GET", path)) == 4)
                gate.set()

            nursery.start_soon(release, name="release")
            response = await engine.resume(response_id)
    assert response.text == "uno dos"
