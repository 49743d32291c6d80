"""One HTTP exchange with a gateway, as values: the call, and what a refusal of it means. Pure."""

import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from daemon.domain.messages import JsonObject
from daemon.errors import GatewayError
from daemon.gateway.payloads.fields import number

UPLOAD_BYTES_PER_SECOND = 250_000
"""Of a slow line: the time allowed for a call grows with its file."""


class ApiCall(NamedTuple):
    """One call of a gateway's API."""

    operation: str
    """Its name in errors and metrics."""
    method: str
    path: str
    content: JsonObject | None = None
    query: Mapping[str, str] | None = None
    extra_seconds: float = 0
    """Allowed beyond the time for one exchange."""
    body: bytes = b""
    """The content, if it is no JSON; of the type ``content_type``."""
    content_type: str = ""


class Refusal(NamedTuple):
    """What an answer that is no success means for the caller."""

    error: type[GatewayError]
    words: str
    """For the log; nothing of a person is in them."""
    named: frozenset[str] = frozenset()
    """The optional parts of a message that it points at: see ``daemon.errors.RefusedForm``."""
    retry_after: float | None = None
    """Seconds, where the answer itself names none."""


RefusalOf = Callable[[int, bytes], Refusal | None]
"""Reads an answer by its HTTP status and body; None for success."""


class NothingDone(Exception):
    """The body of a successful answer says that nothing was done."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


class Unintelligible(Exception):
    """The body of a successful answer is not what the gateway documents."""


def unpacked(body: bytes, coding: str, *, most_bytes: int) -> bytes:
    """Unpack a body by its ``Content-Encoding``: we ask for none, but not every server obeys."""
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise Unintelligible("the answer is packed in an unknown way")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip's header or zlib's
    try:
        whole = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        raise Unintelligible("the answer cannot be unpacked") from None
    if len(whole) > most_bytes:
        raise Unintelligible("the answer is too large")
    if not unpacking.eof:
        raise Unintelligible("the answer cannot be unpacked")
    return whole


def retry_after(header: str | None) -> float | None:
    """Read ``Retry-After`` in seconds; the form as a date is ignored, since no clock is at hand."""
    seconds = number(header)
    return None if seconds is None or seconds < 0 else seconds
