"""Who has a chat, by hand: `POST /takeover/pause`, `/takeover/resume` and `/takeover/done`.

The body is JSON: ``{"chat": "573001234567", "minutes": 30}``; without ``minutes`` the configured
time counts. ``done``: what waits for a person in the chat counts as handled. Only JSON is read, so
a foreign page in a browser cannot post a form here.
"""

from math import isfinite

import msgspec
from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from daemon.domain.messages import JsonObject
from daemon.http.actor import request_actor
from daemon.http.facade import Daemon, EdgeSettings

# The JSON object that a request of a page or a program carries.


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it will not decode."""


async def json_object() -> JsonObject:
    """The present request's JSON object; empty if it has none, or none that can be read.

    Only what says that it is JSON is read, so a foreign page in a browser cannot post a form.
    Neither bytes that are no UTF-8, nor halves of characters, nor lists within lists without end
    are a fault of the daemon.
    """
    if not request.is_json:
        return {}
    body = await request.get_data()
    try:
        fields = msgspec.json.decode(body)
    except _UNREADABLE:
        return {}
    return fields if isinstance(fields, dict) else {}


MAX_MINUTES = 60 * 24 * 365


def create_takeover(daemon: Daemon, settings: EdgeSettings) -> Blueprint:
    """Return the routes; the caller puts the guard in front of them."""
    takeover = Blueprint("takeover", __name__)

    @takeover.post("/takeover/pause")
    async def pause() -> ResponseReturnValue:
        fields = await json_object()
        minutes = fields.get("minutes")
        if minutes is not None and not _is_time(minutes):
            return {"error": "minutes must be a number above 0"}, 400
        chat = fields.get("chat")
        if not isinstance(chat, str) or not chat:
            return {"error": "chat is missing"}, 400
        return _told(await daemon.pause(chat, minutes, by=request_actor(settings)))

    @takeover.post("/takeover/resume")
    async def resume() -> ResponseReturnValue:
        chat = (await json_object()).get("chat")
        if not isinstance(chat, str) or not chat:
            return {"error": "chat is missing"}, 400
        return _told(await daemon.resume(chat, by=request_actor(settings)))

    @takeover.post("/takeover/done")
    async def done() -> ResponseReturnValue:
        chat = (await json_object()).get("chat")
        if not isinstance(chat, str) or not chat:
            return {"error": "chat is missing"}, 400
        chats, closed = await daemon.mark_done(chat, by=request_actor(settings))
        return {"chats": chats, "messages": closed} if chats else _told(0)

    return takeover


def _is_time(minutes: object) -> bool:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        return False
    return isfinite(minutes) and 0 < minutes <= MAX_MINUTES


def _told(chats: int) -> ResponseReturnValue:
    return {"chats": chats} if chats else ({"error": "no such chat"}, 404)
