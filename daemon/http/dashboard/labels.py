"""The page of the desk's own labels, for numbers whose gateway has none."""

from quart import Blueprint, redirect, request
from quart.typing import ResponseReturnValue

from daemon.domain.labels import COLORS, label_fault
from daemon.http.dashboard.desk import MOST
from daemon.http.dashboard.shell import Shell

LABELS = "/dashboard/labels"


def create_labels(shell: Shell) -> Blueprint:
    """Return the routes. Each form is answered by the page, with what is wrong."""
    labels = Blueprint("dashboard_labels", __name__)
    labels.before_request(shell.guard.require_sign_in)
    operations, views = shell.operations, shell.operations.views

    async def page(fault: str = "") -> ResponseReturnValue:
        return shell.page(
            "labels.html",
            section="chats",
            status=400 if fault else 200,
            fault=fault,
            labels=await operations.desk_labels.all(),
            colors=COLORS,
            numbers=views.labelled_here if views.numbers else (),
            is_used=bool(views.labelled_here),
        )

    async def given() -> tuple[str, str, str]:
        form = await request.form
        name, color = " ".join(form.get("name", "").split()), form.get("color", "")
        return name, color, label_fault(name, color)

    @labels.get(LABELS)
    async def show() -> ResponseReturnValue:
        return await page()

    @labels.post(LABELS)
    async def add() -> ResponseReturnValue:
        name, color, fault = await given()
        by, now = shell.actor(), operations.now()
        fault = fault or await operations.desk_labels.add(name, color, by=by, now=now)
        return await page(fault) if fault else redirect(LABELS, 303)

    @labels.post(f"{LABELS}/<int:number>")
    async def edit(number: int) -> ResponseReturnValue:
        name, color, fault = await given()
        by, now = shell.actor(), operations.now()
        if not fault and number < MOST:
            fault = await operations.desk_labels.edit(
                number, name, color, channels=views.labelled_here, by=by, now=now
            )
        return await page(fault) if fault else redirect(LABELS, 303)

    @labels.post(f"{LABELS}/<int:number>/drop")
    async def drop(number: int) -> ResponseReturnValue:
        if number < MOST:
            by, now = shell.actor(), operations.now()
            await operations.desk_labels.drop(number, channels=views.labelled_here, by=by, now=now)
        return redirect(LABELS, 303)

    return labels
