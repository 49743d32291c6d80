"""The live log: its page, stored lines as JSON, and new lines by WebSocket."""

from contextlib import closing
from math import isfinite
from operator import attrgetter

import msgspec
import trio
from quart import Blueprint, request, websocket
from quart.typing import ResponseReturnValue

from daemon.domain.dashboard_values import FeedLost, LogLine, LogQuery
from daemon.errors import StoreUnavailable
from daemon.http.dashboard.shell import Shell, Wording
from daemon.observability.events import DASHBOARD
from daemon.observability.lines import iso_utc
from daemon.ops.live_log import Feed

MOST_LINES = 1_000
"""Per answer."""
FIRST_LINES = 200
"""Lines of a new page."""
BEAT_SECONDS = 20.0
"""Between two messages of a quiet connection, so that either side notices a lost one."""
TRY_AGAIN_LATER = 1013
"""The close code for a reader that was too slow (IANA's WebSocket registry)."""
SIGNED_OUT = 1008
"""The close code for a reader whose session has ended: a policy (RFC 6455, section 7.4.1)."""
LONGEST_TEXT = 200

KINDS = {kind.name: kind for kind in sorted(DASHBOARD, key=attrgetter("name"))}


def create_log(shell: Shell) -> Blueprint:
    """Return the routes of the live log."""
    log = Blueprint("dashboard_log", __name__)
    log.before_request(shell.guard.require_sign_in)
    log.before_websocket(shell.guard.require_socket_sign_in)

    @log.get("/dashboard/log")
    async def show() -> ResponseReturnValue:
        return shell.page("log.html", section="log", kinds=tuple(KINDS), query=_query())

    @log.get("/dashboard/logs")
    async def lines() -> ResponseReturnValue:
        query = _query()
        found = await shell.operations.live_log.lines(query)
        return {
            "timestamp": iso_utc(shell.operations.now()),
            "count": len(found),
            "lines": [shown(line, shell.wording()) for line in found],
            "before": found[0].id if len(found) == query.limit else None,
            "after": found[-1].id if found else query.after,
        }

    @log.websocket("/dashboard/api/logs")
    async def follow() -> None:
        await websocket.accept()
        w = shell.wording(websocket)
        # First the feed, then the store: lines in between are in both and have the same number.
        with closing(shell.operations.live_log.follow()) as feed:
            try:
                await _follow_in_session(shell, feed, w)
            except StoreUnavailable:
                await websocket.close(TRY_AGAIN_LATER, "the store cannot be read")

    return log


async def _follow_in_session(shell: Shell, feed: Feed, w: Wording) -> None:
    """Follow the log until the reader leaves or its session ends."""
    session = shell.guard.session_of(websocket)
    with shell.guard.sockets.held(session) as held:
        if session:
            held.deadline = trio.current_time() + await shell.guard.seconds_left(session)
        await _follow(shell, feed, session, w)
    if held.cancelled_caught:
        await websocket.close(SIGNED_OUT, "the session has ended")


async def _follow(shell: Shell, feed: Feed, session: str, w: Wording) -> None:
    """Send the lines after the reader's cursor, then new ones. Runs until it leaves."""
    cursor = _number(websocket.args.get("after", ""))
    history = min(_number(websocket.args.get("history", ""), FIRST_LINES), MOST_LINES)
    if cursor:
        while found := await shell.operations.live_log.lines(
            LogQuery(after=cursor, limit=MOST_LINES)
        ):
            cursor = found[-1].id
            await _send_lines(found, w)
    elif history:
        found = await shell.operations.live_log.lines(LogQuery(limit=history))
        cursor = found[-1].id if found else 0
        await _send_lines(found, w)
    await _send({"type": "live", "after": cursor})
    looked_at = trio.current_time()
    while True:
        if session and trio.current_time() - looked_at >= BEAT_SECONDS:
            looked_at = trio.current_time()
            if not await shell.guard.seconds_left(session):  # signed out by another process
                shell.guard.sockets.end(session)
        fresh: list[LogLine] = []
        try:
            with trio.move_on_after(BEAT_SECONDS) as quiet:
                fresh = [line for line in await feed.receive() if line.id > cursor]
        except FeedLost:
            await _send({"type": "dropped", "after": cursor})
            await websocket.close(TRY_AGAIN_LATER, "too slow; come back with the cursor")
            return
        if quiet.cancelled_caught:
            await _send({"type": "beat"})
        elif fresh:
            cursor = fresh[-1].id
            await _send_lines(fresh, w)


async def _send_lines(lines: list[LogLine], w: Wording) -> None:
    await _send({"type": "lines", "lines": [shown(line, w) for line in lines]})


async def _send(message: dict[str, object]) -> None:
    await websocket.send(msgspec.json.encode(message).decode())


def shown(line: LogLine, w: Wording) -> dict[str, object]:
    """A line without the chat's id, in the reader's language."""
    kind = KINDS.get(line.kind)
    words = kind.translated(line.line, w.language, error=w.reason) if kind else line.line
    fields = msgspec.structs.asdict(line)
    del fields["key"]
    return {**fields, "timestamp": iso_utc(line.at), "line": words}


def _query() -> LogQuery:
    """The query of the request's address; invalid values count as empty."""
    args = request.args
    return LogQuery(
        after=_number(args.get("after", "")),
        before=_number(args.get("before", "")),
        limit=max(1, min(_number(args.get("limit", ""), FIRST_LINES), MOST_LINES)),
        ref=args.get("chat", "")[:LONGEST_TEXT],
        kind=args.get("kind", "")[:LONGEST_TEXT],
        level=args.get("level", "")[:LONGEST_TEXT],
        turn=args.get("turn", "")[:LONGEST_TEXT],
        text=args.get("text", "")[:LONGEST_TEXT],
        since=_moment(args.get("since", "")),
        until=_moment(args.get("until", "")),
    )


def _number(text: str, otherwise: int = 0) -> int:
    plain = text.isascii() and text.isdecimal() and len(text) < 16
    return int(text) if plain else otherwise


def _moment(text: str) -> float:
    """Parse Unix seconds; 0 if invalid."""
    try:
        moment = float(text)
    except ValueError:
        return 0.0
    return moment if isfinite(moment) else 0.0
