"""The brakes of the whole daemon: budgets, loops, floods and runs that wait for their place."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from support.model_script import Step, call, say
from support.plain import NO_TLS
from support.rows import count, select
from support.scenes import PEDRO, forgive, found, logged, open_scene, outcomes
from support.stage import LAURA, Stage

from daemon.domain import limits
from daemon.domain.states import WITH_AGENT
from daemon.domain.texts import texts
from daemon.domain.transitions.handover import LOOP
from daemon.settings.chats import BrakeSettings

STOP_TEXT = texts("es").budget
ONE_ANSWER = 50_000
"""Tokens set aside for the output of a call: far more than the rest of these requests."""


async def _shown(stage: Stage, enough: Callable[[list[str]], bool]) -> list[str]:
    """Wait until /locks shows the chats in certain states."""
    with trio.fail_after(30):
        while True:
            page = (await stage.get("/locks")).json()
            states = [chat["state"] for chat in page["chats"]]
            if enough(states):
                return states
            await trio.sleep(0.01)


async def _says(stage: Stage, words: str, answers: int, chat: str = LAURA) -> None:
    """Let a customer write, and wait until so many answers in all have come."""
    await stage.gateway.customer_says(chat, words)
    await stage.gateway.wait_sent(chat, answers)


def _usage(stage: Stage) -> list[tuple[str, int]]:
    return [
        (state, tokens)
        for state, tokens in select(stage.settings.data_dir, "usage", "state, tokens", order="id")
    ]


def _total(stage: Stage) -> int:
    rows = select(stage.settings.data_dir, "usage_days", "SUM(tokens)", where={"chat": ""})
    return int(rows[0][0] or 0)


def _ratio(metrics: str) -> float:
    (value,) = re.findall(r'recado_budget_used_ratio{limit="cost"} (\S+)', metrics)
    return float(value)


def _reasons(stage: Stage) -> list[str]:
    rows = select(stage.settings.data_dir, "turns", "reason", order="id")
    return [reason for (reason,) in rows]


async def _ended(stage: Stage, count: int) -> list[str]:
    return await found(lambda: outcomes(stage), lambda ends: len(ends) == count and all(ends))


def _limited(stage: Stage, **limits: Any) -> None:
    """Change the limits of the stopped daemon's next start."""
    budget = stage.settings.budget.model_copy(update=limits)
    stage.settings = stage.settings.model_copy(update={"budget": budget})


# -- budgets ---------------------------------------------------------------------------------------


async def test_a_contact_over_budget_is_notified_once_and_answered_when_the_limit_is_raised(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path, budget={"contact_tokens": 10}) as stage:
        await _says(stage, "Hola, ¿tienen cupo?", 1)
        await _ended(stage, 1)
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        assert await _ended(stage, 2) == ["handed_off", "handed_off"]
        assert _reasons(stage) == ["budget", "budget"]
        assert stage.received() == [STOP_TEXT]
        assert stage.model.calls == []
        (line,) = stage.events("a contact's budget is spent")
        assert line["level"] == "warning"
        await stage.stop()
        _limited(stage, contact_tokens=0)
        await stage.start()
        await _says(stage, "¿Y ahora?", 2)
        assert STOP_TEXT not in stage.received()[1:]
        assert "tienen cupo" in str(stage.model.calls[0].items)


async def test_the_total_over_budget_is_an_alert_once_a_day(tmp_path: Path) -> None:
    async with open_scene(tmp_path, budget={"total_tokens": 10}) as stage:
        for chat in (LAURA, PEDRO):
            await stage.gateway.customer_says(chat, "Hola")
            await stage.gateway.wait_sent(chat)
        await _ended(stage, 2)
        assert [stage.received(chat) for chat in (LAURA, PEDRO)] == [[STOP_TEXT], [STOP_TEXT]]
        assert [line["event"] for line in stage.errors()] == ["the budget of the day is spent"]
        assert stage.model.calls == []
        metrics = (await stage.get("/metrics")).text
        assert 'recado_brakes_total{reason="budget"} 2.0' in metrics
        assert "recado_fallbacks_total 2.0" in metrics
        forgive(stage)


