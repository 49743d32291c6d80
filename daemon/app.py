"""The one nursery: what is started in which order, and how it stops."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import trio

from daemon.assistant.models import report_models
from daemon.chats.dependencies import Dependencies
from daemon.chats.intake import Intake
from daemon.chats.registry import ChatRegistry
from daemon.composition import OpenDependencies, World, open_dependencies, secret_text
from daemon.errors import StoreUnavailable
from daemon.housekeeping import Figures, keep_figures, keep_sweeping
from daemon.observe.metrics import Metrics
from daemon.recovery import recover, resume_windows
from daemon.retention import keep_retention
from daemon.running import RunningDaemon
from daemon.settings import Settings, model_names
from daemon.supervisor import supervise
from daemon.system.deadline import Deadline
from daemon.system.signals import stop_signals
from daemon.web.edge import create_edge
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
    async with open_needs(settings, world) as needs, trio.open_nursery() as nursery:
        chats = ChatRegistry(needs)
        figures = Figures()
        intake = Intake(needs, chats)
        daemon = RunningDaemon(settings, needs, chats=chats, intake=intake, figures=figures)
        http = _Http(settings, world, daemon)
        deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=daemon.abandoned)
        side = partial(_start_side_task, nursery, world)
        after = settings.recovery.delay_seconds
        _publish(needs.metrics, chats, figures)

        with _signals(world, deadline):
            # The start, in order: each line may rely on those above it.
            nursery.start_soon(_watch_store, needs, name="store watch")
            await nursery.start(chats.run, name="chats")
            side("figures", keep_figures, needs, figures)
            side("retention", keep_retention, needs, settings.retention.event_days)
            side("recovery", recover, needs, chats, after, settings.recovery.timeout_seconds)
            side("sweep", keep_sweeping, needs, chats, after)
            await resume_windows(needs, chats)
            urls = await nursery.start(http.run, name="http")
            side("model warm-up", needs.engine.warm_up)
            side("models", report_models, needs.engine, model_names(settings), world.log, world.now)
            daemon.opened(urls)
            world.notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
            world.log.info("ready", symbol="✅", address=", ".join(urls))
            task_status.started(urls)

            await world.stop.wait()

            # The stop, in order: nothing new, then what is under way, then all of it.
            daemon.phase = "stopping"
            world.notify("STOPPING=1")
            world.log.info("stopping", symbol="🛑")
            with trio.move_on_after(settings.shutdown.deadline_seconds * GRACE_SHARE):
                http.stop.set()
                chats.stop()
                await http.stopped.wait()
                await chats.wait_idle()
            nursery.cancel_scope.cancel()
    deadline.disarm()
    world.log.info("stopped", symbol="👋")


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
        self._settings = settings
        self._world = world
        self._daemon = daemon

    async def run(self, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """Serve until `stop` is set and requests in flight are finished, or cancelled."""
        settings, log = self._settings, self._world.log
        edge = EdgeSettings(
            environment=settings.environment,
            webhook_secrets=tuple(s.get_secret_value() for s in settings.web.webhook_secret),
            admin_token=secret_text(settings.web.admin_token),
            model_webhook_secret=secret_text(settings.assistant.webhook_secret),
            max_body_bytes=int(settings.web.max_body_mb * 1024 * 1024),
        )
        pages = create_pages(self._daemon, edge, log)
        await serve(
            create_edge(self._daemon, edge, pages, log),
            binds=self._world.binds or [bind_address(settings)],
            stop=self.stop,
            grace_seconds=settings.shutdown.deadline_seconds * GRACE_SHARE,
            log=log,
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
    """Stop at SIGTERM and SIGINT, if the process is ours."""
    if not world.handle_signals:
        yield
        return
    with stop_signals(world.stop.set, arm_deadline=deadline.arm):
        yield


async def _watch_store(needs: Dependencies) -> None:
    """End the daemon when its store cannot be trusted any more. Runs until cancelled."""
    await needs.store.database.failed.wait()
    raise StoreUnavailable(needs.store.database.fault)


def _publish(metrics: Metrics, chats: ChatRegistry, figures: Figures) -> None:
    """Let the gauges be read when they are scraped."""
    metrics.read_active(
        chats=lambda: chats.statistics().chats,
        windows=lambda: chats.statistics().windows,
        runs=lambda: chats.statistics().runs,
    )
    metrics.read_backlog(
        oldest_unanswered=lambda: figures.oldest_unanswered,
        outbox_rows=lambda state: figures.outbox.get(state, 0),
    )
