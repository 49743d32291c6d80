"""The one nursery: what is started in which order, and how it stops."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import trio

from daemon import __version__
from daemon.assistant.models import report_models
from daemon.chats.channel_watch import watch_channel
from daemon.chats.dependencies import Dependencies
from daemon.chats.intake import Intake
from daemon.chats.registry import ChatRegistry
from daemon.composition.opening import OpenDependencies, World, open_dependencies, secret_text
from daemon.composition.reloading import Reloader
from daemon.errors import StoreUnavailable
from daemon.housekeeping.figures import Figures
from daemon.housekeeping.life import Life
from daemon.housekeeping.start import start_housekeeping
from daemon.observe.events import STARTED, STOPPED, STOPPING, UNEXPECTED_ERROR
from daemon.observe.faults import counted_faults
from daemon.observe.logs import Log
from daemon.recovery import recover, resume_windows
from daemon.running.daemon import RunningDaemon
from daemon.running.status import keep_status, signs_of_life
from daemon.settings import Settings, model_names
from daemon.store.kept_files import AUDIO_FOLDER
from daemon.supervisor import supervise
from daemon.system.deadline import Deadline
from daemon.system.signals import hangup_signal, stop_signals
from daemon.system.watchdog import keep_feeding
from daemon.web.dashboard.dashboard import register_dashboard
from daemon.web.edge import answered_at_once, create_edge
from daemon.web.facade import EdgeSettings
from daemon.web.pages import create_pages
from daemon.web.server import serve

GRACE_SHARE = 0.6
"""The part of the stop deadline in which runs and sends may finish; the rest is for tidying up."""


async def run(
    settings: Settings,
    world: World,
    *,
    open_needs: OpenDependencies = open_dependencies,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the daemon until it is told to stop, or a core task of it fails.

    ``open_needs`` opens what chats work with. ``task_status`` gets the URLs served, once requests
    are answered. Raises SettingsError, ToolError or StoreError before anything is served;
    afterwards an exception means a crash.
    """
    async with (
        open_needs(settings, world) as needs,
        _remembered(Life(needs)) as life,
        trio.open_nursery() as nursery,
    ):
        chats = ChatRegistry(needs)
        figures = Figures()
        intake = Intake(needs, chats)
        reloader = Reloader(settings, needs, chats, read=world.read_settings, notify=world.notify)
        daemon = RunningDaemon(settings, needs, chats=chats, intake=intake, figures=figures)
        http = _Http(settings, world, daemon)
        deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=daemon.abandoned)
        side = partial(_start_side_task, nursery, world)
        after = settings.recovery.delay_seconds
        _publish(needs, chats, figures, daemon)

        with _signals(world, deadline), counted_faults(world.log, world.metrics):
            # The start, in order: each line may rely on those above it.
            nursery.start_soon(_watch_store, needs, name="store watch")
            await nursery.start(needs.attachments.run, name="files")
            await nursery.start(_run_chats, chats, world.log, name="chats")
            side("live log", daemon.watch.live.run)
            await life.begin()
            side("samples", daemon.watch.sampler.run)
            start_housekeeping(side, settings, needs, chats, figures)
            limit, report = settings.recovery.timeout_seconds, daemon.recovery
            side("recovery", recover, needs, chats, after, limit, report)
            report.waiting = await resume_windows(needs, chats)
            urls = await nursery.start(http.run, name="http")
            side("channel watch", watch_channel, needs, chats, settings.whapi.check_seconds)
            side("model warm-up", needs.engine.warm_up)
            side("models", report_models, needs.engine, model_names(settings), world.log, world.now)
            daemon.opened(urls)
            world.notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
            side("reload", reloader.run, world.reload)
            side("status", keep_status, needs, chats, figures, urls, reloader, world.notify)
            signs = signs_of_life(needs.store, chats, http_is_open=lambda: http.is_open)
            side("watchdog", keep_feeding, world.watchdog_seconds, signs, world.notify, world.log)
            world.log.event(
                STARTED,
                version=__version__,
                environment=settings.environment,
                address=", ".join(urls),
                webhook=settings.web.webhook_url or f"{urls[0]}/hook",
            )
            task_status.started(urls)

            await world.stop.wait()

            # The stop, in order: nothing new, then what is under way, then all of it.
            daemon.phase = "stopping"
            world.notify("STOPPING=1")
            world.log.event(STOPPING)
            nursery.start_soon(life.stopping, name="stop noted")
            stop_began = world.clock()
            with trio.move_on_after(settings.shutdown.deadline_seconds * GRACE_SHARE):
                http.stop.set()
                chats.stop()
                await http.stopped.wait()
                await chats.wait_idle()
            nursery.cancel_scope.cancel()
    deadline.disarm()
    world.log.event(STOPPED, seconds=round(world.clock() - stop_began, 2))


