"""The pages of comparisons: stored conversations, as they were answered and by a candidate."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlencode

from quart import Blueprint, redirect, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from daemon.domain.comparison import CHOICES, MARKS
from daemon.http.dashboard.conversation_api import found
from daemon.http.dashboard.shell import Shell

TURNS_SHOWN = 25

TONES: Mapping[str, str] = MappingProxyType(
    {"failed": "bad", "worse": "bad", "better": "ok", "changed": "wait", "equal": "", "same": ""}
)
"""The look of a verdict, in the order in which the page counts them."""


def create_comparisons(shell: Shell) -> Blueprint:
    """Return the routes of the comparisons. Marks are plain forms, so they need no script."""
    comparisons = Blueprint("dashboard_comparisons", __name__)
    comparisons.before_request(shell.guard.require_sign_in)
    operations = shell.operations

    @comparisons.get("/dashboard/comparisons")
    async def every() -> ResponseReturnValue:
        rows = await operations.views.comparisons()
        return shell.page("comparisons.html", section="figures", comparisons=rows, tones=TONES)

    @comparisons.get("/dashboard/comparisons/<int:number>")
    async def one(number: int) -> ResponseReturnValue:
        show, after = _shown(request.args), request.args.get("after", 0, type=int)
        page = await operations.views.comparison(
            number, show=show, after=max(0, after), limit=TURNS_SHOWN
        )
        return shell.page(
            "comparison.html",
            section="figures",
            comparison=found(page),
            show=show,
            after=after,
            tones=TONES,
            choices=CHOICES,
        )

    @comparisons.post("/dashboard/comparisons/<int:number>/<int:row>")
    async def mark(number: int, row: int) -> ResponseReturnValue:
        form = await request.form
        wanted = form.get("mark", "")
        if wanted not in {"", *MARKS}:
            raise BadRequest
        by, now = shell.actor().name, operations.now()
        if not await operations.comparisons.mark(number, row, wanted, by=by, now=now):
            raise NotFound
        place = {"show": _shown(form), "after": form.get("after", "0")}
        return redirect(f"/dashboard/comparisons/{number}?{urlencode(place)}#turn-{row}", 303)

    return comparisons


def _shown(values: Mapping[str, str]) -> str:
    """Which turns an address or a form asks for."""
    show = values.get("show", "")
    return show if show in CHOICES else "changed"
