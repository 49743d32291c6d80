"""The page of work: what is in progress, what waits, what failed, and what the day has cost."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.http.dashboard.conversations import STATE_TONES
from daemon.http.dashboard.shell import Shell
from daemon.http.request_context import json_object

MOST = 2**62
"""The largest number of a row."""


def create_work(shell: Shell) -> Blueprint:
    """Return the routes of the work."""
    work = Blueprint("dashboard_work", __name__)
    work.before_request(shell.guard.require_sign_in)
    operations = shell.operations

    @work.get("/dashboard/work")
    async def show() -> ResponseReturnValue:
        page = await operations.views.work()
        return shell.page("work.html", section="work", work=page, tones=STATE_TONES, share=share)

    @work.get("/dashboard/api/work")
    async def figures() -> ResponseReturnValue:
        return await operations.views.work()

    @work.post("/dashboard/api/work/cancel")
    async def cancel() -> ResponseReturnValue:
        ref = (await json_object()).get("ref")
        key = await operations.views.key_of(ref) if isinstance(ref, str) else None
        if key is None or not await operations.release(key, by=shell.actor()):
            return {"error": "no run is in progress there"}, 409
        return {"done": True}

    @work.post("/dashboard/api/work/replay")
    async def replay() -> ResponseReturnValue:
        return await _replay(shell)

    @work.post("/dashboard/api/webhooks/replay")
    async def replay_webhooks() -> ResponseReturnValue:
        return await _replay_webhooks(shell)

    @work.post("/dashboard/api/sends/<int:number>/<any(again, drop):action>")
    async def failed_send(number: int, action: str) -> ResponseReturnValue:
        change = operations.send_again if action == "again" else operations.drop_send
        obstacle = await change(number, by=shell.actor()) if number < MOST else None
        if obstacle is None:
            raise NotFound
        return ({"error": obstacle}, 409) if obstacle else {"done": True}

    return work


async def _replay(shell: Shell) -> ResponseReturnValue:
    """Replay one event, or the dead messages of a chat or of all."""
    fields = await json_object()
    number, ref = fields.get("event"), fields.get("ref")
    if isinstance(number, int) and not isinstance(number, bool):
        known = 0 < number < MOST
        put_back = await shell.operations.replay_event(number, by=shell.actor()) if known else None
        if put_back is None:
            raise NotFound
        return {"put_back": put_back}
    if isinstance(ref, str) and ref:
        key = await shell.operations.views.key_of(ref)
        done = await shell.operations.replay_dead(key, by=shell.actor()) if key else 0
        return {"put_back": done}
    if fields.get("all") is True:
        return {"put_back": await shell.operations.replay_dead(None, by=shell.actor())}
    return {"error": "name an event or a chat, or set all"}, 400


async def _replay_webhooks(shell: Shell) -> ResponseReturnValue:
    """Deliver one outgoing webhook again that was given up, or all."""
    fields = await json_object()
    number, every = fields.get("delivery"), fields.get("all") is True
    if isinstance(number, bool) or not (every or isinstance(number, int)):
        return {"error": "name a delivery, or set all"}, 400
    ids = [number] if isinstance(number, int) and 0 < number < MOST else []
    endpoint = "*" if every else ""
    by = shell.actor()
    return {"put_back": await shell.operations.replay_webhooks(ids, endpoint=endpoint, by=by)}


def share(used: float, limit: float) -> float:
    """The used share of a limit in percent; 0 without a limit."""
    return min(100.0, round(100 * used / limit, 1)) if limit else 0.0
