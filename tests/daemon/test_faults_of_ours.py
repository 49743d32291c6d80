"""Bugs of ours: a fault in one chat stays in that chat."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
import trio
from support.model_script import call, say
from support.rows import states
from support.scenes import PEDRO, forgive, found, logged, open_scene, outbox, outcomes
from support.stage import LAURA

from daemon.assistant.port import Engine
from daemon.conversation import registry
from daemon.domain.messages import ModelRequest, ModelResponse
from daemon.gateway.whapi.client import WhapiClient

TOOLS = '''
"""A tool that speaks while it works, for tests."""

from daemon.tools.tool import ToolContext, tool


@tool
async def look_up(context: ToolContext) -> str:
    """Look up what is free."""
    await context.say("Voy a consultar")
    return "FREE"
'''


class BuggyEngine:
    """An engine with a bug: words it cannot bear make it raise what nobody expects."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.can_resume = engine.can_resume
        self.waits_for_outputs = engine.waits_for_outputs
        self.resume, self.cancel = engine.resume, engine.cancel
        self.warm_up, self.list_models = engine.warm_up, engine.list_models
        self.notice = engine.notice

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        if "BOOM" in str(request.items[-1]):
            raise ZeroDivisionError("a bug")
        return await self._engine.respond(request, on_started=on_started)


async def test_a_crash_in_one_chat_is_recorded_counted_and_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn is given up after three crashes, with an apology; everybody else is answered."""
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.02)
    async with open_scene(tmp_path, started=False) as stage:
        stage.wrap_engine = BuggyEngine  # type: ignore[method-assign]
        await stage.start()
        await stage.gateway.customer_says(PEDRO, "BOOM")
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.wait_sent(PEDRO)
        await stage.quiet()
        crashes = stage.events("unexpected error")
        assert len(crashes) == 3
        assert {crash["what"] for crash in crashes} == {"chat crashed"}
        assert len({crash["chat_hash"] for crash in crashes}) == 1
        assert all(crash["task"].startswith("chat ") for crash in crashes)
        assert PEDRO not in stage.log.getvalue()
        assert "ZeroDivisionError: a bug" in crashes[0]["exception"]
        figures = (await stage.get("/metrics")).text
        assert "recado_chat_crashes_total 3.0" in figures
        assert 'recado_unexpected_errors_total{where="chat"} 3.0' in figures
        await stage.gateway.customer_says(PEDRO, "¿Y ahora?")
        await stage.gateway.wait_sent(PEDRO, 2)
        await stage.quiet()
        assert sorted(states(stage.settings.data_dir)) == ["answered", "dead"]
        forgive(stage)


class BuggyOnceEngine(BuggyEngine):
    """An engine that has a bug with the first output of a tool, as soon as it is told to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.due = trio.Event()
        self._is_sound = False

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        if not self._is_sound and "FREE" in str(request.items[-1]):
            self._is_sound = True
            await self.due.wait()
            raise ZeroDivisionError("a bug")
        return await super().respond(request, on_started=on_started)


@pytest.mark.parametrize("kind", ["hold", "hold_answer"])
async def test_a_crash_in_the_middle_of_a_send_leaves_it_to_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Literal["hold", "hold_answer"]
) -> None:
    """Nobody knows any more whether it went out: it is looked for, and said once."""
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.02)
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "desk.py").write_text(TOOLS)
    async with open_scene(tmp_path, started=False, tools={"folder": folder}) as stage:
        engines: list[BuggyOnceEngine] = []

        def wrap(engine: Engine) -> Engine:
            engines.append(BuggyOnceEngine(engine))
            return engines[0]

        stage.wrap_engine = wrap  # type: ignore[method-assign]
        stage.gateway.echoes.mode = "missing"
        stage.model.script(call("look_up"), say("La 101 está libre"))
        held = stage.gateway.faults.add(operation="send", kind=kind)
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await held.reached.wait()
        engines[0].due.set()
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Voy a consultar", "La 101 está libre"]
        assert [state for state, _ in outbox(stage)] == ["sent", "sent"]
        assert len(stage.events("unexpected error")) == 1
        forgive(stage)


async def test_a_bug_in_a_courtesy_ends_neither_the_chats_nor_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told of, nothing is marked as read, and everybody is answered."""

    async def bug(*_arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(WhapiClient, "subscribe_presence", bug)
    monkeypatch.setattr(WhapiClient, "mark_read", bug)
    async with open_scene(tmp_path) as stage:
        for chat in (LAURA, PEDRO):
            await stage.gateway.customer_says(chat, "Hola")
            await stage.gateway.wait_sent(chat)
        faults = await logged(stage, "unexpected error", 4)
        whats = sorted(fault["what"] for fault in faults)
        assert whats == ["contact not set up"] * 2 + ["not marked as read"] * 2
        assert (await stage.get("/ready")).status_code == 200
        forgive(stage)
