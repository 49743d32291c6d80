"""What the Cloud API refuses of a send at once, and the text of one that it takes."""

import re
from typing import Any

from daemon.sandbox.asgi import Upload

_LIMITS = {"text": 4096, "caption": 1024, "question": 1024, "title": 20, "row": 24}


class Refused(Exception):
    """The call is answered with an error."""

    def __init__(self, code: int, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code, self.status = code, status


def check_send(content: dict[str, Any], files: dict[str, Upload]) -> None:
    """Refuse what Meta refuses at once. Raises Refused."""
    kind = content.get("type")
    part = content.get(kind) if isinstance(kind, str) else None
    if content.get("messaging_product") != "whatsapp" or not part:
        raise Refused(100, "messaging_product or type")
    if content.get("recipient_type") not in {"individual", "group"}:
        raise Refused(100, "recipient_type")
    if not content.get("to") and not content.get("recipient"):
        raise Refused(131008, "to")
    if len(content.get("biz_opaque_callback_data", "")) > 512:
        raise Refused(100, "biz_opaque_callback_data")
    _check_part(kind, part, files)


def check_template(part: dict[str, Any], templates: list[dict[str, Any]]) -> None:
    """Refuse a template as Meta does. Raises Refused."""
    language = part["language"]["code"]
    known = [t for t in templates if (t["name"], t["language"]) == (part["name"], language)]
    if not known:
        raise Refused(132001, "template name does not exist in the translation", 404)
    if known[0]["status"] != "APPROVED":
        raise Refused(132015, "the template is paused")
    given = {one["type"]: one["parameters"] for one in part.get("components", [])}
    texts = {one["type"].lower(): one.get("text", "") for one in known[0]["components"]}
    for place in ("header", "body"):
        wanted = len(set(re.findall(r"{{(.+?)}}", texts.get(place, ""))))
        if wanted != len(given.get(place, [])):
            raise Refused(132000, f"{place}: number of parameters does not match")


def _check_part(kind: Any, part: Any, files: dict[str, Upload]) -> None:
    if kind == "text":
        _require(0 < len(part.get("body", "")) <= _LIMITS["text"], "text.body")
    elif kind in {"image", "audio", "document", "video", "sticker"}:
        _require(("id" in part) != ("link" in part), "id or link")
        _require("id" not in part or part["id"] in files, "media id")
        _require(len(part.get("caption", "")) <= _LIMITS["caption"], "caption")
    elif kind == "interactive":
        _check_interactive(part)
    elif kind == "contacts":
        _require(
            isinstance(part, list) and all(one["name"]["formatted_name"] for one in part), "name"
        )
    elif kind == "template":
        _require(part.get("name") and part.get("language", {}).get("code"), "template")
    elif kind == "reaction":
        _require("message_id" in part and "emoji" in part, "reaction")
    elif kind != "location":
        raise Refused(131051, "Unsupported message type")


def _check_interactive(part: dict[str, Any]) -> None:
    _require(0 < len(part["body"]["text"]) <= _LIMITS["question"], "interactive.body")
    action = part["action"]
    if part["type"] == "button":
        titles = [button["reply"]["title"] for button in action["buttons"]]
        _require(0 < len(titles) <= 3, "action.buttons")
        _require(all(0 < len(title) <= _LIMITS["title"] for title in titles), "button title")
        return
    _require(part["type"] == "list" and 0 < len(action["button"]) <= 20, "interactive.action")
    rows = [row for section in action["sections"] for row in section["rows"]]
    _require(0 < len(rows) <= 10, "section rows")
    _require(all(0 < len(row["title"]) <= _LIMITS["row"] for row in rows), "row title")
    several = len(action["sections"]) > 1
    _require(not several or all(s["title"] for s in action["sections"]), "section title")


def _require(holds: Any, what: str) -> None:
    if not holds:
        raise Refused(131009, f"Parameter value is not valid: {what}")


def text_of(content: dict[str, Any]) -> str:
    """The text of a sent message."""
    part = content[content["type"]]
    if isinstance(part, list):
        return ", ".join(str(one["name"]["formatted_name"]) for one in part)
    body = part.get("body") or part.get("name")
    return str(body["text"] if isinstance(body, dict) else body or part.get("caption") or "")
