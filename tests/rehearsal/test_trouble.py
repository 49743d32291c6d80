"""A rehearsal whose model server is away, refuses, is too busy, or has become too expensive."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr
from support.model_script import Step, say
from support.stage import open_stage
from trio.testing import MockClock

from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse, Usage
from daemon.errors import ModelTemporary
from daemon.ops.rehearsal import retrying_engine
from daemon.ops.rehearsal.cases import Case, CaseTurn, LocatedCase
from daemon.ops.rehearsal.judge import Judge
from daemon.ops.rehearsal.play import Play, Tries, play_cases
from daemon.ops.rehearsal.retrying_engine import retrying
from daemon.ops.rehearsal.stage import RehearsalOptions
from daemon.sandbox.simulated_engine import SimulatedEngine
from daemon.settings import Settings, with_tables

PRICES = {"gpt-6-luna": {"input": 1.0, "cached": 1.0, "output": 1.0}}


def quiet_case(name: str) -> LocatedCase:
    """A case that asks for nothing to be said, so that silence could pass."""
    case = Case(name=name, turn=[CaseTurn(says="Hola")], not_said="nunca")
    return LocatedCase(case=case, path=Path("c.toml"), line=1)


async def plays_of(settings: Settings, *, cost: float = 0.0) -> list[Play]:
    """Two cases, one after the other, with the configured model."""
    terms = RehearsalOptions(simulated=False, at=0.0, cost=cost, trouble_seconds=0.3)
    cases = [quiet_case("first"), quiet_case("second")]
    return list((await play_cases(settings, terms, cases, Tries(at_once=1))).plays)


async def test_a_wrong_key_is_told_for_every_case(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", started=False) as stage:
        key = {"assistant": {"api_key": SecretStr("sk-wrong")}}
        plays = await plays_of(with_tables(stage.outside_settings(), key))
        assert ["401" in "".join(play.failures) for play in plays] == [True, True]


async def test_a_server_that_refuses_everything_fails_every_case(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", started=False) as stage:
        stage.model.refuses = True
        plays = await plays_of(stage.outside_settings())
        assert [play.passed for play in plays] == [False, False]
        assert "refuses" in plays[1].failures[0]


async def test_a_case_for_which_no_budget_is_left_fails(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", started=False) as stage:
        priced = with_tables(stage.outside_settings(), {"budget": {"prices": PRICES}})
        plays = await plays_of(priced, cost=0.000_001)
        assert [play.passed for play in plays] == [False, False]
        assert "budget" in plays[0].failures[0]


@dataclass
class BusyEngine(SimulatedEngine):
    """Refuses so many calls for the moment, then answers TRUE; None: it never answers."""

    refusals: int | None
    asked_at: list[float] = field(default_factory=list)

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        del request, on_started
        self.asked_at.append(trio.current_time())
        if self.refusals is None:
            await trio.sleep_forever()
        if len(self.asked_at) <= (self.refusals or 0):
            raise ModelTemporary("429", retry_after=20)
        text = {"type": "output_text", "text": "TRUE\nIt is.", "annotations": []}
        items: tuple[JsonObject, ...] = (
            {"type": "message", "role": "assistant", "content": [text]},
        )
        return ModelResponse(id="", items=items, usage=Usage())


async def test_a_judge_waits_as_long_as_a_busy_server_asks(autojump_clock: MockClock) -> None:
    engine = BusyEngine(refusals=2)
    verdict = await Judge(retrying(engine, seconds=60)).holds("It is so.", [])
    assert verdict.holds
    assert autojump_clock.current_time() - engine.asked_at[0] == pytest.approx(40, abs=1)


async def test_a_customer_is_not_told_that_the_server_was_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying_engine, "WAIT_SECONDS", 0.05)
    async with open_stage(tmp_path / "data", started=False) as stage:
        busy = Step(status=429, code="rate_limit_exceeded")
        stage.model.script(busy, busy, busy, busy, say("Buenas."))
        terms = RehearsalOptions(simulated=False, at=0.0)
        played = await play_cases(stage.outside_settings(), terms, [quiet_case("c")], Tries())
        (play,) = played.plays
        assert play.passed, play.failures
        assert play.turns[0].answers == ["Buenas."]


async def test_a_judge_that_never_answers_is_given_up(autojump_clock: MockClock) -> None:
    agreement = await Judge(BusyEngine(refusals=None)).agreement()
    assert agreement.startswith("the judge could not be measured: ")
    assert autojump_clock.current_time() < 24 * 3600
