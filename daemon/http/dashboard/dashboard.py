"""The dashboard: all its routes, and its error pages."""

from quart import Blueprint, has_request_context, request, websocket
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)

from daemon.errors import NotYetDone, StoreUnavailable
from daemon.http.access import Access
from daemon.http.asgi import EdgeLog, log_fault
from daemon.http.dashboard.accounts import create_accounts
from daemon.http.dashboard.assets import create_assets, read_assets, version_of
from daemon.http.dashboard.comparisons import create_comparisons
from daemon.http.dashboard.conversations import create_conversations
from daemon.http.dashboard.desk import create_desk
from daemon.http.dashboard.guard import DATA_PATHS, Guard
from daemon.http.dashboard.labels import create_labels
from daemon.http.dashboard.log_page import create_log
from daemon.http.dashboard.login import create_login
from daemon.http.dashboard.outcomes import create_outcomes
from daemon.http.dashboard.overview import create_overview
from daemon.http.dashboard.shell import Shell
from daemon.http.dashboard.texts import create_texts
from daemon.http.dashboard.work import create_work
from daemon.http.request_context import EdgeSettings, json_object, not_yet_done
from daemon.ops.operations import Operations


def register_dashboard(
    app: QuartTrio,
    operations: Operations,
    settings: EdgeSettings,
    log: EdgeLog,
    access: Access,
    guard: Guard,
) -> None:
    """Register the dashboard's routes on `app`."""
    assets = read_assets()
    shell = Shell(operations, settings, guard, version=version_of(assets))
    for blueprint in (
        create_assets(assets),
        create_login(shell, access),
        create_accounts(shell),
        create_overview(shell),
        create_conversations(shell),
        create_desk(shell),
        create_labels(shell),
        create_work(shell),
        create_outcomes(shell),
        create_texts(shell),
        create_comparisons(shell),
        create_log(shell),
        _create_rest(shell),
    ):
        blueprint.after_request(guard.secure)
        _show_errors(blueprint, shell, log)
        app.register_blueprint(blueprint)


def _create_rest(shell: Shell) -> Blueprint:
    """Return the routes of the sandbox's phone and of `reveal`, and a 404 for everything else.

    The guard stands before the 404, so it says nothing to a stranger.
    """
    rest = Blueprint("dashboard_rest", __name__)
    rest.before_request(shell.guard.require_sign_in)

    @rest.get("/dashboard/phone")
    async def phone() -> ResponseReturnValue:
        if not shell.settings.phone_url:
            raise NotFound
        return shell.page("phone.html", section="phone", phone_url=shell.settings.phone_url)

    @rest.post("/dashboard/api/reveal")
    async def reveal() -> ResponseReturnValue:
        ref = (await json_object()).get("ref")
        number = (
            await shell.operations.reveal(ref, by=shell.actor()) if isinstance(ref, str) else ""
        )
        return {"number": number} if number else ({"error": "no such chat"}, 404)

    @rest.get("/dashboard/<path:_name>")
    async def miss(_name: str) -> ResponseReturnValue:
        raise NotFound

    return rest


def _show_errors(blueprint: Blueprint, shell: Shell, log: EdgeLog) -> None:
    """Show an error as a page if a page was requested."""

    @blueprint.errorhandler(NotYetDone)
    async def taken(error: NotYetDone) -> ResponseReturnValue:
        return not_yet_done(error)

    @blueprint.errorhandler(StoreUnavailable)
    async def wait(_error: StoreUnavailable) -> ResponseReturnValue:
        return await show(ServiceUnavailable())

    @blueprint.errorhandler(Exception)
    async def fail(error: Exception) -> ResponseReturnValue:
        log_fault(
            log,
            "a page failed",
            error,
            path=request.path if has_request_context() else websocket.path,
        )
        return await show(InternalServerError())

    @blueprint.errorhandler(HTTPException)
    async def show(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if not has_request_context():
            return {"error": error.name.lower()}, status
        if request.method != "GET" or request.path.startswith((*DATA_PATHS, "/dashboard/static/")):
            return {"error": error.name.lower()}, status
        return shell.error(status)
