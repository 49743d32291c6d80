"""Work: what is under way, what waits, what went wrong, and what the day has cost."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.http.api import json_object
from daemon.http.dashboard.conversations import STATE_TONES
from daemon.http.dashboard.shell import Shell

LARGEST_NUMBER = 2**62
"""Of a row."""


def create_work(shell: Shell) -> Blueprint:
    """Return the routes of the work."""
    work = Blueprint("dashboard_work", __name__)
    work.before_request(shell.guard.refuse_strangers)
    bench = shell.daemon.workbench

    @work.get("/dashboard/work")
    async def show() -> ResponseReturnValue:
        return shell.page(
            "work.html", section="work", work=await bench.work(), tones=STATE_TONES, share=share
        )

    @work.get("/dashboard/api/work")
    async def figures() -> ResponseReturnValue:
        return await bench.work()

    @work.post("/dashboard/api/work/cancel")
    async def cancel() -> ResponseReturnValue:
        ref = (await json_object()).get("ref")
        if not isinstance(ref, str) or not await bench.cancel_run(ref, by=shell.actor()):
            return {"error": "no run is under way there"}, 409
        return {"done": True}

    @work.post("/dashboard/api/work/replay")
    async def replay() -> ResponseReturnValue:
        fields = await json_object()
        number, ref = fields.get("event"), fields.get("ref")
        if isinstance(number, int) and not isinstance(number, bool):
            known = 0 < number < LARGEST_NUMBER
            put_back = await bench.replay_event(number, by=shell.actor()) if known else None
            if put_back is None:
                raise NotFound
            return {"put_back": put_back}
        if isinstance(ref, str) and ref:
            return {"put_back": await bench.replay_dead(ref, by=shell.actor())}
        if fields.get("all") is True:
            return {"put_back": await bench.replay_dead("", by=shell.actor())}
        return {"error": "name an event or a chat, or say all"}, 400

    _add_sends(work, shell)
    return work


def _add_sends(work: Blueprint, shell: Shell) -> None:
    """Add what people do about a message of ours that was refused."""
    bench = shell.daemon.workbench

    @work.post("/dashboard/api/sends/<int:number>/again")
    async def send_again(number: int) -> ResponseReturnValue:
        return _told(
            await bench.send_again(number, by=shell.actor()) if number < LARGEST_NUMBER else None
        )

    @work.post("/dashboard/api/sends/<int:number>/drop")
    async def drop_send(number: int) -> ResponseReturnValue:
        return _told(
            await bench.drop_send(number, by=shell.actor()) if number < LARGEST_NUMBER else None
        )


def _told(obstacle: str | None) -> ResponseReturnValue:
    """Answer a deed to a send: done, or why not."""
    if obstacle is None:
        raise NotFound
    return ({"error": obstacle}, 409) if obstacle else {"done": True}


def share(used: float, limit: float) -> float:
    """How much of a limit is used up, in percent; 0 where there is none."""
    return min(100.0, round(100 * used / limit, 1)) if limit else 0.0
