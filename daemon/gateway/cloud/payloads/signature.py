"""Whether a webhook call is Meta's: its signature, and the answer when an address is set up. Pure.

The signature is the only proof that these webhooks carry. It is over the bytes as they came: JSON
that is written anew differs in accents and emoji.
"""

import hashlib
import hmac
from collections.abc import Mapping

HEADER = b"x-hub-signature-256"

_SCHEME = b"sha256="


def is_signed(signature: bytes, body: bytes, app_secret: str) -> bool:
    """Tell whether a signature, as its header has it, is that of a body."""
    expected = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest().encode()
    return hmac.compare_digest(signature, _SCHEME + expected)


def challenge_of(query: Mapping[str, str], verify_token: str) -> str | None:
    """Give what Meta wants to hear when an address is set up; None if it does not know the token.

    ``query``: of the GET request.
    """
    token = query.get("hub.verify_token", "")
    is_known = hmac.compare_digest(token.encode(), verify_token.encode())
    if query.get("hub.mode") != "subscribe" or not verify_token or not is_known:
        return None
    return query.get("hub.challenge", "")
