"""How the webhooks of each number are authenticated: by a secret or by a signature."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from daemon.gateway.kinds import gateway_of
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of

Challenge = Callable[[Mapping[str, str]], str | None]
"""Given the query of the question, gives the answer; None if the question is not the gateway's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAuth:
    """The secret or signature of a number's webhooks."""

    secrets: tuple[bytes, ...] = ()
    """One of which they carry as a bearer; none: they need not."""
    is_genuine: Callable[[Iterable[tuple[bytes, bytes]], bytes], bool] | None = None
    """Checks their signature, once their body is read; None: they have none."""
    challenge: Challenge | None = None
    """Answers a gateway that asks by GET whether its calls are wanted; None: it does not ask."""


def webhook_auth_of(settings: Settings) -> dict[str, WebhookAuth]:
    """How the webhooks of each number are authenticated, by its name."""
    found = {}
    for name, number in numbers_of(settings).items():
        kind = gateway_of(number)
        secrets = (one.get_secret_value().encode() for one in number.web.webhook_secret)
        found[name] = WebhookAuth(
            secrets=() if kind.is_genuine else tuple(secrets),
            is_genuine=partial(kind.is_genuine, number) if kind.is_genuine else None,
            challenge=partial(kind.challenge, number) if kind.challenge else None,
        )
    return found
