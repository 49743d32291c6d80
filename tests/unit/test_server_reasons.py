"""Refusals of a model server: whose fault they are, and what of its words may be shown."""

from typing import Any

import pytest

from daemon.assistant.payloads.failures import MOST_REASON, from_status, shown_reason
from daemon.errors import ModelRejected


def refused(status: int = 400, **error: Any) -> ModelRejected:
    """The error for a refusal with this error object."""
    found = from_status(status, error, {})
    assert isinstance(found, ModelRejected)
    return found


@pytest.mark.parametrize(
    ("status", "error", "about_input"),
    [
        (400, {"code": "invalid_prompt"}, True),
        (400, {"code": "content_policy_violation"}, True),
        (400, {"code": "image_parse_error"}, True),
        (400, {"code": "invalid_value", "param": "input[3].content"}, True),
        (400, {"message": "No tool output found for function call", "param": "input"}, True),
        (400, {"code": "invalid_function_parameters", "param": "tools[0].parameters"}, False),
        (400, {"code": "unsupported_parameter", "param": "temperature"}, False),
        (400, {"type": "invalid_request_error"}, False),
        (400, {}, False),
        (404, {"code": "model_not_found"}, False),
        (422, {"message": "1 validation error"}, False),
    ],
)
def test_a_refusal_is_one_requests_or_everybodys(
    status: int, error: dict[str, Any], *, about_input: bool
) -> None:
    assert refused(status, **error).about_input is about_input


def test_the_servers_words_are_shown_but_those_of_people_are_not() -> None:
    told = ["¿Tienen cupo el sábado para dos personas?", "Soy Laura"]
    schema = refused(code="invalid_schema", message="Invalid schema for function 'book'.")
    assert shown_reason(schema, told) == (
        "the model server answered 400 invalid_schema: Invalid schema for function 'book'."
    )
    quoting = refused(code="invalid_schema", message="bad input: ¿tienen CUPO el sábado")
    assert shown_reason(quoting, told) == "the model server answered 400 invalid_schema"
    content = refused(code="invalid_prompt", message="Soy Laura")
    assert "Laura" not in shown_reason(content, [])


def test_keys_and_long_values_are_not_shown() -> None:
    shown = shown_reason(refused(message="key sk-abcdef123456 is not " + "allowed " * 100), [])
    assert "sk-abcdef" not in shown
    assert len(shown) < MOST_REASON + 100
