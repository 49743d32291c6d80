"""Versions of the instructions and texts that people edit in the dashboard."""

from daemon.domain.audit_chain import Actor
from daemon.domain.editable_texts import TextVersion
from daemon.domain.versions import hash_of
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Cursor, Role, named, query, transaction

MOST_SHOWN = 50
"""Versions of a text that are listed: the newest."""

ADMIN = "the admin token"
"""The author who has signed in with it, in words that the pages translate."""

_COLUMNS = "number, name, revision, text, digest, file_digest, author, saved_at, share"


class TextVersions(Role):
    """Texts that were edited. Written by requests; read by them, at the start, and by nodes."""

    @query
    def count(self, connection: Connection) -> int:
        """How many versions there are: another number says that there is a new one."""
        return int(connection.execute("SELECT COUNT(*) FROM text_versions").fetchone()[0])

    @query
    def at_work(self, connection: Connection) -> tuple[int, tuple[TextVersion, ...]]:
        """The number of versions, and the newest of each text."""
        count = int(connection.execute("SELECT COUNT(*) FROM text_versions").fetchone()[0])
        return count, newest_texts(connection)

    @query
    def of_text(self, connection: Connection, number: str, name: str) -> tuple[TextVersion, ...]:
        """The versions of a text, newest first."""
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM text_versions WHERE number = ? AND name = ?"
            " ORDER BY revision DESC LIMIT ?",
            (number, name, MOST_SHOWN),
        )
        return _versions(rows)

    @query
    def find(
        self, connection: Connection, number: str, name: str, revision: int
    ) -> TextVersion | None:
        """One version; None if there is none of this number. 0 is the one before the first."""
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM text_versions WHERE number = ? AND name = ? AND revision = ?",
            (number, name, revision),
        )
        return next(iter(_versions(rows)), None)

    @transaction
    def save(
        self,
        connection: Connection,
        number: str,
        name: str,
        text: str | None,
        *,
        after: int,
        file_digest: str,
        by: Actor,
        now: float,
        share: float | None = None,
    ) -> bool:
        """Save a version after the revision ``after`` (0: the first); False if one came between.

        ``text``: None for the file's.
        """
        digest = "" if text is None else hash_of(text)
        row = connection.execute(
            f"INSERT INTO text_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (number, name, revision) DO NOTHING RETURNING id",
            (number, name, after + 1, text, digest, file_digest, author_of(by), now, share),
        ).fetchone()
        if row is None:
            return False
        before = connection.execute(
            "SELECT digest FROM text_versions WHERE number = ? AND name = ? AND revision = ?",
            (number, name, after),
        ).fetchone()
        write_audit(
            connection,
            by,
            "edit text",
            f"{name} of {number}",
            before=f"revision {after} {before[0] if before else ''}".strip(),
            after=f"revision {after + 1} {digest or 'the file'}"
            + ("" if share is None else f" share {share:g}"),
            now=now,
        )
        return True


def newest_texts(connection: Connection) -> tuple[TextVersion, ...]:
    """The newest version of each text."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM text_versions v WHERE revision ="
        " (SELECT MAX(revision) FROM text_versions w WHERE w.number = v.number"
        " AND w.name = v.name) ORDER BY number, name"
    )
    return _versions(rows)


def authors_of(connection: Connection) -> dict[str, str]:
    """Who has saved instructions first, by their hash."""
    rows = connection.execute(
        "SELECT digest, author FROM text_versions WHERE name = 'instructions' ORDER BY id DESC"
    )
    return dict(rows.fetchall())


def author_of(by: Actor) -> str:
    """The name to show of an actor: of an account without that word before it."""
    if by.name == "token admin" or by.name.startswith("session "):
        return ADMIN
    return by.name.removeprefix("account ")


def _versions(rows: Cursor) -> tuple[TextVersion, ...]:
    return tuple(TextVersion(**row) for row in named(rows))
