"""Starting the process: from the command line's arguments to an exit status."""

import errno
import faulthandler
import gc
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from pydantic import BaseModel, SecretStr

from daemon import __version__
from daemon.app import run
from daemon.conversation.opening import Environment
from daemon.conversation.reload import ReadSettings
from daemon.domain.redaction import Redactor
from daemon.errors import SettingsError, StoreDamaged, StoreInUse, ToolError, ValidatorError
from daemon.http.front import minimal_app
from daemon.http.http_task import bind_address
from daemon.http.server import serve
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log, local_time, open_log, route_library_logs
from daemon.observability.metrics import Metrics
from daemon.settings import (
    Settings,
    fields_by_key,
    missing_keys,
    of_sandbox,
    with_tables,
)
from daemon.settings.readers import environment_name
from daemon.settings.sources import Loaded, load_settings
from daemon.system.process import machine_bytes, memory_limit
from daemon.system.process_signals import Deadline, stop_signals
from daemon.system.systemd import inherited_listeners, notifier, watchdog_seconds

NAME = re.compile(r"[A-Za-z0-9_. -]{1,80}")
"""The public name of a key, a variable or a file."""

CLEAN, CRASHED, UNUSABLE = 0, 1, 2
"""Exit statuses."""

DEFAULT_PORT = 8080
"""Where the minimal server listens if even the port is unknown."""

YOUNG_OBJECTS = 10_000
"""Objects with parts that are new before Python looks for cycles among them (its own choice is
700). Hardly any cycle arises here: looking so seldom makes a webhook 3 % cheaper."""

OLDER_LOOKS = 2, 40
"""After two looks at new objects it looks at all since the last such look; after 40 of these, at
all objects. Everything waits meanwhile: with Python's own choice, 10 and 10, for 40 ms the first
time. All objects are looked at about as often as before: after 80 looks in place of 100."""

RunDaemon = Callable[[Settings, Environment], Awaitable[None]]

UNUSABLE_ERRORS = (SettingsError, ToolError, ValidatorError, StoreInUse, StoreDamaged)
"""A person has to act before the daemon can run."""


def start(
    config: Path | None,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    sandbox: bool,
    simulated: bool = False,
) -> int:
    """Run the daemon until a stop is requested; gives the exit status.

    ``simulated``: the sandbox's model is the simulated one, also where a real one is configured.

    If the configuration or the store cannot be used, the minimal server says so instead, until it
    is told to stop. Only for the main thread.
    """
    gc.freeze()
    gc.enable()
    faulthandler.enable()  # SIGABRT, which a watchdog sends, shows where every thread stands
    settings, log = Settings(), _open_log(Settings(), environ)
    try:
        loaded = load_settings(config=config, environ=environ, cwd=cwd)
        settings = of_sandbox(loaded.settings) if sandbox else loaded.settings
        log.close()
        log = _open_log(settings, environ)
        read = partial(_read_again, config, environ, cwd, sandbox=sandbox)
        if not sandbox:
            require_keys(settings)
        if line := _taken_port(settings, environ, sandbox=sandbox):
            log.critical(line, symbol="❌")
            return UNUSABLE
        run_daemon: RunDaemon = run
        if sandbox:
            run_daemon = _in_sandbox(settings, log, simulated=simulated)
        _log_start(loaded, log)
        for note in loaded.notes:
            log.warning(note)
        _run(run_daemon, settings, log, environ, read)
    except Exception as error:  # noqa: BLE001 - the boundary of the process
        unusable = [e for e in leaves(error) if isinstance(e, UNUSABLE_ERRORS)]
        if not unusable:
            log.event(UNEXPECTED_ERROR, where="core", what="stopped by a fault", exc_info=error)
            return CRASHED
        for line in "\n".join(map(str, unusable)).splitlines():
            log.critical(line, symbol="❌")
        reason = "; ".join(map(public_reason, unusable))
        return _serve_reason(f"{reason}; the log says why", settings, log, environ)
    finally:
        log.close()
    return CLEAN


