"""Everything at the edge that is not hot: about, metrics, locks, and where the dashboard joins.

Handlers read from the daemon and answer; nothing runs in Quart's own nursery or background tasks,
which are cancelled without warning at the stop. All handlers are coroutines: Quart would run plain
functions in threads.
"""

from collections.abc import Awaitable, Callable

import trio
from quart import Blueprint, Response, request
from quart.ctx import RequestContext
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from daemon.http.access import Access
from daemon.http.actor import request_actor
from daemon.http.api import create_takeover
from daemon.http.asgi import Log
from daemon.http.audio import create_audio
from daemon.http.facade import Daemon, EdgeSettings
from daemon.http.openai_webhook import create_model_webhook
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.lines import iso_utc

# Looking into the process: `/debug/memory` says which lines of code its memory is from.
#
# ``POST`` begins to watch, or tells what has grown since it began; ``DELETE`` ends it. Watching
# makes
# the daemon about half as fast and a report holds it up for a moment, so it is off until it is
# asked
# for.


def create_debug(daemon: Daemon) -> Blueprint:
    """Return the route; the caller puts the guard in front of it."""
    debug = Blueprint("debug", __name__)

    @debug.post("/debug/memory")
    async def watch() -> ResponseReturnValue:
        return daemon.trace_memory()

    @debug.delete("/debug/memory")
    async def end() -> ResponseReturnValue:
        daemon.end_memory_trace()
        return {"watching": False}

    return debug


SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""On every page, unless the handler has set the header itself."""


BODY_WANTED = "recado.body_wanted"
"""The key of a scope under which the edge puts an event: set when a handler may read the body."""


class Pages(QuartTrio):
    """Quart's app, which asks for a request's body only after its guards have let it pass.

    Quart itself begins to read at once, beside them.
    """

    async def dispatch_request(
        self, request_context: RequestContext | None = None
    ) -> ResponseReturnValue:
        """Call the handler of a request that was let pass."""
        wanted: trio.Event | None = request.scope.get(BODY_WANTED)  # type: ignore[assignment]
        if wanted is not None and request.routing_exception is None:
            wanted.set()
        return await super().dispatch_request(request_context)


def create_pages(daemon: Daemon, settings: EdgeSettings, log: Log, access: Access) -> QuartTrio:
    """Return the app for all routes but the hot ones; more blueprints may be registered on it."""
    app = Pages("daemon.http", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # its default provider has it
    app.config["BODY_TIMEOUT"] = settings.body_deadline_seconds
    app.register_blueprint(_about(daemon))
    guard = admin_guard(settings, access)
    app.register_blueprint(_metrics(daemon, guard))
    if settings.audio_folder:
        app.register_blueprint(create_audio(settings.audio_folder))
    app.register_blueprint(_locks(daemon, settings, guard))
    if settings.model_webhook_secret:
        app.register_blueprint(create_model_webhook(daemon, settings.model_webhook_secret, log))
    takeover = create_takeover(daemon, settings)
    takeover.before_request(guard)
    app.register_blueprint(takeover)
    debug = create_debug(daemon)
    debug.before_request(guard)
    app.register_blueprint(debug)
    _answer_errors(app, log)
    app.after_request(_secure)
    return app


Guard = Callable[[], Awaitable[ResponseReturnValue | None]]


def admin_guard(settings: EdgeSettings, access: Access) -> Guard:
    """Return a `before_request` function that lets only bearers of the admin token pass.

    Without a token in the settings everybody passes; production does not start like that.
    """
    tokens = (settings.admin_token.encode(),) if settings.admin_token else ()

    async def refuse_strangers() -> ResponseReturnValue | None:
        if await access.bears(request.scope, tokens, "token"):
            return None
        challenge = {"WWW-Authenticate": 'Bearer realm="recado"'}
        return {"error": "the admin token is needed"}, 401, challenge

    return refuse_strangers


def _about(daemon: Daemon) -> Blueprint:
    about = Blueprint("about", __name__)

    @about.get("/")
    async def show() -> ResponseReturnValue:
        return daemon.about()

    return about


def _metrics(daemon: Daemon, guard: Guard) -> Blueprint:
    metrics = Blueprint("metrics", __name__)
    metrics.before_request(guard)

    @metrics.get("/metrics")
    async def show() -> ResponseReturnValue:
        body, content_type = daemon.metrics(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    return metrics


def _locks(daemon: Daemon, settings: EdgeSettings, guard: Guard) -> Blueprint:
    locks = Blueprint("locks", __name__)

    @locks.before_request
    async def refuse() -> ResponseReturnValue | None:
        if settings.production and request.endpoint == "locks.clear":
            return {"error": "locks are not cleared in production"}, 403
        return await guard()

    @locks.get("/locks")
    async def show() -> ResponseReturnValue:
        return daemon.locks()

    @locks.post("/locks/clear")
    async def clear() -> ResponseReturnValue:
        cleared = await daemon.clear_locks(by=request_actor(settings))
        return {
            "message": "all locks and queues were cleared",
            "cleared": cleared,
            "timestamp": iso_utc(daemon.now()),
        }

    return locks


def _answer_errors(app: QuartTrio, log: Log) -> None:
    """Make every error of `app` a JSON object that tells a stranger nothing."""

    @app.errorhandler(HTTPException)
    async def refuse(error: HTTPException) -> ResponseReturnValue:
        headers = [(name, value) for name, value in error.get_headers() if name == "Allow"]
        return {"error": error.name.lower()}, error.code or 500, headers

    @app.errorhandler(Exception)
    async def fail(error: Exception) -> ResponseReturnValue:
        log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a page failed",
            path=request.path,
            error=type(error).__name__,
            exc_info=error,
        )
        return {"error": "internal error"}, 500


async def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
