"""``[[webhooks]]``: other systems that are notified of events."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from daemon.domain.announcements import EVENTS
from daemon.settings.rules import Rule, SettingsTable, Url, as_list, read_table, refused_by

SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
SECRET_BYTES = range(24, 65)
"""What Standard Webhooks 1.0 says of a signing secret: 24 bytes or more, in base64 behind a prefix.
Its libraries take any length; 64 is the block of HMAC-SHA256."""


def signing_key(secret: SecretStr) -> bytes:
    """The bytes of a signing secret. Raises ValueError if it is none."""
    text = secret.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        raise ValueError("no signing secret")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("no signing secret") from error
    if len(key) not in SECRET_BYTES:
        raise ValueError("no signing secret")
    return key


def _require_events(names: tuple[str, ...]) -> tuple[str, ...]:
    if set(names) - set(EVENTS):
        raise ValueError("an unknown event")
    return names


_Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(as_list)]


class WebhookSettings(SettingsTable):
    """One endpoint."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    url: Url
    secret: Annotated[
        tuple[Annotated[SecretStr, refused_by(signing_key)], ...],
        Field(strict=False, min_length=1, max_length=2),
        BeforeValidator(as_list),
    ]
    """Two while one replaces the other: each body is signed with both."""
    events: Annotated[_Names, AfterValidator(_require_events)] = ()
    """Empty: all."""
    numbers: _Names = ()
    """Empty: all."""
    private: bool = False
    """True: the address may be one of our own network, and plain http."""


def _require_one_of_each_name(
    endpoints: tuple[WebhookSettings, ...],
) -> tuple[WebhookSettings, ...]:
    if len({endpoint.name for endpoint in endpoints}) < len(endpoints):
        raise ValueError("two of one name")
    return endpoints


Webhooks = Annotated[
    tuple[WebhookSettings, ...],
    Field(strict=False, max_length=20),
    AfterValidator(_require_one_of_each_name),
    Rule(
        "a list of tables, each with a name of its own (small letters, digits and underscores),"
        " a url, a secret (whsec_ and base64 of 24 to 64 bytes, or a list of two), and if wanted"
        " events, numbers and private = true (in the environment: a JSON list); see webhooks.md",
        read_table,
        secret=True,
    ),
]


def webhook_faults(endpoints: tuple[WebhookSettings, ...], numbers: set[str]) -> list[str]:
    """Find what is wrong with endpoints that are well-formed, a line each."""
    faults = [
        f"{endpoint.name} is not https; private = true allows it in a network of your own"
        for endpoint in endpoints
        if not (endpoint.private or endpoint.url.startswith("https://"))
    ]
    return faults + [
        f"{endpoint.name} names the unknown number {name}"
        for endpoint in endpoints
        for name in sorted(set(endpoint.numbers) - numbers)
    ]
