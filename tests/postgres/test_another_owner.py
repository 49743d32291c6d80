"""A daemon while another node owns its number: what it takes, and what it leaves for the owner."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from pydantic import SecretStr
from support.place import POSTGRES
from support.plain import NO_TLS
from support.rows import change, delete, insert, select, states
from support.scenes import found, logged
from support.stage import LAURA, NUMBER, Stage, open_stage, text_webhook

from daemon.conversation.waiting_calls import WaitingIntake
from daemon.ops import remote
from daemon.ops.remote import TAKEN, UNKNOWN


@asynccontextmanager
async def beside_an_owner(folder: Path) -> AsyncIterator[Stage]:
    """A daemon; another node, which does nothing, owns its number and leads."""
    later = time.time() + 3600
    ghost = {"process": "ghost", "name": "ghost", "version": "", "until": later, "renewed_at": 0}
    insert(folder, "nodes", ghost)
    owned = {"owner": "ghost", "epoch": 7}
    insert(folder, "numbers", {"number": NUMBER, **owned}, {"number": "", **owned})
    store = {"url": SecretStr(POSTGRES.url(folder))}
    slow = {"window_seconds": 30, "max_wait_seconds": 60}  # a command comes before an answer
    async with open_stage(
        folder, store=store, housekeeping={"sweep_seconds": 0.1}, buffer=slow
    ) as stage:
        yield stage


async def pause(stage: Stage) -> httpx.Response:
    async with httpx.AsyncClient(verify=NO_TLS, timeout=60) as client:
        return await client.post(f"{stage.url}/takeover/pause", json={"chat": LAURA, "minutes": 30})


async def test_webhooks_and_commands_wait_for_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    monkeypatch.setattr(remote, "ANSWER_SECONDS", 0.2)
    folder = tmp_path / "data"
    async with beside_an_owner(folder) as stage:
        assert (await stage.get("/ready")).status_code == 200
        assert (await stage.get("/health")).json()["status"] == "healthy"
        assert (await stage.post(b"not JSON")).status_code == 400
        for number in (1, 2):
            call = text_webhook(f"Hola {number}", f"m-{number}")
            assert (await stage.post(call)).status_code == 200
        assert len(select(folder, "waiting_calls", "id")) == 2
        answer = await pause(stage)
        assert (answer.status_code, answer.json()) == (202, {"done": False, "notice": TAKEN})
        assert (await stage.get("/dashboard/chats")).status_code == 200
        assert select(folder, "messages", "id") == []

        old = {"number": NUMBER, "chat": "", "operation": "pause", "arguments": "", "asked_at": 1.0}
        insert(folder, "commands", {**old, "state": "done", "result": "1"})
        delete(folder, "nodes", where={"process": "ghost"})  # its lease is over
        await found(lambda: select(folder, "commands", "state") == [("done",)])
        await found(lambda: states(folder) == {"with_agent"})  # what came is for a person now
        assert select(folder, "waiting_calls", "id") == []
        assert select(folder, "messages", "id", order="seq") == [("m-1",), ("m-2",)]
        monkeypatch.setattr(remote, "ANSWER_SECONDS", 30)
        assert (await pause(stage)).json() == {"chats": 1}
        pauses = select(folder, "audit", "action", where={"action": "pause"})
        assert len(pauses) == 2


async def test_what_another_version_asks_for_is_refused_and_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a command, and an argument, that only a later version has."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    folder = tmp_path / "data"
    async with open_stage(folder, store={"url": SecretStr(POSTGRES.url(folder))}) as stage:
        assert (await stage.post(text_webhook("Hola", "m-1"))).status_code == 200
        ours = {"number": NUMBER, "chat": "", "asked_at": 0.0}
        key = [NUMBER, f"{LAURA}@s.whatsapp.net"]
        known = {"key": key, "minutes": 30.0, "by": {"name": "user maria"}}
        further = {**known, "until_sunset": True}
        insert(
            folder,
            "commands",
            {**ours, "operation": "sing", "arguments": json.dumps({"key": key})},
            {**ours, "operation": "over", "arguments": json.dumps({"store": key})},
            {**ours, "operation": "_pause", "arguments": json.dumps(further)},
            {**ours, "operation": "_pause", "arguments": json.dumps(known)},
        )
        await found(lambda: {row[0] for row in select(folder, "commands", "state")} == {"done"})
        results = [row[0] for row in select(folder, "commands", "result", order="id")]
        assert results[:3] == ["", "", ""]
        assert results[3] == "1", results
        assert len(select(folder, "audit", "action", where={"action": "pause"})) == 1
        assert len(await logged(stage, "a node of another version asked for more", 3)) == 3


async def test_who_asks_a_node_of_another_version_hears_that_nothing_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    folder = tmp_path / "data"
    async with beside_an_owner(folder) as stage:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await pause(stage))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await found(lambda: len(select(folder, "commands", "id")) == 1)
            ((arguments,),) = select(folder, "commands", "arguments")
            change(folder, "commands", {"state": "done", "result": ""}, where={"state": "waiting"})
    assert answers[0].status_code == 503
    assert UNKNOWN in answers[0].text
    assert set(json.loads(arguments)) == {"key", "minutes", "by"}


async def test_who_is_forgotten_does_not_come_back_by_a_call_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node has stored it before; no look for such calls comes in time."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    monkeypatch.setattr(WaitingIntake, "run", no_look)
    folder = tmp_path / "data"
    async with open_stage(folder, store={"url": SecretStr(POSTGRES.url(folder))}) as stage:
        # An agent's message gets no answer, and so no further call.
        by_agent = text_webhook("Hola", "m-1", from_me=True)
        assert (await stage.post(by_agent)).status_code == 200
        body = json.dumps(text_webhook("Me llamo Laura", "m-2")).encode()
        call = {"number": NUMBER, "event": "messages.post", "body": body, "received_at": 1.0}
        insert(folder, "waiting_calls", call)
        chats = (await stage.get("/dashboard/api/chats")).json()["chats"]
        async with httpx.AsyncClient(verify=NO_TLS, timeout=60) as client:
            answer = await client.post(
                f"{stage.url}/api/v1/chats/{chats[0]['ref']}/forget", json={"confirm": LAURA[-4:]}
            )
        assert answer.status_code == 200, answer.text
        assert select(folder, "waiting_calls", "id") == []
        assert not [row for row in select(folder, "messages") if "Laura" in str(row)]
        bodies = select(folder, "events", "body")
        assert not [body for (body,) in bodies if b"Laura" in bytes(body or b"")]


async def no_look(_self: object, *_arguments: object) -> None:
    await trio.sleep_forever()
