"""The first write of forgetting: from here on the person's chats are of somebody who is new.

It is small, whatever there is: it ends what is open, lets go of what the model is told at the head
of a thread, and takes the name out of the rows by which a chat is found. The daemon has ended the
tasks of these chats before it, so nothing that they were at comes after it.
"""

import json
from collections.abc import Mapping

from daemon.domain.handover import WITH_AGENT
from daemon.ledger.admin.person import Person
from daemon.ledger.consents import bury
from daemon.ledger.drivers.port import Connection
from daemon.ledger.forget.own_rows import REASON

_MARKS = {
    "messages": "seq",
    **dict.fromkeys(("turns", "outbox", "thread_items", "events", "log_lines"), "id"),
}

_OPEN_TURN = (
    """UPDATE responses SET state = 'failed', ended_at = :now WHERE state = 'started'
        AND run_id IN (SELECT id FROM runs WHERE turn_id = :turn)""",
    """UPDATE tool_calls SET state = 'failed', ended_at = :now
        WHERE state = 'started' AND turn_id = :turn""",
    """UPDATE runs SET state = 'abandoned', ended_at = :now
        WHERE state = 'running' AND turn_id = :turn""",
    # What others have said in a turn of a group waits again.
    """UPDATE messages SET state = 'received', turn_id = NULL WHERE state = 'in_turn'
        AND turn_id = :turn AND :in_group AND json_extract(message, '$.author') NOT IN (
        SELECT value FROM json_each(:authors))""",
    """UPDATE outbox SET chat = CASE :in_group WHEN 1 THEN :name ELSE chat END, state = 'dropped',
        error = :reason WHERE state IN ('pending', 'sending', 'unknown') AND turn_id = :turn""",
    """UPDATE turns SET closed_at = COALESCE(closed_at, :now), outcome = 'ignored',
        reason = :reason, state = 'done', chat = CASE :in_group WHEN 1 THEN :name ELSE chat END
        WHERE id = :turn""",
)
_CLOSE = (
    "UPDATE messages SET state = 'ignored', reason = :reason, to_note = 0 WHERE channel = :channel"
)
_OPEN = (
    # Each has an index of its own.
    f"{_CLOSE} AND chat = :chat AND state IN ('received', 'in_turn')",
    f"{_CLOSE} AND chat = :chat AND state = '{WITH_AGENT}'",
    "UPDATE messages SET to_note = 0 WHERE channel = :channel AND chat = :chat AND to_note = 1",
)
_BY_AUTHOR = " AND json_extract(message, '$.author') IN (SELECT value FROM json_each(:authors))"
_OWN_CHAT = (
    *_OPEN,
    """UPDATE outbox SET state = 'dropped', error = :reason WHERE channel = :channel
        AND chat = :chat AND state IN ('pending', 'sending', 'unknown')""",
    "DELETE FROM thread_heads WHERE channel = :channel AND chat = :chat",
    "DELETE FROM facts WHERE channel = :channel AND chat = :chat",
    "DELETE FROM calls WHERE channel = :channel AND chat = :chat",
    "DELETE FROM early_changes WHERE channel = :channel AND chat = :chat",
    # An escalation stays known as told: its turn is erased later than this.
    """DELETE FROM notifications WHERE channel = :channel AND chat = :chat
        AND reason != 'escalation'""",
    """UPDATE notifications SET channel = '', chat = '', line = '', state = 'sent'
        WHERE channel = :channel AND chat = :chat""",
)
_ALIASES = (
    "DELETE FROM aliases WHERE channel = :channel AND alias = :chat",
    "DELETE FROM aliases WHERE channel = :channel AND chat = :chat",
)
_RENAME = (
    """UPDATE chats SET chat = :name, name = '', contact_name = '', context_text = '',
        escalated_at = 0, overdue_at = 0 WHERE channel = :channel AND chat = :chat""",
    "UPDATE usage_days SET chat = :name WHERE channel = :channel AND chat = :chat",
    *_ALIASES,
)
_DELETE = (
    "DELETE FROM chats WHERE channel = :channel AND chat = :chat",
    "DELETE FROM usage_days WHERE channel = :channel AND chat = :chat",
    *_ALIASES,
)


def cut(
    connection: Connection,
    person: Person,
    names: Mapping[str, str],
    name: str,
    *,
    contact: bytes,
    now: float,
) -> tuple[dict[str, int], int]:
    """Cut the person off, inside the caller's transaction.

    Gives the last row of each table that is theirs, what comes later is of somebody who is new; and
    how many chats there were. ``names`` is what these are called now; empty: they are deleted.
    """
    marks = {
        table: connection.execute(f"SELECT COALESCE(MAX({number}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - constants
        for table, number in _MARKS.items()
    }
    values = {
        "now": now,
        "reason": REASON,
        "name": name,
        "authors": json.dumps(person.authors),
    }
    spoken = set(person.group_turns)
    for key in (*person.keys, *person.groups):
        row = connection.execute(
            "SELECT id FROM turns WHERE channel = ? AND chat = ? AND state != 'done'", key
        ).fetchone()
        in_group = key in person.groups
        if row is not None and (row[0] in spoken or not in_group):
            for statement in _OPEN_TURN:
                connection.execute(statement, {**values, "turn": row[0], "in_group": in_group})
    for key in person.groups:
        # Older parts of such a thread, which are told in a few words, may tell of the person too.
        connection.execute("DELETE FROM thread_heads WHERE channel = ? AND chat = ?", key)
        for statement in _OPEN:
            of_group = {**values, "channel": key.channel, "chat": key.chat}
            connection.execute(statement + _BY_AUTHOR, of_group)
        connection.executemany(
            "DELETE FROM early_changes WHERE channel = ? AND chat = ? AND author = ?",
            [(*key, author) for author in person.authors],
        )
    bury(connection, contact, person.keys, forgotten_at=now if names else 0)
    chats = 0
    for key in person.keys:
        chats += connection.execute(
            "SELECT COUNT(*) FROM chats WHERE channel = ? AND chat = ?", key
        ).fetchone()[0]
        of_chat = {**values, "channel": key.channel, "chat": key.chat}
        for statement in (*_OWN_CHAT, *(_RENAME if names else _DELETE)):
            connection.execute(statement, {**of_chat, "name": names.get(key.chat, name)})
    return marks, chats
