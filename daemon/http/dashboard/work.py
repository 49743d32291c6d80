"""The page of work: what is in progress, what waits, what failed, and what the day has cost.

Its buttons use the routes of the API.
"""

from quart import Blueprint
from quart.typing import ResponseReturnValue

from daemon.http.dashboard.conversations import STATE_TONES
from daemon.http.dashboard.shell import Shell


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

    return work


def share(used: float, limit: float) -> float:
    """The used share of a limit in percent; 0 without a limit."""
    return min(100.0, round(100 * used / limit, 1)) if limit else 0.0
