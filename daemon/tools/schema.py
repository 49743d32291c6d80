"""JSON schemas of tools in the form that OpenAI calls strict, and arguments written by it.

Pure. In a strict schema every property is required and objects are closed; what may be left out
is required and may be null instead. With it the server holds the model to the schema. Servers that
do not know strict tools read the same schema; there an argument may be left out all the same.
"""

import json
from collections.abc import Mapping
from typing import Any

from daemon.assistant.wire import fits_strict
from daemon.model import JsonObject

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def strict_schema(schema: JsonObject) -> JsonObject:
    """The strict form of a schema; the schema itself if it has none (free-form objects, say)."""
    strict = _strict(schema)
    return strict if fits_strict(strict) else schema


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    strict = {name: value for name, value in schema.items() if name != "default"}
    for name in ("items",):
        if name in strict:
            strict[name] = _strict(strict[name])
    if "anyOf" in strict:
        strict["anyOf"] = [_strict(branch) for branch in strict["anyOf"]]
    if "$defs" in strict:
        strict["$defs"] = {name: _strict(inner) for name, inner in strict["$defs"].items()}
    if "enum" in strict and "type" not in strict:
        kinds = {_TYPES.get(type(value)) for value in strict["enum"]}
        if len(kinds) == 1 and None not in kinds:
            strict["type"] = kinds.pop()  # refused without a type
    if "properties" in strict:
        required = set(schema.get("required", ()))
        strict["properties"] = {
            name: _strict(inner) if name in required else _or_null(inner)
            for name, inner in strict["properties"].items()
        }
        strict["required"] = list(strict["properties"])
        strict.setdefault("additionalProperties", False)
    return strict


def _or_null(schema: JsonObject) -> JsonObject:
    """The strict form of a property that may be left out: null stands for its default."""
    inner = _strict(schema)
    words = [inner.pop("description", "")]
    default = schema.get("default")
    if default not in (None, [], {}):
        words.append(f"Null: {json.dumps(default, ensure_ascii=False)}.")
    if not takes_null(inner):
        branches = inner.pop("anyOf", None) if set(inner) == {"anyOf"} else None
        inner = {"anyOf": [*(branches or [inner]), {"type": "null"}]}
    description = " ".join(filter(None, words))
    return {**inner, "description": description} if description else inner


def takes_null(schema: Mapping[str, Any]) -> bool:
    """True if null is a value of its own under a schema."""
    if any(takes_null(branch) for branch in schema.get("anyOf", ())):
        return True
    kind = schema.get("type")
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


def without_nulls(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Leave out of arguments each null that stands for a default.

    ``schema`` is the one before it was made strict, ``root`` the whole that holds its ``$defs``.
    """
    schema = _followed(schema, root)
    if isinstance(value, list) and "items" in schema:
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


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference means, or the branch that is not null if there is but one."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) == 1:
        return _followed(branches[0], root)
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        found: Mapping[str, Any] = root.get("$defs", {}).get(name, {})
        return found
    return schema
