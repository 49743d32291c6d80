"""A typed function with a docstring is a tool; anything less is refused when it is declared."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from daemon.errors import ToolError
from daemon.tools.builtin_tools import get_conversation_context
from daemon.tools.tool import DEFAULT_TIMEOUT, Tool, ToolContext, tool


class Guest(msgspec.Struct):
    """Who stays."""

    name: str
    age: int = 30


@dataclass
class Room:
    number: int
    view: str | None = None


class Board(Enum):
    HALF = "half"
    FULL = "full"


@tool
def nothing() -> str:
    """Do nothing."""
    return ""


@tool
def everything(
    words: str,
    nights: int,
    price: float,
    arrival: date,
    view: Literal["sea", "garden"],
    guests: list[Guest],
    room: Room,
    board: Board,
    *,
    quiet: bool,
    notes: str = "none",
    tags: list[str] | None = None,
    prices: dict[str, float] = {},  # noqa: B006 - a new one is made for each call
    beds: Annotated[int, msgspec.Meta(ge=1, le=4, description="How many.")] = 1,
) -> str:
    """Take one of each."""
    stay = (words, nights, price, arrival, view, guests, room, board, quiet)
    return repr((*stay, notes, tags, prices, beds))


@tool(effects=True, timeout=20, name="book")
async def book_a_room(room: str, conversation: ToolContext) -> str:
    """Book a room.

    Ask for the guest's name first.
    """
    return f"{room} for {conversation.contact_name}"


EVERYTHING = (
    '{"words":"a","nights":2,"price":1,"arrival":"2026-03-02","view":"sea","quiet":true,'
    '"guests":[{"name":"Ana"}],"room":{"number":12},"board":"half"%s}'
)


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    assert nothing.spec.parameters == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    assert (nothing.name, nothing.spec.description) == ("nothing", "Do nothing.")
    assert (nothing.effects, nothing.timeout, nothing.is_async) == (False, DEFAULT_TIMEOUT, False)


def test_the_schema_comes_from_the_signature() -> None:
    schema = everything.spec.parameters
    properties = schema["properties"]
    assert schema["required"] == [
        *("words", "nights", "price", "arrival", "view", "guests", "room", "board", "quiet")
    ]
    assert properties["words"] == {"type": "string"}
    assert properties["nights"] == {"type": "integer"}
    assert properties["price"] == {"type": "number"}
    assert properties["arrival"] == {"type": "string", "format": "date"}
    assert properties["view"] == {"enum": ["garden", "sea"]}
    assert properties["guests"] == {"type": "array", "items": {"$ref": "#/$defs/Guest"}}
    assert properties["room"] == {"$ref": "#/$defs/Room"}
    assert properties["board"] == {"$ref": "#/$defs/Board"}
    assert properties["quiet"] == {"type": "boolean"}
    assert properties["notes"] == {"type": "string", "default": "none"}
    assert properties["tags"] == {
        "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
        "default": None,
    }
    assert properties["prices"]["additionalProperties"] == {"type": "number"}
    assert properties["beds"]["minimum"] == 1
    assert properties["beds"]["description"] == "How many."


def test_nested_shapes_are_defined_in_the_schema_itself() -> None:
    definitions = everything.spec.parameters["$defs"]
    assert set(definitions) == {"Guest", "Room", "Board"}
    assert definitions["Guest"]["required"] == ["name"]
    assert definitions["Room"]["required"] == ["number"]
    assert sorted(definitions["Board"]["enum"]) == ["full", "half"]


def test_options_and_the_whole_docstring_are_kept() -> None:
    assert book_a_room.name == "book"
    assert book_a_room.spec.description == "Book a room.\n\nAsk for the guest's name first."
    assert (book_a_room.effects, book_a_room.timeout, book_a_room.is_async) == (True, 20, True)


def test_a_tool_may_be_called_as_one_of_its_shapes() -> None:
    @tool(name="Guest")
    def look_up(guest: Guest) -> str:
        """Look up a guest."""
        return guest.name

    (reference,) = look_up.spec.parameters["properties"].values()
    (name,) = look_up.spec.parameters["$defs"]
    assert reference == {"$ref": f"#/$defs/{name}"}
    assert look_up.read_arguments('{"guest":{"name":"Ana"}}') == {"guest": Guest(name="Ana")}


def test_the_model_does_not_see_the_context_whatever_it_is_called() -> None:
    assert book_a_room.context_parameter == "conversation"
    assert list(book_a_room.spec.parameters["properties"]) == ["room"]
    with pytest.raises(ValueError, match="conversation"):
        book_a_room.read_arguments('{"room":"12","conversation":{}}')


def test_the_built_in_tool_asks_for_a_level() -> None:
    levels = get_conversation_context.spec.parameters["properties"]["context_level"]["enum"]
    assert "recent_50" in levels
    assert not get_conversation_context.effects


def test_arguments_have_the_types_of_the_signature() -> None:
    arguments = everything.read_arguments(EVERYTHING % "")
    assert arguments["arrival"] == date(2026, 3, 2)
    assert arguments["guests"] == [Guest(name="Ana")]
    assert arguments["room"] == Room(number=12)
    assert arguments["board"] is Board.HALF
    assert (arguments["notes"], arguments["tags"], arguments["prices"]) == ("none", None, {})


def test_defaults_are_not_shared_between_calls() -> None:
    first = everything.read_arguments(EVERYTHING % "")
    first["prices"]["a"] = 1.0
    assert everything.read_arguments(EVERYTHING % "")["prices"] == {}


@pytest.mark.parametrize("arguments", ["", "{}", " {} "])
def test_no_arguments_may_be_written_in_several_ways(arguments: str) -> None:
    assert nothing.read_arguments(arguments) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"room":12}', "invalid arguments for book: Expected `str`, got `int`.*room"),
        ("{}", "invalid arguments for book: Object missing required field `room`"),
        ('{"room":"12","floor":2}', "unknown field `floor`"),
        ('{"room":null}', "got `null`"),
        ("null", "invalid arguments for book"),
        ('["12"]', "invalid arguments for book: Expected `object`, got `array`"),
        ('{"room":"12"', "the arguments for book are not valid JSON"),
        ("room 12", "the arguments for book are not valid JSON"),
        ('{"room":"12"} and more', "the arguments for book are not valid JSON"),
        ("[" * 100_000, "book"),
        ('{"room":"\ud83d"}', "surrogates"),
    ],
)
def test_wrong_arguments_are_explained_to_the_model(arguments: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        book_a_room.read_arguments(arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (',"nights":"two"', "nights"),
        (',"arrival":"tomorrow"', "arrival"),
        (',"view":"street"', "view"),
        (',"guests":[{}]', "name.*guests"),
        (',"room":{}', "number.*room"),
        (',"board":"none"', "board"),
        (',"beds":9', "<= 4.*beds"),
    ],
)
def test_the_place_of_a_fault_is_named(change: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        everything.read_arguments(EVERYTHING % change)


def no_docstring(room: str) -> str:
    return room


def untyped(room) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Book."""
    return str(room)


