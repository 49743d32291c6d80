"""The rows of the audit: written in the transaction of the action, read and verified."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from daemon.domain.audit_chain import (
    FIRST_HASH,
    Action,
    Actor,
    AuditRow,
    Head,
    Verified,
    digest_of,
    hash_of,
    verify,
)
from daemon.ledger.drivers.port import Connection, Role, marks, writing

SALT_BYTES = 16

_ROWS = (
    "SELECT a.id, at, actor, address, action, digest, hash, salt, subject, before, after"
    " FROM audit a LEFT JOIN audit_details d ON d.audit_id = a.id"
)


def write_audit(
    connection: Connection,
    actor: Actor,
    action: Action,
    subject: str = "",
    *,
    before: str = "",
    after: str = "",
    now: float,
) -> None:
    """Add one row to the chain, inside the caller's transaction.

    ``subject`` is what it was done to: a chat, a message, a file. It, ``before`` and ``after`` can
    be erased later; none of them has anybody's words or a secret. ``now``: Unix seconds.
    """
    salt = secrets.token_hex(SALT_BYTES)
    digest = digest_of(salt, subject, before, after)
    # Written first, so that another connection waits here and reads what this one has added.
    connection.execute("UPDATE audit_head SET id = id")
    last = head_of(connection)
    number = last.id + 1
    name = hash_of(last.hash, number, now, actor, action, digest)
    connection.execute(
        "INSERT INTO audit (id, at, actor, address, action, digest, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, now, actor.name, actor.address, action, digest, name),
    )
    connection.execute(
        "INSERT INTO audit_details (audit_id, salt, subject, before, after) VALUES (?, ?, ?, ?, ?)",
        (number, salt, subject, before, after),
    )
    connection.execute("UPDATE audit_head SET id = ?, hash = ?", (number, name))


class Audit(Role):
    """The audit, for whatever writes nothing else in the same transaction. Any task may call it."""

    write = writing(write_audit)

    async def head(self) -> Head:
        """The last row. Raises StoreUnavailable."""
        return await self._database.read(head_of)


def head_of(connection: Connection) -> Head:
    """The last row, as it was noted when it was written."""
    row = connection.execute("SELECT id, hash FROM audit_head").fetchone()
    return Head(id=row[0], hash=row[1]) if row else Head(id=0, hash=FIRST_HASH)


def audit_rows(
    connection: Connection, *, since: float = 0, action: str = "", actor: str = ""
) -> Iterator[AuditRow]:
    """The rows since a time, of an action, of actors whose name contains a text; oldest first.

    Empty arguments match every row.
    """
    rows = connection.execute(
        f"{_ROWS} WHERE a.at >= :since AND (:action = '' OR a.action = :action) ORDER BY a.id",
        {"since": since, "action": action},
    )
    named = actor.casefold()
    return (row for row in map(_row, rows) if named in row.actor.name.casefold())


def audit_of(connection: Connection, subjects: Sequence[str]) -> tuple[AuditRow, ...]:
    """The rows about certain chats or messages, oldest first."""
    rows = connection.execute(
        f"{_ROWS} WHERE d.subject IN ({marks(subjects)}) AND d.subject != '' ORDER BY a.id",
        list(subjects),
    )
    return tuple(map(_row, rows))


def erase_audit(connection: Connection, subjects: Sequence[str]) -> int:
    """Erase the details beside the chain about these subjects; gives how many rows.

    Inside the caller's transaction.
    """
    return connection.execute(
        f"DELETE FROM audit_details WHERE subject IN ({marks(subjects)}) AND subject != ''",
        list(subjects),
    ).rowcount


def verify_audit(connection: Connection, *, known: Head | None = None) -> Verified:
    """Verify the whole chain, row by row; see `daemon.domain.audit_chain.verify`."""
    return verify(audit_rows(connection), head_of(connection), known=known)


def _row(row: Sequence[Any]) -> AuditRow:
    number, at, actor, address, action, digest, name, salt, subject, before, after = row
    return AuditRow(
        id=number,
        at=at,
        actor=Actor(name=actor, address=address),
        action=action,
        digest=digest,
        hash=name,
        salt=salt,
        subject=subject or "",
        before=before or "",
        after=after or "",
    )
