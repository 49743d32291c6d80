"""The routes of the API: what each wants, gives and needs, read from its handler's types.

A handler is a coroutine whose parameters are its path's, and of those that it names: ``caller``;
``query`` and ``body``, structs that the request is decoded into; ``action``, the name of what is
done, by the request's ``Idempotency-Key``. What it returns is a struct, None (204), or a response.
"""

import inspect
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import NoneType
from typing import Any, Literal, get_type_hints

import msgspec
from quart import Response, g, request

from daemon.domain.audit_chain import Action
from daemon.domain.roles import LEAST_ROLE, AccessRole, allows
from daemon.http.api.callers import Caller, Callers
from daemon.http.api.problems import ApiProblem
from daemon.ops.api_access import ApiAccess

PREFIX = "/api/v1"
KEY_HEADER = "Idempotency-Key"
LONGEST_KEY = 200
ACTION_BYTES = 16

_GIVEN = frozenset({"caller", "query", "body", "action", "return"})

Handler = Callable[..., Awaitable[Any]]
Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRoute:
    """One method of one path."""

    method: Method
    path: str
    """After ``/api/v1``, with ``{name}`` for its parameters."""
    action: Action | Literal["read"]
    """What the caller's role must allow."""
    tag: str
    handler: Handler
    status: int
    faults: tuple[int, ...]
    """Statuses of problems of its own."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The types of the path's parameters."""
    query: Any = None
    body: Any = None
    answer: Any = None
    idempotent: bool = False
    """Whether it takes an idempotency key."""

    @property
    def role(self) -> AccessRole:
        """The least role that may call it."""
        return LEAST_ROLE.get(self.action, AccessRole.OPERATOR)

    @property
    def name(self) -> str:
        """Its name, unique among all."""
        return self.handler.__name__


class ApiRoutes:
    """All routes. Handlers are registered while the app is made."""

    def __init__(self, callers: Callers, access: ApiAccess) -> None:
        self.all: list[ApiRoute] = []
        self._callers = callers
        self._access = access

    def add(
        self,
        method: Method,
        path: str,
        *,
        action: Action | Literal["read"],
        tag: str,
        status: int = 0,
        faults: tuple[int, ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Register a handler; it answers 204 if it returns nothing. ``action``: see `ApiRoute`."""

        def register(handler: Handler) -> Handler:
            types = get_type_hints(handler, include_extras=True)
            named = inspect.signature(handler).parameters
            self.all.append(
                ApiRoute(
                    method=method,
                    path=path,
                    action=action,
                    tag=tag,
                    handler=handler,
                    status=status or (204 if types["return"] is NoneType else 200),
                    faults=faults,
                    parameters={name: types[name] for name in named if name not in _GIVEN},
                    query=types.get("query"),
                    body=types.get("body"),
                    answer=types.get("return"),
                    idempotent="action" in named,
                )
            )
            return handler

        return register

    async def admit(self, name: str) -> None:
        """Let the caller of the current request pass to a route. Raises ApiProblem.

        Its body is read only after that.
        """
        caller = await self._callers.caller()
        route = next(route for route in self.all if route.name == name)
        if not allows(caller.role, route.action):
            raise ApiProblem(403, f"it needs the role {route.role}; yours is {caller.role}")
        g.api_caller = caller

    async def answer(self, route: ApiRoute, path: Mapping[str, str]) -> Response:
        """Serve the current request, which was let pass. Raises ApiProblem."""
        caller: Caller = g.api_caller
        values: dict[str, Any] = {
            name: _converted(path[name], kind, status=404)
            for name, kind in route.parameters.items()
        }
        if "caller" in inspect.signature(route.handler).parameters:
            values["caller"] = caller
        if route.query is not None:
            values["query"] = _converted(_query(), route.query, status=422)
        if route.body is not None:
            values["body"] = await _body(route.body)
        if route.idempotent:
            values["action"] = await self._action(caller)
        given = await route.handler(**values)
        if isinstance(given, Response):
            return given
        content = b"" if given is None else msgspec.json.encode(given)
        return Response(content, status=route.status, content_type="application/json")

    async def _action(self, caller: Caller) -> str:
        key = request.headers.get(KEY_HEADER)
        if key is None:
            return secrets.token_hex(ACTION_BYTES)
        if not 0 < len(key) <= LONGEST_KEY:
            raise ApiProblem(400, f"{KEY_HEADER} has 1 to {LONGEST_KEY} characters")
        whole = f"{request.method} {request.full_path}\n".encode() + await _content()
        action = await self._access.action(caller.actor.name, key, whole)
        if not action:
            raise ApiProblem(422, f"this {KEY_HEADER} came with another request before")
        return action


def _converted(value: Any, kind: Any, *, status: int) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiProblem(status, str(error)) from None


def _query() -> dict[str, str]:
    fields = request.args.to_dict(flat=False)
    for name, values in fields.items():
        if len(values) > 1:
            raise ApiProblem(422, f"{name} is given more than once")
    return {name: values[0] for name, values in fields.items()}


async def _content() -> bytes:
    content = await request.get_data(as_text=False)
    return content.encode() if isinstance(content, str) else content


async def _body(kind: Any) -> Any:
    if kind is bytes:
        return await _content()
    if not request.is_json:
        raise ApiProblem(415, "the body must be application/json")
    try:
        return msgspec.json.decode(await _content(), type=kind)
    except msgspec.ValidationError as error:
        raise ApiProblem(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiProblem(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
