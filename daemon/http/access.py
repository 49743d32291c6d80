"""Secrets and tokens: looked at for all routes in one place, which makes guessing them slow.

Wrong ones are logged, counted and held up by the client's address (`daemon.http.access`).
"""

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import trio

from daemon.domain.audit_chain import Action, Actor
from daemon.errors import StoreUnavailable
from daemon.http.asgi import EdgeLog
from daemon.http.clients import neighbourhood, visit_of
from daemon.observability.events import SECRET_REFUSED, SIGNED_IN
from daemon.ops.operations import Operations

# Bearer tokens: who may call.


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


# Wrong secrets, counted by the address that they come from. Pure.
#
# Nobody is locked out: a right secret is always taken, since whoever shares an address with a
# guesser must not suffer from it. What guessing costs is time, more with each wrong secret.


FREE = 5
"""Wrong secrets that may be a slip."""
FORGIVEN_SECONDS = 12.0
"""After so long one wrong secret is forgotten: five a minute are free."""
STEP_SECONDS = 0.1
"""How much longer each further one is held up."""
MOST_SECONDS = 20.0
"""The longest hold-up."""
TRUSTED_SECONDS = 3600.0
"""So long after a right secret the next ones from its address are looked at without delay."""
MOST_ADDRESSES = 1_000
"""Addresses remembered; with more of them the one unused longest is forgotten."""


class _Record(NamedTuple):
    wrong: float
    """How many wrong secrets count at the time `at`."""
    at: float
    right_at: float


_NOTHING = _Record(0, 0, -math.inf)


class Guesses:
    """Who has shown wrong secrets lately. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def wrong(self, address: str, now: float) -> float:
        """How many wrong secrets of an address count now."""
        record = self._records.get(neighbourhood(address), _NOTHING)
        return max(0.0, record.wrong - (now - record.at) / FORGIVEN_SECONDS)

    def hold_up(self, address: str, now: float) -> float:
        """Seconds by which the next wrong secret of an address is answered later."""
        return min(MOST_SECONDS, max(0.0, self.wrong(address, now) - FREE) * STEP_SECONDS)

    def retry_after(self, address: str, now: float) -> int:
        """Whole seconds until a wrong secret may be a slip again; 0 if it may be now."""
        return max(0, math.ceil((self.wrong(address, now) + 1 - FREE) * FORGIVEN_SECONDS))

    def is_trusted(self, address: str, now: float) -> bool:
        """Whether the right secret came from an address lately.

        Its secrets are looked at before they are held up, so that guesses from behind the same
        proxy delay no webhook.
        """
        record = self._records.get(neighbourhood(address), _NOTHING)
        return now - record.right_at < TRUSTED_SECONDS

    def failed(self, address: str, now: float) -> None:
        """Note a wrong secret."""
        wrong = self.wrong(address, now) + 1
        record = self._records.get(neighbourhood(address), _NOTHING)
        self._note(address, record._replace(wrong=wrong, at=now))

    def succeeded(self, address: str, now: float) -> None:
        """Note the right one; wrong ones are not forgotten by it."""
        record = self._records.get(neighbourhood(address), _NOTHING)
        self._note(address, record._replace(right_at=now))

    def _note(self, address: str, record: _Record) -> None:
        name = neighbourhood(address)
        self._records[name] = record
        self._records.move_to_end(name)
        if len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)


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

    def __init__(self, operations: Operations, log: EdgeLog) -> None:
        self._operations = operations
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
        self._operations.state.secret_refused(what)
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
            await self._operations.audit(Actor(name="anybody", address=address), action)
        except StoreUnavailable as error:
            self._log.warning("a wrong token was not audited", reason=str(error))