def _in_sandbox(settings: Settings, log: Log, *, simulated: bool) -> RunDaemon:
    """How to run the daemon in the sandbox. Says which model answers there."""
    from daemon.ops.rehearsal.model import (  # noqa: PLC0415 - only the sandbox needs it
        has_real_model,
        model_line,
    )
    from daemon.sandbox.start import run_sandbox  # noqa: PLC0415 - likewise

    simulated = simulated or not has_real_model(settings)
    log.warning(model_line(settings, simulated=simulated), symbol="🤖")
    return partial(run_sandbox, simulated=simulated)


def open_sandbox(*terms: Any) -> AbstractAsyncContextManager[Any]:
    """Run the daemon between simulators; a `daemon.ops.rehearsal.sandbox.OpenSandbox`."""
    from daemon.sandbox.start import open_sandbox  # noqa: PLC0415 - only rehearsals need it

    return open_sandbox(*terms)


def _log_start(loaded: Loaded, log: Log) -> None:
    """Log version, addresses and configuration; of secrets, whether they are set."""
    limit = memory_limit()
    log.info(
        "starting",
        version=__version__,
        python=platform.python_version(),
        environment=loaded.settings.environment,
        memory_mb=machine_bytes() // 1_000_000,
        memory_limit_mb=limit.limit_bytes // 1_000_000 if limit else 0,
        config=str(loaded.config_file or "built-in defaults"),
    )
    changed = (f"{key}={value}" for key, value in loaded.changed.items())
    secrets = (f"{key} {'set' if given else 'unset'}" for key, given in loaded.secrets.items())
    log.info(
        "configured",
        changed=" ".join(changed) or "nothing",
        secrets=", ".join(secrets),
    )


def unset_keys(config: Path | None, *, environ: Mapping[str, str], cwd: Path) -> list[str]:
    """The keys that are needed and not set, as far as no number is configured.

    None for a configuration with a fault, which the start reports.
    """
    try:
        settings = load_settings(config=config, environ=environ, cwd=cwd).settings
    except SettingsError:
        return []
    return [] if settings.numbers else missing_keys(settings)


def _taken_port(settings: Settings, environ: Mapping[str, str], *, sandbox: bool) -> str:
    """Which port another program has, and what to do, in one line; empty if they are free."""
    ports = []
    if not inherited_listeners(environ, os.getpid()):
        ports.append(("web.port", settings.web.host, settings.web.port))
    if sandbox:
        ports.append(("sandbox.port", "127.0.0.1", settings.sandbox.port))
    for key, host, port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return (
                        f"port {port} on {host} is in use: stop the other program, or set {key}"
                        f" ({environment_name(key)}) to another port; 0 takes any free one"
                    )
    return ""


def require_keys(settings: Settings) -> None:
    """Raise SettingsError if something is unset that the real services need."""
    if missing := missing_keys(settings):
        raise SettingsError([f"{key}: is needed and not set" for key in missing])


def _read_again(
    config: Path | None, environ: Mapping[str, str], cwd: Path, *, sandbox: bool
) -> Settings:
    """Read the configuration for a reload. Raises SettingsError, as the start would."""
    settings = load_settings(config=config, environ=environ, cwd=cwd).settings
    if sandbox:
        return of_sandbox(settings)
    require_keys(settings)
    return settings


def public_reason(error: Exception) -> str:
    """The public reason why the daemon cannot run: the part concerned, and no value.

    The lines of these errors begin with what is wrong: a key, a variable, a file. What follows may
    quote the configuration, or the text of an error in a tool's module.
    """
    if isinstance(error, StoreInUse):
        return f"the store is in use by another process (pid {error.holder})"
    if isinstance(error, StoreDamaged):
        return "the store cannot be used"
    heads = [_head(line) for line in str(error).splitlines()]
    if not isinstance(error, SettingsError):
        keys = fields_by_key()
        heads = [head if head.endswith(".py") or head in keys else "a module" for head in heads]
    names = [head if NAME.fullmatch(head) else "the configuration" for head in heads]
    return f"cannot be used: {', '.join(dict.fromkeys(names))}"


