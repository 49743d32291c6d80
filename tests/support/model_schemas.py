"""The check of function tools' JSON schemas, as the model server makes it. Pure.

Wordings are those seen from api.openai.com, which names one fault a request. Written from its guide
and its answers, and on purpose not with the daemon's own rules.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.sandbox.model_wire import ApiRefusal

STRING_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
PERMITTED = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "description", "title"),
        *("enum", "const", "items", "anyOf", "$ref", "$defs", "definitions", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    }
)
ONE_FIRST_KEY = (
    "Objects provided via 'anyOf' must not share identical first keys. Consider adding a"
    " discriminator key or rearranging the properties to ensure the first key is unique."
)
MOST_LEVELS = 10
MOST_PROPERTIES = 5000


def broken_schema(tools: Sequence[Mapping[str, Any]]) -> ApiRefusal | None:
    """Return the refusal of tools with a wrong schema; one that does not say so is strict."""
    for number, tool in enumerate(tools):
        if tool.get("type") == "function":
            strict = tool.get("strict", True) is not False
            fault = fault_of(tool.get("parameters") or {}, strict=strict)
            if fault:
                text = f"Invalid schema for function '{tool['name']}': {fault}"
                place = f"tools[{number}].parameters"
                return ApiRefusal(400, text, "invalid_function_parameters", place)
    return None


def fault_of(schema: Any, *, strict: bool) -> str:
    """Return what is wrong with the parameters of a function tool; empty if nothing is."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    faults = _strict_faults(schema, (), schema) if strict else _loose_faults(schema, ())
    where, what = next(faults, ((), ""))
    if what:
        return f"In context={where!r}, {what}"
    if strict and (deep := _levels(schema, schema, ())) > MOST_LEVELS:
        return f"{deep} levels of nesting exceeds limit of {MOST_LEVELS}."
    if strict and (many := _properties(schema)) > MOST_PROPERTIES:
        return f"{many} object properties exceeds limit of {MOST_PROPERTIES}."
    return ""


Where = tuple[str, ...]
Fault = tuple[Where, str]


def _loose_faults(schema: Any, where: Where) -> Iterator[Fault]:
    """Yield the faults that a schema must not have even where it is not strict."""
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") == "array" and not isinstance(schema.get("items"), Mapping):
        yield where, "array schema missing items."
    for place, inner in _inside(schema, where):
        yield from _loose_faults(inner, place)


def _strict_faults(schema: Any, where: Where, root: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(schema, Mapping):
        yield where, "schema must be an object."
        return
    for keyword in schema:
        if keyword not in PERMITTED:
            yield where, f"'{keyword}' is not permitted."
    if "$ref" in schema:
        if beside := set(schema) - {"$ref"}:
            yield where, f"$ref cannot have keywords {beside!r}."
        if _meant(schema, root) is None:
            yield where, f"reference to component '{schema['$ref']}' which was not found."
        return
    yield from _own_faults(schema, where, root)
    for place, inner in _inside(schema, where):
        yield from _strict_faults(inner, place, root)


def _own_faults(
    schema: Mapping[str, Any], where: Where, root: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yield the faults of a schema itself, not of those inside it."""
    if "anyOf" in schema:
        if not where:
            yield where, "schema must not have 'anyOf' at the top level."
        yield from _union_faults(schema["anyOf"], where, root)
    elif "type" not in schema:
        yield where, "schema must have a 'type' key."
    if "format" in schema and schema["format"] not in STRING_FORMATS:
        yield where, f"'{schema['format']}' is not a valid format."
    if re.search(r"\(\?<?[=!]", str(schema.get("pattern", ""))):
        yield where, "regex lookarounds are not supported in 'pattern'."
    if "array" in _types(schema) and "items" not in schema:
        yield where, "array schema missing items."
    yield from _object_faults(schema, where)


def _object_faults(schema: Mapping[str, Any], where: Where) -> Iterator[Fault]:
    if "object" not in _types(schema):
        return
    if schema.get("additionalProperties") is not False:
        yield where, "'additionalProperties' is required to be supplied and to be false."
    missing = [n for n in schema.get("properties", {}) if n not in schema.get("required", ())]
    if missing:
        text = "'required' is required to be supplied and to be an array including every key in"
        yield where, f"{text} properties. Missing '{missing[0]}'."
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            yield where, f"Extra required key '{name}' supplied."


def _union_faults(branches: Any, where: Where, root: Mapping[str, Any]) -> Iterator[Fault]:
    seen: dict[str, list[Any]] = {}
    for branch in branches:
        meant = _meant(branch, root) if isinstance(branch, Mapping) else None
        properties = (meant or {}).get("properties") or {}
        if properties:
            name = next(iter(properties))
            inner = properties[name]
            value = inner.get("const", inner.get("enum"))
            if name in seen and (value is None or value in seen[name] or None in seen[name]):
                yield where, ONE_FIRST_KEY
            seen.setdefault(name, []).append(value)


def _inside(schema: Mapping[str, Any], where: Where) -> Iterator[tuple[Where, Any]]:
    for name in ("properties", "$defs", "definitions"):
        for key, inner in (schema.get(name) or {}).items():
            yield (*where, name, key), inner
    if "items" in schema:
        yield (*where, "items"), schema["items"]
    for number, branch in enumerate(schema.get("anyOf") or ()):
        yield (*where, "anyOf", str(number)), branch


def _meant(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _levels(schema: Mapping[str, Any], root: Mapping[str, Any], above: Where) -> int:
    if "$ref" in schema:
        if schema["$ref"] in above:
            return 0
        return _levels(_meant(schema, root) or {}, root, (*above, str(schema["$ref"])))
    below = [
        _levels(inner, root, above)
        for place, inner in _inside(schema, ())
        if not place[0].startswith(("$defs", "definitions"))
    ]
    return max(below, default=0) + ("object" in _types(schema))


def _properties(schema: Mapping[str, Any]) -> int:
    inner = sum(_properties(part) for _, part in _inside(schema, ()) if isinstance(part, Mapping))
    return len(schema.get("properties") or ()) + inner
