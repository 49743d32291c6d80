"""The page of figures: what came of customers' enquiries, by day and number."""

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from daemon.http.dashboard.shell import Shell
from daemon.ops.outcomes import FiguresQuery, as_csv, figures_query


def create_outcomes(shell: Shell) -> Blueprint:
    """Return the routes of the figures."""
    outcomes = Blueprint("dashboard_outcomes", __name__)
    outcomes.before_request(shell.guard.require_sign_in)
    operations = shell.operations

    def wanted() -> FiguresQuery:
        w = shell.wording()
        return figures_query(
            lambda name: request.args.get(name, "").strip(), zone=w.zone, now=w.now
        )

    @outcomes.get("/dashboard/figures")
    async def show() -> ResponseReturnValue:
        fault = ""
        try:
            query = wanted()
        except ValueError as error:
            fault = str(error)
            w = shell.wording()
            query = figures_query(lambda _name: "", zone=w.zone, now=w.now)
        return shell.page(
            "figures.html",
            section="figures",
            query=query,
            figures=await operations.outcomes(query),
            numbers=operations.views.numbers,
            fault=fault,
            link=request.query_string.decode("ascii", "ignore"),
        )

    @outcomes.get("/dashboard/figures.csv")
    async def table() -> ResponseReturnValue:
        try:
            query = wanted()
        except ValueError as error:
            return {"error": str(error)}, 400
        text = as_csv(await operations.outcomes(query), query.by)
        response = Response(text, content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = 'attachment; filename="recado-figures.csv"'
        return response

    return outcomes
