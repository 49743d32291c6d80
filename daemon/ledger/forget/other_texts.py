"""Removing a person from the texts of others and from our own.

From what others said only the person's number and quotations of the person are removed. From our
own words in groups in which the person has spoken, their names and what repeats their messages are
removed too.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from daemon.domain.ids import GROUPS_GLOB, local_part
from daemon.domain.messages import ChatKey, Deletion, Edit, Message, Reaction, Vote
from daemon.domain.prompt.message_text import QUOTED_CHARACTERS, TAG
from daemon.domain.redaction import mask_numbers
from daemon.domain.transitions.sends import ECHO
from daemon.ledger.admin.person import OF_CHAT, Person, joined_key
from daemon.ledger.drivers.port import Connection

SHORTEST_NAME = 3
"""Characters; shorter names are part of too many words."""

SHORTEST_PASSAGE = 12
"""Characters; everybody says "de acuerdo"."""

_QUOTED = re.compile(r"(?m)^(> )(.+)$|^(?=.*\]$)(.*?\bto: )(.+)(?=\]$)")
"""How `daemon.domain.prompt.message_text` shows what a message quotes, and what is reacted to."""


class RepeatedWords:
    """Replaces names and repeated words of one person, in plain texts and inside of JSON."""

    def __init__(self, *, names: Iterable[str], passages: Iterable[str], instead: str) -> None:
        """``instead`` stands where something was taken out.

        A name counts as a whole and by its first word, since that is how people are addressed.
        """
        plain = {" ".join(name.split()) for name in names}
        called = {word for name in plain for word in (name, name.partition(" ")[0])}
        usable = sorted((n for n in called if _is_name(n)), key=len, reverse=True)
        self._names = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(_loosely, usable))})(?!\w)", re.IGNORECASE)
            if usable
            else None
        )
        self._quotable = {_plain(passage)[:QUOTED_CHARACTERS] for passage in passages}
        self._passages = sorted(
            (passage for passage in self._quotable if len(passage) >= SHORTEST_PASSAGE),
            key=len,
            reverse=True,
        )
        self._instead = instead

    def taken_out(self, text: str) -> str:
        """Our own words without names and repeated words."""
        return _inside(text, self._without_all)

    def unquoted(self, text: str) -> str:
        """The words of others, without what they quote of the person."""
        return _inside(text, self._without_quotes)

    def _without_all(self, text: str) -> str:
        text = self._without_quotes(text)
        lower = _plain(text)
        for passage in self._passages:
            if passage in lower:
                text = re.sub(_loosely(passage), self._instead, text, flags=re.IGNORECASE)
        return self._names.sub(self._instead, text) if self._names else text

    def _without_quotes(self, text: str) -> str:
        return _QUOTED.sub(self._quote, text)

    def _quote(self, found: re.Match[str]) -> str:
        mark, quoted = found[1] or found[3], found[2] or found[4]
        return f"{mark}{self._instead}" if _plain(quoted) in self._quotable else found[0]


def _is_name(text: str) -> bool:
    return len(text) >= SHORTEST_NAME and any(map(str.isalpha, text))


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _loosely(text: str) -> str:
    """A pattern of words, however they are set apart."""
    return r"\s+".join(map(re.escape, text.split()))


def _inside(text: str, change: Callable[[str], str]) -> str:
    """Change a text, or all texts within it if it is JSON; the same text if nothing changes."""
    try:
        whole = json.loads(text) if text[:1] in {"{", "["} else None
        if whole is not None:
            changed = _changed(whole, change)
            return text if changed == whole else json.dumps(changed, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass  # it is no JSON, or nested deeper than ours ever is
    return change(text)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        # Arguments of a call are JSON in a text of JSON.
        return _inside(value, change)
    if isinstance(value, list):
        return [_changed(inner, change) for inner in value]
    if isinstance(value, dict):
        return {key: _changed(inner, change) for key, inner in value.items()}
    return value


_json = msgspec.json.Encoder()
_read_message = msgspec.json.Decoder(Message)

Change = Callable[[str], str]
"""Removes something from a text; gives the same text if there is nothing to remove."""


class TextColumns(NamedTuple):
    """Columns with words in them, and by what their rows are known."""

    table: str
    key: tuple[str, ...]
    """The first of them is a number that grows, or the table is small."""
    columns: tuple[str, ...]


MENTIONS = (
    TextColumns("messages", ("seq",), ("message", "earlier", "reason")),
    TextColumns("thread_items", ("id",), ("item",)),
    TextColumns("thread_heads", ("channel", "chat"), ("item",)),
    TextColumns("turns", ("id",), ("reason",)),
    TextColumns("responses", ("run_id", "round"), ("response", "error", "note")),
    TextColumns("tool_calls", ("id",), ("arguments", "output")),
    TextColumns("outbox", ("id",), ("body", "error", "payload")),
    TextColumns("early_changes", ("channel", "target", "chat", "author"), ("change",)),
    TextColumns("media", ("rowid",), ("reason", "words", "words_error")),
    TextColumns("early_statuses", ("message_id", "status"), ("error",)),
    TextColumns("send_failures", ("message_id",), ("error",)),
    TextColumns("chats", ("channel", "chat"), ("name", "contact_name", "context_text")),
    TextColumns("facts", ("id",), ("fact",)),
    TextColumns("escalations", ("turn_id",), ("reason", "summary")),
    TextColumns("events", ("id",), ("unreadable",)),
    TextColumns("webhook_deliveries", ("id",), ("payload",)),
    TextColumns("reminders", ("id",), ("text",)),
    TextColumns("notes", ("id",), ("text",)),
    TextColumns("candidate_answers", ("turn_id",), ("text",)),
    TextColumns("compared_turns", ("id",), ("reason", "answer")),
)
"""Columns in which others, or the model, may have written a number."""

NUMBERED = frozenset({"seq", "id", "rowid", "run_id", "turn_id"})


def mentions_in(
    connection: Connection,
    texts: TextColumns,
    person: Person,
    *,
    after: int,
    window: int,
    most: int,
) -> tuple[list[tuple[object, ...]], int | None]:
    """The next rows of a table that name the person's number.

    Gives their keys, and the number up to which was looked; None if there are no more rows. A
    table without such a number is looked at as a whole.
    """
    keys = ", ".join(texts.key)
    seen = " OR ".join(
        f"instr({column}, ?) > 0" for column in texts.columns for _ in person.needles
    )
    needles = [needle for _ in texts.columns for needle in person.needles]
    if texts.key[0] not in NUMBERED:
        rows = connection.execute(f"SELECT {keys} FROM {texts.table} WHERE {seen}", needles)
        return [tuple(row) for row in rows], None
    number = texts.key[0]
    last = connection.execute(f"SELECT MAX({number}) FROM {texts.table}").fetchone()[0] or 0
    rows = connection.execute(
        f"SELECT {keys} FROM {texts.table} WHERE {number} > ? AND {number} <= ? AND ({seen})"
        f" ORDER BY {number} LIMIT ?",
        (after, after + window, *needles, most),
    )
    found = [tuple(row) for row in rows]
    up_to = int(found[-1][0]) if len(found) == most else after + window
    return found, None if up_to >= last else up_to


def rewrite(
    connection: Connection,
    texts: TextColumns,
    keys: Sequence[Sequence[object]],
    change: Change,
) -> int:
    """Change the words of some rows, inside the caller's transaction; gives how many texts."""
    where = " AND ".join(f"{column} = ?" for column in texts.key)
    changed = 0
    for key in keys:
        row = connection.execute(
            f"SELECT {', '.join(texts.columns)} FROM {texts.table} WHERE {where}",
            tuple(key),
        ).fetchone()
        for column, text in zip(texts.columns, row or (), strict=False):
            new = change(text) if text else text
            if new != text:
                connection.execute(
                    f"UPDATE {texts.table} SET {column} = ? WHERE {where}",
                    (new, *key),
                )
                changed += 1
    return changed