async def test_another_day_has_a_budget_of_its_own(tmp_path: Path) -> None:
    limits = {"contact_tokens": ONE_ANSWER + 20_000, "answer_tokens": ONE_ANSWER}
    async with open_scene(tmp_path, budget=limits, recovery={"max_age_hours": 100}) as stage:
        await _says(stage, "Hola", 1)
        await _ended(stage, 1)
        await stage.stop()
        used = _total(stage)
        assert used > 0
        _limited(stage, contact_tokens=used)
        await stage.start()
        await _says(stage, "¿Sigues ahí?", 2)
        await _ended(stage, 2)
        assert stage.received()[1] == STOP_TEXT
        await stage.stop()
        stage.later_seconds = 24 * 3600.0
        _limited(stage, contact_tokens=limits["contact_tokens"])
        await stage.start()
        await _says(stage, "Buenos días", 3)
        assert await _ended(stage, 3) == ["answered", "handed_off", "answered"]
        days = select(stage.settings.data_dir, "usage_days", "DISTINCT day")
        assert len(days) == 2


async def test_two_chats_race_for_the_last_of_the_total_and_one_is_answered(
    tmp_path: Path,
) -> None:
    gate = trio.Event()
    limits = {"total_tokens": 2 * ONE_ANSWER - 1, "answer_tokens": ONE_ANSWER}
    async with open_scene(tmp_path, budget=limits) as stage:
        stage.model.script(Step(gate=gate), Step(gate=gate))
        async with trio.open_nursery() as nursery:
            for chat in (LAURA, PEDRO):
                nursery.start_soon(stage.gateway.customer_says, chat, "Hola")
        await logged(stage, "the budget of the day is spent")
        await stage.model.wait_requests(1)
        gate.set()
        assert sorted(await _ended(stage, 2)) == ["answered", "handed_off"]
        assert len(stage.model.calls) == 1
        received = await found(
            lambda: stage.received(LAURA) + stage.received(PEDRO), lambda texts: len(texts) == 2
        )
        assert received.count(STOP_TEXT) == 1
        forgive(stage)


async def test_a_crash_between_reservation_and_settlement_counts_the_call_once(
    tmp_path: Path,
) -> None:
    gate = trio.Event()
    async with open_scene(tmp_path, budget={"answer_tokens": ONE_ANSWER}) as stage:
        stage.model.script(say("Claro que sí", gate=gate, gate_at=3))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(
            lambda: count(stage.settings.data_dir, "responses", where={"response_id !=": ""})
        )
        await stage.crash()
        ((state, reserved),) = _usage(stage)
        assert state == "reserved"
        assert reserved > ONE_ANSWER
        await stage.start()
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        await _ended(stage, 1)
        ((state, settled),) = _usage(stage)
        assert state == "settled"
        assert 0 < settled < ONE_ANSWER
        assert _total(stage) == settled
        assert len(stage.model.calls) == 1


async def test_a_round_that_is_known_after_a_crash_is_not_charged_again(tmp_path: Path) -> None:
    gate = trio.Event()
    async with open_scene(tmp_path) as stage:
        stage.model.script(
            call("get_conversation_context", '{"count": "recent_50"}'),
            say("Listo", gate=gate, gate_at=3),
        )
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(2)
        await stage.crash()
        ((first, tokens), *_) = _usage(stage)
        assert first == "settled"
        await stage.start()
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        await _ended(stage, 1)
        usage = _usage(stage)
        assert usage[0] == ("settled", tokens)
        assert [state for state, _ in usage] == ["settled", "settled"]
        assert _total(stage) == sum(tokens for _, tokens in usage)


async def test_the_cost_of_a_model_is_counted_in_money(tmp_path: Path) -> None:
    prices = {"gpt-6-luna": {"input": 1.0, "output": 10.0}}
    async with open_scene(tmp_path, budget={"prices": prices, "total_cost": 5.0}) as stage:
        await _says(stage, "Hola", 1)
        await _ended(stage, 1)
        ((micros,),) = select(stage.settings.data_dir, "usage", "micros")
        assert micros > 0
        metrics = (await stage.get("/metrics")).text
        assert f"recado_cost_total {micros / 1e6}" in metrics
        await stage.stop()
        await stage.start()
        with trio.fail_after(30):
            while _ratio((await stage.get("/metrics")).text) == 0:  # noqa: ASYNC110 - a page tells nobody
                await trio.sleep(0.01)
        ratio = _ratio((await stage.get("/metrics")).text)
        assert ratio == pytest.approx(micros / 5e6)


