"""The routes of Quart outside the dashboard: about, metrics, locks, takeover, voice notes, debug.

Handlers read from the daemon and answer. Nothing runs in Quart's own nursery or background tasks,
which are cancelled without warning at the stop. All handlers are coroutines: Quart would run plain
functions in threads.
"""

import re
from collections.abc import Awaitable, Callable

import trio
from quart import Blueprint, Response, has_request_context, request, send_file
from quart.ctx import RequestContext
from quart.routing import QuartRule
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from daemon.domain.ids import chat_id
from daemon.domain.messages import ChatKey
from daemon.errors import FilesUnavailable, NotYetDone, OtherVersion, StoreUnavailable
from daemon.http.access import Access
from daemon.http.api.problems import problem
from daemon.http.asgi import EdgeLog, log_fault
from daemon.http.openai_webhook import create_model_webhook
from daemon.http.request_context import (
    EdgeSettings,
    is_minutes,
    json_object,
    not_yet_done,
    request_actor,
)
from daemon.observability.lines import iso_utc
from daemon.ops.operations import Operations

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""On every page, unless the handler has set the header itself."""

BODY_WANTED = "recado.body_wanted"
"""The key of a scope under which the edge puts an event: set when a handler may read the body."""

AUDIO_NAME = re.compile(r"voice_\d+_\d+\.(mp3|ogg)", re.ASCII)
NAME_MAX = 255
"""Of a file's name, in bytes (Linux, ``limits.h``)."""
AUDIO_TYPES = {"mp3": "audio/mpeg", "ogg": "audio/ogg; codecs=opus"}
NOT_CACHED = "no-cache, no-store, must-revalidate"

Guard = Callable[[], Awaitable[ResponseReturnValue | None]]


class PageRoute(QuartRule):
    """A route of which no address is built: the pages write theirs out.

    Werkzeug would compile two functions for each, which takes longer than all else of the app.
    """

    def _compile_builder(
        self,
        append_unknown: bool = True,  # noqa: ARG002, FBT001, FBT002 - as Werkzeug calls it
    ) -> Callable[..., tuple[str, str]]:
        return _build_nothing


def _build_nothing(_route: PageRoute, **_values: object) -> tuple[str, str]:
    raise NotImplementedError("no address is built of a route: write it out")


class Pages(QuartTrio):
    """Quart's app, which reads a request's body only after its guards have let it pass.

    Quart itself begins to read at once, beside them.
    """

    url_rule_class = PageRoute  # type: ignore[assignment]  # as that of Quart itself

    async def dispatch_request(
        self, request_context: RequestContext | None = None
    ) -> ResponseReturnValue:
        """Call the handler of a request that was let pass."""
        wanted: trio.Event | None = request.scope.get(BODY_WANTED)  # type: ignore[assignment]
        if wanted is not None and request.routing_exception is None:
            wanted.set()
        return await super().dispatch_request(request_context)


