"""Turns a model server's failures into Recado's errors. Pure.

A server's own message may quote the key or the customer's words, so it is searched but never passed
on. Only the status is passed on, and codes that look like codes.
"""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from daemon.errors import AssistantError, ContextTooLong, ModelRejected, ModelTemporary

TOO_LONG_CODES = frozenset(
    {
        "context_length_exceeded",  # OpenAI and most others
        "string_above_max_length",  # OpenAI, for one overlong part
        "exceed_context_size_error",  # llama.cpp
        "contextwindowexceedederror",  # LiteLLM
    }
)
TOO_LONG_WORDS = re.compile(
    r"context (length|window|size)|maximum model length|prompt is too long|input is too long"
    r"|maximum number of tokens|too many (input )?tokens|request too large",
    re.IGNORECASE,
)
"""Wordings of OpenAI, vLLM, SGLang, llama.cpp, LM Studio, LiteLLM and the hosts behind it. "Request
too large" is OpenAI's 429 for a single request over the limit of a whole minute."""

OPERATOR_STATUSES = frozenset({401, 402, 403})
"""Key, payment and permission: an operator will repair that, so the work must be kept."""

TEMPORARY_STATUSES = frozenset({408, 409, 425, 429})

TEMPORARY_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "insufficient_quota",
        "vector_store_timeout",
        "failed_to_download_image",
        "internal_error",
        "overloaded_error",
        "server_overloaded",
        "",
    }
)
"""Codes in `response.failed` and `error` events after which the same request may work."""

INPUT_CODES = re.compile(r"prompt|policy|image|content|context|string_above|safety|moderation")
"""Codes of 400 that are about the content of one request, not about the form of all requests."""

MOST_REASON = 300
QUOTED_WORDS = 3
_SECRET = re.compile(r"\b(?:sk-|ey)[\w.-]{6,}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}(\[\d+\][A-Za-z0-9_.\[\]]{0,40})?")


def from_status(status: int, body: Any, headers: Mapping[str, str]) -> AssistantError:
    """Return the error for an HTTP answer other than 2xx.

    `body` is the error object of the answer or anything else; `headers` have lower-case names.
    """
    error = body if isinstance(body, Mapping) else {}
    message = str(error.get("message") or body or "")
    code = _plain(error.get("code")) or _plain(error.get("type"))
    what = f"the model server answered {status}" + (f" {code}" if code else "")
    if param := _plain(error.get("param")):
        what += f" at {param}"
    if status in OPERATOR_STATUSES:
        return ModelTemporary(f"{what}: check the key, its permissions and the account")
    if status == 413 or (status < 500 and _too_long(code, message)):
        return ContextTooLong(what)
    if status in TEMPORARY_STATUSES or status >= 500:
        return ModelTemporary(what, retry_after=retry_after(headers, message))
    if _about_input(code, str(error.get("param") or "")):
        return ModelRejected(what)
    return ModelRejected(what, about_input=False, reason=message)


def from_failed(error: Any) -> AssistantError:
    """Return the error for a response that failed after it had started.

    `error` is the `error` object of the response or of the stream's error event.
    """
    fields = error if isinstance(error, Mapping) else {}
    message = str(fields.get("message") or "")
    code = _plain(fields.get("code")) or _plain(fields.get("type"))
    what = f"the response failed: {code or 'no reason given'}"
    if _too_long(code, message):
        return ContextTooLong(what)
    if code in TEMPORARY_CODES:
        return ModelTemporary(what, retry_after=retry_after({}, message))
    return ModelRejected(what)


def shown_reason(error: ModelRejected, sent: Iterable[str]) -> str:
    """Return a server's reason for a refusal if it may be shown, else only its codes.

    ``sent``: all texts of the request. Servers that check requests by a schema quote them in their
    refusals, so a reason with three words in a row of the request is not shown.
    """
    words = " ".join(error.reason.split())[:MOST_REASON]
    reason = words.casefold().split()
    runs = {tuple(reason[i : i + QUOTED_WORDS]) for i in range(len(reason) - QUOTED_WORDS + 1)}
    for text in sent:
        request = text.casefold().split()
        if any(tuple(request[i : i + QUOTED_WORDS]) in runs for i in range(len(request))):
            return str(error)
    shown = _SECRET.sub("…", words)
    return f"{error}: {shown}" if shown else str(error)


def retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Return how many seconds the server asks to wait, or None.

    Headers first: `retry-after-ms`, then `retry-after` as seconds or as a date, counted from the
    answer's own `date`, so that our clock does not matter. Else OpenAI's sentence "Please try again
    in 1.2s".
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := _number(value)) is not None:
        return seconds
    if value and "date" in headers:
        try:
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])
        except (TypeError, ValueError):
            return None
        return max(wait.total_seconds(), 0)
    if found := re.search(r"try again in ([0-9.]+)(ms|s)\b", message):
        number = _number(found[1])
        return number / 1000 if number is not None and found[2] == "ms" else number
    return None


def _about_input(code: str, param: str) -> bool:
    """True if a refusal is about the content of this request; the next one may be answered."""
    return INPUT_CODES.search(code.lower()) is not None or param.startswith(("input", "messages"))


def _too_long(code: str, message: str) -> bool:
    return code.lower() in TOO_LONG_CODES or TOO_LONG_WORDS.search(message) is not None


def _plain(value: Any) -> str:
    """Return `value` if it looks like a code and not like text or a key, else nothing."""
    text = str(value or "")
    return text if _CODE.fullmatch(text) and not text.lower().startswith(("sk-", "ey")) else ""


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?", text) else None
