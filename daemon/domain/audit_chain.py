"""The audit chain: who did what, in rows that each carry the hash of the row before. Pure.

Details that may identify a customer (subject, before, after) are in a row beside the chain. The
chain has only a salted digest of them, so that row can be erased with its salt and the chain still
verifies. `daemon.ledger.audit` stores the rows.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from daemon.domain.messages import JsonObject

FIRST_HASH = ""
"""The hash before the first row."""

Action = Literal[
    "account add",
    "account disable",
    "account enable",
    "account password",
    "account role",
    "assign",
    "backup",
    "budget reset",
    "cancel reminder",
    "cancel run",
    "clear locks",
    "consent",
    "done",
    "drop send",
    "edit text",
    "export",
    "forget",
    "label",
    "label list",
    "login",
    "login failed",
    "logout",
    "note",
    "pause",
    "prepared answer",
    "remind",
    "replay",
    "resume",
    "reveal",
    "send",
    "send again",
    "settings reload",
    "token create",
    "sign out everywhere",
    "token refused",
    "token revoke",
    "trust tools",
    "webhook replay",
    "webhook set",
]
"""Audited actions. Rows from before the chain have other names (``dashboard.pause``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The author of an action: ``account María``, ``token admin``, ``user maria``."""

    name: str
    address: str = ""
    """Where the request came from; empty for the command line and for signals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row of the chain, with the details beside it."""

    id: int
    """Counted from 1, without gaps."""
    at: float
    """Unix seconds."""
    actor: Actor
    action: str
    digest: str
    hash: str
    salt: str | None
    """None if the details were erased; the three fields below are empty then."""
    subject: str = ""
    """A chat, a message, an event, a file; never a text."""
    before: str = ""
    after: str = ""

    def shown(self) -> JsonObject:
        """The row for people, without digest and hash."""
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
    """The last row of a chain. A copy kept elsewhere shows later whether the chain was cut."""

    id: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The result of verifying a whole chain."""

    rows: int
    """Valid rows, counted from the first."""
    erased: int
    """Those of them whose details were erased."""
    head: Head
    """The last row according to the store."""
    broken: int = 0
    """The first row that was changed or is missing; 0 if all are valid."""
    fault: str = ""
    """The fault of the row."""


def digest_of(salt: str, subject: str, before: str, after: str) -> str:
    """The digest of the details beside the chain; without ``salt`` they cannot be guessed."""
    return _sha256([salt, subject, before, after])


def hash_of(previous: str, number: int, at: float, actor: Actor, action: str, digest: str) -> str:
    """The hash of a row; ``previous`` is the hash of the row before."""
    return _sha256([previous, number, float(at), actor.name, actor.address, action, digest])


def verify(rows: Iterable[AuditRow], head: Head, *, known: Head | None = None) -> Verified:
    """Verify a whole chain, in the order of its rows; ``head`` is its end according to the store.

    ``known`` is a head that was kept elsewhere: it detects a chain that was cut and closed again,
    or rebuilt, which nothing in the store itself can show.
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
        fault = "the row is missing or differs from the known one"
        return Verified(rows=count, erased=erased, head=head, broken=known.id, fault=fault)
    return Verified(rows=count, erased=erased, head=head)


def _fault(row: AuditRow, number: int, previous: str) -> str:
    """The fault of a row that should have this number; empty if there is none."""
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