def create_pages(
    operations: Operations, settings: EdgeSettings, log: EdgeLog, access: Access
) -> QuartTrio:
    """Return the app for all routes but the hot ones; more blueprints may be registered on it."""
    app = Pages("daemon.http", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # its default provider has it
    app.config["BODY_TIMEOUT"] = settings.body_deadline_seconds

    @app.get("/")
    async def about() -> ResponseReturnValue:
        return operations.state.about()

    _add_audio(app, operations)
    if settings.model_webhook_secret:
        app.register_blueprint(create_model_webhook(operations, settings.model_webhook_secret, log))
    app.register_blueprint(_create_admin(operations, settings, admin_guard(settings, access)))
    _answer_errors(app, log)
    app.after_request(_secure)
    return app


def admin_guard(settings: EdgeSettings, access: Access) -> Guard:
    """Return a `before_request` function that lets only bearers of the admin token pass.

    Without a token in the settings everybody passes; production does not start like that.
    """
    tokens = (settings.admin_token.encode(),) if settings.admin_token else ()

    async def require_sign_in() -> ResponseReturnValue | None:
        if await access.check_bearer(request.scope, tokens, "token"):
            return None
        challenge = {"WWW-Authenticate": 'Bearer realm="recado"'}
        return {"error": "the admin token is needed"}, 401, challenge

    return require_sign_in


def _add_audio(app: QuartTrio, operations: Operations) -> None:
    """Add ``/audio/<name>``: voice notes that were sent, for players and other programs.

    Names, answers and headers are those of the system that Recado replaces. Open to everybody, as
    it was there; a name holds a random number (`daemon.ledger.files`).
    """

    @app.get("/audio/<path:name>")
    async def audio(name: str) -> ResponseReturnValue:
        match = AUDIO_NAME.fullmatch(name)
        if match is None:
            return {"error": "Invalid filename"}, 400
        if len(name) > NAME_MAX:
            return {"error": "Audio file not found"}, 404
        try:
            path = await operations.sent_file(name)
        except FilesUnavailable:
            return {"error": "The file cannot be read now"}, 503
        if path is None:
            return {"error": "Audio file not found"}, 404
        response = await send_file(
            path, mimetype=AUDIO_TYPES[match[1]], conditional=True, cache_timeout=0
        )
        response.headers["Cache-Control"] = NOT_CACHED
        return response


def _create_admin(operations: Operations, settings: EdgeSettings, guard: Guard) -> Blueprint:
    """Return the routes that want the admin token."""
    admin = Blueprint("admin", __name__)

    @admin.before_request
    async def refuse() -> ResponseReturnValue | None:
        if settings.production and request.endpoint == "admin.clear":
            return {"error": "locks are not cleared in production"}, 403
        return await guard()

    @admin.get("/metrics")
    async def metrics() -> ResponseReturnValue:
        body, content_type = operations.state.metrics(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    @admin.get("/locks")
    async def locks() -> ResponseReturnValue:
        return operations.state.locks()

    @admin.post("/locks/clear")
    async def clear() -> ResponseReturnValue:
        return {
            "message": "all locks and queues were cleared",
            "cleared": await operations.release_all(by=request_actor(settings)),
            "timestamp": iso_utc(operations.now()),
        }

    @admin.post("/debug/memory")
    async def trace_memory() -> ResponseReturnValue:
        # Tracing makes the daemon about half as fast, so it is off until it is asked for.
        return operations.state.trace_memory()

    @admin.delete("/debug/memory")
    async def end_memory_trace() -> ResponseReturnValue:
        operations.state.end_memory_trace()
        return {"watching": False}

    @admin.post("/takeover/<any(pause, resume, done):action>")
    async def takeover(action: str) -> ResponseReturnValue:
        return await _take_over(operations, action, settings)

    return admin


async def _take_over(
    operations: Operations, action: str, settings: EdgeSettings
) -> ResponseReturnValue:
    """Do what ``{"chat": "573001234567", "minutes": 30}`` asks for."""
    fields, by = await json_object(), request_actor(settings)
    chat, minutes = fields.get("chat"), fields.get("minutes")
    if action == "pause" and minutes is not None and not is_minutes(minutes):
        return {"error": "minutes must be a number above 0"}, 400
    if not isinstance(chat, str) or not chat:
        return {"error": "chat is missing"}, 400
    number = fields.get("number")
    if number is not None and (not isinstance(number, str) or not operations.numbers.get(number)):
        return {"error": "no such number"}, 404
    target = chat if number is None else ChatKey(number, chat_id(chat))
    answer = {}
    if action == "pause":
        answer["chats"] = await operations.pause(target, minutes, by=by)
    elif action == "resume":
        answer["chats"] = await operations.resume(target, by=by)
    else:
        answer["chats"], answer["messages"] = await operations.done(target, by=by)
    return answer if answer["chats"] else ({"error": "no such chat"}, 404)


def _answer_errors(app: QuartTrio, log: EdgeLog) -> None:
    """Make every error of `app` a JSON object without details."""

    @app.errorhandler(HTTPException)
    async def refuse(error: HTTPException) -> ResponseReturnValue:
        headers = [(name, value) for name, value in error.get_headers() if name == "Allow"]
        if has_request_context() and request.path.startswith("/api/"):
            return problem(error.code or 500, "", dict(headers))
        return {"error": error.name.lower()}, error.code or 500, headers

    @app.errorhandler(NotYetDone)
    async def taken(error: NotYetDone) -> ResponseReturnValue:
        return not_yet_done(error)

    @app.errorhandler(StoreUnavailable)
    async def wait(error: StoreUnavailable) -> ResponseReturnValue:
        why = str(error) if isinstance(error, OtherVersion) else "the store cannot be used now"
        return {"error": why}, 503

    @app.errorhandler(Exception)
    async def fail(error: Exception) -> ResponseReturnValue:
        log_fault(log, "a page failed", error, path=request.path)
        return {"error": "internal error"}, 500


async def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
