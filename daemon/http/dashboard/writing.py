"""Writing from the desk: files, quotes, reactions, and the first message of a chat."""

import mimetypes
from pathlib import PurePath

from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from daemon.domain.ids import chat_id
from daemon.domain.messages import ChatKey, JsonObject
from daemon.http.dashboard.conversation_api import (
    ACTION_ID,
    LONGEST_TEXT,
    agent_name,
    found,
    text_of,
)
from daemon.http.dashboard.shell import Shell
from daemon.http.request_context import json_object

CHAT = "/dashboard/api/chats/<ref>"
LARGEST_FILE = 16 * 1024 * 1024
"""Bytes; WhatsApp takes no larger picture, sound or film."""
LONGEST_CAPTION = 1024
LONGEST_FILE_NAME = 100
LONGEST_QUOTE = 200
"""Of a message's id."""


def add_writing(chats: Blueprint, shell: Shell) -> None:
    """Add the routes of what is written besides plain words."""
    operations = shell.operations

    @chats.post(f"{CHAT}/file")
    async def send_file(ref: str) -> ResponseReturnValue:
        return await _send_file(shell, ref)

    @chats.post(f"{CHAT}/react")
    async def react(ref: str) -> ResponseReturnValue:
        fields = await json_object()
        target, emoji, action = (text_of(fields, name) for name in ("message", "emoji", "action"))
        if not ACTION_ID.fullmatch(action):
            return {"error": "action must be an id of the click"}, 400
        key = await shell.chat(ref)
        fault = await operations.react(key, target, emoji, action=action, by=shell.actor())
        return ({"error": fault}, 409) if fault else {"done": True}

    @chats.post(f"{CHAT}/suggest")
    async def suggest(ref: str) -> ResponseReturnValue:
        text = await operations.suggest(await shell.chat(ref))
        return {"text": text} if text else ({"error": "the model has no suggestion now"}, 503)

    @chats.post("/dashboard/api/begin")
    async def begin() -> ResponseReturnValue:
        return await _begin(shell)


async def _send_file(shell: Shell, ref: str) -> ResponseReturnValue:
    """Send a file of a form: a picture, a sound as a voice note, all else as a document."""
    request.max_content_length = LARGEST_FILE + 100_000
    form, files = await request.form, await request.files
    file, caption, action = files.get("file"), form.get("caption", "").strip(), form.get("action")
    if file is None or not ACTION_ID.fullmatch(action or ""):
        return {"error": "a form with a file and the id of the click is needed"}, 400
    data = file.read(LARGEST_FILE + 1)
    if not 0 < len(data) <= LARGEST_FILE:
        return {"error": "a file has 1 byte to 16 MB"}, 413
    if len(caption) > LONGEST_CAPTION:
        return {"error": f"a caption has at most {LONGEST_CAPTION} characters"}, 400
    name = PurePath((file.filename or "file").replace("\\", "/")).name[-LONGEST_FILE_NAME:]
    await shell.operations.send_file(
        await shell.chat(ref),
        data,
        name=name,
        mime_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        caption=caption,
        agent=agent_name(shell, {}),
        action=str(action),
        by=shell.actor(),
    )
    return {"done": True}


async def _begin(shell: Shell) -> ResponseReturnValue:
    """Write to a number that may never have written; tell the new chat's public name."""
    operations, fields = shell.operations, await json_object()
    to, text, action = (text_of(fields, name) for name in ("to", "text", "action"))
    number = text_of(fields, "number") or operations.numbers.first.name
    if operations.numbers.get(number) is None:
        return {"error": "there is no such number of ours"}, 409
    digits = "".join(letter for letter in to if letter.isdecimal())
    if not 8 <= len(digits) <= 15:
        return {"error": "a phone number has 8 to 15 digits, the country's first"}, 400
    if not text or len(text) > LONGEST_TEXT or not ACTION_ID.fullmatch(action):
        return {"error": f"a message has 1 to {LONGEST_TEXT} characters"}, 400
    key = ChatKey(number, chat_id(digits))
    known = await operations.views.chat(key)
    if known and known["opted_out_at"]:
        return {"error": "the contact has opted out of unrequested messages"}, 409
    agent = agent_name(shell, fields)
    await operations.send(key, text, agent=agent, action=action, by=shell.actor())
    chat: JsonObject = found(await operations.views.chat(key))
    return {"ref": chat["ref"]}
