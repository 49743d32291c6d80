"""One conversation as people see it on a phone: both sides' messages, oldest first."""

import json
from dataclasses import dataclass
from typing import Any

from daemon.domain.messages import NOTE_KIND, ChatKey, JsonObject
from daemon.domain.states import RECEIVED, SENT
from daemon.ledger.drivers.port import Connection, named
from daemon.ledger.messages import SHOWN

NEWEST = 2**62
"""Beyond every row's number."""

_CAME = f"""
    SELECT m.seq AS number, m.id, m.kind, m.from_me, m.message, m.received_at AS at, m.state,
        m.reason, m.edited_at, m.earlier, m.deleted_at, t.request_id AS turn, f.state AS file_state,
        f.reason AS file_fault, f.file, f.mime, f.size, f.words, f.words_error
    FROM messages m LEFT JOIN turns t ON t.id = m.turn_id
    LEFT JOIN media f ON f.channel = m.channel AND f.message_id = m.id
    WHERE m.channel || '/' || m.chat = :chat AND m.seq < :before AND {SHOWN}
    ORDER BY m.seq DESC LIMIT :limit
"""
_WENT = """
    SELECT o.id AS number, o.message_id AS id, o.kind, o.body, o.payload, o.quoted, o.author,
        COALESCE(o.sent_at, o.created_at) AS at, o.state, o.status, o.error, o.attempts,
        o.delivered_at, o.read_at, t.request_id AS turn, t.doubt
    FROM outbox o LEFT JOIN turns t ON t.id = o.turn_id
    WHERE o.channel = :number AND o.chat = :chat AND o.id < :before AND o.kind != 'reaction'
    ORDER BY o.id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Before:
    """The end of the previous page: ids of the first message and outbox row of this one."""

    came: int = NEWEST
    went: int = NEWEST


def bubbles_before(
    connection: Connection, key: ChatKey, *, before: Before, limit: int
) -> tuple[list[JsonObject], Before | None]:
    """The last ``limit`` messages of a chat before a place; and where the page before ends.

    Each has ``id``, ``side`` (``customer``, ``bot``, ``agent`` or ``other``), ``name``, ``at``,
    ``content`` (as in `daemon.domain.messages`, and ``buttons``, ``list``), ``file``, ``quote``,
    ``reactions``, ``earlier`` (its wordings before it was edited: ``words``, ``until``), ``state``,
    ``turn`` (its name in the log), ``doubt`` (who doubted it), and what else its side has.
    """
    page, following = _page(connection, key, before, limit)
    _add_reactions(connection, key, page)
    _add_quotes(connection, key, page)
    return page, following


def last_bubble(connection: Connection, key: ChatKey) -> JsonObject | None:
    """The last message of a chat, without reactions and quotes; None if there is none."""
    page, _ = _page(connection, key, Before(), 1)
    return page[0] if page else None


def _page(
    connection: Connection, key: ChatKey, before: Before, limit: int
) -> tuple[list[JsonObject], Before | None]:
    """Merge both sides from the end backwards, each in the order of its own numbers."""
    came = named(
        connection.execute(
            _CAME, {"chat": "/".join(key), "before": before.came, "limit": limit + 1}
        )
    )
    went = named(
        connection.execute(_WENT, {**key._asdict(), "before": before.went, "limit": limit + 1})
    )
    page: list[JsonObject] = []
    place = before
    while (came or went) and len(page) < limit:
        if not went or (came and came[0]["at"] >= went[0]["at"]):
            row = came.pop(0)
            place = Before(row["number"], place.went)
            page.append(_inbound_bubble(row))
        else:
            row = went.pop(0)
            place = Before(place.came, row["number"])
            page.append(_outbound_bubble(row))
    return page[::-1], place if came or went else None


# -- messages of customers and of people of the business -------------------------------------------


def _inbound_bubble(row: dict[str, Any]) -> JsonObject:
    message = json.loads(row["message"])
    content = message["content"]
    for inner in ("inline", "preview", "link", "media_id", "raw"):
        content.pop(inner, None)
    return {
        "id": f"in-{row['number']}",
        "message_id": row["id"],
        "side": _side(row),
        "name": message.get("author_name", ""),
        "author": message.get("author", ""),
        "at": row["at"],
        "kind": row["kind"],
        "content": content,
        "file": _file(row) if content["type"] == "media" else None,
        "quote": message.get("quote"),
        "forwarded": message.get("forwarded", False),
        "disappears": message.get("ephemeral", False) or content.get("view_once", False),
        "edited_at": row["edited_at"],
        "earlier": json.loads(row["earlier"]),
        "deleted_at": row["deleted_at"],
        "state": row["state"],
        "reason": "" if row["reason"] == "agent" else row["reason"],
        "turn": row["turn"] or "",
        "doubt": "",
        "reactions": [],
    }


def _side(row: dict[str, Any]) -> str:
    """The side that wrote it; ``other`` for automatic messages of our own number, and notes."""
    if row["kind"] == NOTE_KIND:
        return "other"
    if not row["from_me"]:
        return "customer"
    operator_actions = row["reason"] == "agent" or row["state"] == RECEIVED
    return "agent" if operator_actions else "other"


def _file(row: dict[str, Any]) -> JsonObject:
    """The row of a message's file; ``state`` is empty if it was never looked for."""
    return {
        "state": row["file_state"] or "",
        "fault": row["file_fault"] or "",
        "name": row["file"] or "",
        "mime": row["mime"] or "",
        "size": row["size"] or 0,
        "words": row["words"],
        "words_fault": row["words_error"] or "",
    }