def _start_side_task(
    nursery: trio.Nursery,
    world: World,
    name: str,
    task: Callable[..., Awaitable[None]],
    *arguments: object,
) -> None:
    """Start a task whose faults are logged and mended by beginning it again."""
    run_task = partial(task, *arguments)
    nursery.start_soon(
        partial(supervise, run_task, name=name, log=world.log, random=world.random), name=name
    )


class _Http:
    """The HTTP edge as a core task: it ends when `stop` is set, and at no other time."""

    def __init__(self, settings: Settings, world: World, daemon: RunningDaemon) -> None:
        self.stop = trio.Event()
        self.stopped = trio.Event()
        self.is_open = False
        """True while clients are accepted and answered."""
        self._settings = settings
        self._world = world
        self._daemon = daemon

    async def run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """Serve until `stop` is set and requests in flight are finished, or cancelled."""
        with _core_task(self._world.log):
            self.is_open = True
            try:
                await self._serve(task_status)
            finally:
                self.is_open = False

    async def _serve(self, task_status: trio.TaskStatus[list[str]]) -> None:
        settings, log = self._settings, self._world.log
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
            phone_url=self._world.phone_url,
        )
        pages = create_pages(self._daemon, edge, log)
        register_dashboard(pages, self._daemon, edge, log, self._world.clock)
        await serve(
            create_edge(self._daemon, edge, pages, log),
            binds=self._world.binds or [bind_address(settings)],
            stop=self.stop,
            grace_seconds=settings.shutdown.deadline_seconds * GRACE_SHARE,
            log=log,
            at_once=answered_at_once,
            task_status=task_status,
        )
        if not self.stop.is_set():
            raise RuntimeError("the HTTP server ended without being asked")
        self.stopped.set()


def bind_address(settings: Settings) -> str:
    """The address of the settings, as the server takes it."""
    host = settings.web.host
    return f"[{host}]:{settings.web.port}" if ":" in host else f"{host}:{settings.web.port}"


@contextmanager
def _signals(world: World, deadline: Deadline) -> Iterator[None]:
    """Stop at SIGTERM and SIGINT, reload at SIGHUP, if the process is ours."""
    if not world.handle_signals:
        yield
        return

    def hang_up() -> None:
        deadline.arm()
        world.stop.set()

    with (
        stop_signals(world.stop.set, arm_deadline=deadline.arm),
        hangup_signal(world.reload.ring, stop=hang_up),
    ):
        yield


async def _watch_store(needs: Dependencies) -> None:
    """End the daemon when its store cannot be trusted any more. Runs until cancelled."""
    with _core_task(needs.log):
        await needs.store.database.failed.wait()
        raise StoreUnavailable(needs.store.database.fault)


async def _run_chats(chats: ChatRegistry, log: Log, *, task_status: trio.TaskStatus[None]) -> None:
    """Own the tasks of all chats. Runs until cancelled."""
    with _core_task(log):
        await chats.run(task_status=task_status)


@contextmanager
def _core_task(log: Log) -> Iterator[None]:
    """Name the core task whose fault ends the daemon; its traceback follows at the very end."""
    try:
        yield
    except Exception as error:
        log.event(
            UNEXPECTED_ERROR, where="core", what="a core task failed", error=type(error).__name__
        )
        raise


@asynccontextmanager
async def _remembered(life: Life) -> AsyncIterator[Life]:
    """Note the end of a block that no exception has left."""
    yield life
    await life.stopped()


def _publish(
    needs: Dependencies, chats: ChatRegistry, figures: Figures, daemon: RunningDaemon
) -> None:
    """Let the gauges be read when they are scraped."""
    metrics = needs.metrics
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
        ready=lambda: not daemon.ready(),
        breakers={
            "model": lambda: needs.model_breaker.is_open,
            "channel": lambda: bool(needs.channel.trouble),
        },
        clients=lambda: daemon.watch.live.readers,
    )
