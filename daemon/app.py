"""The one nursery: what is started in which order, and how it stops."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial

import trio

from daemon import __version__
from daemon.assistant.port import report_models
from daemon.conversation.deps import Dependencies
from daemon.conversation.intake import Intake
from daemon.conversation.number_watch import watch_channel
from daemon.conversation.opening import (
    Environment,
    OpenDependencies,
    StoppedEarly,
    open_dependencies,
    secret_text,
)
from daemon.conversation.own_ids import know_ourselves
from daemon.conversation.recovery import recover, resume_windows
from daemon.conversation.registry import ChatRegistry
from daemon.conversation.reload import Reloader
from daemon.errors import SettingsError, StoreUnavailable
from daemon.http.access import Access
from daemon.http.clients import read_networks
from daemon.http.dashboard.dashboard import register_dashboard
from daemon.http.edge import answered_at_once, create_edge
from daemon.http.front import Front
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings
from daemon.http.server import serve
from daemon.ledger.files import AUDIO_FOLDER
from daemon.observability.counts import counted_faults
from daemon.observability.events import STARTED, STOPPED, STOPPING, UNEXPECTED_ERROR
from daemon.observability.logs import Log
from daemon.ops.daemon_state import DaemonState
from daemon.ops.live_log import LiveLog
from daemon.ops.maintenance.figures import Figures
from daemon.ops.maintenance.forgetting import Forgetter
from daemon.ops.maintenance.tasks import start_housekeeping
from daemon.ops.notifier import open_notifier
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews
from daemon.ops.status import ProcessRecord, keep_status, signs_of_life
from daemon.settings import Settings, model_names
from daemon.system.signals import Deadline, hangup_signal, stop_signals
from daemon.system.supervisor import supervise
from daemon.system.systemd import keep_feeding

GRACE_SHARE = 0.6
"""The part of the stop deadline in which runs and sends may finish; the rest is for tidying up."""

LAST_ANSWERS_SECONDS = 1.0
"""How long requests in flight may go on when the start has failed."""


async def run(
    settings: Settings,
    environment: Environment,
    *,
    open_deps: OpenDependencies = open_dependencies,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the daemon until it is told to stop, or a core task of it fails.

    ``open_deps`` opens what chats work with. ``task_status`` gets the URLs served, once requests
    are answered. Raises SettingsError, ToolError or StoreError if it cannot start; afterwards an
    exception means a crash.
    """
    http = _Http(settings, environment)
    deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=http.abandoned)
    with _signals(environment, deadline), counted_faults(environment.log, environment.metrics):
        try:
            in_time = partial(_ending_in_time, environment, deadline, http)
            await _start_and_stop(settings, environment, http, open_deps, in_time, task_status)
        except* StoppedEarly:
            task_status.started([])
    deadline.disarm()


async def _start_and_stop(
    settings: Settings,
    environment: Environment,
    http: "_Http",
    open_deps: OpenDependencies,
    ending_in_time: Callable[[], AbstractAsyncContextManager[None]],
    task_status: trio.TaskStatus[list[str]],
) -> None:
    # The start, in order: each line may rely on those above it.
    async with (
        http.listening(),  # and answering that the daemon starts
        open_deps(settings, environment) as deps,
        open_notifier(settings, deps) as notifier,
        _remembered(ProcessRecord(deps)) as process_record,
        trio.open_nursery() as nursery,
        ending_in_time(),
    ):
        chats = ChatRegistry(deps)
        figures = Figures()
        intake = Intake(deps, chats)
        reloader = Reloader(
            settings, deps, chats, read=environment.read_settings, notify=environment.notify
        )
        forgetter = Forgetter(deps, chats, settings.data_dir, clock=environment.clock)
        operations = _compose_operations(settings, deps, chats, intake, figures, forgetter)
        side = partial(_start_side_task, nursery, environment)
        after = settings.recovery.delay_seconds
        _publish(deps, chats, figures, operations)

        nursery.start_soon(_watch_store, deps, name="store watch")
        await nursery.start(deps.attachments.run, name="files")
        await nursery.start(_run_chats, chats, environment.log, name="chats")
        side("live log", operations.live_log.run)
        await process_record.begin()
        side("samples", operations.state.sampler.run)
        start_housekeeping(side, settings, deps, chats, figures, forgetter)
        limit, recovery = settings.recovery.timeout_seconds, operations.views.recovery
        side("recovery", recover, deps, chats, after, limit, recovery)
        recovery.waiting = await resume_windows(deps, chats)
        await know_ourselves(deps)
        http.open(operations)
        side("channel watch", watch_channel, deps, chats, settings.whapi.check_seconds)
        side("notifications", notifier.run)
        side("model warm-up", deps.engine.warm_up)
        side(
            "models",
            report_models,
            deps.engine,
            model_names(settings),
            environment.log,
            environment.now,
        )
        urls = http.urls
        environment.notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
        side("reload", reloader.run, environment.reload)
        side("status", keep_status, deps, chats, figures, urls, reloader, environment.notify)
        signs = signs_of_life(deps.store, chats, http_is_open=lambda: http.is_open)
        side(
            "watchdog",
            keep_feeding,
            environment.watchdog_seconds,
            signs,
            environment.notify,
            environment.log,
        )
        environment.log.event(
            STARTED,
            version=__version__,
            environment=settings.environment,
            address=", ".join(urls),
            webhook=settings.web.webhook_url or f"{urls[0]}/hook",
        )
        task_status.started(urls)

        await environment.stop.wait()

        # The stop, in order: nothing new, then what is under way, then all of it.
        operations.state.stopping()
        environment.notify("STOPPING=1")
        environment.log.event(STOPPING)
        nursery.start_soon(process_record.stopping, name="stop noted")
        stop_began = environment.clock()
        with trio.move_on_after(settings.shutdown.deadline_seconds * GRACE_SHARE):
            http.stop.set()
            chats.stop()
            await http.stopped.wait()
            await chats.wait_idle()
        nursery.cancel_scope.cancel()
    environment.log.event(STOPPED, seconds=round(environment.clock() - stop_began, 2))


