"""Every annotation a tool may have, as it is sent: what the server takes, and what comes back."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pytest
from msgspec import Meta
from support.model_schemas import fault_of

from daemon.assistant.payloads.responses import function_tool
from daemon.domain.messages import JsonObject
from daemon.domain.strict_schema import fits_strict
from daemon.tools.tool import Tool, tool


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Stars(IntEnum):
    ONE = 1
    TWO = 2


class Guest(msgspec.Struct):
    """Somebody who comes."""

    name: str
    age: int = 30


@dataclass
class Room:
    number: int
    view: Literal["sea", "garden"] = "sea"


class Address(TypedDict):
    city: str
    street: NotRequired[str]


class Node(msgspec.Struct):
    value: int
    next: "Node | None" = None


class Cash(msgspec.Struct, tag=True):
    amount: int
    note: str = "none"


class Card(msgspec.Struct, tag=True):
    number: str


class Pair(NamedTuple):
    left: int
    right: str = "x"


def taking(annotation: Any, *, optional: bool) -> Tool:
    def take(p: Any = None) -> str:
        """Take one thing."""
        return repr(p)

    def take_needed(p: Any) -> str:
        """Take one thing."""
        return repr(p)

    function = take if optional else take_needed
    function.__annotations__["p"] = annotation
    return tool(name="take")(function)


GUEST = {"name": "Ana", "age": 3}
STRICT: dict[str, tuple[Any, Any, Any]] = {
    # name: annotation, what the model writes, what the tool gets
    "str": (str, "a", "a"),
    "int": (int, 1, 1),
    "float": (float, 1.5, 1.5),
    "bool": (bool, True, True),
    "enum": (Color, "red", Color.RED),
    "int enum": (Stars, 2, Stars.TWO),
    "literal": (Literal["a", "b"], "b", "b"),
    "literal of two types": (Literal["a", 1], 1, 1),
    "literal with none": (Literal["a", None], None, None),  # noqa: PYI061 - as somebody may write it
    "struct": (Guest, GUEST, Guest("Ana", 3)),
    "struct, its default": (Guest, {"name": "Ana", "age": None}, Guest("Ana", 30)),
    "described struct": (Annotated[Guest, Meta(description="Who.")], GUEST, Guest("Ana", 3)),
    "dataclass": (Room, {"number": 1, "view": None}, Room(1, "sea")),
    "typed dict": (Address, {"city": "Cali", "street": None}, {"city": "Cali"}),
    "decimal": (Decimal, "1.50", Decimal("1.50")),
    "date": (date, "2026-12-24", date(2026, 12, 24)),
    "datetime": (datetime, "2026-12-24T10:00:00", datetime(2026, 12, 24, 10)),  # noqa: DTZ001 - a wall clock's
    "datetime with zone": (
        Annotated[datetime, Meta(tz=True)],
        "2026-12-24T10:00:00Z",
        datetime(2026, 12, 24, 10, tzinfo=UTC),
    ),
    "time": (time, "10:00:00", time(10)),
    "duration": (timedelta, "PT90S", timedelta(seconds=90)),
    "uuid": (
        uuid.UUID,
        "12345678-1234-5678-1234-567812345678",
        uuid.UUID(int=0x12345678123456781234567812345678),
    ),
    "bytes": (bytes, "aGk=", b"hi"),
    "optional": (int | None, 1, 1),
    "optional struct": (Guest | None, GUEST, Guest("Ana", 3)),
    "union": (int | str | None, "a", "a"),
    "tagged union": (Cash | Card, {"type": "Card", "number": "1"}, Card("1")),
    "tagged union, a default": (
        Cash | Card,
        {"type": "Cash", "amount": 1, "note": None},
        Cash(1, "none"),
    ),
    "list": (list[int], [1], [1]),
    "list of structs": (
        list[Guest],
        [GUEST, {"name": "Eva", "age": None}],
        [Guest("Ana", 3), Guest("Eva")],
    ),
    "list of described structs": (
        list[Annotated[Guest, Meta(description="Who.")]],
        [GUEST],
        [Guest("Ana", 3)],
    ),
    "set": (set[str], ["a"], {"a"}),
    "tuple": (tuple[int, str], [1, "a"], (1, "a")),
    "tuple of any length": (tuple[int, ...], [1, 2], (1, 2)),
    "named tuple": (Pair, [1, "a"], Pair(1, "a")),
    "lengths and pattern": (
        Annotated[str, Meta(min_length=1, max_length=5, pattern="^a")],
        "ab",
        "ab",
    ),
    "pattern that looks ahead": (Annotated[str, Meta(pattern="^(?=a)")], "ab", "ab"),
    "number limits": (Annotated[int, Meta(ge=1, lt=9, multiple_of=2)], 4, 4),
    "list limits": (Annotated[list[int], Meta(min_length=1, max_length=3)], [1], [1]),
    "title, examples and more": (
        Annotated[int, Meta(title="T", examples=[1], extra_json_schema={"x-unit": "m"})],
        1,
        1,
    ),
    "unknown format": (Annotated[str, Meta(extra_json_schema={"format": "uri"})], "a", "a"),
    "recursive": (Node, {"value": 1, "next": {"value": 2, "next": None}}, Node(1, Node(2))),
    "described recursive": (
        Annotated[Node, Meta(description="The first.")],
        {"value": 1, "next": None},
        Node(1),
    ),
}
LOOSE: dict[str, tuple[Any, Any, Any]] = {
    "any": (Any, {"a": [None]}, {"a": [None]}),
    "list of anything": (list, [1, "a"], [1, "a"]),
    "dict": (dict, {"a": 1}, {"a": 1}),
    "dict of numbers": (dict[str, float], {"a": 1}, {"a": 1.0}),
    "list of dicts": (list[dict[str, int]], [{"a": 1}], [{"a": 1}]),
    "struct with a dict": (
        msgspec.defstruct("Prices", [("all", dict[str, int])]),
        {"all": {"a": 1}},
        None,
    ),
}
"""What strict schemas cannot say."""

BOTH = [
    *(pytest.param(*row, True, id=name) for name, row in STRICT.items()),
    *(pytest.param(*row, False, id=name) for name, row in LOOSE.items()),
]


@pytest.mark.parametrize("optional", [False, True], ids=["needed", "optional"])
@pytest.mark.parametrize(("annotation", "written", "got", "strict"), BOTH)
def test_an_annotation_as_it_is_sent(
    annotation: Any, written: Any, got: Any, *, strict: bool, optional: bool
) -> None:
    """The simulator's judge of schemas is not ours, so that each finds the other's mistakes."""
    one = taking(annotation, optional=optional)
    sent = function_tool(one.spec)
    assert sent["strict"] is strict
    assert fault_of(sent["parameters"], strict=strict) == ""
    arguments = one.read_arguments(json.dumps({"p": written}))
    assert arguments["p"] == got or got is None
    if optional:
        assert one.read_arguments('{"p":null}') == one.read_arguments("{}") == {"p": None}


@pytest.mark.parametrize(
    ("annotation", "described"),
    [
        (Decimal, "(format: decimal)"),
        (Annotated[str, Meta(max_length=5)], "(maxLength: 5)"),
        (Annotated[str, Meta(description="Code.", pattern="^(?!x)")], "Code. (pattern: ^(?!x))"),
        (Annotated[Guest, Meta(description="Who.")], "Who."),
    ],
)
def test_dropped_constraints_are_described_in_words(annotation: Any, described: str) -> None:
    parameters = taking(annotation, optional=False).spec.parameters
    assert parameters["properties"]["p"]["description"] == described


def test_a_copied_definition_is_not_sent_twice() -> None:
    parameters = taking(Annotated[Guest, Meta(description="Who.")], optional=False).spec.parameters
    assert "$defs" not in parameters


CLOSED: JsonObject = {"type": "object", "additionalProperties": False}


def holding(inner: Any, **more: Any) -> JsonObject:
    return {**CLOSED, "properties": {"p": inner}, "required": ["p"], **more}


def nested(levels: int) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    for _ in range(levels):
        schema = holding(schema)
    return schema


FIRST_KEY = {**CLOSED, "properties": {"a": {"type": "string"}}, "required": ["a"]}
REFUSED: dict[str, JsonObject] = {
    "a reference with siblings": holding(
        {"$ref": "#/$defs/A", "description": "Who."}, **{"$defs": {"A": FIRST_KEY}}
    ),
    "a reference to nothing": holding({"$ref": "#/$defs/A"}),
    "an unknown format": holding({"type": "string", "format": "decimal"}),
    "lengths": holding({"type": "string", "maxLength": 5}),
    "a default": holding({"type": "string", "default": "a"}),
    "all of": holding({"allOf": [{"type": "string"}]}),
    "no type": holding({}),
    "an enum without a type": holding({"enum": ["a"]}),
    "a list of nothing said": holding({"type": "array"}),
    "an open object": holding({"type": "object", "properties": {}}),
    "a dict": holding({"type": "object", "additionalProperties": {"type": "string"}}),
    "an optional property": {**CLOSED, "properties": {"p": {"type": "string"}}, "required": []},
    "a union at the top": {"type": "object", "anyOf": [FIRST_KEY]},
    "no object at the top": {"type": "string"},
    "objects with one first key": holding({"anyOf": [FIRST_KEY, FIRST_KEY]}),
    "a pattern that looks ahead": holding({"type": "string", "pattern": "(?=a)"}),
    "too many levels": nested(11),
}


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_neither_sends_nor_takes_as_strict(schema: JsonObject) -> None:
    assert not fits_strict(schema)
    assert fault_of(schema, strict=True)


@pytest.mark.parametrize(
    "schema",
    [
        nested(6),
        {
            **CLOSED,
            "properties": {f"p{n}": {"type": "string"} for n in range(101)},
            "required": [f"p{n}" for n in range(101)],
        },
        holding({"type": "string", "enum": [f"choice {n}" for n in range(501)]}),
        holding({"type": "string", "enum": ["x" * 15_001]}),
    ],
    ids=["levels", "properties", "choices", "characters"],
)
def test_schemas_too_big_for_some_server_are_not_strict(schema: JsonObject) -> None:
    assert not fits_strict(schema)
