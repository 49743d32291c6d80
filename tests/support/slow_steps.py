"""Steps that take long, as on a busy machine; `tests.conftest` lets the tests have them.

A test that depends on no time holds with them. What waits needs no processor, so many can run at
once: ``SLOW_STEPS=1 python -m pytest --numprocesses 8 tests/daemon``.
"""

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import trio
from trio.testing import MockClock

from daemon.ledger.drivers import threads
from daemon.ledger.drivers.postgres.writer import Writer
from daemon.ledger.drivers.sqlite.database import SqliteDatabase

P = ParamSpec("P")
T = TypeVar("T")

USUAL_SECONDS, LONG_SECONDS = 0.004, 0.5
IS_LONG = 0.03
"""How many of the reads, writes and calls in threads take long."""
STANDS_STILL = 0.002
"""Before how many of its steps the event loop stands still."""


def stand_still(seconds: float) -> None:
    """Let the thread that calls this do nothing for so long."""
    threading.Event().wait(seconds)


class StandStill(trio.abc.Instrument):
    """Lets the event loop stand still now and then, as if the process did not run."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's signature
        if random.random() < STANDS_STILL:  # noqa: S311 - not for secrets
            stand_still(random.uniform(0.1, 0.5) * LONG_SECONDS * self._scale)  # noqa: S311


def install(scale: float) -> None:
    """Slow down the steps of all tests of this process; ``scale`` 1 is a busy machine."""

    def rest() -> None:
        is_long = random.random() < IS_LONG  # noqa: S311
        seconds = random.uniform(0, 2) * (LONG_SECONDS if is_long else USUAL_SECONDS)  # noqa: S311
        stand_still(seconds * scale)

    def slow(function: Callable[P, T]) -> Callable[P, T]:
        def slowly(*arguments: P.args, **named: P.kwargs) -> T:
            rest()
            result = function(*arguments, **named)
            rest()
            return result

        return slowly

    run, run_in_thread = trio.run, trio.to_thread.run_sync

    def run_slowly(*arguments: Any, instruments: Any = (), **named: Any) -> Any:
        slowing = () if isinstance(named.get("clock"), MockClock) else (StandStill(scale),)
        return run(*arguments, instruments=(*instruments, *slowing), **named)

    def run_slowly_in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return run_in_thread(partial(slow(function), *arguments), **named)

    patched: list[tuple[Any, str, Any]] = [
        (threads, "_result", slow(threads._result)),
        (SqliteDatabase, "_commit", slow(SqliteDatabase._commit)),
        (Writer, "_commit", slow(Writer._commit)),
        (trio, "run", run_slowly),
        (trio.to_thread, "run_sync", run_slowly_in_thread),
    ]
    for owner, name, slowed in patched:
        setattr(owner, name, slowed)