# -- what refers to the person ---------------------------------------------------------------------


def references_in(
    connection: Connection, person: Person, *, after: int, up_to: int, window: int, most: int
) -> tuple[list[tuple[int, str]], int | None]:
    """The next messages that quote the person, react to them, vote in what they asked.

    Gives each with what it is without that, and the number up to which was looked; None at the end.
    """
    rows = connection.execute(
        "SELECT seq, message FROM messages WHERE seq > ? AND seq <= ?"
        " AND (instr(message, '\"quote\":') > 0 OR instr(message, '\"target\":') > 0) ORDER BY seq",
        (after, min(after + window, up_to)),
    )
    found = []
    for seq, text in rows:
        message = _read_message.decode(text)
        bare = _without_reference(message, person)
        if bare is not message:
            found.append((seq, _json.encode(bare).decode()))
            if len(found) == most:
                return found, seq
    return found, None if after + window >= up_to else after + window


def _without_reference(message: Message, person: Person) -> Message:
    """The message without what it repeats of the person."""
    quote, content = message.quote, message.content
    if quote is not None and (quote.id in person.message_ids or quote.author in person.authors):
        message = msgspec.structs.replace(message, quote=None)
    if getattr(content, "target", "") not in person.message_ids:
        return message
    if isinstance(content, Reaction):
        content = msgspec.structs.replace(content, target="", about="")
    elif isinstance(content, Vote):
        content = msgspec.structs.replace(content, target="", question="", chosen=())
    elif isinstance(content, Edit | Deletion):
        content = msgspec.structs.replace(content, target="")
    return msgspec.structs.replace(message, content=content)


# -- groups ----------------------------------------------------------------------------------------


def called(connection: Connection, person: Person) -> tuple[str, ...]:
    """The names of the person in their chats, read before these are erased."""
    rows = [
        row
        for key in person.keys
        for row in connection.execute(
            "SELECT name, contact_name FROM chats WHERE channel = ? AND chat = ?", key
        )
    ]
    return tuple(sorted({str(name) for row in rows for name in row if name}))


