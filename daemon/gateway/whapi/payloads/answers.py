"""Read the answers of Whapi's API: the bodies, and the meaning of refusals. Pure.

Shapes and statuses as in Whapi's OpenAPI document, version 1.8.7. Nothing here raises but
``Unintelligible``. Whapi's error messages may hold numbers and texts of people: they are searched
for signs and never quoted.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from daemon.domain.ids import alias_of, chat_id, is_alias
from daemon.domain.messages import (
    ChatInfo,
    JsonObject,
    Label,
    Message,
    NumberCondition,
    NumberHealth,
)
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    WebhookError,
)
from daemon.gateway.payloads.fields import (
    NothingDone,
    Refusal,
    Unintelligible,
    count,
    strict_json,
    text,
)
from daemon.gateway.whapi.payloads.other_events import advice, condition_of
from daemon.gateway.whapi.payloads.parser import parse_messages


def read_sent(body: bytes) -> str:
    """Read the id of the message that a send has made.

    Raises NothingDone if an error says that it was not sent, Unintelligible if nothing says either.
    """
    answer = _object(body)
    if answer.get("sent") is False:
        if answer.get("error"):
            raise NothingDone(Refusal(error_of_unsent(body), f"not sent: {explanation(200, body)}"))
        raise Unintelligible("not sent, without a reason")
    message = answer.get("message")
    message_id = text(message.get("id")).strip() if isinstance(message, dict) else ""
    if not message_id:
        raise Unintelligible("no message id")
    return message_id


def read_messages(body: bytes) -> tuple[Message, ...]:
    """Read a list of messages. Raises Unintelligible if there is none."""
    if not isinstance(_object(body).get("messages"), list):
        raise Unintelligible("no list of messages")
    try:
        return parse_messages(body)
    except WebhookError as error:
        raise Unintelligible(str(error)) from None


def read_health(body: bytes) -> NumberHealth:
    """Read the channel's health. Raises Unintelligible if it has no status."""
    answer = _object(body)
    status = answer.get("status")
    if not isinstance(status, dict) or not text(status.get("text")):
        raise Unintelligible("no status")
    name = text(status.get("text")).upper()
    condition = condition_of(name)
    return NumberHealth(
        condition=condition,
        detail=advice(condition, f"health {name}"),
        channel=text(answer.get("channel_id")),
        number=_digits(answer.get("user")),
    )


def health_refused(status: int, words: str) -> NumberHealth | None:
    """Return the health that a refused request for it means; None if it means nothing."""
    condition: NumberCondition
    if status in {401, 404}:  # 404 is "Channel not found": a wrong token
        condition = "unauthorised"
    elif status in {402, 403}:
        condition = "error"
    else:
        return None
    return NumberHealth(condition=condition, detail=advice(condition, words))


def _digits(user: object) -> str:
    """The number of a user object, whose id is digits or a chat id; else empty."""
    found = text(user.get("id")) if isinstance(user, dict) else ""
    digits = found.partition("@")[0].partition(":")[0].removeprefix("+")
    return digits if digits.isdecimal() and not is_alias(found) else ""


def read_chat(body: bytes) -> ChatInfo:
    """Read a chat. Raises Unintelligible if it has no id."""
    answer = _object(body)
    found = chat_id(text(answer.get("id")))
    if not found:
        raise Unintelligible("no id")
    labels = answer.get("labels")
    return ChatInfo(
        id=found,
        name=text(answer.get("name")),
        labels=tuple(
            Label(id=text(x.get("id")), name=text(x.get("name")), color=text(x.get("color")))
            for x in (labels if isinstance(labels, list) else ())
            if isinstance(x, dict)
        ),
    )


def read_labels(body: bytes) -> tuple[Label, ...]:
    """Read the channel's labels, which come as a bare list. Raises Unintelligible if they do not.

    A label without an id or a name is left out.
    """
    try:
        answer = msgspec.json.decode(body, type=list[dict[str, Any]])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unintelligible("no list of labels") from None
    labels = (
        Label(id=text(x.get("id")), name=text(x.get("name")), color=text(x.get("color")))
        for x in answer
    )
    return tuple(label for label in labels if label.id and label.name)


def read_object(body: bytes) -> dict[str, Any]:
    """Read any JSON object, such as the channel's settings. Raises Unintelligible if it is none."""
    return _object(body)


