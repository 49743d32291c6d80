"""Declaring a tool: a typed function with a docstring is all it takes.

    @tool(effects=True, timeout=20)
    async def book_room(context: ToolContext, room: str, arrival: date, nights: int) -> str:
        \"\"\"Book a room. Ask for the guest's name first.\"\"\"

The schema that the model sees comes from the signature, and its arguments are checked against it
before the function is called. A plain function runs in a thread, an async one in the chat's task.
A parameter of type `ToolContext` is filled in by Recado and never by the model.
"""

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import msgspec

from daemon.domain.messages import JsonObject, ToolSpec
from daemon.errors import ToolError
from daemon.tools.context import ToolContext
from daemon.tools.schema import strict_schema, without_nulls

__all__ = ["Tool", "ToolContext", "tool"]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What the Responses API takes as a tool's name; another would fail every request."""

KEYWORDS = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})
"""Parameters that can be given by name, as the model gives them."""

DEFAULT_TIMEOUT = 30.0
"""Seconds a tool may take, if it does not say otherwise."""

_Field = tuple[str, Any] | tuple[str, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call."""

    spec: ToolSpec
    function: Callable[..., Any]
    arguments: type[msgspec.Struct]
    """The shape of the arguments; decoding into it is the check."""
    context_parameter: str
    """Name of the parameter that takes the `ToolContext`; empty if there is none."""
    loose: JsonObject
    """The schema in which an argument with a default may be left out."""
    is_async: bool
    effects: bool
    idempotent: bool
    timeout: float
    concurrency: int
    """Calls at the same time, over all chats; 0: any number."""
    enabled: bool

    @property
    def name(self) -> str:
        """The tool's name, as the model writes it."""
        return self.spec.name

    @property
    def origin(self) -> str:
        """The module that declares it."""
        return self.function.__module__

    def read_arguments(self, text: str) -> dict[str, Any]:
        """Check the JSON that the model wrote; raises ValueError in words the model can use."""
        try:
            value = msgspec.json.decode(self._without_nulls(text or "{}"), type=self.arguments)
        except msgspec.ValidationError as error:
            raise ValueError(f"invalid arguments for {self.name}: {error}") from None
        except (msgspec.DecodeError, RecursionError):
            raise ValueError(f"the arguments for {self.name} are not valid JSON") from None
        return {name: getattr(value, name) for name in self.arguments.__struct_fields__}

    def _without_nulls(self, text: str) -> str | bytes:
        if "null" not in text:
            return text
        return msgspec.json.encode(
            without_nulls(msgspec.json.decode(text), self.loose, root=self.loose)
        )


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    effects: bool = ...,
    idempotent: bool = ...,
    timeout: float = ...,
    concurrency: int = ...,
    enabled: bool = ...,
    name: str = ...,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    effects: bool = False,
    idempotent: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int = 0,
    enabled: bool = True,
    name: str = "",
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool.

    ``effects``: calling it twice is not the same as calling it once (a booking, a payment); such
    a call is never repeated after a crash, unless it is ``idempotent``: then a second call with
    the same idempotency key does nothing more. ``timeout`` in seconds. ``concurrency``: at most
    so many calls at the same time, over all chats; 0: any number. A tool that is not ``enabled``
    is loaded and listed, but the model is not told of it. Raises ToolError if the function's
    signature or docstring does not make a tool.
    """
    declare = partial(
        _declare,
        name=name,
        effects=effects,
        idempotent=idempotent,
        timeout=timeout,
        concurrency=concurrency,
        enabled=enabled,
    )
    return declare if function is None else declare(function)


def _declare(
    function: Callable[..., Any], *, name: str, timeout: float, concurrency: int, **declared: bool
) -> Tool:
    name = name or function.__name__
    if not NAME.fullmatch(name):
        raise ToolError(f"tool {name}: a name has at most 64 ASCII letters, digits, _ and -")
    if timeout <= 0 or concurrency < 0:
        raise ToolError(f"tool {name}: timeout must be above 0 and concurrency 0 or more")
    description = inspect.getdoc(function) or ""
    if not description:
        raise ToolError(f"tool {name}: a docstring is needed, it is what the model goes by")
    fields, context_parameter = _parameters(function, name)
    try:
        arguments = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        schema = _schema(arguments)
    except TypeError as error:
        raise ToolError(f"tool {name}: {error}") from error
    return Tool(
        spec=ToolSpec(name=name, description=description, parameters=strict_schema(schema)),
        function=function,
        arguments=arguments,
        context_parameter=context_parameter,
        loose=schema,
        is_async=inspect.iscoroutinefunction(function),
        timeout=timeout,
        concurrency=concurrency,
        **declared,
    )


def _parameters(function: Callable[..., Any], name: str) -> tuple[list[_Field], str]:
    """The arguments that the model gives, and the name of the parameter for the context."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolError(f"tool {name}: {error}") from error
    fields: list[_Field] = []
    context_parameter = ""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in KEYWORDS:
            raise ToolError(f"tool {name}: parameter {parameter.name} cannot be given by name")
        if parameter.name not in hints:
            raise ToolError(f"tool {name}: parameter {parameter.name} has no type")
        hint = hints[parameter.name]
        if hint is ToolContext:
            context_parameter = parameter.name
        elif parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, parameter.default))
    return fields, context_parameter


def _schema(arguments: type[msgspec.Struct]) -> JsonObject:
    """The JSON schema of the arguments, inlined and without the struct's own names."""
    (reference,), definitions = msgspec.json.schema_components(
        [arguments], ref_template="#/$defs/{name}"
    )
    own = definitions.pop(reference["$ref"].removeprefix("#/$defs/"))
    own.pop("title", None)
    own.setdefault("properties", {})
    own.setdefault("required", [])
    if definitions:
        own["$defs"] = definitions
    return dict(own)