def words_of(
    connection: Connection, person: Person, names: Sequence[str], instead: str
) -> RepeatedWords:
    """The person's ``names``, and those and the words that stand in their messages in groups."""
    rows = [
        row
        for author in person.authors
        for row in connection.execute(
            "SELECT json_extract(message, '$.author_name'),"
            " json_extract(message, '$.content.body'),"
            " json_extract(message, '$.content.caption'), media.words FROM messages"
            " LEFT JOIN media ON media.channel = messages.channel AND message_id = messages.id"
            f" WHERE chat GLOB '{GROUPS_GLOB}'"
            " AND author = ? AND from_me = 0",
            (author,),
        )
    ]
    return RepeatedWords(
        names=[*names, *(str(row[0]) for row in rows if row[0])],
        passages=[str(value) for row in rows for value in row[1:] if value],
        instead=instead,
    )


def rewrite_thread(
    connection: Connection,
    group: ChatKey,
    person: Person,
    words: RepeatedWords,
    *,
    after: int,
    up_to: int,
    most: int,
) -> tuple[list[tuple[int, str]], int | None]:
    """The next items of a group's thread that tell of the person, with what is left of each.

    Empty if nothing is: the item goes. Gives the number up to which was looked; None at the end.
    """
    labels = {mask_numbers(local_part(name)) for name in person.names}
    turns = frozenset(person.group_turns)
    rows = connection.execute(
        "SELECT id, turn_id, item FROM thread_items WHERE channel = ? AND chat = ?"
        " AND id > ? AND id <= ? ORDER BY id LIMIT ?",
        (*group, after, up_to, most),
    ).fetchall()
    found = []
    for number, turn, item in rows:
        if turn in turns or any(label in item for label in labels):
            found.append((int(number), ""))
            continue
        words_in = json.loads(item)
        is_note = str(words_in.get("content")).startswith(f"<{TAG} ")
        ours = words_in.get("role") != "user" or is_note
        left = words.taken_out(item) if ours else words.unquoted(item)
        if left != item:
            found.append((int(number), left))
    return found, int(rows[-1][0]) if len(rows) == most else None


OURS = (
    TextColumns("outbox", ("id",), ("body", "payload")),
    TextColumns("messages", ("seq",), ("message",)),
    TextColumns("responses", ("run_id", "round"), ("response", "note")),
    TextColumns("tool_calls", ("id",), ("arguments", "output")),
    TextColumns("escalations", ("turn_id",), ("reason", "summary")),
    TextColumns("facts", ("id",), ("fact",)),
    TextColumns("chats", ("channel", "chat"), ("contact_name",)),
)
"""Where we have written in groups; of messages, the echoes of it."""
ECHOES = 1

_ECHOES_OF = (
    f"SELECT seq FROM messages WHERE {OF_CHAT} AND seq > ? AND from_me = 1 AND reason = '{ECHO}'"
)
_OF_GROUP = (
    ("SELECT id FROM outbox WHERE channel = ? AND chat = ? AND id > ?", False, (0,)),
    (_ECHOES_OF, True, (ECHOES,)),
    (f"SELECT id FROM turns WHERE {OF_CHAT} AND id > ?", True, (2, 3, 4)),
    ("SELECT id FROM facts WHERE channel = ? AND chat = ? AND id > ?", False, (5,)),
)
"""How the rows of a group are found, if by the whole conversation, and to which of `OURS` they
lead."""
_OF_TURN = {
    2: "SELECT run_id, round FROM responses JOIN runs ON runs.id = run_id WHERE turn_id = ?",
    3: "SELECT id FROM tool_calls WHERE turn_id = ?",
    4: "SELECT turn_id FROM escalations WHERE turn_id = ?",
}
KINDS = len(_OF_GROUP)


def our_words_in(
    connection: Connection,
    group: ChatKey,
    change: Change,
    *,
    kind: int,
    after: int,
    most: int,
) -> tuple[list[tuple[Any, ...]], int | None]:
    """The next rows in which we have written of the person in a group: which of `OURS`, and key.

    Gives the number up to which was looked, of one ``kind`` of rows; None at the end of it.
    """
    query, whole, tables = _OF_GROUP[kind]
    of_group = (joined_key(group),) if whole else group
    rows = connection.execute(f"{query} ORDER BY 1 LIMIT ?", (*of_group, after, most)).fetchall()
    found = []
    for (number,) in rows:
        for table in tables:
            keys: list[Any] = [(number,)]
            if table in _OF_TURN:
                keys = connection.execute(_OF_TURN[table], (number,)).fetchall()
            found += [
                (table, *key) for key in keys if _changes(connection, OURS[table], key, change)
            ]
    return found, int(rows[-1][0]) if len(rows) == most else None


def _changes(
    connection: Connection, texts: TextColumns, key: Sequence[object], change: Change
) -> bool:
    where = " AND ".join(f"{column} = ?" for column in texts.key)
    row = connection.execute(
        f"SELECT {', '.join(texts.columns)} FROM {texts.table} WHERE {where}",
        tuple(key),
    ).fetchone()
    return any(text and change(text) != text for text in row or ())
