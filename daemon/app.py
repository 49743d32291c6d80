"""The one nursery: what is started in which order, and how it stops."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial

import trio

from daemon import __version__
from daemon.assistant.port import Engine, report_models
from daemon.conversation.number_runtime import NumberRuntime, open_services
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import (
    Environment,
    Process,
    StoppedEarly,
    node_name,
    open_process,
)
from daemon.conversation.recovery import ORPHAN_SECONDS, Recovery, RecoveryReport
from daemon.conversation.reload import Reloader
from daemon.conversation.reminders import ReminderTask
from daemon.conversation.services import ChatServices
from daemon.conversation.sharing import NumberSharing
from daemon.errors import StoreDamaged
from daemon.http.http_task import HttpTask
from daemon.ledger.drivers.port import Cluster
from daemon.ledger.ledger import Store
from daemon.observability.counts import core_task, counted_faults
from daemon.observability.events import STARTED, STOPPED, STOPPING
from daemon.observability.logs import Log
from daemon.ops.api_access import ApiAccess
from daemon.ops.daemon_state import DaemonState
from daemon.ops.held_chats import ChatsOfAllNodes
from daemon.ops.live_log import LiveLog
from daemon.ops.maintenance.figures import Figures
from daemon.ops.maintenance.retention import Forgetter, repeat
from daemon.ops.maintenance.tasks import (
    start_housekeeping,
    start_leading,
    supervise,
)
from daemon.ops.notifier import Notifier, open_notifier
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews
from daemon.ops.remote import KEPT_SECONDS, CommandTask, Remote, drop_old_commands
from daemon.ops.status import ProcessRecord, keep_status, signs_of_life
from daemon.ops.text_editor import TextEditor
from daemon.ops.webhook_sender import WebhookSender, open_webhook_sender, subscribe
from daemon.settings import Settings, model_names
from daemon.settings.numbers import numbers_of
from daemon.system.process_signals import Deadline, hangup_signal, stop_signals
from daemon.system.systemd import keep_feeding

GRACE_SHARE = 0.6
"""The part of the stop deadline in which runs and sends may finish; the rest is for tidying up."""

WATCH_GAP_SECONDS = 0.05
"""Between the first looks at two numbers: a gateway has limits for the calls of one address."""

OpenProcess = Callable[[Settings, Environment], AbstractAsyncContextManager[Process]]
OpenServices = Callable[[Settings, Process, str], AbstractAsyncContextManager[ChatServices]]


async def run(
    settings: Settings,
    environment: Environment,
    *,
    open_process: OpenProcess = open_process,
    open_services: OpenServices = open_services,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the daemon until a stop is requested, or a core task of it fails.

    ``open_process`` opens what the process has once, ``open_services`` what the chats of a number
    work with. ``task_status`` gets the URLs served, once requests are answered. Raises
    SettingsError, ToolError or StoreError if it cannot start; afterwards an exception means a
    crash.
    """
    http = HttpTask(
        settings,
        binds=environment.binds,
        grace_seconds=settings.shutdown.deadline_seconds * GRACE_SHARE,
        log=environment.log,
        now=environment.now,
    )
    deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=http.abandoned)
    opening = _open_parts(settings, environment, http, open_process, open_services)
    with _signals(environment, deadline), counted_faults(environment.log, environment.metrics):
        try:
            await _start_and_stop(opening, environment, deadline, http, task_status)
        except* StoppedEarly:
            task_status.started([])
        except* StoreDamaged:
            deadline.disarm()  # what follows says why the daemon cannot run, until it is stopped
            raise
    deadline.disarm()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is open while the daemon runs; its tasks are mostly methods of these."""

    settings: Settings
    environment: Environment
    http: HttpTask
    process: Process
    numbers: Numbers
    notifier: Notifier
    webhook_sender: WebhookSender
    record: ProcessRecord
    figures: Figures
    recovery: Recovery
    reloader: Reloader
    forgetter: Forgetter
    operations: Operations

    def start_side(
        self,
        nursery: trio.Nursery,
        name: str,
        task: Callable[..., Awaitable[None]],
        *arguments: object,
    ) -> None:
        """Start a task whose faults are logged and mended by beginning it again."""
        log, random = self.environment.log, self.environment.random
        supervised = partial(
            supervise, partial(task, *arguments), name=name, log=log, random=random
        )
        nursery.start_soon(supervised, name=name)


@asynccontextmanager
async def _open_parts(
    settings: Settings,
    environment: Environment,
    http: HttpTask,
    open_process: OpenProcess,
    open_services: OpenServices,
) -> AsyncIterator[Parts]:
    """Open what the daemon works with, in order; closed in reverse order at the end."""
    async with (
        http.listening(),  # and answering that the daemon starts
        open_process(settings, environment) as process,
        _open_numbers(settings, process, open_services) as numbers,
        open_notifier(settings, process, numbers) as notifier,
        open_webhook_sender(settings, process, numbers) as webhook_sender,
        _open_record(settings, process) as record,
    ):
        read, notify, clock = environment.read_settings, environment.notify, environment.clock
        figures, recovery = Figures(), Recovery(process, numbers)
        reloader = Reloader(settings, process, numbers, read=read, notify=notify)
        forgetter = Forgetter(
            process.store, process.telemetry, numbers, settings.data_dir, clock=clock
        )
        operations = _operations(
            settings, process, numbers, figures, forgetter, recovery.report, reloader
        )
        _publish(process, numbers, figures, operations)
        yield Parts(
            settings=settings,
            environment=environment,
            http=http,
            process=process,
            numbers=numbers,
            notifier=notifier,
            webhook_sender=webhook_sender,
            record=record,
            figures=figures,
            recovery=recovery,
            reloader=reloader,
            forgetter=forgetter,
            operations=operations,
        )


async def _start_and_stop(
    opening: AbstractAsyncContextManager[Parts],
    environment: Environment,
    deadline: Deadline,
    http: HttpTask,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    async with (
        opening as parts,
        trio.open_nursery() as nursery,
        _ending_in_time(environment, deadline, http),
    ):
        await _start(nursery, parts)
        task_status.started(http.urls)
        await environment.stop.wait()
        stop_began = environment.clock()
        await _stop(nursery, parts)
    environment.log.event(STOPPED, seconds=round(environment.clock() - stop_began, 2))


async def _start(nursery: trio.Nursery, parts: Parts) -> None:
    """Start everything, in order: each line may rely on those above it."""
    settings, environment, process = parts.settings, parts.environment, parts.process
    numbers, operations, recovery = parts.numbers, parts.operations, parts.recovery
    log, notify, side = environment.log, environment.notify, partial(parts.start_side, nursery)
    delay_seconds = settings.recovery.delay_seconds

    nursery.start_soon(_watch_store, process.store, log, name="store watch")
    side("live log", operations.live_log.run)
    await parts.record.begin()
    side("samples", operations.state.sampler.run)
    start_housekeeping(side, settings, process, numbers, parts.figures)
    if process.store.cluster is None:
        await _serve_all_numbers(nursery, parts)
    else:
        await _share_numbers(nursery, parts, process.store.cluster)
    side("recovery", recovery.recover, delay_seconds, settings.recovery.timeout_seconds)
    side("sweep", recovery.keep_sweeping, delay_seconds, settings.housekeeping.sweep_seconds)
    parts.http.open(operations, phone_url=environment.phone_url)
    side("notifications", parts.notifier.run)
    side("outgoing webhooks", parts.webhook_sender.run)
    side("reminders", ReminderTask(process, numbers).run)
    for engine, models in _models(settings, process):
        side("model warm-up", engine.warm_up)
        side("models", report_models, engine, models, log, environment.now)
    urls = parts.http.urls
    notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
    side("reload", parts.reloader.run, environment.reload)
    side("status", keep_status, process, numbers, parts.figures, urls, parts.reloader, notify)
    signs = signs_of_life(process.store, numbers, http_is_open=lambda: parts.http.is_open)
    side("watchdog", keep_feeding, environment.watchdog_seconds, signs, notify, log)
    log.event(
        STARTED,
        version=__version__,
        environment=settings.environment,
        address=", ".join(urls),
        webhook=settings.web.webhook_url or f"{urls[0]}/hook",
    )


async def _stop(nursery: trio.Nursery, parts: Parts) -> None:
    """Take nothing new, let what is under way finish for its grace, and cancel all else."""
    nursery.start_soon(parts.record.stopping, name="stop noted")
    parts.operations.state.stopping()
    parts.environment.notify("STOPPING=1")
    parts.environment.log.event(STOPPING)
    with trio.move_on_after(parts.settings.shutdown.deadline_seconds * GRACE_SHARE):
        parts.http.stop.set()
        parts.numbers.stop()
        await parts.http.stopped.wait()
        await parts.numbers.wait_idle()
    nursery.cancel_scope.cancel()


def _operations(
    settings: Settings,
    process: Process,
    numbers: Numbers,
    figures: Figures,
    forgetter: Forgetter,
    recovery: RecoveryReport,
    reloader: Reloader,
) -> Operations:
    """The operations of the API and the dashboard."""
    keep = settings.dashboard.log_lines
    log, cluster, remote = process.telemetry.log, process.store.cluster, None
    if cluster is not None:
        remote = Remote(process.store.commands, cluster, now=process.telemetry.now)
    return Operations(
        settings.data_dir,
        process,
        numbers,
        state=DaemonState(settings, process, numbers, figures),
        views=OperatorViews(process, numbers, recovery),
        live_log=LiveLog(process.store.dashboard_log, keep=keep, log=log, cluster=cluster),
        forgetter=forgetter,
        api=ApiAccess(
            process.store,
            per_minute=settings.web.api_requests_per_minute,
            now=process.telemetry.now,
        ),
        texts=TextEditor(process, numbers, settings=lambda: reloader.settings),
        remote=remote,
    )


async def _serve_all_numbers(nursery: trio.Nursery, parts: Parts) -> None:
    """Serve every number in this process, which has the ledger to itself."""
    numbers, side = parts.numbers, partial(parts.start_side, nursery)
    await numbers.start(nursery)
    start_leading(side, parts.settings, parts.process, parts.forgetter)
    await parts.recovery.resume_windows()
    await numbers.learn_own_ids()
    for place, number in enumerate(numbers):
        side(f"watch of {number.name}", number.watch, place * WATCH_GAP_SECONDS)


async def _share_numbers(nursery: trio.Nursery, parts: Parts, cluster: Cluster) -> None:
    """Serve the numbers that this node owns, lead when it is to, and do what other nodes ask."""
    numbers, process, operations = parts.numbers, parts.process, parts.operations
    telemetry, edited, forgetter = process.telemetry, process.edited, parts.forgetter
    held = ChatsOfAllNodes(numbers, ask=operations.hold_chats)
    held.follow(forgetter.held_now)
    forgetter.chats, operations.hold_now = held, held.look

    def watch(nursery: trio.Nursery, number: NumberRuntime) -> None:
        parts.start_side(nursery, f"watch of {number.name}", number.watch, 0.0)

    async def lead(nursery: trio.Nursery) -> None:
        side, log = partial(parts.start_side, nursery), telemetry.log
        side("subscriptions", subscribe, parts.settings, process)
        orphans = parts.recovery.cancel_old_orphans
        side("orphans", repeat, orphans, ORPHAN_SECONDS, log, "orphans not cancelled")
        old = partial(drop_old_commands, process.store.commands, telemetry.now)
        side("old commands", repeat, old, KEPT_SECONDS, log, "old commands not deleted")
        start_leading(side, parts.settings, process, forgetter)

    sharing = NumberSharing(
        cluster,
        numbers,
        parts.recovery,
        telemetry,
        held_chats=held,
        look=partial(edited.look, numbers),
        watch=watch,
        lead=lead,
    )
    await nursery.start(sharing.run, name="sharing of numbers")
    side = partial(parts.start_side, nursery)
    if numbers.waiting is not None:
        side("waiting calls", numbers.waiting.run, cluster, numbers.served_names)
    side("commands", CommandTask(operations, process.store, cluster, telemetry.log).run)
    side("edited texts", edited.run, numbers)


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


async def _watch_store(store: Store, log: Log) -> None:
    """End the daemon when its store cannot be trusted any more. Runs until cancelled."""
    with core_task(log):
        await store.database.failed.wait()
        raise store.database.failure()


@asynccontextmanager
async def _ending_in_time(
    environment: Environment, deadline: Deadline, http: HttpTask
) -> AsyncIterator[None]:
    """Have the stop after a fault of any core task end in time, as after a signal.

    A fault of another task reaches the block as its cancellation. HTTP, which began before what it
    serves was open, ends before that is closed.
    """
    try:
        yield
    except BaseException:
        if environment.handle_signals:  # else another program owns the process
            deadline.arm()
        http.cut()
        raise


@asynccontextmanager
async def _open_record(settings: Settings, process: Process) -> AsyncIterator[ProcessRecord]:
    """The record of this process; notes the end of a block that no exception has left."""
    node = node_name(settings) if process.store.cluster else ""
    record = ProcessRecord(process.store.process_history, process.telemetry, node=node)
    yield record
    await record.stopped()


@asynccontextmanager
async def _open_numbers(
    settings: Settings, process: Process, open_services: OpenServices
) -> AsyncIterator[Numbers]:
    """Open every number, closed in reverse order at the end."""
    async with AsyncExitStack() as opened:
        runtimes = {}
        for name, number in numbers_of(settings).items():
            services = await opened.enter_async_context(open_services(number, process, name))
            runtimes[name] = NumberRuntime(number, services)
        yield Numbers(
            runtimes,
            waiting_calls=process.store.waiting_calls if process.store.cluster else None,
            telemetry=process.telemetry,
        )


def _models(settings: Settings, process: Process) -> list[tuple[Engine, list[str]]]:
    """Each engine with the models that numbers need of it."""
    wanted: dict[Engine, dict[str, None]] = {}
    for name, number in numbers_of(settings).items():
        names = wanted.setdefault(process.models[name].engine, {})
        names.update(dict.fromkeys(model_names(number)))
    return [(engine, list(names)) for engine, names in wanted.items()]


def _publish(process: Process, numbers: Numbers, figures: Figures, operations: Operations) -> None:
    """Let the gauges be read when they are scraped."""
    metrics = process.telemetry.metrics
    metrics.read_active(
        chats=lambda: numbers.statistics().chats,
        windows=lambda: numbers.statistics().windows,
        runs=lambda: numbers.statistics().runs,
    )
    for number in numbers:
        is_served = partial(numbers.serves, number.name)
        figures.publish(number.name, number.services.telemetry.metrics, is_served=is_served)
    metrics.vitals.read_state(
        ready=lambda: not operations.state.ready(),
        breakers={
            "model": lambda: any(m.is_down or m.refusal for m in process.model_states),
            "channel": lambda: any(one.services.number.pace.trouble for one in numbers.served),
        },
        clients=lambda: operations.live_log.readers,
    )
