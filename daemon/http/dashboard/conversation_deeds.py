"""What people do in a conversation: take it over, give it back, write, label, forget."""

import re

from quart import Blueprint
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.messages import JsonObject
from daemon.http.api import json_object
from daemon.http.dashboard.asked import confirm_word
from daemon.http.dashboard.shell import Shell

LONGEST_TEXT = 4096
"""Of a WhatsApp message."""
LONGEST_NAME = 60
LONGEST_LABEL = 100
MOST_LABELS = 20
LONGEST_PAUSE_MINUTES = 60 * 24 * 365
DEED = re.compile(r"[0-9A-Za-z-]{8,64}")


def add_deeds(chats: Blueprint, shell: Shell) -> None:
    """Add the routes to those of the conversations."""
    desk = shell.daemon.desk

    @chats.post("/dashboard/api/chats/<ref>/pause")
    async def take_over(ref: str) -> ResponseReturnValue:
        minutes = (await json_object()).get("minutes")
        if minutes is not None and not _is_time(minutes):
            return {"error": "minutes must be a number above 0"}, 400
        return _done(await desk.take_over(ref, minutes, by=shell.actor()))

    @chats.post("/dashboard/api/chats/<ref>/resume")
    async def give_back(ref: str) -> ResponseReturnValue:
        return _done(await desk.give_back(ref, by=shell.actor()))

    @chats.post("/dashboard/api/chats/<ref>/done")
    async def done(ref: str) -> ResponseReturnValue:
        return _done(await desk.done(ref, by=shell.actor()))

    @chats.post("/dashboard/api/chats/<ref>/send")
    async def say(ref: str) -> ResponseReturnValue:
        return await _say(shell, ref)

    @chats.post("/dashboard/api/chats/<ref>/labels")
    async def label(ref: str) -> ResponseReturnValue:
        return await _label(shell, ref)

    @chats.post("/dashboard/api/chats/<ref>/forget")
    async def forget(ref: str) -> ResponseReturnValue:
        return await _forget(shell, ref)


async def _say(shell: Shell, ref: str) -> ResponseReturnValue:
    fields = await json_object()
    text, name, action = (_text(fields, key) for key in ("text", "name", "deed"))
    if not text or len(text) > LONGEST_TEXT:
        return {"error": f"a message has 1 to {LONGEST_TEXT} characters"}, 400
    if not DEED.fullmatch(action):
        return {"error": "deed must name the click"}, 400
    name = " ".join(name.split())[:LONGEST_NAME] or shell.wording().t("Agent")
    return _done(await shell.daemon.desk.say(ref, text, name=name, action=action, by=shell.actor()))


async def _label(shell: Shell, ref: str) -> ResponseReturnValue:
    fields = await json_object()
    add, remove = (_names(fields, key) for key in ("add", "remove"))
    if not add and not remove:
        return {"error": "no label is named"}, 400
    fault = await shell.daemon.desk.label(ref, add=add, remove=remove, by=shell.actor())
    if fault is None:
        raise NotFound
    return ({"error": fault}, 409) if fault else {"done": True}


async def _forget(shell: Shell, ref: str) -> ResponseReturnValue:
    desk = shell.daemon.desk
    chat = await desk.chat(ref)
    if chat is None:
        raise NotFound
    if _text(await json_object(), "confirm") != confirm_word(chat):
        return {"error": "the last four digits do not match; nothing was erased"}, 409
    return {"done": True, "erased": await desk.forget(ref, by=shell.actor()) or ""}


def _text(fields: JsonObject, key: str) -> str:
    """A text of the request; one that cannot be stored as UTF-8 counts as none."""
    value = fields.get(key)
    if not isinstance(value, str):
        return ""
    return value.strip() if _is_encodable(value) else ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(fields: JsonObject, key: str) -> tuple[str, ...]:
    given = fields.get(key)
    names = given if isinstance(given, list) else []
    known = [name.strip() for name in names if isinstance(name, str) and _is_encodable(name)]
    return tuple(name for name in known if 0 < len(name) <= LONGEST_LABEL)[:MOST_LABELS]


def _is_time(minutes: object) -> bool:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        return False
    return 0 < minutes <= LONGEST_PAUSE_MINUTES


def _done(known: bool) -> ResponseReturnValue:  # noqa: FBT001 - the only argument
    if not known:
        raise NotFound
    return {"done": True}
