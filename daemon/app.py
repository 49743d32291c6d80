"""The composition: what the daemon is made of, and THE nursery with its start and stop order."""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from zoneinfo import ZoneInfo

import trio
from pydantic import SecretStr

from daemon.assistant.responses import open_responses_engine
from daemon.breaker import Breaker
from daemon.chats.channel import Channel
from daemon.chats.dependencies import ChatRules, Dependencies
from daemon.chats.intake import Intake
from daemon.chats.registry import ChatRegistry
from daemon.errors import SettingsError, StoreUnavailable
from daemon.housekeeping import Figures, keep_figures, keep_sweeping
from daemon.model import ChatKey
from daemon.observe.logs import Log
from daemon.observe.metrics import Metrics
from daemon.recovery import recover, resume_windows
from daemon.running import RunningDaemon
from daemon.settings import Settings
from daemon.store.store import open_store
from daemon.supervisor import supervise
from daemon.system.deadline import Deadline
from daemon.system.notify import Notify
from daemon.system.signals import stop_signals
from daemon.texts import texts
from daemon.tools import builtin
from daemon.tools.toolbox import Toolbox, load_tools
from daemon.web.edge import create_edge
from daemon.web.facade import EdgeSettings
from daemon.web.pages import create_pages
from daemon.web.server import serve
from daemon.whapi.client import open_whapi
from daemon.window import WindowRules

GRACE_SHARE = 0.6
"""The part of the stop deadline in which runs and sends may finish; the rest is for tidying up."""

BREAKER_FAILURES = 5
BREAKER_BASE_SECONDS = 2.0
BREAKER_CAP_SECONDS = 60.0
"""After so many failures of the model in a row, over all chats, one chat at a time asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything the daemon gets from outside its settings. Tests give it another one."""

    log: Log
    metrics: Metrics
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    clock: Callable[[], float]
    """Durations, seconds; callable from any thread."""
    notify: Notify
    binds: Sequence[str] = ()
    """Addresses to serve instead of the settings' host and port, such as inherited sockets."""
    random: Random = field(default_factory=SystemRandom)
    handle_signals: bool = True
    """False where the process belongs to somebody else, such as a test."""
    stop: trio.Event = field(default_factory=trio.Event)
    """Set to stop the daemon; signals do that too."""


OpenDependencies = Callable[[Settings, World], AbstractAsyncContextManager[Dependencies]]


