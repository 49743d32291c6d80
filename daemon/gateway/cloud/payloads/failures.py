"""The error codes of the Cloud API, and what each means for the caller. Pure.

Codes as in Meta's page "Error codes" (2026-09-11). The code decides, not the HTTP status and not
the title: the same code comes with several statuses, in the answer to a send or later in a status
webhook. The same table, with a test a row, is in docs/faults.md.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from daemon.domain.messages import JsonObject
from daemon.domain.transitions.handover import WINDOW_SHUT
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    WindowClosed,
)
from daemon.gateway.payloads.fields import Refusal, count, text


class Failure(NamedTuple):
    """The meaning of an error code."""

    error: type[GatewayError]
    words: str
    retry_after: float | None = None
    """Seconds, where Meta names a time; the answers have no ``Retry-After``."""


HOUR = 3600.0
PAIR_SECONDS = 6.0
"""One message in six seconds to the same person, in the long run."""

_TEMPORARY: Mapping[int, tuple[str, float | None]] = {
    1: ("Meta cannot be reached inside, or the request is wrong", None),
    2: ("Meta is down or overloaded", None),
    4: ("too many calls of the app", None),
    80007: ("too many calls of the business account", None),
    130429: ("too many messages a second", None),
    131000: ("something went wrong at Meta", None),
    131016: ("a service of Meta's is not available", None),
    131048: ("too many people have blocked or reported the number", HOUR),
    131056: ("too many messages to this person", PAIR_SECONDS),
    131057: ("the business account is being maintained", None),
    131064: ("the number's quality limits what it sends", HOUR),
    133004: ("the server is not available", None),
    133016: ("the number was registered too often", HOUR),
}
_RECIPIENT: Mapping[int, str] = {
    130403: "this person is blocked by us",
    130472: "this person is part of an experiment of Meta's",
    130497: "the business may not write to this country",
    131021: "sender and recipient are the same",
    131026: "undeliverable: no WhatsApp, an old one, or the terms are not accepted",
    131030: "the recipient is not on the test number's list",
    131049: "Meta limits the marketing that this person gets",
    131050: "this person wants no marketing from us",
    131062: "authentication templates need a phone number",
    131063: "this person cannot get marketing now",
    137000: "the user id is not known",
}
_FORM: Mapping[int, str] = {
    100: "a parameter is wrong",
    131008: "a parameter is missing",
    131009: "a parameter has a wrong value",
    131051: "the type of message is not supported",
    131052: "the customer's file cannot be fetched",
    131053: "the file cannot be uploaded: wrong type or too large",
    132000: "the template takes another number of parameters",
    132001: "there is no such template in this language",
    132005: "the template is too long with its parameters",
    132007: "the template breaks a policy",
    132012: "a parameter of the template has a wrong format",
    132015: "the template is paused for its low quality",
    132016: "the template is disabled for its low quality",
    132018: "the template's parameters are wrong",
    135000: "the user id is used wrongly, or an error that Meta does not name",
}
_NUMBER: Mapping[int, str] = {
    0: "the token is not valid: check cloud.token",
    3: "the app lacks a permission: check cloud.token",
    10: "the app lacks a permission: check cloud.token",
    33: "the number was deleted: check cloud.phone_number_id",
    190: "the token is not valid or has expired: check cloud.token",
    368: "the business account is blocked for breaking a policy",
    131005: "access denied: check cloud.token",
    131031: "the business account is restricted",
    131042: "payment: check the business account's payment method",
    131045: "the number is not registered right",
    133010: "the number is not registered",
}
_PERMISSIONS = range(200, 300)
_WINDOW = 131047

FAILURES: Mapping[int, Failure] = MappingProxyType(
    {
        **{code: Failure(GatewayTemporary, *row) for code, row in _TEMPORARY.items()},
        **{code: Failure(RefusedRecipient, words) for code, words in _RECIPIENT.items()},
        **{code: Failure(RefusedForm, words) for code, words in _FORM.items()},
        **{code: Failure(NumberTrouble, words) for code, words in _NUMBER.items()},
        **{code: Failure(NumberTrouble, "the app lacks a permission") for code in _PERMISSIONS},
        _WINDOW: Failure(WindowClosed, "24 hours have passed since the customer's last message"),
    }
)

_PARTS = (
    ("quoted", re.compile(r"context|quote", re.IGNORECASE)),
    ("link_preview", re.compile(r"preview", re.IGNORECASE)),
    ("buttons", re.compile(r"button|interactive|\baction\b|section", re.IGNORECASE)),
)
"""Optional parts of a message, by the names of `daemon.domain.rendering.outgoing`, and the words
for them. Meta's texts are searched for them and never quoted."""


def refusal_of(status: int, error: JsonObject) -> Refusal:
    """Return the refusal that an error object means, empty without one.

    An answer of 5xx without a code says nothing of whether the call has happened.
    """
    if "code" not in error:
        return Refusal(_by_status(status), f"status {status}")
    code = count(error.get("code"))
    failure = FAILURES.get(code) or Failure(_by_status(status), "not known here")
    words = f"code {code} ({failure.words})"
    return Refusal(failure.error, words, _named(error), failure.retry_after)


def failure_words(errors: Iterable[JsonObject]) -> tuple[str, bool]:
    """Return the words for the errors of a failed message, and whether sending again may help."""
    codes = [count(error.get("code")) for error in errors]
    known = [FAILURES.get(code) for code in codes]
    if _WINDOW in codes:
        return WINDOW_SHUT, False
    described = [
        f"code {code} ({found.words if found else 'not known here'})"
        for code, found in zip(codes, known, strict=True)
    ]
    again = all(found is None or found.error is GatewayTemporary for found in known)
    return "; ".join(described), again


def _by_status(status: int) -> type[GatewayError]:
    if status >= 500 or status == 408:
        return OutcomeUnknown
    if status == 429:
        return GatewayTemporary
    if status < 400 or status in {401, 403, 404}:
        return NumberTrouble
    return RefusedForm


def _named(error: JsonObject) -> frozenset[str]:
    data = error.get("error_data")
    details = text(data.get("details")) if isinstance(data, dict) else ""
    words = f"{text(error.get('message'))} {details}"
    return frozenset(name for name, pattern in _PARTS if pattern.search(words))
