"""The gateway port: what Recado asks of any gateway to WhatsApp, and what it gets from it.

A gateway is a folder beside this file and one line in `daemon.gateway.kinds`. It reads the bodies
of its webhooks into a `daemon.domain.messages.Webhook`, makes the calls of `Gateway`, and raises
nothing but ``daemon.errors.GatewayError``. Callers ask its `Capabilities`, never its name.
"""

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, Protocol

from daemon.domain.messages import ChatInfo, Label, Message, NumberHealth, Webhook
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.templates import Template
from daemon.settings import Settings

Indicator = Literal["typing", "recording", "pause"]
"""The presence that a customer sees; ``pause``: none."""

Before = Callable[[], Awaitable[None]]
"""Awaited when the connection stands, right before a request's first byte; if it raises, nothing
was sent, and its error leaves the call."""

Observe = Callable[[str, str, float], None]
"""Called after each call with its operation, its outcome (``ok``, ``temporary``, ``unknown``,
``channel_trouble``, ``rejected``, ``cancelled``) and its seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The capabilities of a number's gateway beyond sending and receiving."""

    kinds: frozenset[str]
    """The kinds of `Outgoing` that it sends."""
    lists_messages: bool
    """False: whether a send of unknown outcome happened cannot be looked up."""
    shows_typing: bool
    """False: there is no typing indicator apart from marking a message as read."""
    sees_typing: bool
    """False: the gateway reports no typing of contacts."""
    bubbles: int = 0
    """Into how many messages an answer is cut, if it fits; 0: as `delivery.max_bubbles` says."""
    window_seconds: float = 0
    """For how long after a customer's last message anything may be sent, later only templates.

    0: there is no such limit.
    """
    templates: bool = False
    """Whether the templates that may be sent can be listed."""
    pair_seconds: float = 0
    """Between two messages to the same chat, at least."""
    labels: bool = False
    """Whether chats have labels there. False: the desk keeps its own list."""
    status_seconds: float = 0
    """How long the delivery updates of a send of unknown outcome, which carry its tag, are waited
    for; 0: they carry no tag."""


class Gateway(Protocol):
    """The calls of one number's gateway. Any task may make them, all at the same time.

    They raise only errors of `GatewayError`. `send` is made once, and its error says whether it may
    have happened. The other calls do no harm when repeated: the gateway repeats them itself, and
    never raises OutcomeUnknown.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this number's gateway; constant while it is open."""

    @property
    def seconds_ahead(self) -> float | None:
        """By how much the gateway's clock is ahead of ours, by its last answers.

        0: they are in step; None: it has not answered yet.
        """

    def parse_webhook(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        """Read a webhook call: see `GatewayKind.parse_webhook`."""

    async def send(self, chat: str, message: Outgoing, *, before: Before) -> str:
        """Send one message, once; gives WhatsApp's message id, empty for a reaction.

        ``before`` has the last word: see `Before`. Raises RefusedForm for a kind of message that
        is not among the capabilities.
        """

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        """Show the customer that we are typing, or stop showing it."""

    async def subscribe_presence(self, contact: str) -> None:
        """Ask for the presences of a contact (a person id)."""

    async def mark_read(self, message_id: str) -> None:
        """Show the author of a message that it was read; one that is gone is success."""

    async def health(self) -> NumberHealth:
        """The state of the number. Raises GatewayError only if the gateway does not answer."""

    async def find_alias(self, digits: str) -> str:
        """The other chat id of a phone number's person; empty if none is known."""

    async def list_messages(
        self, chat: str, *, from_me: bool | None, since: float, count: int
    ) -> tuple[Message, ...]:
        """The newest messages of a chat since a Unix time, newest first; their keys name no number.

        Raises RefusedForm if the chat never had a message.
        """

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """A chat's saved name and labels; None if the gateway does not know the chat."""

    async def list_templates(self) -> tuple[Template, ...]:
        """The templates of the number's account; none where there are no templates."""

    async def list_labels(self) -> tuple[Label, ...]:
        """All labels of the number; none where there are no labels."""

    async def add_label(self, label_id: str, chat: str) -> None:
        """Put a label on a chat; having it already is success."""

    async def remove_label(self, label_id: str, chat: str) -> None:
        """Take a label off a chat; not having it is success."""


class ParseWebhook(Protocol):
    """Reads the body of a webhook call."""

    def __call__(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        """Return the content of the call; ``path_event`` is the event that its address names.

        ``number`` is the name of the number that the call is about, for all keys in it.

        Raises WebhookTooLarge if the body holds too much, WebhookError if it cannot be read at
        all; nothing else.
        """


Headers = Iterable[tuple[bytes, bytes]]
"""The headers of a request, their names in small letters."""


class IsGenuine(Protocol):
    """Checks the signature of a webhook call."""

    def __call__(self, settings: Settings, headers: Headers, body: bytes) -> bool:
        """Whether the gateway of the number with these settings has sent it."""


class Challenge(Protocol):
    """Answers a gateway that asks whether its calls are wanted at an address."""

    def __call__(self, settings: Settings, query: Mapping[str, str]) -> str | None:
        """Return the answer to a challenge; None if the number's secret is wrong."""


class OpenGateway(Protocol):
    """Opens the gateway of a number, from the settings that are its own."""

    def __call__(
        self,
        settings: Settings,
        *,
        rng: Random,
        now: Callable[[], float],
        observe: Observe | None,
        tls: ssl.SSLContext | None,
    ) -> AbstractAsyncContextManager[Gateway]:
        """Return a gateway; its connections close with the block. Raises SettingsError.

        ``now``: the wall clock, Unix seconds. ``tls``: whom to believe; None: httpx's authorities.
        """


Level = Literal["ok", "warning", "error"]


class CheckNumber(Protocol):
    """Asks the gateway whether a number is set up as it must be."""

    async def __call__(self, settings: Settings) -> list[tuple[Level, str]]:
        """Return one or more findings for each item checked. Raises SettingsError."""


class FileServer(NamedTuple):
    """Where a gateway keeps files, and the headers for fetching them."""

    url: str
    token: str
    key: str
    """The setting that ``url`` comes from."""
    path: str = "/media/{}"
    """Of a file, with ``{}`` in place of its id."""
    hosts: tuple[str, ...] = ()
    """Where the files are that ``path`` only gives the addresses of, as the ``url`` of a JSON
    object; they take the token too. Empty: ``path`` gives the file itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayKind:
    """One gateway, before a number of it is open."""

    name: str
    """As in metrics and the settings of a number."""
    parse_webhook: ParseWebhook
    numbers_in: Callable[[bytes], tuple[str, ...]]
    """The gateway's ids of the numbers that the body of a call names. Raises WebhookError for a
    body that is no JSON object. Runs before anything else reads the body."""
    id_of: Callable[[Settings], str]
    """The same id, as a number's settings have it; empty if they do not."""
    open: OpenGateway
    file_server: Callable[[Settings], FileServer]
    check: CheckNumber
    """For ``recado check --online``."""
    check_seconds: Callable[[Settings], float]
    """Between two looks at whether a number is well."""
    call_seconds: Callable[[Settings], float]
    """The time limit of one call."""
    is_genuine: IsGenuine | None = None
    """Set where the gateway signs its calls. None: they carry the number's secret as a bearer."""
    challenge: Challenge | None = None
    """Set where the gateway asks, by GET, whether its calls are wanted at an address."""
