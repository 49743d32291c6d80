"""Schemas in the strict form, and arguments in which null stands for a default."""

from datetime import date
from typing import Any, Literal

import msgspec
import pytest

from daemon.assistant.payloads.responses import function_tool
from daemon.domain.strict_schema import fits_strict
from daemon.tools import builtin_tools
from daemon.tools.tool import Tool, tool


class Guest(msgspec.Struct):
    name: str
    age: int = 30


@tool
def book(
    arrival: date,
    guests: list[Guest],
    nights: int = 1,
    view: Literal["sea", "garden"] = "sea",
    notes: str | None = None,
    lead: Guest | None = None,
) -> str:
    """Book."""
    return repr((arrival, guests, nights, view, notes, lead))


@tool
def free_form(prices: dict[str, float], nights: int = 1) -> str:
    """Take anything."""
    return repr((prices, nights))


def test_every_property_is_required_and_those_with_a_default_may_be_null() -> None:
    schema = book.spec.parameters
    assert schema["required"] == ["arrival", "guests", "nights", "view", "notes", "lead"]
    assert schema["properties"]["nights"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "Null: 1.",
    }
    assert schema["properties"]["view"] == {
        "anyOf": [{"enum": ["garden", "sea"], "type": "string"}, {"type": "null"}],
        "description": 'Null: "sea".',
    }
    assert schema["properties"]["notes"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    guest = schema["$defs"]["Guest"]
    assert guest["required"] == ["name", "age"]
    assert guest["additionalProperties"] is False


@pytest.mark.parametrize("one", [book, *builtin_tools.ALL], ids=lambda one: one.name)
def test_a_tool_is_declared_as_strict(one: Tool) -> None:
    assert function_tool(one.spec)["strict"] is True


def test_schemas_without_a_strict_form_are_unchanged() -> None:
    assert free_form.spec.parameters["required"] == ["prices"]
    assert not fits_strict(free_form.spec.parameters)
    assert free_form.read_arguments('{"prices":{"a":1}}') == {"prices": {"a": 1.0}, "nights": 1}


GUESTS: dict[str, Any] = {"arrival": date(2026, 12, 24), "guests": [Guest(name="Ana")]}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", {}),
        (',"nights":null,"view":null,"notes":null,"lead":null', {}),
        (',"nights":2,"view":"garden"', {"nights": 2, "view": "garden"}),
        (',"lead":{"name":"Eva","age":null}', {"lead": Guest(name="Eva")}),
        (',"notes":"null"', {"notes": "null"}),
    ],
)
def test_null_and_a_missing_argument_mean_the_default(more: str, told: dict[str, Any]) -> None:
    """The second is how a strict model writes it, the first how one that is not strict does."""
    arguments = book.read_arguments(
        '{"arrival":"2026-12-24","guests":[{"name":"Ana","age":null}]' + more + "}"
    )
    assert arguments == {**GUESTS, "nights": 1, "view": "sea", "notes": None, "lead": None, **told}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"arrival":null,"guests":[]}', "got `null` - at `\\$.arrival`"),
        ('{"arrival":"2026-12-24","guests":[{"name":null}]}', "got `null`"),
        ('{"arrival":"2026-12-24","guests":null}', "got `null`"),
        ('{"arrival":"2026-12-24","guests":[],"floor":null}', "unknown field `floor`"),
        ("null", "got `null`"),
        ('{"null"', "not valid JSON"),
    ],
)
def test_null_is_not_taken_where_a_value_is_needed(arguments: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        book.read_arguments(arguments)
