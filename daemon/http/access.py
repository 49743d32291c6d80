"""Secrets and tokens, checked for all routes in one place, which makes guessing them slow.

There is no lock-out: a correct secret is always accepted, because a legitimate client may share an
address with a guesser. Wrong ones are logged, counted, and delayed more each time, per address.
"""

import hmac
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import trio

from daemon.domain.audit_chain import Action, Actor
from daemon.errors import StoreUnavailable
from daemon.http.asgi import EdgeLog
from daemon.http.clients import client_network, client_of
from daemon.http.request_context import RequestCounts
from daemon.observability.events import SECRET_REFUSED, SIGNED_IN

FREE_ATTEMPTS = 5
"""Wrong secrets without a delay."""
FORGIVEN_SECONDS = 12.0
"""After so long one wrong secret is forgotten: five a minute are free."""
STEP_SECONDS = 0.1
"""Added to the delay by each further one."""
MOST_SECONDS = 20.0
"""The longest delay."""
TRUSTED_SECONDS = 3600.0
"""For so long after a correct secret the next ones of its address are checked without delay."""
MOST_ADDRESSES = 1_000
"""Addresses remembered; beyond that the one unused longest is forgotten."""

What = Literal["webhook", "token", "login"]
"""The purpose of a secret."""

AUDITED: Mapping[What, Action] = MappingProxyType(
    {"token": "token refused", "login": "login failed"}
)
AUDITED_SECONDS = 600.0
MOST_AUDITED, MOST_OF_ONE = 30, 5
"""Wrong tokens in `AUDITED_SECONDS` that are written into the audit, of all addresses and of one: a
flood of them must not fill the store."""


def has_bearer(headers: Iterable[tuple[bytes, bytes]], secrets: Sequence[bytes]) -> bool:
    """Whether ``Authorization: Bearer …`` carries one of `secrets`; True if there are none.

    Compares bytes, since a header may hold any, and every secret, so that the time reveals
    nothing about them. More than one such header is refused.
    """
    if not secrets:
        return True
    token = bearer_of(headers)
    known = False
    for secret in secrets:
        known |= hmac.compare_digest(token or b"", secret)
    return known and token is not None


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The token of ``Authorization: Bearer …``; None if there is none, or more than one."""
    values = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    return bytes(token.strip()) if scheme.lower() == b"bearer" else None


class _Record(NamedTuple):
    wrong: float
    """How many wrong secrets count at the time `at`."""
    at: float
    right_at: float


_NOTHING = _Record(0, 0, -math.inf)


class FailedAttempts:
    """Wrong secrets by the address that they come from. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def count(self, address: str, now: float) -> float:
        """The number of wrong secrets of an address that count now."""
        record = self._records.get(client_network(address), _NOTHING)
        return max(0.0, record.wrong - (now - record.at) / FORGIVEN_SECONDS)

    def delay(self, address: str, now: float) -> float:
        """Seconds by which the answer to the next wrong secret of an address is delayed."""
        return min(MOST_SECONDS, max(0.0, self.count(address, now) - FREE_ATTEMPTS) * STEP_SECONDS)

    def retry_after(self, address: str, now: float) -> int:
        """Whole seconds until a wrong secret is free again; 0 if it is now."""
        return max(0, math.ceil((self.count(address, now) + 1 - FREE_ATTEMPTS) * FORGIVEN_SECONDS))

    def is_trusted(self, address: str, now: float) -> bool:
        """Whether an address sent the correct secret lately.

        Its secrets are checked before the delay, so that a guesser behind the same proxy delays no
        webhook.
        """
        record = self._records.get(client_network(address), _NOTHING)
        return now - record.right_at < TRUSTED_SECONDS

    def failed(self, address: str, now: float) -> None:
        """Note a wrong secret."""
        wrong = self.count(address, now) + 1
        record = self._records.get(client_network(address), _NOTHING)
        self._note(address, record._replace(wrong=wrong, at=now))

    def succeeded(self, address: str, now: float) -> None:
        """Note the correct one; the wrong ones still count."""
        record = self._records.get(client_network(address), _NOTHING)
        self._note(address, record._replace(right_at=now))

    def _note(self, address: str, record: _Record) -> None:
        name = client_network(address)
        self._records[name] = record
        self._records.move_to_end(name)
        if len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)


class Access:
    """Checks secrets. One for all routes, used in the tasks of requests."""

    def __init__(
        self,
        counts: RequestCounts,
        log: EdgeLog,
        *,
        audit: Callable[[Actor, Action], Awaitable[None]] | None = None,
    ) -> None:
        """``audit`` writes a row about a wrong token; None: nothing that is served wants one."""
        self._counts = counts
        self._write_audit = audit
        self._log = log
        self._attempts = FailedAttempts()
        self._audited: list[tuple[float, str]] = []

    async def check_bearer(
        self, scope: Mapping[str, Any], secrets: Sequence[bytes], what: What
    ) -> bool:
        """Whether a request carries one of `secrets` as its bearer; True if there are none.

        A request without a bearer is no attempt. Waits if the address has sent many wrong ones.
        """
        if not secrets:
            client_of(scope).authenticate()
            return True
        headers = scope["headers"]
        if not any(name == b"authorization" for name, _ in headers):
            return False
        return await self.check(scope, lambda: has_bearer(headers, secrets), what)

    async def check(
        self,
        scope: Mapping[str, Any],
        is_correct: Callable[[], bool | Awaitable[bool]],
        what: What,
    ) -> bool:
        """Check a secret, delayed if its address has sent many wrong ones lately.

        The correct one is never refused, nor delayed where it was sent lately.
        """
        client, attempts = client_of(scope), self._attempts
        address, now = client.address(scope), trio.current_time()
        seconds = attempts.delay(address, now)
        is_known = client.authenticated and not client.through_proxy
        if seconds and not is_known and not attempts.is_trusted(address, now):
            await client.delay(seconds)
            seconds = 0
        correct = is_correct()
        if correct if isinstance(correct, bool) else await correct:
            client.authenticate()
            attempts.succeeded(address, trio.current_time())
            return True
        attempts.failed(address, trio.current_time())
        self._counts.secret_refused(what)
        self._log.event(SECRET_REFUSED, what=what, address=address)
        if what in AUDITED and self._may_audit(address):
            await self._audit(AUDITED[what], address)
        await client.delay(seconds)
        return False

    def retry_after(self, scope: Mapping[str, Any]) -> int:
        """Whole seconds until a wrong secret of this client is free again; 0 if it is now."""
        return self._attempts.retry_after(client_of(scope).address(scope), trio.current_time())

    def signed_in(self, scope: Mapping[str, Any]) -> None:
        """Log a sign-in."""
        self._log.event(SIGNED_IN, address=client_of(scope).address(scope))

    def _may_audit(self, address: str) -> bool:
        now = trio.current_time()
        self._audited = [row for row in self._audited if row[0] > now - AUDITED_SECONDS]
        of_one = sum(seen == address for _, seen in self._audited)
        if of_one >= MOST_OF_ONE or len(self._audited) >= MOST_AUDITED:
            return False
        self._audited.append((now, address))
        return True

    async def _audit(self, action: Action, address: str) -> None:
        if self._write_audit is None:
            return
        try:
            await self._write_audit(Actor(name="anybody", address=address), action)
        except StoreUnavailable as error:
            self._log.warning("a wrong token was not audited", reason=str(error))
