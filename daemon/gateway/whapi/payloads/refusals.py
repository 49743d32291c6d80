"""What Whapi's refusals mean: the caller's next step for each HTTP status of a call. Pure.

Statuses and the shape of errors as in Whapi's OpenAPI document, version 1.8.7; that 404 is also the
answer to a bad or expired token is in Whapi's own guide for developers. The same table, with a test
a row, is in docs/faults.md. Whapi's error messages may hold numbers and texts of people: they are
read for signs and never passed on.
"""

import re
from enum import Enum
from types import MappingProxyType

import msgspec

from daemon.domain.messages import JsonObject
from daemon.gateway.whapi.payloads.fields import count, text


class NextStep(Enum):
    """What an answer says about the call, as what the caller does next."""

    DONE = "done"
    TEMPORARY = "temporary"
    """It did not happen; the same call may work later."""
    UNKNOWN = "outcome unknown"
    """It may have happened."""
    NUMBER = "trouble of the number"
    """Nothing can be sent by this number for now."""
    RECIPIENT = "refused for this recipient"
    FORM = "refused because of its form"


_STEPS = MappingProxyType(
    {
        401: NextStep.NUMBER,  # not linked to a phone
        402: NextStep.NUMBER,  # the trial's limit
        403: NextStep.RECIPIENT,  # "forbidden to send to this recipient"
        408: NextStep.UNKNOWN,  # a gateway's own time limit: it may have gone on
        409: NextStep.TEMPORARY,
        425: NextStep.TEMPORARY,
        429: NextStep.TEMPORARY,
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


def next_step(status: int, body: bytes = b"") -> NextStep:
    """Decide what an answer of this status means for the caller.

    404 means a wrong token unless the error says that something else was not found: the error of
    Whapi's own is then about what the call names (a file, a message, a chat).
    """
    if 200 <= status < 300:
        return NextStep.DONE
    if status == 404:
        words = _words(body)
        return NextStep.FORM if words and not _NO_CHANNEL.search(words) else NextStep.NUMBER
    if status >= 500:
        return NextStep.UNKNOWN
    if status < 400:  # a redirect: whapi.api_url leads somewhere else, whatever is asked
        return NextStep.NUMBER
    return _STEPS.get(status, NextStep.FORM)


def next_step_of_error(body: bytes) -> NextStep:
    """Decide by the error of an answer of 200 that says that nothing was sent."""
    code = _error(body).get("code")
    known = isinstance(code, int) and 400 <= code < 600
    step = next_step(code, body) if known and isinstance(code, int) else NextStep.FORM
    # It says itself that it has not sent.
    return NextStep.TEMPORARY if step is NextStep.UNKNOWN else step


def explanation(status: int, body: bytes) -> str:
    """Describe a refusal for the log: the status, its meaning, and Whapi's error code if any."""
    meaning = _MEANINGS.get(status, "")
    if status == 404 and next_step(status, body) is NextStep.NUMBER:
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
