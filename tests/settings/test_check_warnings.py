"""What `recado check` says of settings that work, but perhaps not as they are meant."""

import json
from pathlib import Path

import pytest

from daemon.ops.checks import offline_findings

BASE = {
    "WHAPI_TOKEN": "an-invented-token",
    "OPENAI_API_KEY": "an-invented-key",
    "RECADO_ASSISTANT__MODEL": "m",
    "RECADO_VOICE__TRANSCRIPTION_MODEL": "hears",
    "RECADO_VOICE__SPEECH_MODEL": "speaks",
}


def warned(folder: Path, prices: dict[str, dict[str, float]], **more: str) -> list[str]:
    """The warnings about prices, by the model's name."""
    environ = {**BASE, "RECADO_BUDGET__PRICES": json.dumps(prices), **more}
    found = offline_findings(None, environ=environ, cwd=folder)
    assert not [finding for finding in found if finding.level == "error"]
    texts = [finding.text for finding in found if finding.level == "warning"]
    return [text.split()[1] for text in texts if text.startswith("budget.prices: ")]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({}, ["hears", "speaks"]),
        ({"hears": {"minute": 0.006}, "speaks": {"characters": 15.0}}, []),
        ({"hears": {"characters": 15.0}, "speaks": {"minute": 0.015}}, ["hears"]),
        ({"hears": {"minute": 0}, "speaks": {"minute": 0}}, []),
    ],
)
def test_a_limit_of_costs_needs_prices_of_the_voice_models(
    tmp_path: Path, prices: dict[str, dict[str, float]], expected: list[str]
) -> None:
    prices = {"m": {"input": 1.0}, **prices}
    assert warned(tmp_path, prices, RECADO_BUDGET__TOTAL_COST="5") == expected


def test_without_a_limit_no_prices_are_needed(tmp_path: Path) -> None:
    assert warned(tmp_path, {}) == []


def test_trusting_everybody_is_warned_of(tmp_path: Path) -> None:
    environ = {**BASE, "RECADO_WEB__TRUSTED_PROXIES": "10.0.0.0/8, 0.0.0.0/0, ::/0"}
    found = offline_findings(None, environ=environ, cwd=tmp_path)
    warned_of = [one.text.split()[1] for one in found if "trusted_proxies" in one.text]
    assert warned_of == ["0.0.0.0/0", "::/0"]
