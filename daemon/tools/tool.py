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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, overload

import msgspec
import trio
from pydantic import SecretStr

from daemon.domain.messages import ChatKey, JsonObject, ToolSpec
from daemon.domain.records import NewPart
from daemon.domain.rendering.outgoing import (
    ListRow,
    buttons_part,
    contact_part,
    list_part,
    location_part,
    media_part,
    poll_part,
)
from daemon.errors import ToolError
from daemon.tools.schema import strict_schema, without_nulls

# -- the context of a call -------------------------------------------------------------------------


Loader = Callable[[ChatKey, int], Awaitable[list[str]]]

Urgency = Literal["low", "normal", "high"]


class Conversation(Protocol):
    """The actions of tools on their conversation.

    Every method may be called again after a crash, without harm.
    """

    async def say(self, text: str) -> bool:
        """See `ToolContext.say`."""

    async def send(self, part: NewPart) -> bool:
        """Send a message other than text; see the methods of `ToolContext`.

        Raises ValueError with a reason if its file cannot be sent.
        """

    async def send_template(self, name: str, values: Mapping[str, str], language: str) -> bool:
        """See `ToolContext.send_template`."""

    async def react(self, emoji: str) -> bool:
        """See `ToolContext.react`."""

    async def escalate(self, reason: str, summary: str, urgency: Urgency) -> bool:
        """Hand the chat to a person after this turn's answer; False if that was done already."""

    async def set_labels(self, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """Change the chat's labels, by name; returns the failures, in words."""

    async def remember(self, fact: str) -> int:
        """Store a fact about the contact; returns its number, 0 if there are too many."""

    async def forget_fact(self, fact_id: int) -> bool:
        """Forget a fact by its number; False if there is none."""

    async def remind(self, when: str, text: str, cancel_on: Sequence[str], *, is_note: bool) -> str:
        """Have a text sent at a time (ISO 8601); returns the result, in words.

        ``cancel_on``: ``reply`` and ``agent`` end it before. ``is_note``: the text is for the
        model, which writes the message at that time.
        """

    async def cancel_reminder(self, reminder_id: int) -> bool:
        """Cancel a reminder of this chat by its number; False if none waits."""

    async def search_knowledge(self, question: str) -> str:
        """Search the business's documents; returns the passages, or that there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """The conversation that a tool is called in, and its actions on it."""

    key: ChatKey
    """The chat, and the number that it is on."""
    contact_name: str
    language: str
    """Of the business, ``es`` or ``en``."""
    idempotency_key: str
    """The same for every attempt of this call: pass it on to whatever has effects."""
    recent_messages: Loader
    """Returns the last lines of the conversation, oldest first."""
    conversation: Conversation
    """For rarer actions: handing over, labels, facts."""
    secrets: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    """Those of ``tools.secrets``; `secret` reads one."""

    @property
    def chat(self) -> str:
        """WhatsApp's chat id, such as ``573001234567@s.whatsapp.net``."""
        return self.key.chat

    @property
    def channel(self) -> str:
        """The gateway's id of our number."""
        return self.key.number

    def secret(self, name: str) -> str:
        """The secret ``tools.secrets.<name>``. Raises ToolError if it is not set."""
        if name not in self.secrets:
            raise ToolError(f"tools.secrets.{name} is not set")
        return self.secrets[name].get_secret_value()

    async def say(self, text: str) -> bool:
        """Send a text to the customer while the tool works: "I am looking that up".

        Returns as soon as it is stored; it is sent while the tool runs, at a human pace. It is sent
        once, however often the call is repeated after a crash: the texts of a call are identified
        by their order. False if it will not be sent: a person has the chat, the text is empty, or
        the call is over.
        """
        return await self.conversation.say(text)

    async def send_image(self, source: str, caption: str = "") -> bool:
        """Send a picture: an https address, or the name of a file in `tools.files_folder`.

        The gateway fetches the address. Like all sends it is stored on return, sent once however
        often the call is repeated, and in order with the answer. Raises ValueError, with a reason
        for the author of the tool, if it cannot be sent.
        """
        return await self.conversation.send(media_part("image", source, caption))

    async def send_document(self, source: str, caption: str = "", *, filename: str = "") -> bool:
        """Send a document, like `send_image`; ``filename`` is what the customer sees."""
        part = media_part("document", source, caption, filename=filename)
        return await self.conversation.send(part)

    async def send_location(
        self, latitude: float, longitude: float, *, name: str = "", address: str = ""
    ) -> bool:
        """Send a place, in degrees. Raises ValueError if it does not exist."""
        part = location_part(latitude, longitude, name=name, address=address)
        return await self.conversation.send(part)

    async def send_contact(
        self, name: str, number: str, *, organisation: str = "", email: str = ""
    ) -> bool:
        """Send a contact card, so that the customer can write to or call the person.

        ``number`` is international, ``+573001234567``. Raises ValueError if it is not valid.
        """
        part = contact_part(name, number, organisation=organisation, email=email)
        return await self.conversation.send(part)

    async def send_poll(
        self, question: str, options: Sequence[str], *, several: bool = False
    ) -> bool:
        """Ask with a poll of 2 to 12 options; each vote comes as a message of the customer.

        ``several``: more than one option may be chosen. Raises ValueError if it cannot be sent.
        """
        return await self.conversation.send(poll_part(question, options, several=several))

    async def send_buttons(
        self, question: str, buttons: Mapping[str, str], *, header: str = "", footer: str = ""
    ) -> bool:
        """Ask with up to three buttons, titles by id; the tapped one comes as a message.

        Raises ValueError if a title is too long for WhatsApp, or there are too many.
        """
        part = buttons_part(question, buttons, header=header, footer=footer)
        return await self.conversation.send(part)

    async def send_list(
        self,
        question: str,
        label: str,
        rows: Sequence[ListRow],
        *,
        header: str = "",
        footer: str = "",
    ) -> bool:
        """Ask with a list of up to ten rows, opened by ``label``; like `send_buttons`."""
        part = list_part(question, label, rows, header=header, footer=footer)
        return await self.conversation.send(part)

    async def send_template(
        self, name: str, parameters: Mapping[str, str] | None = None, *, language: str = ""
    ) -> bool:
        """Send a template that Meta has approved, with its parameters by name (Cloud API only).

        ``language``: as Meta names it, ``es_CO``; empty: best that of the business. Raises
        ValueError if there is no such template, it is not approved, or its parameters are others:
        `recado templates` lists them.
        """
        return await self.conversation.send_template(name, parameters or {}, language)

    async def react(self, emoji: str) -> bool:
        """React to the customer's last message; an empty ``emoji`` removes the reaction.

        Raises ValueError if it is no emoji.
        """
        return await self.conversation.react(emoji)

    def from_thread(self, function: Callable[..., Awaitable[bool]], *arguments: object) -> bool:
        """Send from a plain function: ``context.from_thread(context.send_image, "menu.jpg")``."""
        return trio.from_thread.run(function, *arguments)

    def say_from_thread(self, text: str) -> bool:
        """As `say`, from a plain function, which runs in a thread."""
        return trio.from_thread.run(self.conversation.say, text)


__all__ = ["Conversation", "ListRow", "Loader", "Tool", "ToolContext", "Urgency", "tool"]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that the Responses API accepts; another would fail every request."""

KEYWORDS = frozenset({inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY})
"""Parameters that can be passed by name, as the model passes them."""

DEFAULT_TIMEOUT = 30.0
"""Seconds that a tool may take, unless it declares another timeout."""

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
    """The schema before it was made strict."""
    is_async: bool
    asyncio: bool
    """It runs in a thread, with a loop of asyncio."""
    effects: bool
    idempotent: bool
    timeout: float
    concurrency: int
    """Calls at the same time, for all chats; 0: any number."""
    enabled: bool

    @property
    def name(self) -> str:
        """The tool's name, as the model writes it."""
        return self.spec.name

    @property
    def is_repeatable(self) -> bool:
        """Whether a call with an unknown outcome may be made again."""
        return self.idempotent or not self.effects

    @property
    def origin(self) -> str:
        """The module that declares it."""
        return self.function.__module__

    def read_arguments(self, text: str) -> dict[str, Any]:
        """Check the JSON that the model wrote; raises ValueError with a reason for the model."""
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
    asyncio: bool = ...,
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
    asyncio: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool.

    ``effects``: calling it twice is not the same as calling it once (a booking, a payment). Such a
    call is never repeated after a crash unless the tool is ``idempotent``, which means that a
    second call with the same idempotency key has no further effect. ``timeout`` in seconds.
    ``concurrency``: calls at the same time, for all chats; 0: any number. A tool that is not
    ``enabled`` is loaded and listed, but not offered to the model. ``asyncio``: an async function
    that uses asyncio or a library for it; it runs in a thread with a loop of its own. Raises
    ToolError if the function's signature or docstring does not make a tool.
    """
    declare = partial(
        _declare,
        name=name,
        effects=effects,
        idempotent=idempotent,
        timeout=timeout,
        concurrency=concurrency,
        enabled=enabled,
        asyncio=asyncio,
    )
    return declare if function is None else declare(function)


def _declare(
    function: Callable[..., Any],
    *,
    name: str,
    timeout: float,
    concurrency: int,
    asyncio: bool,
    **declared: bool,
) -> Tool:
    name = name or function.__name__
    if not NAME.fullmatch(name):
        raise ToolError(f"tool {name}: a name has at most 64 ASCII letters, digits, _ and -")
    if timeout <= 0 or concurrency < 0:
        raise ToolError(f"tool {name}: timeout must be above 0 and concurrency 0 or more")
    description = inspect.getdoc(function) or ""
    if not description:
        raise ToolError(f"tool {name}: a docstring is needed; the model reads it")
    if asyncio and not inspect.iscoroutinefunction(function):
        raise ToolError(f"tool {name}: asyncio=True is for async functions")
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
        asyncio=asyncio,
        timeout=timeout,
        concurrency=concurrency,
        **declared,
    )


def _parameters(function: Callable[..., Any], name: str) -> tuple[list[_Field], str]:
    """The fields of the model's arguments, and the name of the parameter for the context."""
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
