"""The JSON schemas that a strict function tool may have. Pure.

The subset is that of OpenAI's guide to structured outputs; where Azure's guide has smaller limits
for the size of a schema, those count. A server refuses a whole request if one strict tool is
outside the subset, so a schema that is not known to be allowed is not sent as strict.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "description", "title"),
        *("enum", "const", "items", "anyOf", "$ref", "$defs", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    }
)
"""Keywords of JSON Schema that strict tools take."""

FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
    }
)
"""Values of ``format`` that strict tools take; any other is refused."""

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

MOST_LEVELS = 5
MOST_PROPERTIES = 100
MOST_CHOICES = 500
MOST_CHARACTERS = 15_000
"""Objects and lists inside one another, properties, values of enums, and characters of names and
values, in one schema."""

LOOKAROUND = re.compile(r"\(\?<?[=!]|\\[1-9]")
"""Parts of a regular expression that the generating server cannot follow."""


def fits_strict(schema: Any) -> bool:
    """Return True if a schema may be that of a strict tool."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or "anyOf" in schema:
        return False
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, Mapping) or not _fits(schema, definitions):
        return False
    return all(_fits(part, definitions) for part in definitions.values()) and _is_small(schema)


def _fits(schema: Any, definitions: Mapping[str, Any]) -> bool:
    if not isinstance(schema, Mapping) or not KEYWORDS.issuperset(schema):
        return False
    if "$ref" in schema:
        named = str(schema["$ref"]).removeprefix("#/$defs/") in definitions
        return len(schema) == 1 and (named or schema["$ref"] == "#")
    if "anyOf" in schema:
        return _branches_fit(schema["anyOf"], definitions)
    kinds = _kinds(schema)
    return (
        bool(kinds)
        and TYPES.issuperset(kinds)
        and schema.get("format", "date") in FORMATS
        and not LOOKAROUND.search(str(schema.get("pattern", "")))
        and ("object" not in kinds or _object_fits(schema, definitions))
        and ("array" not in kinds or _fits(schema.get("items"), definitions))
    )


def _object_fits(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    """All objects are closed, and all their properties required."""
    properties = schema.get("properties", {})
    return (
        schema.get("additionalProperties") is False
        and set(schema.get("required", ())) == set(properties)
        and all(_fits(inner, definitions) for inner in properties.values())
    )


def _branches_fit(branches: Any, definitions: Mapping[str, Any]) -> bool:
    """Objects of a union differ in their first key, or by the only value it may have."""
    if not branches or not all(_fits(branch, definitions) for branch in branches):
        return False
    firsts = [_first_key(branch, definitions) for branch in branches]
    known = [first for first in firsts if first is not None]
    by_value = all(value is not None for _, value in known)
    names = [name for name, _ in known]
    return len(set(names)) == len(names) or (by_value and len(set(known)) == len(known))


def _first_key(branch: Any, definitions: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """The first key of an object with its only value, if it has but one; None: no object."""
    if "$ref" in branch:
        branch = definitions.get(str(branch["$ref"]).removeprefix("#/$defs/"), {})
    for name, inner in (branch.get("properties") or {}).items():
        values = [inner["const"]] if "const" in inner else inner.get("enum", ())
        return name, repr(values[0]) if len(values) == 1 else None
    return None


def _kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _is_small(schema: Mapping[str, Any]) -> bool:
    properties = choices = characters = 0
    for part in _parts(schema):
        names = [*part.get("properties", ()), *part.get("$defs", ())]
        values = [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]
        properties += len(part.get("properties", ()))
        choices += len(values)
        characters += sum(len(str(word)) for word in (*names, *values))
    return (
        properties <= MOST_PROPERTIES
        and choices <= MOST_CHOICES
        and characters <= MOST_CHARACTERS
        and levels(schema, schema.get("$defs", {})) <= MOST_LEVELS
    )


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every schema inside a schema, itself the first; what references mean comes once."""
    yield schema
    for inner in (*inner_schemas(schema), *schema.get("$defs", {}).values()):
        yield from _parts(inner)


def inner_schemas(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas that a schema is directly made of, definitions aside."""
    items = [schema["items"]] if isinstance(schema.get("items"), Mapping) else []
    return [*schema.get("properties", {}).values(), *items, *schema.get("anyOf", ())]


def levels(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], above: frozenset[str] = frozenset()
) -> int:
    """Return how many objects and lists are inside one another; a recursive type counts once."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if name in above or name not in definitions:
            return 0
        return levels(definitions[name], definitions, above | {name})
    own = 1 if {"object", "array"} & set(_kinds(schema)) else 0
    inner = (levels(part, definitions, above) for part in inner_schemas(schema))
    return own + max(inner, default=0)
