"""What hearing and speaking cost: charged to a day, bounded by its budget."""

from pathlib import Path
from typing import Any

import pytest
from support.model_script import say
from support.rows import select
from support.scenes import found, model_input, open_scene, outcomes
from support.stage import LAURA, Stage

from daemon.domain.rendering.opus import ogg_head, ogg_page, spoken_seconds
from daemon.sandbox import audio, samples
from daemon.sandbox.asgi import json_answer

HEARS = {"transcription_model": "oído"}
SPEAKS = {"speech_model": "voz", "speech_format": "ogg"}
SECONDS = spoken_seconds(samples.first_of("voice").data)
MINUTE = 60.0
"""A price at which a second costs one."""
FIT = "Con mucho gusto la esperamos el viernes."
HEARD = "Quiero dos noches"


def priced(**limits: Any) -> dict[str, Any]:
    """A budget in which only sound costs something."""
    return {"prices": {"oído": {"minute": MINUTE}, "voz": {"characters": 1_000_000.0}}, **limits}


def cost(stage: Stage) -> list[float]:
    """What the day has cost the chat and in all."""
    rows = select(stage.settings.data_dir, "usage_days", "micros", order="chat DESC")
    return [micros / 1_000_000 for (micros,) in rows]


def asked(stage: Stage, what: str) -> int:
    """How often a model for sound was asked."""
    return sum(path.endswith(f"/audio/{what}") for _, path in stage.model.hits)


async def test_a_transcription_is_charged_by_the_length_of_the_recording(tmp_path: Path) -> None:
    """By its own length, whatever its message says."""
    async with open_scene(tmp_path, voice=HEARS, budget=priced()) as stage:
        stage.model.transcript = HEARD
        await stage.gateway.contact(LAURA).send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        assert model_input(stage)[-1] == f"[voice note] {HEARD}"
        assert SECONDS > 0
        assert cost(stage) == [SECONDS, SECONDS]
        assert f"recado_cost_total {float(SECONDS)}" in (await stage.get("/metrics")).text


@pytest.mark.parametrize("position", [1, 48_000, 2**62, -(2**63), 2**63 - 1])
async def test_a_recording_is_not_shorter_than_its_bytes_allow(
    tmp_path: Path, position: int
) -> None:
    """Its message says a second, and so does its last page, or an age of the world."""
    head, *_ = ogg_head()
    last = ogg_page([b"end"], 9, position, flags=4)
    sound = head + b"\x00" * 640_000 + last
    async with open_scene(tmp_path, voice=HEARS, budget=priced()) as stage:
        await stage.gateway.contact(LAURA).send_voice(sound)
        await found(lambda: outcomes(stage) == ["answered"])
        if position > 2**60:
            assert asked(stage, "transcriptions") == 0
        else:
            assert cost(stage)[0] >= len(sound) / 64_000


@pytest.mark.parametrize("limit", ["contact_cost", "total_cost"])
async def test_without_budget_a_voice_note_is_not_transcribed(tmp_path: Path, limit: str) -> None:
    """The model is told as where nobody hears, the operator why."""
    budget = priced(**{limit: SECONDS + 0.5})
    async with open_scene(tmp_path, voice=HEARS, budget=budget) as stage:
        laura = stage.gateway.contact(LAURA)
        await laura.send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        await laura.send_voice()
        await found(lambda: outcomes(stage) == ["answered"] * 2)
        assert model_input(stage)[-1].endswith("what is spoken cannot be heard here]")
        assert asked(stage, "transcriptions") == 1
        assert cost(stage) == [SECONDS, SECONDS]
        (line,) = stage.events("voice error")
        assert "budget" in line["error"]


async def test_a_failed_transcription_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = json_answer({"error": {"message": "no"}}, 400)
    monkeypatch.setattr(audio, "transcription_answer", lambda *_: refused)
    async with open_scene(tmp_path, voice=HEARS, budget=priced()) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        assert asked(stage, "transcriptions") == 1
        assert cost(stage) == [0, 0]


async def test_speech_is_charged_by_its_characters(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice=SPEAKS, budget=priced()) as stage:
        stage.model.script(say(FIT))
        await stage.gateway.contact(LAURA).send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        assert [sent.kind for sent in stage.gateway.sent(LAURA)] == ["voice"]
        assert cost(stage) == [len(FIT), len(FIT)]


async def test_speech_priced_by_the_minute_is_charged_by_its_length(tmp_path: Path) -> None:
    """It is taken to last longer before it is made."""
    prices = {"voz": {"minute": MINUTE}}
    async with open_scene(tmp_path, voice=SPEAKS, budget={"prices": prices}) as stage:
        stage.model.script(say(FIT))
        await stage.gateway.contact(LAURA).send_voice()
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert cost(stage) == [sent.request["seconds"]] * 2
        assert sent.request["seconds"] > 0


async def test_without_budget_for_speech_the_answer_is_written(tmp_path: Path) -> None:
    budget = priced(total_cost=len(FIT) - 1)
    async with open_scene(tmp_path, voice=SPEAKS, budget=budget) as stage:
        stage.model.script(say(FIT))
        await stage.gateway.contact(LAURA).send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == [FIT]
        assert asked(stage, "speech") == 0
        assert cost(stage) == [0, 0]
        metrics = (await stage.get("/metrics")).text
        assert 'recado_voice_replies_total{result="unpaid"} 1.0' in metrics


async def test_speech_that_was_not_made_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = json_answer({"error": {"message": "no"}}, 400)
    monkeypatch.setattr(audio, "speech_answer", lambda *_: refused)
    async with open_scene(tmp_path, voice=SPEAKS, budget=priced()) as stage:
        stage.model.script(say(FIT))
        await stage.gateway.contact(LAURA).send_voice()
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == [FIT]
        assert (asked(stage, "speech"), cost(stage)) == (1, [0, 0])
