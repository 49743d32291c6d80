"""The one nursery: what is started in which order, and how it stops."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
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
from daemon.ops.notifier import open_notifier
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews
from daemon.ops.remote import KEPT_SECONDS, CommandTask, Remote, drop_old_commands
from daemon.ops.status import ProcessRecord, keep_status, signs_of_life
from daemon.ops.text_editor import TextEditor
from daemon.ops.webhook_sender import open_webhook_sender, subscribe
from daemon.settings import Settings, model_names
from daemon.settings.numbers import numbers_of
from daemon.system.process_signals import Deadline, hangup_signal, stop_signals
from daemon.system.systemd import keep_feeding

GRACE_SHARE = 0.6
"""The part of the stop deadline in which runs and sends may finish; the rest is for tidying up."""

OpenProcess = Callable[[Settings, Environment], AbstractAsyncContextManager[Process]]
WATCH_GAP_SECONDS = 0.05
"""Between the first looks at two numbers: a gateway has limits for the calls of one address."""

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
    start_and_stop = partial(
        _start_and_stop,
        settings,
        environment,
        http,
        open_process,
        open_services,
        partial(_ending_in_time, environment, deadline, http),
        task_status,
    )
    with _signals(environment, deadline), counted_faults(environment.log, environment.metrics):
        try:
            await start_and_stop()
        except* StoppedEarly:
            task_status.started([])
        except* StoreDamaged:
            deadline.disarm()  # what follows says why the daemon cannot run, until it is stopped
            raise
    deadline.disarm()


async def _start_and_stop(
    settings: Settings,
    environment: Environment,
    http: HttpTask,
    open_process: OpenProcess,
    open_services: OpenServices,
    ending_in_time: Callable[[], AbstractAsyncContextManager[None]],
    task_status: trio.TaskStatus[list[str]],
) -> None:
    # The start, in order: each line may rely on those above it.
    log, notify = environment.log, environment.notify
    async with (
        http.listening(),  # and answering that the daemon starts
        open_process(settings, environment) as process,
        _open_numbers(settings, process, open_services) as numbers,
        open_notifier(settings, process, numbers) as notifier,
        open_webhook_sender(settings, process, numbers) as webhook_sender,
        _remembered(_record(settings, process)) as record,
        trio.open_nursery() as nursery,
        ending_in_time(),
    ):
        figures, recover = Figures(), Recovery(process, numbers)
        reloader = Reloader(
            settings, process, numbers, read=environment.read_settings, notify=notify
        )
        forgetter = Forgetter(
            process.store,
            process.telemetry,
            numbers,
            settings.data_dir,
            clock=environment.clock,
        )
        operations = _operations(
            settings, process, numbers, figures, forgetter, recover.report, reloader
        )
        side = partial(_start_side_task, nursery, environment)
        recovery, every = settings.recovery, settings.housekeeping
        _publish(process, numbers, figures, operations)

        nursery.start_soon(_watch_store, process.store, log, name="store watch")
        side("live log", operations.live_log.run)
        await record.begin()
        side("samples", operations.state.sampler.run)
        start_housekeeping(side, settings, process, numbers, figures)
        serve = _serve_all_numbers if process.store.cluster is None else _share_numbers
        await serve(nursery, settings, environment, process, operations, recover, forgetter)
        side("recovery", recover.recover, recovery.delay_seconds, recovery.timeout_seconds)
        side("sweep", recover.keep_sweeping, recovery.delay_seconds, every.sweep_seconds)
        http.open(operations, phone_url=environment.phone_url)
        side("notifications", notifier.run)
        side("outgoing webhooks", webhook_sender.run)
        side("reminders", ReminderTask(process, numbers).run)
        for engine, models in _models(settings, process):
            side("model warm-up", engine.warm_up)
            side("models", report_models, engine, models, log, environment.now)
        urls = http.urls
        notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
        side("reload", reloader.run, environment.reload)
        side("status", keep_status, process, numbers, figures, urls, reloader, notify)
        signs = signs_of_life(process.store, numbers, http_is_open=lambda: http.is_open)
        side("watchdog", keep_feeding, environment.watchdog_seconds, signs, notify, log)
        log.event(
            STARTED,
            version=__version__,
            environment=settings.environment,
            address=", ".join(urls),
            webhook=settings.web.webhook_url or f"{urls[0]}/hook",
        )
        task_status.started(urls)

        await environment.stop.wait()

        stop_began = environment.clock()
        nursery.start_soon(record.stopping, name="stop noted")
        await _stop(settings, environment, http, numbers, operations)
        nursery.cancel_scope.cancel()
    log.event(STOPPED, seconds=round(environment.clock() - stop_began, 2))


async def _stop(
    settings: Settings,
    environment: Environment,
    http: HttpTask,
    numbers: Numbers,
    operations: Operations,
) -> None:
    """Take nothing new, and let what is under way finish for its grace. All else is cancelled."""
    operations.state.stopping()
    environment.notify("STOPPING=1")
    environment.log.event(STOPPING)
    with trio.move_on_after(settings.shutdown.deadline_seconds * GRACE_SHARE):
        http.stop.set()
        numbers.stop()
        await http.stopped.wait()
        await numbers.wait_idle()


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
        live_log=LiveLog(
            process.store.dashboard_log, keep=keep, log=log, cluster=process.store.cluster
        ),
        forgetter=forgetter,
        api=ApiAccess(
            process.store,
            per_minute=settings.web.api_requests_per_minute,
            now=process.telemetry.now,
        ),
        texts=TextEditor(process, numbers, settings=lambda: reloader.settings),
        remote=remote,
    )


async def _serve_all_numbers(
    nursery: trio.Nursery,
    settings: Settings,
    environment: Environment,
    process: Process,
    operations: Operations,
    recover: Recovery,
    forgetter: Forgetter,
) -> None:
    """Serve every number in this process, which has the ledger to itself."""
    numbers, side = operations.numbers, partial(_start_side_task, nursery, environment)
    await numbers.start(nursery)
    start_leading(side, settings, process, forgetter)
    await recover.resume_windows()
    await numbers.learn_own_ids()
    for place, number in enumerate(numbers):
        side(f"watch of {number.name}", number.watch, place * WATCH_GAP_SECONDS)


async def _share_numbers(
    nursery: trio.Nursery,
    settings: Settings,
    environment: Environment,
    process: Process,
    operations: Operations,
    recover: Recovery,
    forgetter: Forgetter,
) -> None:
    """Serve the numbers that this node owns, lead when it is to, and do what other nodes ask."""
    numbers, telemetry, cluster = operations.numbers, process.telemetry, process.store.cluster
    if cluster is None:
        raise RuntimeError("numbers are shared in a cluster only")
    held = ChatsOfAllNodes(numbers, ask=operations.hold_chats)
    held.follow(forgetter.held_now)
    forgetter.chats, operations.hold_now = held, held.look

    def watch(nursery: trio.Nursery, number: NumberRuntime) -> None:
        side = partial(_start_side_task, nursery, environment)
        side(f"watch of {number.name}", number.watch, 0.0)

    async def lead(nursery: trio.Nursery) -> None:
        side = partial(_start_side_task, nursery, environment)
        side("subscriptions", subscribe, settings, process)
        orphans, every = recover.cancel_old_orphans, ORPHAN_SECONDS
        side("orphans", repeat, orphans, every, environment.log, "orphans not cancelled")
        old = partial(drop_old_commands, process.store.commands, telemetry.now)
        side("old commands", repeat, old, KEPT_SECONDS, environment.log, "old commands not deleted")
        start_leading(side, settings, process, forgetter)

    edited = process.edited
    sharing = NumberSharing(
        cluster,
        numbers,
        recover,
        telemetry,
        held_chats=held,
        look=partial(edited.look, numbers),
        watch=watch,
        lead=lead,
    )
    await nursery.start(sharing.run, name="sharing of numbers")
    side = partial(_start_side_task, nursery, environment)
    if numbers.waiting is not None:
        side("waiting calls", numbers.waiting.run, cluster, numbers.served_names)
    commands = CommandTask(operations, process.store, cluster, telemetry.log)
    side("commands", commands.run)
    side("edited texts", edited.run, numbers)


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


def _record(settings: Settings, process: Process) -> ProcessRecord:
    node = node_name(settings) if process.store.cluster else ""
    return ProcessRecord(process.store.process_life, process.telemetry, node=node)


@asynccontextmanager
async def _remembered(process_record: ProcessRecord) -> AsyncIterator[ProcessRecord]:
    """Note the end of a block that no exception has left."""
    yield process_record
    await process_record.stopped()


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