def _compose_operations(
    settings: Settings,
    deps: Dependencies,
    chats: ChatRegistry,
    intake: Intake,
    figures: Figures,
    forgetter: Forgetter,
) -> Operations:
    """Give the operations what they need of everything that is open."""
    state = DaemonState(
        settings,
        store=deps.store,
        chats=chats,
        channel=deps.channel,
        channel_state=deps.channel_state,
        model_state=deps.model_state,
        live_config=deps.live_config,
        figures=figures,
        metrics=deps.metrics,
        log=deps.log,
        now=deps.now,
    )
    views = OperatorViews(
        settings.data_dir,
        store=deps.store,
        chats=chats,
        chat_info=deps.chat_info,
        live_config=deps.live_config,
        run_slots=deps.run_slots,
        metrics=deps.metrics,
        now=deps.now,
    )
    return Operations(
        settings.data_dir,
        state=state,
        views=views,
        live_log=LiveLog(deps.store.dashboard_log, keep=settings.dashboard.log_lines, log=deps.log),
        store=deps.store,
        chats=chats,
        intake=intake,
        engine=deps.engine,
        channel=deps.channel,
        model_state=deps.model_state,
        chat_info=deps.chat_info,
        labels=deps.labels,
        live_config=deps.live_config,
        forgetter=forgetter,
        now=deps.now,
    )


def _start_side_task(
    nursery: trio.Nursery,
    environment: Environment,
    name: str,
    task: Callable[..., Awaitable[None]],
    *arguments: object,
) -> None:
    """Start a task whose faults are logged and mended by beginning it again."""
    run_task = partial(task, *arguments)
    nursery.start_soon(
        partial(supervise, run_task, name=name, log=environment.log, random=environment.random),
        name=name,
    )


