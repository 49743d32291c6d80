"""Shared by the handlers: HTTP's settings, the author of a request and its JSON."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from quart import g, request

from daemon.domain.accounts import Account
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import JsonObject
from daemon.domain.roles import AccessRole
from daemon.errors import NotYetDone
from daemon.http.usual_webhooks import StoreThread, UsualCall, UsualWebhooks
from daemon.ops.webhook_auth import WebhookAuth
from daemon.settings.numbers import ONLY

COOKIE = "__Host-recado"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2)."""

ACTOR_DIGITS = 8
"""Hexadecimal digits of a session's name in the audit: they distinguish sessions and open none."""

MAX_MINUTES = 60 * 24 * 365

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for bytes that it cannot decode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """The settings that HTTP needs, already validated. Empty secrets leave routes open."""

    environment: str
    webhook_secrets: tuple[str, ...] = ()
    """Of the only number; see `numbers`."""
    numbers: Mapping[str, "WebhookAuth"] = field(default_factory=dict)
    """How each number's webhooks are recognised; empty: there is only one, which wants
    `webhook_secrets`."""
    admin_token: str = ""
    model_webhook_secret: str = ""
    """``whsec_…``; without it there is no ``/openai/webhook``."""
    max_body_bytes: int = 50 * 1024 * 1024
    body_deadline_seconds: float = 30
    """From a webhook's head to the last byte of its body."""
    total_body_bytes: int | None = None
    """All webhook bodies in memory together; four of the largest if not set."""
    public_url: str = ""
    """Our public address; its host is ours, too."""
    language: str = "es"
    timezone: str = "UTC"
    session_seconds: float = 12 * 3600
    oidc_issuer: str = ""
    """An OpenID Connect provider; empty: none."""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    phone_url: str = ""
    """The origin of the sandbox's phone; empty outside the sandbox."""

    @property
    def body_budget(self) -> int:
        """All webhook bodies in memory together, in bytes."""
        if self.total_body_bytes is None:
            return 4 * self.max_body_bytes
        return self.total_body_bytes

    @property
    def auth_of(self) -> Mapping[str, WebhookAuth]:
        """The secrets for the webhooks of each number."""
        secrets = tuple(secret.encode() for secret in self.webhook_secrets)
        return self.numbers or {ONLY: WebhookAuth(secrets=secrets)}

    @property
    def production(self) -> bool:
        """True where customers are served."""
        return self.environment == "production"


class WebhookIntake(Protocol):
    """Stores webhook calls: `daemon.conversation.numbers.Numbers`, or a node that stands by."""

    async def accept(self, body: bytes, path_event: str, number: str, /) -> None:
        """Store a call durably. Raises WebhookError or StoreUnavailable."""

    def receive(self, source: UsualWebhooks, /) -> StoreThread | None:
        """Have the store's thread take calls from a source; None: this store's does not."""

    def received_text(self, body: bytes, path_event: str, number: str, /) -> UsualCall | None:
        """A call with one plain text, to be stored; None: it is one for `accept`.

        Called in the store's thread.
        """

    async def named_in(self, body: bytes, /) -> tuple[str, ...]:
        """Our numbers that a body names. Raises WebhookError."""


class RequestCounts(Protocol):
    """Counts requests: the daemon's state, or a node that stands by."""

    def hook_answered(self, status: int, seconds: float) -> None:
        """Count an answered call."""

    def secret_refused(self, what: str) -> None:
        """Count a request with a wrong secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who a request of the dashboard is from, after its guard."""

    name: str
    """As the audit has it."""
    role: AccessRole = AccessRole.OPERATOR
    session: str = ""
    """The name of the browser's session; empty if there is none."""
    account: Account | None = None


def visitor() -> Visitor:
    """Who the current request is from; without a guard before it, anybody."""
    known = g.get("visitor")
    return known if isinstance(known, Visitor) else Visitor(name="anybody", role=AccessRole.READ)


def session_name(cookie: str, admin_token: str) -> str:
    """Name a session by a keyed hash of its cookie, so that the store's content opens none.

    The key is the admin token: a new token ends all sessions.
    """
    return hmac.new(admin_token.encode(), cookie.encode(), hashlib.sha256).hexdigest()


def session_actor(name: str, account: Account | None = None) -> Actor:
    """The actor of a request of the session with this name; `account`: whose it is."""
    author = f"account {account.name}" if account else f"session {name[:ACTOR_DIGITS]}"
    return Actor(name=author, address=request.remote_addr or "")


def request_actor(settings: EdgeSettings) -> Actor:
    """The actor of the current request, which a guard has let pass."""
    address = request.remote_addr or ""
    if "visitor" in g:
        return Actor(name=visitor().name, address=address)
    if not settings.admin_token:
        return Actor(name="anybody", address=address)
    if "Authorization" in request.headers:
        return Actor(name="token admin", address=address)
    return session_actor(session_name(request.cookies.get(COOKIE, ""), settings.admin_token))


async def json_object() -> JsonObject:
    """The current request's JSON object; empty if it has none, or none that can be decoded.

    Only a body that is declared as JSON is read, so a page of another site cannot post a form.
    """
    if not request.is_json:
        return {}
    body = await request.get_data()
    try:
        fields = msgspec.json.decode(body)
    except _UNREADABLE:
        return {}
    return fields if isinstance(fields, dict) else {}


def is_minutes(value: object) -> bool:
    """Whether a value of a request is the length of a pause: more than 0, a year at most."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= MAX_MINUTES


def not_yet_done(error: NotYetDone) -> tuple[dict[str, object], int]:
    """Answer that something was taken, and is done later, by another node."""
    return {"done": False, "notice": str(error)}, 202
