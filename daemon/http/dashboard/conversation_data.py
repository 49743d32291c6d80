"""The data of the conversations: lists, one chat, a turn's story, and the files of messages."""

from quart import Blueprint, request, send_file
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.messages import JsonObject
from daemon.http.dashboard.asked import BUBBLES_SHOWN, CHATS_SHOWN, read_asked
from daemon.http.dashboard.shell import Shell

SHOWN_AS_IT_IS = ("image/", "audio/", "video/")
"""Types that browsers show without running anything in them, but for those that are XML: SVG."""


def add_data(chats: Blueprint, shell: Shell) -> None:
    """Add the routes to those of the conversations."""
    desk = shell.daemon.desk

    @chats.get("/dashboard/api/chats")
    async def chat_rows() -> ResponseReturnValue:
        asked = read_asked()
        return await desk.chats(
            query=asked.query, state=asked.state, before=asked.before, limit=CHATS_SHOWN
        )

    @chats.get("/dashboard/api/chats/<ref>")
    async def one_chat(ref: str) -> ResponseReturnValue:
        return _found(await desk.chat(ref))

    @chats.get("/dashboard/api/chats/<ref>/bubbles")
    async def said(ref: str) -> ResponseReturnValue:
        before = request.args.get("before", "")
        return _found(await desk.bubbles(ref, before=before, limit=BUBBLES_SHOWN))

    @chats.get("/dashboard/api/chats/<ref>/turns/<turn>")
    async def story(ref: str, turn: str) -> ResponseReturnValue:
        return _found(await desk.story(ref, turn))

    @chats.get("/dashboard/media/<name>")
    async def media(name: str) -> ResponseReturnValue:
        return await _file(shell, name)


async def _file(shell: Shell, name: str) -> ResponseReturnValue:
    """A file of a message: shown if it is a picture, sound or film, else only to be kept."""
    found = await shell.daemon.desk.file(name)
    if found is None:
        raise NotFound
    path, kind = found
    is_shown = kind.lower().startswith(SHOWN_AS_IT_IS) and "xml" not in kind.lower()
    try:
        answer = await send_file(
            path,
            mimetype=kind,
            conditional=True,
            as_attachment=not is_shown,
            attachment_filename=None if is_shown else name,
        )
    except FileNotFoundError:
        raise NotFound from None
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _found(told: JsonObject | None) -> ResponseReturnValue:
    if told is None:
        raise NotFound
    return told