# -- loops -----------------------------------------------------------------------------------------


async def test_a_talk_with_a_machine_is_stopped_and_goes_on_after_the_pause(
    tmp_path: Path,
) -> None:
    settings = {"loop_answers": 3, "pause_minutes": 0.02}
    async with open_scene(tmp_path, brakes=settings, buffer={"idle_seconds": 5}) as stage:
        for number in range(1, 4):
            await _says(stage, f"Gracias por su mensaje número {number}", number)
        await _ended(stage, 3)
        await stage.gateway.customer_says(LAURA, "Gracias por su mensaje número 4")
        assert await _ended(stage, 4) == ["answered", "answered", "answered", "handed_off"]
        assert _reasons(stage)[-1] == "loop"
        assert len(stage.model.calls) == 3
        (line,) = await logged(stage, "a talk with a machine, the chat is paused")
        assert line["level"] == "warning"
        await found(
            stage.environment.now,
            lambda now: now > select(stage.settings.data_dir, "chats", "paused_until")[0][0],
        )
        await _says(stage, "Hola, soy Laura", 4)
        assert (await _ended(stage, 5))[-1] == "answered"


async def test_the_same_words_again_and_again_are_stopped_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path, brakes={"repeats": 3, "loop_answers": 0}) as stage:
        await _says(stage, "Estamos fuera de horario", 1)
        await _ended(stage, 1)
        await _says(stage, "Estamos fuera de horario", 2)
        await _ended(stage, 2)
        await stage.crash()
        await stage.start()
        await stage.gateway.customer_says(LAURA, "Estamos fuera de horario")
        assert (await _ended(stage, 3))[-1] == "handed_off"
        await stage.gateway.customer_says(LAURA, "Estamos fuera de horario")
        fate = await found(
            lambda: select(
                stage.settings.data_dir,
                "messages",
                "state, reason",
                where={"from_me": 0},
                order="seq",
            ),
            lambda rows: len(rows) == 4 and rows[-1][0] == WITH_AGENT,
        )
        assert fate[2:] == [(WITH_AGENT, LOOP), (WITH_AGENT, LOOP)]
        assert len(stage.received()) == 2


async def test_an_operator_ends_the_pause_of_a_loop_and_the_chat_begins_anew(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path, brakes={"repeats": 2}, buffer={"idle_seconds": 60}) as stage:
        await _says(stage, "¿Hay alguien?", 1)
        await _ended(stage, 1)
        await stage.gateway.customer_says(LAURA, "¿Hay alguien?")
        await _ended(stage, 2)
        await _shown(stage, lambda states: "loop" in states)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            done = await client.post(f"{stage.url}/takeover/resume", json={"chat": LAURA})
        assert done.status_code == 200, done.text
        await _says(stage, "¿Hay alguien?", 2)
        assert (await _ended(stage, 3))[-1] == "answered"


async def test_a_person_who_says_yes_twice_is_answered_twice(tmp_path: Path) -> None:
    defaults = BrakeSettings().model_dump()
    async with open_scene(tmp_path, brakes=defaults) as stage:
        for number in range(1, 3):
            await _says(stage, "sí", number)
            assert await _ended(stage, number) == ["answered"] * number


# -- floods ----------------------------------------------------------------------------------------


