"""The daemon as the crash harness kills it: ``python -m support.crash_victim DESCRIPTOR``.

Composed as by `daemon.startup`, with kill points around the dependencies and short waits where no
settings shortens them. It prints ``READY=1`` to stdout.

What takes longest of a start is to import the modules. So a process that has done that alone, and
has no thread, forks each life: see `fork_lives`.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from daemon import __version__
from daemon.app import run
from daemon.assistant import responses_connection
from daemon.conversation import reminders
from daemon.conversation.number_runtime import open_services
from daemon.conversation.opening import Environment, Process
from daemon.conversation.services import ChatServices
from daemon.observability.metrics import Metrics
from daemon.ops import notifier, webhook_sender
from daemon.settings import Settings
from daemon.settings.sources import load_settings
from daemon.startup import _open_log
from support.crash_points import (
    PLAN_VARIABLE,
    USUAL_FILE,
    KillPlan,
    KillPoints,
    watch_usual_webhooks,
    watched,
)
from support.services import with_rules

CLOCK_VARIABLE = "CRASH_CLOCK"
"""The environment variable with the file that says how far the wall clock is ahead."""

ECHO_VARIABLE = "CRASH_ECHO_SECONDS"
"""The environment variable with another value than this."""

ECHO_SECONDS = 0.2
RETRY_SECONDS = 0.05
"""Waits of the chats that no setting changes, shortened."""

IMPORTED_LATE = responses_connection
"""By the daemon's own tasks: with the lives' modules."""

LOOK_SECONDS = 0.05
"""Between two looks at reminders, outgoing webhooks and notifications, likewise."""

WEBHOOK_CAP_SECONDS = 10.0
"""Between two tries of an outgoing webhook, likewise."""


def main() -> None:
    """Run until killed, or until SIGTERM."""
    plan = msgspec.json.decode(os.environ[PLAN_VARIABLE], type=KillPlan)
    os.set_inheritable(plan.listener, False)
    points = KillPoints(
        plan, kill=partial(os.kill, os.getpid(), plan.signal), note=_note_in(plan.trace)
    )
    watch_usual_webhooks(points, _note_in(USUAL_FILE))
    signal.signal(signal.SIGUSR1, lambda _number, _frame: points.arm())
    environ = {k: v for k, v in os.environ.items() if k != PLAN_VARIABLE}
    settings = load_settings(config=None, environ=environ, cwd=Path.cwd()).settings
    environment = Environment(
        log=_open_log(settings, environ),
        metrics=Metrics(version=__version__, by_number=bool(settings.numbers)),
        now=_wall_clock(environ.get(CLOCK_VARIABLE, "")),
        clock=time.perf_counter,
        notify=_say,
        binds=[f"fd://{plan.listener}"],
    )

    @asynccontextmanager
    async def open_watched(
        settings: Settings, process: Process, name: str
    ) -> AsyncIterator[ChatServices]:
        async with open_services(settings, process, name) as services:
            echo = float(environ.get(ECHO_VARIABLE, ECHO_SECONDS))
            waits = {"echo_seconds": echo, "retry_seconds": RETRY_SECONDS}
            yield watched(with_rules(services, waits), points)

    async def life() -> None:
        await run(settings, environment, open_services=open_watched)

    reminders.LOOK_SECONDS = webhook_sender.LOOK_SECONDS = notifier.LOOK_SECONDS = LOOK_SECONDS
    webhook_sender.RETRY_CAP_SECONDS = WEBHOOK_CAP_SECONDS
    trio.run(life, strict_exception_groups=True)


def fork_lives(control: socket.socket) -> None:
    """Fork a life for each message, one after the other, until the other side is closed.

    A message is the environment as JSON, with the life's stdout and stderr. The answers are its
    process id and, when it has ended, its status.
    """
    while True:
        message, streams, _, _ = socket.recv_fds(control, 1 << 20, 2)
        if not message:
            return
        life = os.fork()
        if not life:
            control.close()
            for place, stream in enumerate(streams, start=1):
                os.dup2(stream, place)
                os.close(stream)
            os.environ.clear()
            os.environ.update(json.loads(message))
            main()
            sys.exit()
        for stream in streams:
            os.close(stream)
        control.send(str(life).encode())
        _, status = os.waitpid(life, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def _wall_clock(path: str) -> Callable[[], float]:
    """The wall clock, ahead by as much as a file says at each look; without a file it is right."""
    if not path:
        return time.time
    return lambda: time.time() + float(Path(path).read_text())


def _note_in(path: str) -> Callable[[str], None]:
    """A writer of lines to a file, or to none."""
    if not path:
        return lambda _point: None
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(point: str) -> None:
        os.write(descriptor, f"{point}\n".encode())

    return note


def _say(message: str) -> None:
    os.write(sys.stdout.fileno(), f"{message}\n".encode())


if __name__ == "__main__":
    fork_lives(socket.socket(fileno=int(sys.argv[1])))
