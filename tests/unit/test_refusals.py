"""What each HTTP status of Whapi's means for the caller, and what a refusal points at."""

import json

import pytest

from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
)
from daemon.gateway.whapi.payloads.answers import (
    error_of,
    error_of_unsent,
    explanation,
    named_parts,
)


def error(message: str, code: int = 1234, **more: str) -> bytes:
    """A body with Whapi's error object."""
    return json.dumps({"error": {"code": code, "message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "step"),
    [
        (200, b"", None),
        (201, b"", None),
        (301, b"", NumberTrouble),
        (400, error("Wrong request parameters"), RefusedForm),
        (401, error("need channel authorization"), NumberTrouble),
        (402, error("Trial version limit exceeded"), NumberTrouble),
        (403, error("forbidden"), RefusedRecipient),
        (404, error("Channel not found"), NumberTrouble),
        (404, error("channel with this token does not exist"), NumberTrouble),
        (404, error("not found", details="Channel not found"), NumberTrouble),
        (404, b"<html>nginx", NumberTrouble),
        (404, b"", NumberTrouble),
        (404, b"[404]", NumberTrouble),
        (404, error("specified media not found"), RefusedForm),
        (404, error("chat not found"), RefusedForm),
        (405, b"", RefusedForm),
        (408, b"", OutcomeUnknown),
        (409, b"", GatewayTemporary),
        (413, b"", RefusedForm),
        (415, b"", RefusedForm),
        (422, b"", RefusedForm),
        (425, b"", GatewayTemporary),
        (429, b"", GatewayTemporary),
        (500, b"", OutcomeUnknown),
        (503, error("Channel not found"), OutcomeUnknown),
        (599, b"", OutcomeUnknown),
    ],
)
def test_each_status_is_one_next_step(
    status: int, body: bytes, step: type[GatewayError] | None
) -> None:
    assert error_of(status, body) is step


@pytest.mark.parametrize(
    ("code", "message", "step"),
    [
        (403, "forbidden", RefusedRecipient),
        (404, "Channel not found", NumberTrouble),
        (429, "slow down", GatewayTemporary),
        (500, "internal", GatewayTemporary),  # it has not sent, it says
        (1234, "quoted", RefusedForm),
    ],
)
def test_an_answer_that_reports_an_unsent_message(
    code: int, message: str, step: type[GatewayError] | None
) -> None:
    assert error_of_unsent(error(message, code)) is step


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("Wrong request parameters: quoted", {"quoted"}),
        ("Quoted message is unknown, mentions too", {"quoted", "mentions"}),
        ("cannot load link preview", {"link_preview"}),
        ("interactive messages are not supported", {"buttons"}),
        ("Wrong request parameters", set()),
    ],
)
def test_a_refusal_names_parts_of_the_message(message: str, parts: set[str]) -> None:
    assert named_parts(error(message)) == parts


def test_the_words_of_a_refusal_are_not_passed_on() -> None:
    words = explanation(404, error("Channel not found for 573001234567"))
    assert "573001234567" not in words
    assert "the token is wrong or has expired" in words
    assert explanation(403, error("x", 7)) == "status 403 (forbidden for this recipient) code 7"
