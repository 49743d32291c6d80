"""The dashboard put together: its pages, and what all of them have in common."""

from quart import Blueprint, has_request_context, request, websocket
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)

from daemon.errors import StoreUnavailable
from daemon.http.access import Access
from daemon.http.asgi import Log
from daemon.http.dashboard.assets import create_assets, read_assets, version_of
from daemon.http.dashboard.conversations import create_conversations
from daemon.http.dashboard.guard import DATA_PATHS, Guard
from daemon.http.dashboard.log_page import create_log
from daemon.http.dashboard.login import create_login
from daemon.http.dashboard.overview import create_overview
from daemon.http.dashboard.phone_page import create_phone
from daemon.http.dashboard.shell import Shell
from daemon.http.dashboard.work import create_work
from daemon.http.facade import Daemon, EdgeSettings
from daemon.observability.events import UNEXPECTED_ERROR


def register_dashboard(
    app: QuartTrio,
    daemon: Daemon,
    settings: EdgeSettings,
    log: Log,
    access: Access,
) -> None:
    """Put the dashboard's routes on `app`."""
    guard = Guard(daemon, settings, access)
    assets = read_assets()
    shell = Shell(daemon, settings, guard, version=version_of(assets))
    for blueprint in (
        create_assets(assets),
        create_login(shell, access),
        create_overview(shell),
        create_conversations(shell),
        create_work(shell),
        create_log(shell),
        create_phone(shell),
        _create_rest(guard),
    ):
        blueprint.after_request(guard.secure)
        _show_errors(blueprint, shell, log)
        app.register_blueprint(blueprint)


def _create_rest(guard: Guard) -> Blueprint:
    """Every other address below the dashboard: nothing, and nobody is told so before the login."""
    rest = Blueprint("dashboard_rest", __name__)
    rest.before_request(guard.refuse_strangers)

    @rest.get("/dashboard/<path:_name>")
    async def miss(_name: str) -> ResponseReturnValue:
        raise NotFound

    return rest


def _show_errors(blueprint: Blueprint, shell: Shell, log: Log) -> None:
    """Show an error as a page where a page was asked for."""

    @blueprint.errorhandler(StoreUnavailable)
    async def wait(_error: StoreUnavailable) -> ResponseReturnValue:
        return await show(ServiceUnavailable())

    @blueprint.errorhandler(Exception)
    async def fail(error: Exception) -> ResponseReturnValue:
        log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a page failed",
            path=request.path if has_request_context() else websocket.path,
            error=type(error).__name__,
            exc_info=error,
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
