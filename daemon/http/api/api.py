"""The API as one blueprint: its routes, their errors, and its description."""

from functools import partial

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from daemon import __version__
from daemon.errors import FilesUnavailable, NotYetDone, OtherVersion, StoreUnavailable
from daemon.http.access import Access
from daemon.http.api.callers import Callers
from daemon.http.api.chat_routes import add_chats, add_handover, add_label_list
from daemon.http.api.daemon_routes import add_daemon, add_reading
from daemon.http.api.message_routes import add_reminder_routes, add_sending
from daemon.http.api.openapi import describe
from daemon.http.api.problems import LATER, ApiProblem, problem
from daemon.http.api.routes import PREFIX, ApiRoute, ApiRoutes
from daemon.http.api.text_routes import add_text_editing, add_texts
from daemon.http.api.work_routes import add_repeating, add_turns, add_work
from daemon.http.asgi import EdgeLog, log_fault
from daemon.http.dashboard.guard import Guard
from daemon.http.request_context import EdgeSettings, not_yet_done
from daemon.ops.operations import Operations

DESCRIPTION = "/api/openapi.json"


def api_routes(
    operations: Operations, settings: EdgeSettings, access: Access, guard: Guard
) -> ApiRoutes:
    """Return all routes of the API."""
    api = ApiRoutes(Callers(access, operations.api, guard, settings), operations.api)
    add_chats(api, operations)
    add_handover(api, operations)
    add_label_list(api, operations)
    add_sending(api, operations)
    add_reminder_routes(api, operations)
    add_work(api, operations)
    add_turns(api, operations)
    add_repeating(api, operations)
    add_daemon(api, operations)
    add_reading(api, operations)
    add_texts(api, operations)
    add_text_editing(api, operations)
    return api


def create_api(api: ApiRoutes, log: EdgeLog) -> Blueprint:
    """Return the blueprint of the API."""
    blueprint = Blueprint("api", __name__)

    @blueprint.before_request
    async def admit() -> None:
        name = (request.endpoint or "").rpartition(".")[2]
        if name != openapi.__name__:
            await api.admit(name)

    @blueprint.get(DESCRIPTION)
    async def openapi() -> ResponseReturnValue:
        return describe(api.all, version=__version__)

    for route in api.all:
        rule = PREFIX + route.path.replace("{", "<").replace("}", ">")
        view = partial(_serve, api, route)
        blueprint.add_url_rule(rule, route.name, view, methods=[route.method])
    _answer_faults(blueprint, log)
    return blueprint


async def _serve(api: ApiRoutes, route: ApiRoute, **path: str) -> Response:
    return await api.answer(route, path)


def _answer_faults(blueprint: Blueprint, log: EdgeLog) -> None:
    @blueprint.errorhandler(ApiProblem)
    async def refuse(error: ApiProblem) -> Response:
        return error.response()

    @blueprint.errorhandler(NotYetDone)
    async def taken(error: NotYetDone) -> tuple[dict[str, object], int]:
        return not_yet_done(error)

    @blueprint.errorhandler(StoreUnavailable)
    @blueprint.errorhandler(FilesUnavailable)
    async def wait(error: Exception) -> Response:
        why = str(error) if isinstance(error, OtherVersion) else "it cannot be stored or read now"
        return problem(503, why, LATER)

    @blueprint.errorhandler(HTTPException)
    async def miss(error: HTTPException) -> Response:
        return problem(error.code or 500, error.description or "")

    @blueprint.errorhandler(Exception)
    async def fail(error: Exception) -> Response:
        log_fault(log, "a request of the API failed", error, path=request.path)
        return problem(500)
