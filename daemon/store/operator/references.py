"""What the messages of others refer to: quotations of a person, reactions to their messages."""

import json
import sqlite3

import msgspec

from daemon.model import Deletion, Edit, Message, Reaction, Vote
from daemon.store.operator.person import Person

_json = msgspec.json.Encoder()
_read_message = msgspec.json.Decoder(Message)


def erase_references(connection: sqlite3.Connection, person: Person) -> None:
    """Take the person's words out of what others have quoted, reacted to and voted in."""
    rows = connection.execute(
        "SELECT seq, message FROM messages WHERE json_extract(message, '$.quote.id')"
        " IN (SELECT value FROM json_each(?)) OR json_extract(message, '$.quote.author')"
        " IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(person.message_ids)), json.dumps(person.authors)),
    ).fetchall()
    for seq, text in rows:
        bare = msgspec.structs.replace(_read_message.decode(text), quote=None)
        connection.execute(
            "UPDATE messages SET message = ? WHERE seq = ?", (_json.encode(bare).decode(), seq)
        )
    signs = connection.execute(
        "SELECT seq, message FROM messages WHERE json_extract(message, '$.content.target')"
        " IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(person.message_ids)),),
    ).fetchall()
    for seq, text in signs:
        bare = _without_target(_read_message.decode(text))
        connection.execute(
            "UPDATE messages SET message = ? WHERE seq = ?", (_json.encode(bare).decode(), seq)
        )


def _without_target(message: Message) -> Message:
    """A reaction, vote, edit or deletion that tells no more of what it is about."""
    content = message.content
    if isinstance(content, Reaction):
        content = msgspec.structs.replace(content, target="", about="")
    elif isinstance(content, Vote):
        content = msgspec.structs.replace(content, target="", question="", chosen=())
    elif isinstance(content, Edit | Deletion):
        content = msgspec.structs.replace(content, target="")
    return msgspec.structs.replace(message, content=content)
