"""The callers of the REST API: their tokens, how often they may call, and what they repeat."""

import hashlib
import hmac
from collections.abc import Callable

from daemon.ledger.ledger import Store
from daemon.ledger.tokens import PREFIX, ApiToken

USE_SECONDS = 60.0
"""Between two notes of when a token was used last."""

ACTION_DIGITS = 32


class RequestRate:
    """Lets each caller make so many requests a minute: all of them at once, then evenly spread.

    Times are seconds of any one clock.
    """

    def __init__(self, per_minute: float) -> None:
        """``per_minute``: 0 sets no limit."""
        self._every = 60 / per_minute if per_minute else 0.0
        self._used_until: dict[str, float] = {}
        """When everything that a caller has used is given back."""

    def wait(self, caller: str, now: float) -> float:
        """Count a request; or return the seconds until the caller may make another one."""
        until = max(self._used_until.get(caller, 0.0), now) + self._every
        if until - now > 60:
            return until - now - 60
        self._used_until[caller] = until
        return 0.0


class ApiAccess:
    """One object for the whole process. HTTP handlers call it; all waits raise StoreUnavailable."""

    def __init__(self, store: Store, *, per_minute: float, now: Callable[[], float]) -> None:
        """``per_minute``: requests of one token; 0 for any number. ``now``: Unix seconds."""
        self._store = store
        self._rate = RequestRate(per_minute)
        self._now = now
        self._noted: dict[int, float] = {}

    async def find(self, token: bytes) -> ApiToken | None:
        """The token that a request carries; None if it is none of ours."""
        if not token.startswith(PREFIX.encode()):
            return None
        found = await self._store.api_tokens.find(token)
        now = self._now()
        if found and now - self._noted.get(found.id, 0.0) >= USE_SECONDS:
            self._noted[found.id] = now
            await self._store.api_tokens.used(found.id, now=now)
        return found

    def wait(self, caller: str, now: float) -> float:
        """Count a request of a caller; or return the seconds until the next one is served."""
        return self._rate.wait(caller, now)

    async def action(self, caller: str, key: str, request: bytes) -> str:
        """The name of what a request with an idempotency key does; empty if the key is taken.

        The same key names the same action, also after a restart: it takes effect once. It is taken
        if its first request was another one. ``request``: all that the request says.
        """
        name = self._hash("key", caller.encode(), key.encode())
        claimed = await self._store.idempotency_keys.claim(
            name, self._hash("request", request), now=self._now()
        )
        return "" if claimed == "other" else name[:ACTION_DIGITS]

    def _hash(self, kind: str, *parts: bytes) -> str:
        """A keyed hash, so that the store's content does not give away what was sent."""
        text = b"\0".join((kind.encode(), *parts))
        return hmac.new(self._store.contact_key, text, hashlib.sha256).hexdigest()