def read_alias(body: bytes) -> str:
    """Read the opaque id of a contact, as a chat id; empty if the answer holds none."""
    return alias_of(text(_object(body).get("lid")))


def _object(body: bytes) -> dict[str, Any]:
    for read in (bytes, strict_json):
        try:
            return msgspec.json.decode(read(body), type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    raise Unintelligible("not a JSON object")


# -- refusals: what each HTTP status of a call means for the caller --------------------------------
#
# That 404 is also the answer to a bad or expired token is in Whapi's own guide for developers. The
# same table, with a test a row, is in docs/faults.md.


_ERRORS: Mapping[int, type[GatewayError]] = MappingProxyType(
    {
        401: NumberTrouble,  # not linked to a phone
        402: NumberTrouble,  # the trial's limit
        403: RefusedRecipient,  # "forbidden to send to this recipient"
        408: OutcomeUnknown,  # a proxy's own time limit: it may have gone on
        409: GatewayTemporary,
        425: GatewayTemporary,
        429: GatewayTemporary,
    }
)
"""Statuses below 500 that are neither success nor "refused because of its form", but 404."""

_MEANINGS = MappingProxyType(
    {
        400: "wrong parameters",
        401: "the channel is not linked to a phone, or the token is wrong",
        402: "the trial's limit is exceeded",
        403: "forbidden for this recipient",
        404: "not found",
        408: "timed out at Whapi",
        409: "in conflict with what Whapi is doing",
        413: "too large",
        415: "unsupported media",
        422: "cannot be processed",
        429: "too many requests",
    }
)
_NO_CHANNEL = re.compile(r"\bchannel\b", re.IGNORECASE)
_PART_WORDS = (
    ("quoted", re.compile(r"quote", re.IGNORECASE)),
    ("link_preview", re.compile(r"preview", re.IGNORECASE)),
    ("mentions", re.compile(r"mention", re.IGNORECASE)),
    ("buttons", re.compile(r"button|interactive|\baction\b|section", re.IGNORECASE)),
)
"""Optional parts of a message, by the names of `daemon.domain.rendering.outgoing`, and the words
for them."""


def refusal_of(status: int, body: bytes) -> Refusal | None:
    """Return the refusal that an answer means; see `daemon.gateway.payloads.fields`."""
    error = error_of(status, body)
    if error is None:
        return None
    return Refusal(error, explanation(status, body), named_parts(body))


def error_of(status: int, body: bytes = b"") -> type[GatewayError] | None:
    """Return the error that an answer of this status stands for; None for success.

    404 means a wrong token unless the error says that something else was not found: the error of
    Whapi's own is then about what the call names (a file, a message, a chat).
    """
    if 200 <= status < 300:
        return None
    if status == 404:
        words = _words(body)
        return RefusedForm if words and not _NO_CHANNEL.search(words) else NumberTrouble
    if status >= 500:
        return OutcomeUnknown
    if status < 400:  # a redirect: whapi.api_url leads somewhere else, whatever is asked
        return NumberTrouble
    return _ERRORS.get(status, RefusedForm)


def error_of_unsent(body: bytes) -> type[GatewayError]:
    """Return the error for an answer of 200 that says that nothing was sent."""
    code = _error(body).get("code")
    if not isinstance(code, int) or not 400 <= code < 600:
        return RefusedForm
    found = error_of(code, body)
    return GatewayTemporary if found is None or found is OutcomeUnknown else found


def explanation(status: int, body: bytes) -> str:
    """Describe a refusal for the log: the status, its meaning, and Whapi's error code if any."""
    meaning = _MEANINGS.get(status, "")
    if status == 404 and error_of(status, body) is NumberTrouble:
        meaning = "Whapi does not know the channel: the token is wrong or has expired"
    code = count(_error(body).get("code"))
    words = (f"status {status}", f"({meaning})" if meaning else "", f"code {code}" if code else "")
    return " ".join(filter(None, words))


def named_parts(body: bytes) -> frozenset[str]:
    """The optional parts of a message that a refusal's words point at."""
    words = _words(body)
    return frozenset(name for name, pattern in _PART_WORDS if pattern.search(words))


def _words(body: bytes) -> str:
    error = _error(body)
    return " ".join(filter(None, (text(error.get("message")), text(error.get("details")))))


def _error(body: bytes) -> JsonObject:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}