# -- our sends -------------------------------------------------------------------------------------


def _outbound_bubble(row: dict[str, Any]) -> JsonObject:
    payload = json.loads(row["payload"] or "{}")
    return {
        "id": f"out-{row['number']}",
        "message_id": row["id"],
        "side": "agent" if row["author"] else "bot",
        "name": row["author"],
        "author": "",
        "at": row["at"],
        "kind": row["kind"],
        "content": _own_content(row["kind"], row["body"], payload),
        "file": _own_file(row, payload),
        "quote": {"id": row["quoted"]} if row["quoted"] else None,
        "forwarded": False,
        "disappears": False,
        "edited_at": None,
        "earlier": [],
        "deleted_at": None,
        "state": _outcome(row),
        "reason": row["error"],
        "attempts": row["attempts"],
        "delivered_at": row["delivered_at"],
        "read_at": row["read_at"],
        "turn": row["turn"] or "",
        "doubt": row["doubt"] or "",
        "reactions": [],
    }


def _outcome(row: dict[str, Any]) -> str:
    """The state of a message of ours: its row's state, or WhatsApp's later update."""
    is_reported = row["status"] in {"delivered", "read", "played"}
    return str(row["status"] if row["state"] == SENT and is_reported else row["state"])


def _own_content(kind: str, body: str, payload: dict[str, Any]) -> JsonObject:
    """A message of ours in the shape of one that came; payloads as in `rendering.outgoing`."""
    if kind in {"voice", "image", "document"}:
        name = payload.get("filename", "")
        return {"type": "media", "medium": kind, "caption": body, "file_name": name}
    if kind == "location":
        return {"type": "location", **payload}
    if kind == "contact":
        return {"type": "contacts", "cards": [payload]}
    if kind == "poll":
        return {"type": "poll", "title": body, "options": payload.get("options", ())}
    if kind == "buttons":
        titles = [button.get("title", "") for button in payload.get("buttons", ())]
        return {"type": "buttons", "body": body, "titles": titles}
    if kind == "list":
        titles = [line.get("title", "") for line in payload.get("rows", ())]
        return {"type": "list", "body": body, "label": payload.get("label", ""), "titles": titles}
    return {"type": "text", "body": body}


def _own_file(row: dict[str, Any], payload: dict[str, Any]) -> JsonObject | None:
    """A voice note lies in ``audio/``; pictures and documents are only named."""
    if row["kind"] == "voice":
        name = str(payload.get("file", ""))
        return {"state": "spoken" if name else "", "name": name, "words": row["body"]}
    return {"state": "given", "name": ""} if row["kind"] in {"image", "document"} else None


# -- what belongs to several -----------------------------------------------------------------------


def _add_reactions(connection: Connection, key: ChatKey, page: list[JsonObject]) -> None:
    """Put each side's last reaction on the bubble that it is about."""
    by_id = {bubble["message_id"]: bubble for bubble in page if bubble["message_id"]}
    if not by_id:
        return
    since = min((_number(bubble) for bubble in page if bubble["id"].startswith("in-")), default=0)
    theirs = connection.execute(
        "SELECT message, from_me FROM messages WHERE channel || '/' || chat = ? AND seq >= ?"
        " AND content_type = 'reaction' ORDER BY seq",
        ("/".join(key), since),
    )
    ours = connection.execute(
        "SELECT payload, 1 FROM outbox"
        " WHERE channel = ? AND chat = ? AND kind = 'reaction' AND state = ? ORDER BY id",
        (*key, SENT),
    )
    last: dict[tuple[str, bool], str] = {}
    for text, is_ours in (*theirs, *ours):
        stored = json.loads(text)
        reaction = stored.get("content", stored)
        last[str(reaction.get("target")), bool(is_ours)] = str(reaction.get("emoji") or "")
    for (target, _), emoji in last.items():
        if emoji and target in by_id:
            by_id[target]["reactions"].append(emoji)


def _number(bubble: JsonObject) -> int:
    return int(str(bubble["id"]).partition("-")[2])


def _add_quotes(connection: Connection, key: ChatKey, page: list[JsonObject]) -> None:
    """Find the words of what is quoted, where the message itself does not have them."""
    for bubble in page:
        quote = bubble["quote"]
        if not quote:
            continue
        quote["mine"] = True
        quoted = connection.execute(
            "SELECT body FROM outbox WHERE message_id = ? AND message_id != ''", (quote["id"],)
        ).fetchone()
        if quoted is None:
            quoted = connection.execute(
                "SELECT words FROM messages WHERE channel = ? AND id = ?",
                (key.number, quote["id"]),
            ).fetchone()
            quote["mine"] = False
        quote["body"] = quote.get("body") or (quoted[0] if quoted else "")