async def run(
    settings: Settings,
    world: World,
    *,
    open_needs: OpenDependencies | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the daemon until it is told to stop, or a core task of it fails.

    ``open_needs`` opens what chats work with, `open_dependencies` if not given. ``task_status``
    gets the URLs served, once requests are answered. Raises SettingsError, ToolError or StoreError
    before anything is served; afterwards an exception means a crash.
    """
    opening = (open_needs or open_dependencies)(settings, world)
    async with opening as needs, trio.open_nursery() as nursery:
        stop = world.stop
        chats = ChatRegistry(needs)
        figures = Figures()
        daemon = RunningDaemon(
            settings=settings,
            store=needs.store,
            chats=chats,
            intake=Intake(needs, chats),
            figures=figures,
            metrics=needs.metrics,
            now=world.now,
        )
        deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=daemon.abandoned)
        stop_http = trio.Event()
        http_stopped = trio.Event()
        _publish(needs.metrics, chats, figures)
        with _signals(world, deadline):
            # The start, in order: each line may rely on those above it.
            side = partial(supervise, log=world.log, random=world.random)
            nursery.start_soon(_watch_store, needs, name="store watch")
            await nursery.start(chats.run, name="chats")
            nursery.start_soon(
                partial(side, partial(keep_figures, needs, figures), name="figures"),
                name="figures",
            )
            nursery.start_soon(
                partial(
                    side,
                    partial(
                        keep_sweeping,
                        needs,
                        chats,
                        delay_seconds=settings.recovery.delay_seconds,
                    ),
                    name="sweep",
                ),
                name="sweep",
            )
            nursery.start_soon(
                partial(side, partial(_recover, settings, needs, chats), name="recovery"),
                name="recovery",
            )
            await resume_windows(needs, chats)
            urls = await nursery.start(
                partial(_serve_http, settings, world, daemon, stop_http, http_stopped),
                name="http",
            )
            nursery.start_soon(
                partial(side, needs.engine.warm_up, name="model warm-up"), name="model warm-up"
            )
            daemon.opened(urls)
            world.notify(f"READY=1\nSTATUS=serving {', '.join(urls)}")
            world.log.info("ready", symbol="✅", address=", ".join(urls))
            task_status.started(urls)

            await stop.wait()

            # The stop, in order: nothing new, then what is under way, then all of it.
            world.log.info("stopping", symbol="🛑")
            daemon.phase = "stopping"
            world.notify("STOPPING=1")
            with trio.move_on_after(settings.shutdown.deadline_seconds * GRACE_SHARE):
                stop_http.set()
                chats.stop()
                await http_stopped.wait()
                await chats.wait_idle()
            nursery.cancel_scope.cancel()
    deadline.disarm()
    world.log.info("stopped", symbol="👋")


@asynccontextmanager
async def open_dependencies(settings: Settings, world: World) -> AsyncIterator[Dependencies]:
    """Open everything that chats work with; closed in reverse order at the end of the block."""
    toolbox = Toolbox(
        [
            builtin.get_conversation_context,
            *load_tools(settings.tools.modules, settings.tools.folder),
        ]
    )
    rules = chat_rules(settings, read_instructions(settings.assistant.instructions_file))
    async with (
        open_store(settings.data_dir, clock=world.clock, meter=_StoreMeter(world.metrics)) as store,
        open_whapi(
            api_url=settings.whapi.api_url,
            token=_secret(settings.whapi.token),
            timeout_seconds=settings.whapi.timeout_seconds,
            rng=world.random,
            observe=partial(_observe_upstream, world.metrics, "whapi"),
        ) as gateway,
        open_responses_engine(
            base_url=settings.assistant.base_url,
            api_key=_secret(settings.assistant.api_key),
            model=settings.assistant.model,
            timeout_seconds=settings.assistant.run_timeout_seconds,
            rng=world.random,
            background=_background(settings),
            options=settings.assistant.options,
        ) as engine,
    ):
        yield Dependencies(
            store=store,
            engine=engine,
            gateway=gateway,
            toolbox=toolbox,
            rules=rules,
            channel=Channel(
                per_minute=rules.messages_per_minute if rules.typing else 0, log=world.log
            ),
            model_breaker=Breaker(
                threshold=BREAKER_FAILURES,
                base_seconds=BREAKER_BASE_SECONDS,
                cap_seconds=BREAKER_CAP_SECONDS,
            ),
            texts=texts(settings.language, settings.texts.model_dump()),
            log=world.log,
            metrics=world.metrics,
            now=world.now,
            random=world.random,
            contact_hash=_contact_hash(settings.data_dir),
        )


def chat_rules(settings: Settings, instructions: str) -> ChatRules:
    """The settings that chats go by, in seconds."""
    buffer = settings.buffer
    return ChatRules(
        instructions=instructions,
        language=settings.language,
        zone=ZoneInfo(settings.timezone),
        window=WindowRules(
            text_seconds=buffer.window_seconds,
            voice_seconds=buffer.voice_seconds,
            typing_seconds=buffer.typing_seconds,
            stop_seconds=buffer.stop_seconds,
            max_wait_seconds=buffer.max_wait_seconds,
            max_messages=buffer.max_messages,
        ),
        idle_seconds=buffer.idle_seconds,
        run_timeout_seconds=settings.assistant.run_timeout_seconds,
        max_tool_rounds=settings.assistant.max_tool_rounds,
        history_tokens=settings.assistant.history_tokens,
        pause_seconds=settings.takeover.pause_minutes * 60,
        max_age_seconds=settings.recovery.max_age_hours * 3600,
        messages_per_minute=settings.delivery.messages_per_minute,
        typing=settings.delivery.typing,
    )


def read_instructions(path: Path) -> str:
    """What the model is told to be. Raises SettingsError, naming the file, if it is unreadable."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([f"assistant.instructions_file: cannot read {path}: {why}"]) from error


# -- pieces of the nursery ---------------------------------------------------------------------


@contextmanager
def _signals(world: World, deadline: Deadline) -> Iterator[None]:
    """Stop at SIGTERM and SIGINT, if the process is ours."""
    if not world.handle_signals:
        yield
        return
    with stop_signals(world.stop.set, arm_deadline=deadline.arm):
        yield


async def _serve_http(
    settings: Settings,
    world: World,
    daemon: RunningDaemon,
    stop: trio.Event,
    stopped: trio.Event,
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve HTTP until `stop` is set; ending before that is a crash of the daemon."""
    edge_settings = EdgeSettings(
        environment=settings.environment,
        webhook_secrets=tuple(s.get_secret_value() for s in settings.web.webhook_secret),
        admin_token=_secret(settings.web.admin_token),
        max_body_bytes=int(settings.web.max_body_mb * 1024 * 1024),
    )
    pages = create_pages(daemon, edge_settings, world.log)
    await serve(
        create_edge(daemon, edge_settings, pages, world.log),
        binds=world.binds or [bind_address(settings)],
        stop=stop,
        grace_seconds=settings.shutdown.deadline_seconds * GRACE_SHARE,
        log=world.log,
        task_status=task_status,
    )
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended without being asked")
    stopped.set()


def bind_address(settings: Settings) -> str:
    """The address of the settings, as the server takes it."""
    host = settings.web.host
    return f"[{host}]:{settings.web.port}" if ":" in host else f"{host}:{settings.web.port}"


async def _watch_store(needs: Dependencies) -> None:
    """End the daemon when its store cannot be trusted any more. Runs until cancelled."""
    await needs.store.database.failed.wait()
    raise StoreUnavailable(needs.store.database.fault)


async def _recover(settings: Settings, needs: Dependencies, chats: ChatRegistry) -> None:
    await recover(
        needs,
        chats,
        delay_seconds=settings.recovery.delay_seconds,
        timeout_seconds=settings.recovery.timeout_seconds,
    )


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


class _StoreMeter:
    """Passes the store's figures on to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, *, rows: int, seconds: float) -> None:
        """See `daemon.store.database.Meter`."""
        self._metrics.store_commit.observe(seconds)
        self._metrics.store_batch_rows.observe(rows)


def _observe_upstream(
    metrics: Metrics, service: str, operation: str, outcome: str, _seconds: float
) -> None:
    metrics.count_upstream(service, operation, outcome)


def _secret(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _background(settings: Settings) -> bool | None:
    return None if settings.assistant.background == "auto" else bool(settings.assistant.background)


def _contact_hash(data_dir: Path) -> Callable[[ChatKey], str]:
    """Name contacts for the model's provider without saying who they are.

    The key lies beside the store, so that names are stable here and mean nothing anywhere else.
    """
    path = data_dir / "contact.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        path.touch(mode=0o600)
        path.write_bytes(key)

    def name(chat: ChatKey) -> str:
        text = f"{chat.channel}\0{chat.chat}".encode()
        return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]

    return name
