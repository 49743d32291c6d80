"""Bugs of ours: a fault in one chat stays in that chat."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.rows import states
from support.scenes import PEDRO, forgive, open_scene
from support.stage import LAURA

from daemon.assistant.engine import Engine
from daemon.chats import registry
from daemon.model import ModelRequest, ModelResponse


class BuggyEngine:
    """An engine with a bug: words it cannot bear make it raise what nobody expects."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.can_resume = engine.can_resume
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
