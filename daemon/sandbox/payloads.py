"""Whapi's JSON shapes, built from values: messages, statuses, presences. Pure functions.

The shapes follow Whapi's documentation of webhooks and its OpenAPI file (version 1.8.7).
"""

import random
import re
import string
from collections.abc import Mapping
from typing import Any

from daemon.domain.messages import JsonObject

CHANNEL = "SANDBX-R3C4D"
"""Channel id of the simulated number, in the form of Whapi's (``MANTIS-M72HC``)."""
OWN_NUMBER = "573000000001"
OWN_NAME = "Hotel Recado"
_ID_LETTERS = string.ascii_letters + string.digits
_LINK = re.compile(r"https?://\S+")
_STATUS_CODES = {"failed": 0, "pending": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5}


def chat_id_of(name: str) -> str:
    """Return the chat id for digits or a chat id: ``5730…`` is ``5730…@s.whatsapp.net``."""
    return name if "@" in name else f"{name}@s.whatsapp.net"


def digits_of(chat: str) -> str:
    """Return a chat id without its suffix."""
    return chat.partition("@")[0]


def new_id(rng: random.Random) -> str:
    """Return an unused message id in the form of Whapi's (22 characters, a dash, 10)."""
    return f"{''.join(rng.choices(_ID_LETTERS, k=22))}-{''.join(rng.choices(_ID_LETTERS, k=10))}"


def text_content(text: str) -> JsonObject:
    """Return type and content of a written message; one with a link has a type of its own."""
    link = _LINK.search(text)
    if link is None:
        return {"type": "text", "text": {"body": text}}
    preview = {"body": text, "url": link[0], "title": link[0], "canonical": link[0]}
    return {"type": "link_preview", "link_preview": preview}


def customer_message(
    content: JsonObject,
    *,
    message_id: str,
    chat: str,
    at: float,
    author: str,
    name: str,
    chat_name: str,
) -> JsonObject:
    """Return a message from a customer; fields in `content` win."""
    return {
        "id": message_id,
        "from_me": False,
        "chat_id": chat,
        "timestamp": int(at),
        "source": "mobile",
        "chat_name": chat_name,
        "from": author,
        "from_name": name,
        **content,
    }


def own_message(
    content: JsonObject, *, message_id: str, chat: str, at: float, source: str
) -> JsonObject:
    """Return a message that left the business's number: ``api``, or a human's ``mobile``/``web``.

    Only what was not sent from the phone's own application has a ``device_id``.
    """
    message = {
        "id": message_id,
        "from_me": True,
        "chat_id": chat,
        "timestamp": int(at),
        "source": source,
        "status": "pending" if source == "api" else "sent",
        "from": OWN_NUMBER,
        "from_name": OWN_NAME,
        **content,
    }
    if source != "mobile":
        message["device_id"] = 14
    return message


def status_update(
    message: JsonObject, status: str, at: float, *, error: str = "", viewer: str = ""
) -> JsonObject:
    """Return Whapi's status update of a message; its time is a string of seconds.

    `viewer` is who read it, where that is not the chat's contact.
    """
    update = {
        "id": message["id"],
        "code": _STATUS_CODES[status],
        "status": status,
        "recipient_id": message["chat_id"],
        "viewer_id": viewer or digits_of(message["chat_id"]),
        "timestamp": str(int(at)),
    }
    if error:
        update["errors"] = [{"code": 131026, "message": error}]
    return update


def voice_call(
    call_id: str, chat: str, caller: str, status: str, at: float, *, video: bool
) -> JsonObject:
    """Return Whapi's event of a voice call; its time is in milliseconds."""
    return {
        "id": call_id,
        "from": chat_id_of(caller),
        "chat_id": chat,
        "status": status,
        "timestamp": int(at * 1000),
        "group_call": chat.endswith("@g.us"),
        "video_call": video,
        "offline_call": False,
        "latency": 0,
    }


def quote_context(quoted: JsonObject) -> JsonObject:
    """Return the ``context`` of a message that answers `quoted`."""
    return {
        "quoted_id": quoted["id"],
        "quoted_type": quoted["type"],
        "quoted_author": quoted.get("from", ""),
        "quoted_content": quoted.get(quoted["type"], {}),
    }


def words_of(message: JsonObject) -> str:
    """Return the words of a message: its text, or its caption or title; empty if it has none."""
    content = message.get(message.get("type", ""), {})
    if not isinstance(content, dict):
        return ""
    return next((str(content[k]) for k in ("body", "caption", "title") if content.get(k)), "")


def webhook_payload(event: str, parts: Mapping[str, Any]) -> JsonObject:
    """Return the body of one webhook call about `event`, such as ``messages.post``."""
    kind, _, method = event.partition(".")
    return {**parts, "event": {"type": kind, "event": method}, "channel_id": CHANNEL}
