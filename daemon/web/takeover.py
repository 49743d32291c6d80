"""Pausing and resuming the bot on a chat, by hand: `POST /takeover/pause` and `/takeover/resume`.

The body is JSON: ``{"chat": "573001234567", "minutes": 30}``; without ``minutes`` the configured
time counts. Only JSON is read, so a foreign page in a browser cannot post a form here.
"""

from math import isfinite
from typing import Any

from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from daemon.web.facade import Daemon

MAX_MINUTES = 60 * 24 * 365


def create_takeover(daemon: Daemon) -> Blueprint:
    """Return the routes; the caller puts the guard in front of them."""
    takeover = Blueprint("takeover", __name__)

    @takeover.post("/takeover/pause")
    async def pause() -> ResponseReturnValue:
        fields = await _fields()
        minutes = fields.get("minutes")
        if minutes is not None and not _is_time(minutes):
            return {"error": "minutes must be a number above 0"}, 400
        chat = fields.get("chat")
        if not isinstance(chat, str) or not chat:
            return {"error": "chat is missing"}, 400
        return _told(await daemon.pause(chat, minutes))

    @takeover.post("/takeover/resume")
    async def resume() -> ResponseReturnValue:
        chat = (await _fields()).get("chat")
        if not isinstance(chat, str) or not chat:
            return {"error": "chat is missing"}, 400
        return _told(await daemon.resume(chat))

    return takeover


async def _fields() -> dict[str, Any]:
    """The request's JSON object; empty if it has none."""
    fields = await request.get_json(silent=True)
    return fields if isinstance(fields, dict) else {}


def _is_time(minutes: object) -> bool:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        return False
    return isfinite(minutes) and 0 < minutes <= MAX_MINUTES


def _told(chats: int) -> ResponseReturnValue:
    return {"chats": chats} if chats else ({"error": "no such chat"}, 404)
