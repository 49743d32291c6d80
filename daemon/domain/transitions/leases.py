"""A node's lease, and which node has which number.

A node renews one lease, at a third of its length; while it lasts, what the node owns is its own. It
counts from before the renewal was asked for, on a clock that runs while the machine sleeps, so it
ends here before it ends in the database. All times are seconds.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RENEWALS = 3
"""In the length of a lease."""

CLOCK_SECONDS = 5.0
"""Clocks that differ by less count as in step: nothing here waits for so short a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerms:
    """How a node takes part in a cluster."""

    name: str
    version: str
    lease_seconds: float
    call_seconds: float
    """The longest call of a gateway."""
    boot_clock: Callable[[], float]
    """Seconds that also pass while the machine sleeps; callable from any thread."""
    now: Callable[[], float]
    """The machine's clock, Unix seconds; likewise."""


def renewal_seconds(lease_seconds: float) -> float:
    """How long after a renewal the next one is asked for."""
    return lease_seconds / RENEWALS


def seconds_left(asked_at: float | None, now: float, *, lease_seconds: float) -> float:
    """How long the lease lasts that was asked for at a time; 0 or less: another may decide.

    ``asked_at`` None: there is none.
    """
    return 0.0 if asked_at is None else asked_at + lease_seconds - now


def settles_at(claimed_at: float, *, was_handed_over: bool, call_seconds: float) -> float:
    """From when on no send of the former owner is under way any more; 0: now.

    Its last one may have begun at the end of its lease and takes ``call_seconds`` at most.
    """
    return 0.0 if was_handed_over else claimed_at + call_seconds


def clock_ahead(asked_at: float, answered_at: float, theirs: float) -> float:
    """How many seconds our clock is ahead of the server's, at least; below 0: it is behind.

    ``theirs`` is what the server's clock said between two moments of ours, which may be far from
    each other. 0: they are in step, as far as that shows.
    """
    ahead = max(0.0, asked_at - theirs) or min(0.0, answered_at - theirs)
    return ahead if abs(ahead) > CLOCK_SECONDS else 0.0


class Moves(NamedTuple):
    """What a node does to come closer to its share."""

    claim: int
    """How many free numbers it may take."""
    leave: tuple[str, ...]
    """The numbers that it hands over."""


def moves(me: str, owners: Mapping[str, str], nodes: Collection[str]) -> Moves:
    """What a node does next; every node computes it from the same rows, without talking.

    ``owners``: who has each number, empty or not among the living ``nodes`` if it is free. In the
    end each node has the numbers divided by the nodes, rounded down or up, and as few numbers as
    possible have changed hands.
    """
    living = sorted({me, *nodes})
    held: dict[str, list[str]] = {node: [] for node in living}
    for number, owner in owners.items():
        if owner in held:
            held[owner].append(number)
    free = len(owners) - sum(map(len, held.values()))
    least, more = divmod(len(owners), len(living))
    most, mine = least + bool(more), len(held[me])
    needed = min(free, max(0, least - mine))
    lacking = sum(max(0, least - len(held[node])) for node in living if node != me)
    # One more than the lower share is only what no other node lacks.
    extra = least <= mine + needed < most and free - needed > lacking
    return Moves(needed + extra, _surplus(me, held, free=free, least=least, most=most))


def _surplus(
    me: str, held: Mapping[str, Collection[str]], *, free: int, least: int, most: int
) -> tuple[str, ...]:
    """The numbers that I hand over: what is above the upper share, and my part of what lacks."""
    counts = {node: min(len(numbers), most) for node, numbers in held.items()}
    given = sum(len(numbers) for numbers in held.values()) - sum(counts.values())
    lacking = sum(max(0, least - count) for count in counts.values()) - free - given
    surplus = len(held[me]) - counts[me]
    for node, count in counts.items():  # in the order of their names, which all nodes know
        if lacking <= 0:
            break
        if count > least:
            lacking -= 1
            surplus += node == me
    return tuple(sorted(held[me]))[:surplus]
