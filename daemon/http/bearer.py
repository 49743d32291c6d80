"""Bearer tokens: who may call."""

import hmac
from collections.abc import Iterable, Sequence


def bears(headers: Iterable[tuple[bytes, bytes]], secrets: Sequence[bytes]) -> bool:
    """Tell whether ``Authorization: Bearer …`` carries one of `secrets`; True if there are none.

    The comparison works on bytes, since a header may hold any, and looks at every secret, so that
    its time tells nothing about them. More than one such header is refused.
    """
    if not secrets:
        return True
    values = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    token = token.strip()
    known = False
    for secret in secrets:
        known |= hmac.compare_digest(token, secret)
    return known and scheme.lower() == b"bearer"
