"""JSON schemas of tools in the form that OpenAI calls strict, and arguments in that form. Pure.

In a strict schema every property is required and objects are closed; an optional property is
required and may be null instead. The server then holds the model to the schema. Servers without
strict tools read the same schema; there an argument may still be left out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.domain.messages import JsonObject
from daemon.domain.strict_schema import FORMATS, KEYWORDS, LOOKAROUND, fits_strict, inner_schemas

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}

_DEFINED = "#/$defs/"

_DESCRIBED = ("minLength", "maxLength", "uniqueItems", "contentEncoding")
"""Limits that strict schemas do not have; they are written into the description instead."""

_SHAPING = frozenset(
    {
        *("allOf", "oneOf", "not", "if", "then", "else", "contains", "prefixItems"),
        *("patternProperties", "propertyNames", "dependentRequired", "dependentSchemas"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords that cannot be dropped without changing a schema's meaning: they have no strict form."""


def strict_schema(schema: JsonObject) -> JsonObject:
    """The strict form of a schema; a form that every server accepts if there is none.

    A reference stands alone: keywords beside it are written into a copy of its definition. Keywords
    that only narrow or describe a value are dropped or moved to its description. The caller's check
    of the arguments still applies all of them.
    """
    with_items = _with_item_types(schema)
    strict = _strict(with_items, with_items.get("$defs", {}))
    used = _used(strict, strict.get("$defs", {}))
    strict = {name: value for name, value in strict.items() if name != "$defs"}
    if used:
        strict["$defs"] = used
    return strict if fits_strict(strict) else with_items


