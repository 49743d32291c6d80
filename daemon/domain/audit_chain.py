"""The audit's chain: who did what, in rows of which each carries the hash of the one before.

What may tell of a customer (subject, before, after) stands in a row beside the chain. The chain has
only a salted digest of it, so that row can be erased, with its salt, and the chain still holds.
Nothing here waits; `daemon.ledger.audit` keeps the rows.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from daemon.domain.messages import JsonObject

FIRST_HASH = ""
"""What stands before the first row."""

Action = Literal[
    "backup",
    "budget reset",
    "cancel run",
    "clear locks",
    "done",
    "drop send",
    "export",
    "forget",
    "label",
    "login",
    "login failed",
    "logout",
    "pause",
    "replay",
    "resume",
    "reveal",
    "send",
    "send again",
    "settings reload",
    "token refused",
    "webhook set",
]
"""What is written down. Rows from before the chain have other names (``dashboard.pause``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did something: ``session 1a2b3c4d``, ``token admin``, ``user maria``."""

    name: str
    address: str = ""
    """Where the request came from; empty for the command line and for signals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row of the chain, with what stands beside it."""

    id: int
    """From 1 on, without a gap."""
    at: float
    """Unix seconds."""
    actor: Actor
    action: str
    digest: str
    hash: str
    salt: str | None
    """None if the row beside the chain was erased; the three below are empty then."""
    subject: str = ""
    """A chat, a message, an event, a file; never a text."""
    before: str = ""
    after: str = ""

    def shown(self) -> JsonObject:
        """What it tells, without its place in the chain."""
        return {
            "id": self.id,
            "at": self.at,
            "actor": self.actor.name,
            "address": self.actor.address,
            "action": self.action,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "erased": self.salt is None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last row of a chain. Whoever keeps one elsewhere can tell later if the chain was cut."""

    id: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at the whole chain found."""

    rows: int
    """Sound ones, from the beginning on."""
    erased: int
    """Of them, those whose subject was erased."""
    head: Head
    """What the store says is the end."""
    broken: int = 0
    """The first row that is not as it was written; 0 if all are."""
    fault: str = ""
    """What is wrong with it."""


def digest_of(salt: str, subject: str, before: str, after: str) -> str:
    """What the chain holds of the values beside it; without ``salt`` they cannot be guessed."""
    return _sha256([salt, subject, before, after])


def hash_of(previous: str, number: int, at: float, actor: Actor, action: str, digest: str) -> str:
    """The hash of a row; ``previous`` is that of the row before."""
    return _sha256([previous, number, float(at), actor.name, actor.address, action, digest])


def verify(rows: Iterable[AuditRow], head: Head, *, known: Head | None = None) -> Verified:
    """Look at a whole chain, in the order of its rows; ``head`` is what the store says is its end.

    ``known`` is a head that was kept elsewhere: it finds a chain that was cut and closed again, or
    made anew, which nothing in the store itself can show.
    """
    previous, count, erased = FIRST_HASH, 0, 0
    met = known is None
    for row in rows:
        fault = _fault(row, count + 1, previous)
        if fault:
            return Verified(rows=count, erased=erased, head=head, broken=count + 1, fault=fault)
        count, previous = row.id, row.hash
        erased += row.salt is None
        met = met or known == Head(id=row.id, hash=row.hash)
    if head != Head(id=count, hash=previous):
        fault = f"the chain ends at row {count}, its head says row {head.id}"
        return Verified(rows=count, erased=erased, head=head, broken=count + 1, fault=fault)
    if known is not None and not met:
        fault = "the row is missing or another than the known one"
        return Verified(rows=count, erased=erased, head=head, broken=known.id, fault=fault)
    return Verified(rows=count, erased=erased, head=head)


def _fault(row: AuditRow, number: int, previous: str) -> str:
    """What is wrong with a row that should have this number; empty if nothing is."""
    if row.id != number:
        return f"the row is missing; the next one is row {row.id}"
    if row.salt is not None:
        digest = digest_of(row.salt, row.subject, row.before, row.after)
        if digest != row.digest:
            return "its subject, before or after was changed"
    if hash_of(previous, number, row.at, row.actor, row.action, row.digest) != row.hash:
        return "the row was changed, or the one before it was replaced"
    return ""


def _sha256(values: list[object]) -> str:
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
