"""Who is signed in: the cookie's value, what is kept of it, and what is open for it.

The browser holds a random value; the store holds a keyed hash of it and when it ends. The key is
the admin token, so a new token signs everybody out.
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager

import trio

COOKIE = "__Host-recado"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2)."""

COOKIE_BYTES = 32


def session_name(value: str, admin_token: str) -> str:
    """Name a session by its cookie's value, so that the store alone lets nobody in."""
    return hmac.new(admin_token.encode(), value.encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about either, their lengths included."""
    digests = (
        hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, expected)
    )
    return hmac.compare_digest(*digests)


class OpenSockets:
    """What is open for each session, and is to end with it."""

    def __init__(self) -> None:
        self._scopes: dict[str, set[trio.CancelScope]] = {}

    @contextmanager
    def held(self, session: str) -> Iterator[trio.CancelScope]:
        """A scope that is cancelled when the session of that name ends (`end`)."""
        with trio.CancelScope() as scope:
            self._scopes.setdefault(session, set()).add(scope)
            try:
                yield scope
            finally:
                self._scopes[session].discard(scope)
                if not self._scopes[session]:
                    del self._scopes[session]

    def end(self, session: str) -> None:
        """End everything that is open for a session."""
        for scope in self._scopes.get(session, ()):
            scope.cancel()
