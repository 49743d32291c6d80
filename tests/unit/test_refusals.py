"""What each HTTP status of Whapi's means for the caller, and what a refusal points at."""

import json

import pytest

from daemon.gateway.whapi.payloads.answers import (
    NextStep,
    explanation,
    named_parts,
    next_step,
    next_step_of_error,
)


def error(message: str, code: int = 1234, **more: str) -> bytes:
    """A body with Whapi's error object."""
    return json.dumps({"error": {"code": code, "message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "step"),
    [
        (200, b"", NextStep.DONE),
        (201, b"", NextStep.DONE),
        (301, b"", NextStep.NUMBER),
        (400, error("Wrong request parameters"), NextStep.FORM),
        (401, error("need channel authorization"), NextStep.NUMBER),
        (402, error("Trial version limit exceeded"), NextStep.NUMBER),
        (403, error("forbidden"), NextStep.RECIPIENT),
        (404, error("Channel not found"), NextStep.NUMBER),
        (404, error("channel with this token does not exist"), NextStep.NUMBER),
        (404, error("not found", details="Channel not found"), NextStep.NUMBER),
        (404, b"<html>nginx", NextStep.NUMBER),
        (404, b"", NextStep.NUMBER),
        (404, b"[404]", NextStep.NUMBER),
        (404, error("specified media not found"), NextStep.FORM),
        (404, error("chat not found"), NextStep.FORM),
        (405, b"", NextStep.FORM),
        (408, b"", NextStep.UNKNOWN),
        (409, b"", NextStep.TEMPORARY),
        (413, b"", NextStep.FORM),
        (415, b"", NextStep.FORM),
        (422, b"", NextStep.FORM),
        (425, b"", NextStep.TEMPORARY),
        (429, b"", NextStep.TEMPORARY),
        (500, b"", NextStep.UNKNOWN),
        (503, error("Channel not found"), NextStep.UNKNOWN),
        (599, b"", NextStep.UNKNOWN),
    ],
)
def test_each_status_is_one_next_step(status: int, body: bytes, step: NextStep) -> None:
    assert next_step(status, body) is step


@pytest.mark.parametrize(
    ("code", "message", "step"),
    [
        (403, "forbidden", NextStep.RECIPIENT),
        (404, "Channel not found", NextStep.NUMBER),
        (429, "slow down", NextStep.TEMPORARY),
        (500, "internal", NextStep.TEMPORARY),  # it has not sent, it says
        (1234, "quoted", NextStep.FORM),
    ],
)
def test_an_answer_that_says_itself_that_it_was_not_sent(
    code: int, message: str, step: NextStep
) -> None:
    assert next_step_of_error(error(message, code)) is step


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
