"""Wrong secrets, counted by the address that they come from. Pure.

Nobody is locked out: a right secret is always taken, since whoever shares an address with a
guesser must not suffer from it. What guessing costs is time, more with each wrong secret.
"""

import math
from collections import OrderedDict
from typing import NamedTuple

from daemon.http.client_address import neighbourhood

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