def _head(line: str) -> str:
    """The subject of a line. An unknown name may be a misplaced secret."""
    name, is_unknown, _ = line.partition(": unknown key")
    if is_unknown:
        section = name.partition(".")[0]
        return section if section in Settings.model_fields else "an unknown key"
    return line.partition(": ")[0].rpartition("/")[2]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors of a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _run(
    run_daemon: RunDaemon,
    settings: Settings,
    log: Log,
    environ: Mapping[str, str],
    read: ReadSettings,
) -> None:
    environment = Environment(
        log=log,
        metrics=Metrics(version=__version__, by_number=bool(settings.numbers)),
        now=time.time,
        clock=time.perf_counter,
        notify=notifier(environ),
        binds=inherited_listeners(environ, os.getpid()),
        read_settings=read,
        watchdog_seconds=watchdog_seconds(environ, os.getpid()),
    )
    # What is loaded by now stays: there is no point in looking through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *OLDER_LOOKS)
    with route_library_logs(log):
        trio.run(run_daemon, settings, environment, strict_exception_groups=True)


def _open_log(settings: Settings, environ: Mapping[str, str]) -> Log:
    return open_log(
        stream=sys.stderr,
        level=settings.log.level,
        format=settings.log.format,
        language=settings.language,
        symbols=settings.log.emoji,
        redactor=Redactor(secrets_of(settings), words=settings.log.words),
        now=local_time,
        no_color=bool(environ.get("NO_COLOR")),
        environ=environ,
    )


def secrets_of(values: object) -> Iterator[str]:
    """Every secret among settings, whatever table it stands in."""
    if isinstance(values, SecretStr):
        yield values.get_secret_value()
    elif isinstance(values, BaseModel):
        for name in type(values).model_fields:
            yield from secrets_of(getattr(values, name))
    elif isinstance(values, Mapping):
        for inner in values.values():
            yield from secrets_of(inner)
    elif isinstance(values, tuple | list):
        for inner in values:
            yield from secrets_of(inner)


# -- when it cannot run ------------------------------------------------------------------------


def _serve_reason(reason: str, settings: Settings, log: Log, environ: Mapping[str, str]) -> int:
    """Answer `/health` with the reason until a stop is requested; gives the exit status."""
    port = settings.web.port if settings != Settings() else _port_of(environ)
    binds = inherited_listeners(environ, os.getpid()) or [
        bind_address(with_tables(settings, {"web": {"port": port}}))
    ]
    try:
        trio.run(_minimal, reason, settings, port, binds, log, strict_exception_groups=True)
    except* OSError as group:
        why = "; ".join(str(error) for error in leaves(group))
        log.critical("the minimal server cannot listen either", error=why)
    return UNUSABLE


def _port_of(environ: Mapping[str, str]) -> int:
    """The port as far as it can be known without a usable configuration."""
    for name in ("RECADO_WEB__PORT", "PORT"):
        text = environ.get(name, "")
        if text.isdecimal() and 0 < int(text) < 65536:
            return int(text)
    return DEFAULT_PORT


async def _minimal(
    reason: str, settings: Settings, port: int, binds: Sequence[str], log: Log
) -> None:
    """Serve the minimal app. Runs until a signal comes."""
    stop = trio.Event()
    deadline = Deadline(settings.shutdown.deadline_seconds, abandoned=lambda: "nothing")
    app = minimal_app(reason, settings.environment, port, time.time)
    serving = partial(serve, app, binds=binds, stop=stop, grace_seconds=1, log=log)
    with stop_signals(stop.set, arm_deadline=deadline.arm):
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(serving, name="minimal http")
            log.warning(
                "the daemon cannot run; answering /health with the reason", address=", ".join(urls)
            )
    deadline.disarm()
