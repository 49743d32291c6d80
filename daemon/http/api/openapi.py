"""The description of the API, OpenAPI 3.1, made from the routes and their types."""

import inspect
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Response

from daemon.domain.messages import JsonObject
from daemon.http.api.problems import PROBLEM_TYPE, ProblemDocument
from daemon.http.api.routes import KEY_HEADER, LONGEST_KEY, PREFIX, ApiRoute

JSON_TYPE = "application/json"
RAW_TYPE = "application/octet-stream"
ABOUT = (
    "The chats, messages and work of a Recado daemon. A token of `recado token` goes into the"
    " header `Authorization: Bearer …`; each operation names the role that it needs."
)
ALWAYS = (401, 403, 429, 503)
"""Problems that any route may answer with."""


def describe(routes: Sequence[ApiRoute], *, version: str) -> JsonObject:
    """The whole document."""
    kinds = [kind for route in routes for kind in _kinds(route)]
    found, schemas = msgspec.json.schema_components(
        [*kinds, ProblemDocument], ref_template="#/components/schemas/{name}"
    )
    places = iter(found)
    paths: dict[str, JsonObject] = {}
    for route in routes:
        of_kind = {id(kind): next(places) for kind in _kinds(route)}
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(
            route, of_kind, schemas
        )
    for route in routes:
        if route.query is not None:
            schemas.pop(route.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recado", "version": version, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"token": []}],
    }


def _kinds(route: ApiRoute) -> Iterator[Any]:
    """The types of a route that have a schema, always in the same order."""
    yield from route.parameters.values()
    for kind in (route.query, route.body, route.answer):
        if kind not in {None, type(None), Response, bytes}:
            yield kind


def _operation(route: ApiRoute, of_kind: dict[int, JsonObject], schemas: JsonObject) -> JsonObject:
    words = inspect.getdoc(route.handler) or ""
    summary, _, rest = words.partition("\n\n")
    operation: JsonObject = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary.rstrip("."),
        "description": f"{rest}\n\nRole: {route.role}.".strip(),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": of_kind[id(kind)]}
                for name, kind in route.parameters.items()
            ),
            *_query_parameters(route, schemas),
            *([_KEY] if route.idempotent else []),
        ],
        "responses": {
            str(route.status): _answer(route, of_kind),
            **{str(status): _fault(status) for status in sorted(_faults(route))},
        },
    }
    if route.body is not None:
        kind, schema = JSON_TYPE, of_kind.get(id(route.body), {})
        if route.body is bytes:
            kind, schema = RAW_TYPE, {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return operation


_KEY: JsonObject = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "Makes a repeated request safe: with the same key it takes effect once. A key"
    " counts for a week.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}


def _query_parameters(route: ApiRoute, schemas: JsonObject) -> Iterator[JsonObject]:
    if route.query is None:
        return
    schema = schemas[route.query.__name__]
    for name, kind in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": kind,
        }


def _answer(route: ApiRoute, of_kind: dict[int, JsonObject]) -> JsonObject:
    words = HTTPStatus(route.status).phrase
    if route.answer in {None, type(None)}:
        return {"description": words}
    if route.answer is Response:
        return {"description": words, "content": {"*/*": {"schema": {}}}}
    return {"description": words, "content": {JSON_TYPE: {"schema": of_kind[id(route.answer)]}}}


def _faults(route: ApiRoute) -> set[int]:
    faults = {*ALWAYS, *route.faults}
    if route.parameters:
        faults.add(404)
    if route.query is not None:
        faults.add(422)
    if route.body is not None:
        faults |= {413, 422} if route.body is bytes else {400, 413, 415, 422}
    if route.idempotent:
        faults |= {400, 422}
    return faults


def _fault(status: int) -> JsonObject:
    reference = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM_TYPE: {"schema": reference}},
        **({"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status == 429 else {}),
    }
