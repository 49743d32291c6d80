"""Labels: those of each chat, and the desk's own list for numbers whose gateway has none."""

from collections.abc import Sequence

from daemon.domain.audit_chain import Actor
from daemon.domain.labels import (
    MOST_LABELS,
    LabelChanges,
    as_stored,
    folded,
    label_changes,
    names_in,
)
from daemon.domain.messages import ChatKey, Label
from daemon.ledger import announcements
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, marks, reading, transaction
from daemon.ledger.search import escaped

TAKEN = "There is a label of this name."
TOO_MANY = "There are too many labels."
"""In words that the pages translate."""

HAS_LABEL = "labels LIKE ? ESCAPE '\\'"
"""A condition of chats; `like_label` gives its value."""


class ChatLabelRecords(Role):
    """The labels of chats. Any task may call it."""

    @transaction
    def keep(
        self, connection: Connection, key: ChatKey, labels: Sequence[str], *, now: float
    ) -> None:
        """Note the labels of a chat, as the gateway says."""
        stored = as_stored([" ".join(name.split()) for name in labels])
        changed = connection.execute(
            "UPDATE chats SET labels = ? WHERE channel = ? AND chat = ? AND labels != ?",
            (stored, *key, stored),
        )
        if changed.rowcount:
            announcements.contact_changed(connection, key, "labels", now=now)

    @transaction
    def change(
        self,
        connection: Connection,
        key: ChatKey,
        *,
        add: Sequence[str],
        remove: Sequence[str],
        now: float,
    ) -> LabelChanges:
        """Put labels of the desk's list on a chat, and take others off."""
        changes = label_changes(
            [label.name for label in desk_labels(connection)],
            labels_of(connection, key),
            add=add,
            remove=remove,
        )
        changed = sum(_add(connection, key, name) for name in changes.add)
        for name in changes.remove:
            changed += _replace(connection, name, "", "channel = ? AND chat = ?", key)
        if changed:
            announcements.contact_changed(connection, key, "labels", now=now)
        return changes


def desk_labels(connection: Connection) -> tuple[Label, ...]:
    """The desk's own labels, by name."""
    rows = connection.execute("SELECT id, name, color FROM desk_labels ORDER BY folded")
    return tuple(Label(id=str(number), name=name, color=color) for number, name, color in rows)


class DeskLabels(Role):
    """The desk's own list of labels. Called by requests."""

    all = reading(desk_labels)

    @transaction
    def add(self, connection: Connection, name: str, color: str, *, by: Actor, now: float) -> str:
        """Add a label; gives what is wrong, empty if nothing is."""
        if len(desk_labels(connection)) >= MOST_LABELS:
            return TOO_MANY
        added = connection.execute(
            "INSERT INTO desk_labels (name, folded, color) VALUES (?, ?, ?)"
            " ON CONFLICT (folded) DO NOTHING",
            (name, folded(name), color),
        )
        if not added.rowcount:
            same = any((one.name, one.color) == (name, color) for one in desk_labels(connection))
            return "" if same else TAKEN
        write_audit(connection, by, "label list", name, after=color, now=now)
        return ""

    @transaction
    def edit(
        self,
        connection: Connection,
        number: int,
        name: str,
        color: str,
        *,
        channels: Sequence[str],
        by: Actor,
        now: float,
    ) -> str:
        """Rename a label, also on the chats of these numbers of ours, or give it another colour.

        Gives what is wrong, empty if nothing is or there is no such label.
        """
        before = _label(connection, number)
        if before is None or (before.name, before.color) == (name, color):
            return ""
        taken = connection.execute(
            "SELECT 1 FROM desk_labels WHERE folded = ? AND id != ?", (folded(name), number)
        ).fetchone()
        if taken is not None:
            return TAKEN
        connection.execute(
            "UPDATE desk_labels SET name = ?, folded = ?, color = ? WHERE id = ?",
            (name, folded(name), color, number),
        )
        if before.name != name:
            _replace(connection, before.name, name, *_of(channels))
        was, is_now = f"{before.name}, {before.color}", f"{name}, {color}"
        write_audit(connection, by, "label list", before.name, before=was, after=is_now, now=now)
        return ""

    @transaction
    def drop(
        self,
        connection: Connection,
        number: int,
        *,
        channels: Sequence[str],
        by: Actor,
        now: float,
    ) -> None:
        """Delete a label, also from the chats of these numbers of ours."""
        label = _label(connection, number)
        if label is None:
            return
        connection.execute("DELETE FROM desk_labels WHERE id = ?", (number,))
        _replace(connection, label.name, "", *_of(channels))
        write_audit(connection, by, "label list", label.name, before=label.color, now=now)


def labels_of(connection: Connection, key: ChatKey) -> tuple[str, ...]:
    """The labels of a chat."""
    row = connection.execute(
        "SELECT labels FROM chats WHERE channel = ? AND chat = ?", key
    ).fetchone()
    return names_in(row[0]) if row else ()


def like_label(name: str) -> str:
    """The value for `HAS_LABEL`."""
    return f"%\n{escaped(name)}\n%"


def _label(connection: Connection, number: int) -> Label | None:
    found = (one for one in desk_labels(connection) if one.id == str(number))
    return next(found, None)


def _add(connection: Connection, key: ChatKey, name: str) -> int:
    return connection.execute(
        "UPDATE chats SET labels = CASE WHEN labels = '' THEN ? ELSE labels || ? END"
        f" WHERE channel = ? AND chat = ? AND NOT ({HAS_LABEL})",
        (f"\n{name}\n", f"{name}\n", *key, like_label(name)),
    ).rowcount


def _of(channels: Sequence[str]) -> tuple[str, Sequence[str]]:
    return f"channel IN ({marks(channels)})", channels


def _replace(
    connection: Connection, name: str, other: str, condition: str, values: Sequence[str]
) -> int:
    """Put another label in the place of one, or (empty) none, in one statement; gives how many."""
    alone = f"\n{name}\n"
    new = f"\n{other}\n" if other else "\n"
    return connection.execute(
        "UPDATE chats SET labels = CASE WHEN labels = ? THEN ? ELSE REPLACE(labels, ?, ?) END"
        f" WHERE {condition} AND {HAS_LABEL}",
        (alone, new if other else "", alone, new, *values, like_label(name)),
    ).rowcount
