"""Who is signed in: the cookie's value, and what is kept of it.

The browser holds a random value; the store holds a keyed hash of it and when it ends. The key is
the admin token, so a new token signs everybody out. Nothing here waits or knows HTTP.
"""

import hashlib
import hmac
import math
from collections import OrderedDict
from dataclasses import dataclass, field

COOKIE = "__Host-recado"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2)."""

COOKIE_BYTES = 32

WINDOW_SECONDS = 60.0
TRIES_PER_ADDRESS = 5
TRIES_OF_ALL = 30
"""Wrong tokens in a minute before the next is not even looked at."""

MOST_ADDRESSES = 1_000
"""Addresses remembered; with more of them the oldest is forgotten, but the sum still counts."""


def session_name(value: str, admin_token: str) -> str:
    """Name a session by its cookie's value, so that the store alone lets nobody in."""
    return hmac.new(admin_token.encode(), value.encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about either, their lengths included."""
    digests = (
        hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, expected)
    )
    return hmac.compare_digest(*digests)


@dataclass(slots=True)
class LoginLimit:
    """Counts wrong tokens, by address and together. Times: seconds of any one clock."""

    _tries: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)
    _all: list[float] = field(default_factory=list)

    def wait(self, address: str, now: float) -> int:
        """Whole seconds until `address` may try again; 0 if it may now."""
        since = now - WINDOW_SECONDS
        self._all = [at for at in self._all if at > since]
        own = [at for at in self._tries.get(address, ()) if at > since]
        until = now
        if len(own) >= TRIES_PER_ADDRESS:
            until = max(until, own[-TRIES_PER_ADDRESS] + WINDOW_SECONDS)
        if len(self._all) >= TRIES_OF_ALL:
            until = max(until, self._all[-TRIES_OF_ALL] + WINDOW_SECONDS)
        return math.ceil(until - now)

    def failed(self, address: str, now: float) -> None:
        """Note a wrong token."""
        since = now - WINDOW_SECONDS
        own = [at for at in self._tries.pop(address, ()) if at > since]
        self._tries[address] = [*own, now][-TRIES_PER_ADDRESS:]
        self._all = [*self._all, now][-TRIES_OF_ALL:]
        while len(self._tries) > MOST_ADDRESSES:
            self._tries.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the wrong tokens of an address that knows the right one."""
        self._tries.pop(address, None)