async def test_more_turns_than_a_minute_allows_are_answered_later_and_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, brakes={"turns_per_minute": 2}) as stage:
        await _says(stage, "uno, por favor", 1)
        await _says(stage, "dos, por favor", 2)
        await _ended(stage, 2)
        await stage.gateway.customer_says(LAURA, "tres, por favor")
        await logged(stage, "too many turns, answered later")
        assert await _shown(stage, bool) == ["gathering"]
        assert len(stage.model.calls) == 2
        await stage.gateway.customer_says(LAURA, "cuatro, por favor")
        monkeypatch.setattr(limits, "MINUTE_SECONDS", 0.0)  # as if it had passed
        stage.gateway.presences_need_subscription = False
        await stage.gateway.customer_stops(LAURA)  # the chat looks again when it may answer
        await stage.gateway.wait_sent(LAURA, 3)
        assert await _ended(stage, 3) == ["answered"] * 3
        assert stage.model.calls[2].customer_texts[-1] == "tres, por favor\ncuatro, por favor"
        assert len(stage.events("too many turns, answered later")) == 1


async def test_the_pace_of_a_chat_is_known_after_a_restart(tmp_path: Path) -> None:
    async with open_scene(tmp_path, brakes={"turns_per_minute": 1}) as stage:
        await _says(stage, "Hola", 1)
        await _ended(stage, 1)
        await stage.crash()
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Y el desayuno?")
        await logged(stage, "too many turns, answered later")
        assert len(stage.model.calls) == 1


# -- places for runs -------------------------------------------------------------------------------


async def test_a_run_waits_for_its_place_and_includes_messages_of_the_meantime(
    tmp_path: Path,
) -> None:
    gate = trio.Event()
    async with open_scene(tmp_path, assistant={"max_concurrent_runs": 1}) as stage:
        stage.model.script(Step(gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_says(PEDRO, "Buenas tardes")
        await _shown(stage, lambda states: sorted(states) == ["thinking", "waiting"])
        await stage.gateway.customer_says(PEDRO, "¿Tienen cupo?")
        gate.set()
        await stage.gateway.wait_sent(PEDRO)
        await _ended(stage, 2)
        assert len(stage.model.calls) == 2
        assert stage.model.most_running == 1
        assert stage.model.calls[1].customer_texts == ["Buenas tardes\n¿Tienen cupo?"]
        superseded = select(stage.settings.data_dir, "turns", "SUM(superseded)")
        assert superseded == [(0,)]


async def test_places_are_given_in_the_order_of_asking(tmp_path: Path) -> None:
    gate = trio.Event()
    chats = [f"57300123456{n}" for n in range(5)]
    async with open_scene(tmp_path, assistant={"max_concurrent_runs": 1}) as stage:
        stage.model.script(Step(gate=gate))
        for number, chat in enumerate(chats):
            await stage.gateway.customer_says(chat, f"Soy el {number}")
            if number:
                await _shown(stage, lambda states, n=number: states.count("waiting") == n)  # type: ignore[misc]
            else:
                await stage.model.wait_requests(1)
        gate.set()
        await _ended(stage, len(chats))
        asked = [model_call.customer_texts[-1] for model_call in stage.model.calls]
        assert asked == [f"Soy el {number}" for number in range(5)]


async def test_an_agent_takes_over_a_chat_that_waits_for_its_place(tmp_path: Path) -> None:
    gate = trio.Event()
    async with open_scene(tmp_path, assistant={"max_concurrent_runs": 1}) as stage:
        stage.model.script(Step(gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_says(PEDRO, "Buenas tardes")
        await _shown(stage, lambda states: "waiting" in states)
        await stage.gateway.agent_says(PEDRO, "Yo lo atiendo")
        await found(lambda: outcomes(stage), lambda ends: ends == ["", "handed_off"])
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        assert len(stage.model.calls) == 1


async def test_a_stop_does_not_wait_for_those_in_line(tmp_path: Path) -> None:
    gate = trio.Event()
    async with open_scene(
        tmp_path, assistant={"max_concurrent_runs": 1}, shutdown={"deadline_seconds": 1}
    ) as stage:
        stage.model.script(Step(gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await stage.gateway.customer_says(PEDRO, "Buenas tardes")
        await _shown(stage, lambda states: "waiting" in states)
        with trio.fail_after(30):
            await stage.stop()
        assert outcomes(stage) == ["", ""]
        gate.set()
        await stage.start()
        for chat in (LAURA, PEDRO):
            await stage.gateway.wait_sent(chat)
        assert await _ended(stage, 2) == ["answered", "answered"]