def _with_item_types(schema: Any) -> Any:
    """Add the item type to every list, which servers require, strict or not.

    A tuple becomes a list of that length with any of its types at each place.
    """
    if not isinstance(schema, dict):
        return schema
    with_items = {
        name: _with_item_types(value) for name, value in schema.items() if name != "prefixItems"
    }
    for name in ("properties", "$defs"):
        if isinstance(schema.get(name), dict):
            with_items[name] = {key: _with_item_types(inner) for key, inner in schema[name].items()}
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list):
            with_items[name] = [_with_item_types(branch) for branch in schema[name]]
    places = [
        {name: value for name, value in _with_item_types(place).items() if name != "default"}
        for place in schema.get("prefixItems", ())
    ]
    if places:
        kinds = [place for n, place in enumerate(places) if place not in places[:n]]
        with_items["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    elif schema.get("type") == "array":
        with_items.setdefault("items", {})
    return with_items


def _strict(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _reference(schema, definitions)
    strict = _kept(schema)
    if "items" in strict:
        strict["items"] = _strict(strict["items"], definitions)
    if "anyOf" in strict:
        strict["anyOf"] = [_strict(branch, definitions) for branch in strict["anyOf"]]
    if "$defs" in strict:
        strict["$defs"] = {n: _strict(inner, definitions) for n, inner in strict["$defs"].items()}
    if "enum" in strict and "type" not in strict:
        strict |= _type_of_choices(strict["enum"])
    if "properties" in strict:
        _close(strict, frozenset(schema.get("required", ())), definitions)
    return strict


def _kept(schema: JsonObject) -> JsonObject:
    """A schema without keywords that strict ones cannot have; limits go into the description."""
    kept = {n: value for n, value in schema.items() if n in KEYWORDS or n in _SHAPING}
    words = [f"{name}: {json.dumps(schema[name])}" for name in _DESCRIBED if name in schema]
    if kept.get("format", "date") not in FORMATS:
        words.append(f"format: {kept.pop('format')}")
    if LOOKAROUND.search(str(kept.get("pattern", ""))):
        words.append(f"pattern: {kept.pop('pattern')}")
    if words:
        parts = (kept.get("description"), f"({', '.join(words)})")
        kept["description"] = " ".join(filter(None, parts))
    return kept


def _reference(schema: JsonObject, definitions: Mapping[str, Any]) -> JsonObject:
    """A reference alone, or a copy of its definition with the keywords beside it.

    A recursive type cannot be copied; the keywords beside it are left out.
    """
    beside = {n: value for n, value in schema.items() if n in KEYWORDS and n != "$ref"}
    name = str(schema["$ref"]).removeprefix(_DEFINED)
    if not beside or name not in definitions or _holds(definitions[name], name, definitions):
        return {"$ref": schema["$ref"]}
    copied: JsonObject = _strict({**definitions[name], **beside}, definitions)
    return copied


def _type_of_choices(choices: list[Any]) -> JsonObject:
    """The type that an enum needs beside it."""
    kinds = list(dict.fromkeys(_TYPES.get(type(value)) for value in choices))
    if None in kinds:
        return {}
    return {"type": kinds[0] if len(kinds) == 1 else kinds}


def _close(schema: JsonObject, required: frozenset[str], definitions: Mapping[str, Any]) -> None:
    """Require all properties of an object and allow no others."""
    schema["properties"] = {
        name: _strict(inner, definitions) if name in required else _or_null(inner, definitions)
        for name, inner in schema["properties"].items()
    }
    schema["required"] = list(schema["properties"])
    schema.setdefault("additionalProperties", False)


def _or_null(schema: JsonObject, definitions: Mapping[str, Any]) -> JsonObject:
    """The strict form of an optional property: null stands for its default."""
    outer = {n: schema[n] for n in ("description",) if n in schema} if "$ref" in schema else {}
    inner = _strict({n: v for n, v in schema.items() if n not in outer}, definitions)
    words = [outer.get("description", "") or inner.pop("description", "")]
    default = schema.get("default")
    if default not in (None, [], {}):
        words.append(f"Null: {json.dumps(default, ensure_ascii=False)}.")
    if not takes_null(inner):
        branches = inner.pop("anyOf", None) if set(inner) == {"anyOf"} else None
        inner = {"anyOf": [*(branches or [inner]), {"type": "null"}]}
    description = " ".join(filter(None, words))
    return {**inner, "description": description} if description else inner


def _holds(schema: Mapping[str, Any], name: str, definitions: Mapping[str, Any]) -> bool:
    """True if a schema refers to a definition, directly or through others."""
    return name in _names(schema, definitions)


def _used(schema: JsonObject, definitions: Mapping[str, Any]) -> JsonObject:
    """The definitions that a schema refers to."""
    names = _names({n: v for n, v in schema.items() if n != "$defs"}, definitions)
    return {name: inner for name, inner in definitions.items() if name in names}


def _names(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    rest = list(_references(schema))
    while rest:
        name = rest.pop()
        if name in definitions and name not in found:
            found.add(name)
            rest += _references(definitions[name])
    return found


def _references(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield str(schema["$ref"]).removeprefix(_DEFINED)
    for inner in inner_schemas(schema):
        yield from _references(inner)


def takes_null(schema: Mapping[str, Any]) -> bool:
    """True if a schema allows null."""
    if any(takes_null(branch) for branch in schema.get("anyOf", ())):
        return True
    kind = schema.get("type")
    if kind is None:
        return None in schema.get("enum", ())
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


def without_nulls(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Remove each null that stands for a default from arguments.

    ``schema`` is the one before it was made strict; ``root`` is the schema that has its ``$defs``.
    """
    schema = _followed(value, schema, root)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [without_nulls(item, schema["items"], root) for item in value]
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties:
        return value
    required = schema.get("required", ())
    return {
        name: without_nulls(inner, properties.get(name, {}), root)
        for name, inner in value.items()
        if inner is not None
        or name in required
        or name not in properties
        or takes_null(properties[name])
    }


def _followed(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition of a reference, or the branch of a union that fits a value."""
    if "$ref" in schema:
        found: Mapping[str, Any] = root.get("$defs", {})
        return _followed(value, found.get(str(schema["$ref"]).removeprefix(_DEFINED), {}), root)
    for branch in schema.get("anyOf", ()):
        meant = _followed(value, branch, root)
        if isinstance(value, list) and meant.get("type") == "array":
            return meant
        if isinstance(value, dict) and _is_tagged(value, meant.get("properties", {})):
            return meant
    return schema


def _is_tagged(value: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    """True if an object has the fixed value of every property that allows only one."""
    return bool(properties) and all(
        value.get(name) == inner["enum"][0]
        for name, inner in properties.items()
        if len(inner.get("enum", ())) == 1
    )