class _Http:
    """The HTTP edge as a core task: it ends when `stop` is set, and at no other time."""

    def __init__(self, settings: Settings, environment: Environment) -> None:
        self.stop = trio.Event()
        self.stopped = trio.Event()
        self.is_open = False
        """True while clients are accepted and answered."""
        self.urls: list[str] = []
        """Where it listens."""
        self._settings = settings
        self._environment = environment
        self._operations: Operations | None = None
        self._scope = trio.CancelScope()
        self._front = Front(
            version=__version__,
            environment=settings.environment,
            public_url=settings.web.webhook_url,
            port=settings.web.port,
            now=environment.now,
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
                # A start that failed: nobody is cut off whom the minimal app will go on answering.
                self._front.give_up()
                self.stop.set()
                with trio.move_on_after(LAST_ANSWERS_SECONDS, shield=True):
                    await self.stopped.wait()
                raise
            self.cut()

    def open(self, operations: Operations) -> None:
        """Answer for a daemon that is ready, and pass on to it what has waited for that."""
        settings, environment = self._settings, self._environment
        edge = EdgeSettings(
            environment=settings.environment,
            webhook_secrets=tuple(s.get_secret_value() for s in settings.web.webhook_secret),
            admin_token=secret_text(settings.web.admin_token),
            model_webhook_secret=secret_text(settings.assistant.webhook_secret),
            max_body_bytes=int(settings.web.max_body_mb * 1024 * 1024),
            audio_folder=settings.data_dir / AUDIO_FOLDER,
            public_url=settings.web.webhook_url,
            language=settings.language,
            timezone=settings.timezone,
            session_seconds=settings.dashboard.session_hours * 3600,
            phone_url=environment.phone_url,
        )
        access = Access(operations, environment.log)
        pages = create_pages(operations, edge, environment.log, access)
        register_dashboard(pages, operations, edge, environment.log, access)
        operations.state.opened(self.urls)
        self._operations = operations
        self._front.open(create_edge(operations, edge, pages, environment.log, access))

    def cut(self) -> None:
        """End at once, with all requests in flight."""
        self._scope.cancel()

    def abandoned(self) -> str:
        """What is under way, in one line; called by another thread when a stop is forced."""
        return self._operations.state.abandoned() if self._operations else "the start"

    async def _run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """Serve until `stop` is set and requests in flight are finished, or it is `cut`."""
        self.is_open = True
        try:
            with self._scope, _core_task(self._environment.log):
                await self._serve(task_status)
        finally:
            self.is_open = False
            self.stopped.set()

    async def _serve(self, task_status: trio.TaskStatus[list[str]]) -> None:
        binds = self._environment.binds or [bind_address(self._settings)]
        try:
            await serve(
                self._front,
                binds=binds,
                stop=self.stop,
                grace_seconds=self._settings.shutdown.deadline_seconds * GRACE_SHARE,
                log=self._environment.log,
                proxies=read_networks(self._settings.web.trusted_proxies),
                at_once=answered_at_once,
                task_status=task_status,
            )
        except OSError as error:
            if self.urls:
                raise
            line = f"web.port: cannot listen on {', '.join(binds)}: {error.strerror or error}"
            raise SettingsError([line]) from error
        if not self.stop.is_set():
            raise RuntimeError("the HTTP server ended without being asked")


def bind_address(settings: Settings) -> str:
    """The address of the settings, as the server takes it."""
    host = settings.web.host
    return f"[{host}]:{settings.web.port}" if ":" in host else f"{host}:{settings.web.port}"


@contextmanager
def _signals(environment: Environment, deadline: Deadline) -> Iterator[None]:
    """Stop at SIGTERM and SIGINT, reload at SIGHUP, if the process is ours."""
    if not environment.handle_signals:
        yield
        return

    def hang_up() -> None:
        deadline.arm()
        environment.stop.set()

    with (
        stop_signals(environment.stop.set, arm_deadline=deadline.arm),
        hangup_signal(environment.reload.ring, stop=hang_up),
    ):
        yield


async def _watch_store(deps: Dependencies) -> None:
    """End the daemon when its store cannot be trusted any more. Runs until cancelled."""
    with _core_task(deps.log):
        await deps.store.database.failed.wait()
        raise StoreUnavailable(deps.store.database.fatal_error)


async def _run_chats(chats: ChatRegistry, log: Log, *, task_status: trio.TaskStatus[None]) -> None:
    """Own the tasks of all chats. Runs until cancelled."""
    with _core_task(log):
        await chats.run(task_status=task_status)


@contextmanager
def _core_task(log: Log) -> Iterator[None]:
    """Name the core task whose fault ends the daemon; its traceback follows at the very end."""
    try:
        yield
    except SettingsError:
        raise  # a person has to act; the daemon does not even begin
    except Exception as error:
        log.event(
            UNEXPECTED_ERROR, where="core", what="a core task failed", error=type(error).__name__
        )
        raise


@asynccontextmanager
async def _ending_in_time(
    environment: Environment, deadline: Deadline, http: _Http
) -> AsyncIterator[None]:
    """Have the stop after a fault of any core task end in time, as after a signal.

    A fault of another task reaches the block as its cancellation. HTTP, which began before what it
    serves was open, ends before that is closed.
    """
    try:
        yield
    except BaseException:
        if environment.handle_signals:  # else the process is somebody else's
            deadline.arm()
        http.cut()
        raise


@asynccontextmanager
async def _remembered(process_record: ProcessRecord) -> AsyncIterator[ProcessRecord]:
    """Note the end of a block that no exception has left."""
    yield process_record
    await process_record.stopped()


def _publish(
    deps: Dependencies, chats: ChatRegistry, figures: Figures, operations: Operations
) -> None:
    """Let the gauges be read when they are scraped."""
    metrics = deps.metrics
    metrics.read_active(
        chats=lambda: chats.statistics().chats,
        windows=lambda: chats.statistics().windows,
        runs=lambda: chats.statistics().runs,
    )
    metrics.read_backlog(
        oldest_unanswered=lambda: figures.oldest_unanswered,
        oldest_waiting=lambda whom: (
            figures.oldest_for_bot if whom == "bot" else figures.oldest_for_person
        ),
        chats_waiting_for_person=lambda: figures.chats_for_person,
        outbox_rows=lambda state: figures.outbox.get(state, 0),
    )
    metrics.vitals.read_queue(
        messages=lambda state: figures.queue.get(state, 0),
        dead_letters=lambda: figures.dead_letters,
    )
    metrics.vitals.read_state(
        ready=lambda: not operations.state.ready(),
        breakers={
            "model": lambda: deps.model_state.is_down or bool(deps.model_state.refusal),
            "channel": lambda: bool(deps.channel.trouble),
        },
        clients=lambda: operations.live_log.readers,
    )
