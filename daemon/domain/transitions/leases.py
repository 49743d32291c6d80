"""A node's lease of the ledger: when it may speak, and when the next owner may settle its sends.

A lease is renewed at a third of its length. It counts from before the renewal was asked for, on a
clock that runs while the machine sleeps, so it ends here before it ends in the database. All times
are seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

RENEWALS = 3
"""In the length of a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerms:
    """How a node takes the ledger."""

    name: str
    version: str
    lease_seconds: float
    call_seconds: float
    """The longest call of a gateway."""
    boot_clock: Callable[[], float]
    """Seconds that also pass while the machine sleeps; callable from any thread."""


def renewal_seconds(lease_seconds: float) -> float:
    """How long after a renewal the next one is asked for."""
    return lease_seconds / RENEWALS


def seconds_left(asked_at: float | None, now: float, *, lease_seconds: float) -> float:
    """How long the lease lasts that was asked for at a time; 0 or less: it may be another's.

    ``asked_at`` None: there is none.
    """
    return 0.0 if asked_at is None else asked_at + lease_seconds - now


def is_free(owner: str, until: float, now: float) -> bool:
    """Whether a lease can be had: nobody has it, or its time is over. By the database's clock."""
    return not owner or until <= now


def settles_at(claimed_at: float, *, was_handed_over: bool, call_seconds: float) -> float:
    """From when on no send of the former owner is under way any more; 0: now.

    Its last one may have begun at the end of its lease and takes ``call_seconds`` at most.
    """
    return 0.0 if was_handed_over else claimed_at + call_seconds
