"""HTTP as a task of the daemon: it listens before the daemon is open, and ends before it closes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio
from pydantic import SecretStr

from daemon import __version__
from daemon.errors import SettingsError
from daemon.http.access import Access
from daemon.http.api.api import api_routes, create_api
from daemon.http.clients import read_networks
from daemon.http.dashboard.dashboard import register_dashboard
from daemon.http.dashboard.guard import Guard
from daemon.http.edge import create_edge, create_hook, is_hot_path
from daemon.http.front import Front
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings
from daemon.http.server import serve
from daemon.observability.counts import core_task
from daemon.observability.logs import Log
from daemon.ops.operations import Operations
from daemon.ops.webhook_auth import webhook_auth_of
from daemon.settings import Settings

LAST_ANSWERS_SECONDS = 1.0
"""How long requests in flight may go on when the start has failed."""


class HttpTask:
    """HTTP as a core task: it ends when `stop` is set, and at no other time."""

    def __init__(
        self,
        settings: Settings,
        *,
        binds: Sequence[str],
        grace_seconds: float,
        log: Log,
        now: Callable[[], float],
    ) -> None:
        """``binds``: addresses to serve instead of the settings' host and port.

        ``grace_seconds``: how long requests in flight may go on after the stop. ``now``: wall
        clock, Unix seconds.
        """
        self.stop = trio.Event()
        self.stopped = trio.Event()
        self.is_open = False
        """True while clients are accepted and answered."""
        self.urls: list[str] = []
        """Where it listens."""
        self._settings = settings
        self._binds = binds or [bind_address(settings)]
        self._grace_seconds = grace_seconds
        self._log = log
        self._operations: Operations | None = None
        self._scope = trio.CancelScope()
        self._front = Front(
            version=__version__,
            environment=settings.environment,
            public_url=settings.web.webhook_url,
            port=settings.web.port,
            now=now,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve for the length of the block: first that the daemon starts, then what is `open`ed.

        Raises SettingsError if the address cannot be listened on.
        """
        async with trio.open_nursery() as nursery:
            self.urls = await nursery.start(self._run, name="http")
            port = self.urls[0].rpartition(":")[2]
            self._front.port = int(port) if port.isdecimal() else self._settings.web.port
            try:
                yield
            except BaseException:
                # A failed start: requests that the minimal app answers are not cut off.
                self._front.give_up()
                self.stop.set()
                with trio.move_on_after(LAST_ANSWERS_SECONDS, shield=True):
                    await self.stopped.wait()
                raise
            self.cut()

    def open(self, operations: Operations, *, phone_url: str) -> None:
        """Answer for a daemon that is ready, and pass on to it what has waited for that."""
        log = self._log
        edge = replace(self._edge(), phone_url=phone_url)
        access = Access(operations.state, log, audit=operations.audit)
        pages = create_pages(operations, edge, log, access)
        guard = Guard(operations, edge, access)
        register_dashboard(pages, operations, edge, log, access, guard)
        pages.register_blueprint(create_api(api_routes(operations, edge, access, guard), log))
        operations.state.opened(self.urls)
        self._operations = operations
        hook = create_hook(operations, edge, log, access)
        self._front.open(create_edge(operations, edge, pages, log, hook), hook)

    def _edge(self) -> EdgeSettings:
        settings = self._settings
        return EdgeSettings(
            environment=settings.environment,
            numbers=webhook_auth_of(settings),
            admin_token=_text(settings.web.admin_token),
            model_webhook_secret=_text(settings.assistant.webhook_secret),
            max_body_bytes=int(settings.web.max_body_mb * 1024 * 1024),
            public_url=settings.web.webhook_url,
            language=settings.language,
            timezone=settings.timezone,
            session_seconds=settings.dashboard.session_hours * 3600,
            oidc_issuer=settings.dashboard.oidc_issuer,
            oidc_client_id=settings.dashboard.oidc_client_id,
            oidc_client_secret=_text(settings.dashboard.oidc_client_secret),
        )

    def cut(self) -> None:
        """End at once, with all requests in flight."""
        self._scope.cancel()

    def abandoned(self) -> str:
        """Requests under way, in one line; called by another thread at a forced stop."""
        return self._operations.state.abandoned() if self._operations else "the start"

    async def _run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """Serve until `stop` is set and requests in flight are finished, or it is `cut`."""
        self.is_open = True
        try:
            with self._scope, core_task(self._log):
                await self._serve(task_status)
        finally:
            self.is_open = False
            self.stopped.set()

    async def _serve(self, task_status: trio.TaskStatus[list[str]]) -> None:
        try:
            await serve(
                self._front,
                binds=self._binds,
                stop=self.stop,
                grace_seconds=self._grace_seconds,
                log=self._log,
                proxies=read_networks(self._settings.web.trusted_proxies),
                is_hot=is_hot_path,
                webhooks=lambda: self._front.webhooks,
                task_status=task_status,
            )
        except OSError as error:
            if self.urls:
                raise
            why = error.strerror or error
            line = f"web.port: cannot listen on {', '.join(self._binds)}: {why}"
            raise SettingsError([line]) from error
        if not self.stop.is_set():
            raise RuntimeError("the HTTP server ended without being asked")


def bind_address(settings: Settings) -> str:
    """The address of the settings, as the server takes it."""
    host = settings.web.host
    return f"[{host}]:{settings.web.port}" if ":" in host else f"{host}:{settings.web.port}"


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
