"""``GET /audio/<name>``: the voice notes that were sent, for players and other programs.

Names, answers and headers are those of the system that Recado replaces. Open to everyone, as it
was there; a name holds a random number that nobody can guess (`daemon.ledger.files`).
"""

import re
from pathlib import Path

from quart import Blueprint, send_file
from quart.typing import ResponseReturnValue

NAME = re.compile(r"voice_\d+_\d+\.(mp3|ogg)", re.ASCII)
NAME_MAX = 255
"""Of a file's name, in bytes (Linux, ``limits.h``): a longer one is nowhere."""
CONTENT_TYPES = {"mp3": "audio/mpeg", "ogg": "audio/ogg; codecs=opus"}
NOT_CACHED = "no-cache, no-store, must-revalidate"


def create_audio(folder: Path) -> Blueprint:
    """Return the route; `folder` is where the files are. Parts of a file may be asked for."""
    audio = Blueprint("audio", __name__)

    @audio.get("/audio/<path:name>")
    async def show(name: str) -> ResponseReturnValue:
        known = NAME.fullmatch(name)
        if known is None:
            return {"error": "Invalid filename"}, 400
        if len(name) > NAME_MAX:
            return {"error": "Audio file not found"}, 404
        try:
            response = await send_file(
                folder / name, mimetype=CONTENT_TYPES[known[1]], conditional=True, cache_timeout=0
            )
        except FileNotFoundError:
            return {"error": "Audio file not found"}, 404
        response.headers["Cache-Control"] = NOT_CACHED
        return response

    return audio