def unknown_type(room: "Rooom") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Book."""
    return str(room)


def no_json(room: Callable[[], None]) -> str:
    """Book."""
    return str(room)


def shared_default(room: list[str] = ["12"]) -> str:  # noqa: B006 - the fault in question
    """Book."""
    return room[0]


def many(*rooms: str) -> str:
    """Book."""
    return rooms[0]


def named(**rooms: str) -> str:
    """Book."""
    return rooms["a"]


def by_position(room: str, /) -> str:
    """Book."""
    return room


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_docstring, "tool no_docstring: a docstring is needed"),
        (untyped, "tool untyped: parameter room has no type"),
        (unknown_type, "tool unknown_type: .*Rooom"),
        (no_json, "tool no_json: "),
        (shared_default, "tool shared_default: "),
        (many, "tool many: parameter rooms "),
        (named, "tool named: parameter rooms "),
        (by_position, "tool by_position: parameter room "),
    ],
)
def test_invalid_tools_are_refused_by_name(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(ToolError, match=words):
        tool(function)


@pytest.mark.parametrize("name", ["reservar_cabaña", "book a room", "x" * 65, "a.b"])
def test_a_name_that_the_model_server_refuses_is_refused_here(name: str) -> None:
    """One such name would fail every request, so the daemon does not start with it."""
    with pytest.raises(ToolError, match="name"):
        tool(name=name)(by_name)


def by_name(room: str) -> str:
    """Book."""
    return room


def test_a_function_may_be_declared_under_several_names() -> None:
    declared: list[Tool] = [tool(name=name)(by_name) for name in ("book_room", "book-cabin")]
    assert [one.name for one in declared] == ["book_room", "book-cabin"]
