"""Secrets and tokens: looked at for all routes in one place, which makes guessing them slow.

Wrong ones are logged, counted and held up by the client's address (`daemon.http.guesses`).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import trio

from daemon.domain.audit_chain import Action, Actor
from daemon.errors import StoreUnavailable
from daemon.http.asgi import Log
from daemon.http.bearer import bears
from daemon.http.facade import Daemon
from daemon.http.guesses import Guesses
from daemon.http.visit import visit_of
from daemon.observability.events import SECRET_REFUSED, SIGNED_IN

What = Literal["webhook", "token", "login"]
"""What a secret is for."""

AUDITED: Mapping[What, Action] = MappingProxyType(
    {"token": "token refused", "login": "login failed"}
)
AUDITED_SECONDS = 600.0
MOST_AUDITED, MOST_OF_ONE = 30, 5
"""Wrong tokens in so many seconds that leave a row, of all addresses and of one: a flood of them
must not fill the store."""


class Access:
    """Says who has the right secret. One for all routes, used in the tasks of requests."""

    def __init__(self, daemon: Daemon, log: Log) -> None:
        self._daemon = daemon
        self._log = log
        self._guesses = Guesses()
        self._audited: list[tuple[float, str]] = []

    async def bears(self, scope: Mapping[str, Any], secrets: Sequence[bytes], what: What) -> bool:
        """Whether a request carries one of `secrets` as its bearer; True if there are none.

        One without any is no guess. Waits if its address has shown many wrong ones.
        """
        if not secrets:
            visit_of(scope).prove()
            return True
        headers = scope["headers"]
        if not any(name == b"authorization" for name, _ in headers):
            return False
        return await self.is_right(scope, lambda: bears(headers, secrets), what)

    async def is_right(
        self, scope: Mapping[str, Any], look: Callable[[], bool], what: What
    ) -> bool:
        """Look at a secret, now or after a while; `look` says whether it is the right one.

        The right one is never refused. Where it was shown lately it is not held up either, so that
        somebody who guesses from behind the same proxy delays no webhook.
        """
        visit, guesses = visit_of(scope), self._guesses
        address, now = visit.address(scope), trio.current_time()
        seconds = guesses.hold_up(address, now)
        is_known = visit.is_proven and not visit.through_proxy
        if seconds and not is_known and not guesses.is_trusted(address, now):
            await visit.hold_up(seconds)
            seconds = 0
        if look():
            visit.prove()
            guesses.succeeded(address, trio.current_time())
            return True
        guesses.failed(address, trio.current_time())
        self._daemon.secret_refused(what)
        self._log.event(SECRET_REFUSED, what=what, address=address)
        if what in AUDITED and self._may_audit(address):
            await self._audit(AUDITED[what], address)
        await visit.hold_up(seconds)
        return False

    def retry_after(self, scope: Mapping[str, Any]) -> int:
        """Whole seconds until a wrong secret of this client may be a slip; 0 if it may be now."""
        return self._guesses.retry_after(visit_of(scope).address(scope), trio.current_time())

    def signed_in(self, scope: Mapping[str, Any]) -> None:
        """Say in the log that somebody has signed in."""
        self._log.event(SIGNED_IN, address=visit_of(scope).address(scope))

    def _may_audit(self, address: str) -> bool:
        now = trio.current_time()
        self._audited = [row for row in self._audited if row[0] > now - AUDITED_SECONDS]
        of_one = sum(seen == address for _, seen in self._audited)
        if of_one >= MOST_OF_ONE or len(self._audited) >= MOST_AUDITED:
            return False
        self._audited.append((now, address))
        return True

    async def _audit(self, action: Action, address: str) -> None:
        try:
            await self._daemon.audit(Actor(name="anybody", address=address), action)
        except StoreUnavailable as error:
            self._log.warning("a wrong token was not audited", reason=str(error))
