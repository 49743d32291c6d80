"""Accounts of the dashboard and the sessions of its browsers."""

from typing import Any

from daemon.domain.accounts import Account, Preferences, Session, login_of
from daemon.domain.audit_chain import Actor
from daemon.domain.roles import AccessRole
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, query, reading, transaction, writing

MOST_SESSIONS = 1_000
"""More browsers than any business has; the sessions that end first are dropped."""

_COLUMNS = (
    "a.id, a.name, a.role, a.language, a.zone, a.created_at, a.seen_at, a.disabled_at,"
    " a.notify, a.sound"
)


def all_accounts(connection: Connection) -> tuple[Account, ...]:
    """All accounts, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM accounts a ORDER BY a.login")
    return tuple(map(_account, rows))


def add_account(
    connection: Connection,
    name: str,
    role: AccessRole,
    password: str,
    *,
    by: Actor,
    now: float,
    email: str = "",
) -> Account | None:
    """Add an account with the hash of its password; None if there is one of that name or address.

    ``email``: the address by which a provider names it. Inside the caller's transaction.
    """
    row = connection.execute(
        "INSERT INTO accounts (name, login, role, password, email, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (name, login_of(name), role.value, password, email.strip().casefold() or None, now),
    ).fetchone()
    if row is None:
        return None
    write_audit(connection, by, "account add", name, after=role.value, now=now)
    return Account(id=row[0], name=name, role=role, created_at=now)


def set_password(
    connection: Connection, name: str, password: str, *, by: Actor, now: float
) -> bool:
    """Replace the hash of a password, which ends the account's sessions; False if unknown.

    Inside the caller's transaction.
    """
    login = login_of(name)
    known = connection.execute("SELECT 1 FROM accounts WHERE login = ?", (login,)).fetchone()
    changed = connection.execute(
        "UPDATE accounts SET password = ? WHERE login = ? AND password != ?",
        (password, login, password),
    ).rowcount
    if changed:
        _end_sessions(connection, name)
        write_audit(connection, by, "account password", name, now=now)
    return known is not None


def disable_account(
    connection: Connection, name: str, *, by: Actor, now: float, undo: bool = False
) -> bool:
    """Disable an account, which ends its sessions, or enable it; False if nothing changes.

    Inside the caller's transaction.
    """
    changed = connection.execute(
        "UPDATE accounts SET disabled_at = ? WHERE login = ?"
        " AND CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END = ?",
        (None if undo else now, login_of(name), int(undo)),
    ).rowcount
    if changed:
        _end_sessions(connection, name)
        write_audit(connection, by, "account enable" if undo else "account disable", name, now=now)
    return bool(changed)


class Accounts(Role):
    """Accounts. Called by the dashboard's requests; commands use the functions."""

    all = reading(all_accounts)

    @query
    def exist(self, connection: Connection) -> bool:
        """Whether there is an account."""
        return connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is not None

    @query
    def password_of(self, connection: Connection, name: str) -> tuple[Account, str] | None:
        """The account of a name that may sign in, with the hash of its password; None: none."""
        row = connection.execute(
            f"SELECT {_COLUMNS}, a.password FROM accounts a WHERE login = ?"
            " AND disabled_at IS NULL AND password != ''",
            (login_of(name),),
        ).fetchone()
        return (_account(row[:-1]), row[-1]) if row else None

    @query
    def with_email(self, connection: Connection, email: str) -> Account | None:
        """The account with this address that may sign in; None if there is none."""
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM accounts a WHERE email = ? AND disabled_at IS NULL", (email,)
        ).fetchone()
        return _account(row) if row else None

    add = writing(add_account)

    @transaction
    def change_role(
        self, connection: Connection, number: int, role: AccessRole, *, by: Actor, now: float
    ) -> None:
        """Change the role of an account; its sessions have it from their next request on."""
        rows = connection.execute(
            "SELECT name, role FROM accounts WHERE id = ? AND role != ?", (number, role.value)
        )
        for name, before in rows.fetchall():
            connection.execute("UPDATE accounts SET role = ? WHERE id = ?", (role.value, number))
            write_audit(
                connection, by, "account role", name, before=before, after=role.value, now=now
            )

    @transaction
    def prefer(self, connection: Connection, number: int, chosen: Preferences) -> None:
        """Store what an account chose for itself."""
        connection.execute(
            "UPDATE accounts SET language = ?, zone = ?, notify = ?, sound = ? WHERE id = ?",
            (chosen.language, chosen.zone, int(chosen.notify), int(chosen.sound), number),
        )

    set_password = writing(set_password)

    disable = writing(disable_account)

    @transaction
    def sign_out(self, connection: Connection, name: str, *, by: Actor, now: float) -> int:
        """End all sessions of an account; gives how many."""
        ended = _end_sessions(connection, name)
        if ended:
            write_audit(
                connection, by, "sign out everywhere", name, after=f"{ended} ended", now=now
            )
        return ended


class Sessions(Role):
    """Sessions of the dashboard. Called by its requests."""

    @transaction
    def begin(
        self,
        connection: Connection,
        name: str,
        *,
        ends_at: float,
        now: float,
        account: int | None = None,
    ) -> None:
        """Keep a session, and drop those that are over. ``account``: None for the admin token."""
        connection.execute("DELETE FROM dashboard_sessions WHERE ends_at <= ?", (now,))
        connection.execute(
            "DELETE FROM dashboard_sessions WHERE name NOT IN ("
            " SELECT name FROM dashboard_sessions ORDER BY ends_at DESC LIMIT ?)",
            (MOST_SESSIONS - 1,),
        )
        connection.execute(
            "INSERT INTO dashboard_sessions (name, ends_at, account_id) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET ends_at = excluded.ends_at",
            (name, ends_at, account),
        )
        connection.execute("UPDATE accounts SET seen_at = ? WHERE id = ?", (now, account))

    @query
    def find(self, connection: Connection, name: str) -> Session | None:
        """The session of this name; None if there is none, or its account is disabled."""
        row = connection.execute(
            f"SELECT s.ends_at, s.account_id, {_COLUMNS} FROM dashboard_sessions s"
            " LEFT JOIN accounts a ON a.id = s.account_id WHERE s.name = ?",
            (name,),
        ).fetchone()
        if row is None:
            return None
        ends_at, number, *columns = row
        if number is None:
            return Session(ends_at=ends_at)
        account = _account(columns) if columns[0] is not None else None
        if account is None or account.disabled_at is not None:
            return None
        return Session(ends_at=ends_at, account=account)

    @transaction
    def end(self, connection: Connection, name: str) -> None:
        """Forget a session."""
        connection.execute("DELETE FROM dashboard_sessions WHERE name = ?", (name,))


def _end_sessions(connection: Connection, name: str) -> int:
    return connection.execute(
        "DELETE FROM dashboard_sessions WHERE account_id IN"
        " (SELECT id FROM accounts WHERE login = ?)",
        (login_of(name),),
    ).rowcount


def _account(row: Any) -> Account:
    number, name, role, language, zone, created_at, seen_at, disabled_at, notify, sound = row
    return Account(
        id=number,
        name=name,
        role=AccessRole(role),
        language=language,
        zone=zone,
        created_at=created_at,
        seen_at=seen_at,
        disabled_at=disabled_at,
        notify=bool(notify),
        sound=bool(sound),
    )
