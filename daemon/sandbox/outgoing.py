"""Sends through Whapi, and the messages that they become. Pure functions.

Required fields and shapes follow Whapi's OpenAPI file (version 1.8.7): a request says what to send,
its message says what was sent, and the two differ for files, polls and menus.
"""

import re
from collections.abc import Mapping
from typing import Any

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.outgoing import poll_option_id

MEDIA_KINDS = frozenset({"image", "video", "short", "gif", "audio", "voice", "document", "sticker"})
"""The kinds of message that are a file."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "text": ("body",),
    "link_preview": ("body", "title"),
    **dict.fromkeys(MEDIA_KINDS, ("media",)),
    "location": ("latitude", "longitude"),
    "live_location": ("latitude", "longitude"),
    "contact": ("name", "vcard"),
    "contact_list": ("list",),
    "poll": ("title", "options"),
    "interactive": ("body", "action"),
}
"""Required fields of each kind of send, besides ``to``."""

_RECIPIENT = re.compile(r"[\d-]{9,31}(@[\w.]+)?")
_NOT_CONTENT = frozenset(
    {
        "to",
        "quoted",
        "media",
        "filename",
        "typing_time",
        "recording_time",
        "no_link_preview",
        "wide_link_preview",
        "no_encode",
        "no_cache",
        "mentions",
        "ephemeral",
    }
)
"""Fields of a request that say how to send, not what."""


def fault_in(kind: str, data: JsonObject) -> str:
    """Return the name of the first field that is missing or wrong; empty if all is well."""
    if not isinstance(data.get("to"), str) or not _RECIPIENT.fullmatch(data["to"]):
        return "to"
    for name in REQUIRED[kind]:
        if not data.get(name) and data.get(name) != 0:
            return name
    words = dict if kind == "interactive" else str
    if "body" in REQUIRED[kind] and not isinstance(data["body"], words):
        return "body"
    seconds = data.get("typing_time", 0)
    if not (isinstance(seconds, int | float) and 0 <= seconds <= 60):
        return "typing_time"
    return _fault_in_content(kind, data)


def content_of(kind: str, data: JsonObject) -> JsonObject:
    """Return the content of the message that a valid request makes, its file aside."""
    content = {name: value for name, value in data.items() if name not in _NOT_CONTENT}
    if kind == "poll":
        return poll(str(content["title"]), [str(o) for o in content["options"]], data.get("count"))
    if kind == "interactive":
        return {"type": "button", **content}
    if kind == "link_preview":
        link = re.search(r"https?://\S+", content["body"])
        return {"url": link[0] if link else "", **content}
    return content


def poll(title: str, options: list[str], vote_limit: object = 1) -> JsonObject:
    """Return a poll without votes; WhatsApp names options by the hash of their words."""
    results = [
        {"id": poll_option_id(option), "name": option, "count": 0, "voters": []}
        for option in options
    ]
    limit = vote_limit if isinstance(vote_limit, int) else 1
    return {
        "title": title,
        "options": options,
        "vote_limit": limit,
        "total": 0,
        "results": results,
    }


def voted(content: JsonObject, voter: str, chosen: list[str]) -> JsonObject:
    """Return a poll's content once `voter` (digits) has chosen these option ids, and no others."""
    results = []
    for result in content.get("results", ()):
        voters = [name for name in result["voters"] if name != voter]
        if result["id"] in chosen:
            voters.append(voter)
        results.append({**result, "voters": voters, "count": len(voters)})
    return {**content, "results": results, "total": sum(r["count"] for r in results)}


def choices(content: JsonObject) -> dict[str, tuple[str, JsonObject]]:
    """Return what can be tapped in an interactive message.

    By our id: the kind of reply (``buttons_reply``, ``list_reply``) and its content, with the id
    as Whapi gives it back.
    """
    action = content.get("action") or {}
    found: dict[str, tuple[str, JsonObject]] = {}
    for button in action.get("buttons") or ():
        if button.get("type", "quick_reply") == "quick_reply":
            reply = {"id": f"ButtonsV3:{button['id']}", "title": button.get("title", "")}
            found[str(button["id"])] = "buttons_reply", reply
    for section in (action.get("list") or {}).get("sections") or ():
        for row in section.get("rows") or ():
            reply = {"id": f"ListV3:{row['id']}", "title": row.get("title", "")}
            if row.get("description"):
                reply["description"] = row["description"]
            found[str(row["id"])] = "list_reply", reply
    return found


def quoted_menu(content: JsonObject) -> tuple[str, JsonObject]:
    """Return type and content by which a reply quotes the menu it was tapped in."""
    header, body, footer = (_words(content.get(name)) for name in ("header", "body", "footer"))
    action = content.get("action") or {}
    if action.get("list"):
        menu = action["list"]
        sections = [
            {**s, "rows": [{**row, "id": f"ListV3:{row['id']}"} for row in s.get("rows") or ()]}
            for s in menu.get("sections") or ()
        ]
        quoted = {"title": header, "description": body, "label": menu.get("label", "")}
        return "list", {**quoted, "sections": sections}
    buttons = [
        {"type": b.get("type"), "text": b.get("title"), "id": f"ButtonsV3:{b.get('id')}"}
        for b in action.get("buttons") or ()
    ]
    return "hsm", {"header": header, "body": body, "footer": footer, "buttons": buttons}


def _words(part: Any) -> str:
    return str(part.get("text", "")) if isinstance(part, dict) else ""


def _fault_in_content(kind: str, data: JsonObject) -> str:
    if kind == "poll":
        options = data["options"]
        return "" if isinstance(options, list) and 2 <= len(options) <= 12 else "options"
    if kind == "contact_list":
        return "" if isinstance(data["list"], list) else "list"
    if kind == "interactive":
        return "" if isinstance(data["action"], dict) and choices_are_whole(data) else "action"
    if kind in {"location", "live_location"}:
        fine = (-90 <= _number(data["latitude"]) <= 90, -180 <= _number(data["longitude"]) <= 180)
        return "" if all(fine) else "latitude"
    return ""


def choices_are_whole(data: JsonObject) -> bool:
    """Return whether each button and row of a menu has the id and title that Whapi requires."""
    action = data["action"]
    menu = action.get("list") or {}
    if menu and not (menu.get("label") and menu.get("sections")):
        return False
    rows = [row for section in menu.get("sections") or () for row in section.get("rows") or ()]
    parts = [*(action.get("buttons") or ()), *rows]
    return bool(parts or action.get("product")) and all(
        isinstance(part, dict) and part.get("id") and part.get("title") for part in parts
    )


def _number(value: object) -> float:
    """Return a number, also from its text; infinity, which no limit allows, for anything else."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("inf")
