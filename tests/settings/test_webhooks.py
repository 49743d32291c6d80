"""The endpoints of outgoing webhooks: what is refused, and what `recado check` says of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.receiver import SECRET

from daemon.errors import SettingsError
from daemon.ops.checks import _endpoint, offline_findings
from daemon.settings.sources import load_settings
from daemon.settings.webhooks import WebhookSettings

CRM = {"name": "crm", "url": "https://crm.example.com/hook?key=k3y", "secret": SECRET}
KEYS = {"WHAPI_TOKEN": "an-invented-token", "OPENAI_API_KEY": "an-invented-key"}


def problems(folder: Path, *endpoints: dict[str, Any]) -> list[str]:
    environ = {"RECADO_WEBHOOKS": json.dumps(endpoints)}
    try:
        load_settings(config=None, environ=environ, cwd=folder)
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_c2hvcnQ="},
        {"secret": SECRET.removeprefix("whsec_")},
        {"secret": []},
        {"secret": [SECRET] * 3},
        {"name": "the crm"},
        {"url": "ftp://crm.example.com"},
        {"events": ["message.read"]},
        {"color": "red"},
    ],
)
def test_an_endpoint_that_cannot_be_used_is_refused_and_not_shown(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, CRM | wrong)
    assert problem.startswith("webhooks: must be a list of tables")
    assert "RECADO_WEBHOOKS" in problem
    assert "k3y" not in problem
    assert SECRET not in problem


def test_endpoints_have_names_of_their_own_numbers_that_exist_and_https(tmp_path: Path) -> None:
    assert problems(tmp_path, CRM, CRM | {"name": "other"}) == []
    (twice,) = problems(tmp_path, CRM, CRM)
    assert twice.startswith("webhooks: must be a list")
    (unknown,) = problems(tmp_path, CRM | {"numbers": ["shop"]})
    assert "crm names the unknown number shop" in unknown
    (plain,) = problems(tmp_path, CRM | {"url": "http://crm.example.com"})
    assert "crm is not https" in plain
    assert problems(tmp_path, CRM | {"url": "http://crm.example.com", "private": True}) == []
    assert problems(tmp_path, CRM | {"secret": [SECRET, SECRET]}) == []


def test_the_check_names_endpoints_and_their_events(tmp_path: Path) -> None:
    environ = KEYS | {"RECADO_WEBHOOKS": json.dumps([CRM | {"events": ["turn.ended"]}])}
    found = offline_findings(None, environ=environ, cwd=tmp_path)
    assert "webhooks: crm, turn.ended" in [one.text for one in found if one.level == "ok"]
    assert "k3y" not in str(found)


@pytest.mark.parametrize(("private", "level"), [(False, "error"), (True, "ok")])
async def test_the_check_finds_an_address_that_is_not_public(private: bool, level: str) -> None:  # noqa: FBT001
    endpoint = WebhookSettings.model_validate(
        CRM | {"url": "https://127.0.0.1/x", "private": private}
    )
    assert (await _endpoint(endpoint)).level == level
