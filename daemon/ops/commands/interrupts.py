"""Commands that work in the event loop, and end in order when they are interrupted."""

import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_until_signal(work: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run ``work`` to its end; gives its result, or raises its error.

    SIGINT and SIGTERM cancel it, so that what it has opened is closed and its folders are removed;
    then SystemExit is raised with the usual status, 128 and the signal's number. A second signal
    has its usual effect.
    """
    return trio.run(_unless_signalled, partial(work, *arguments))


async def _unless_signalled(work: Callable[[], Awaitable[T]]) -> T:
    if threading.current_thread() is not threading.main_thread():
        return await work()  # signals reach the main thread alone
    came: list[int] = []

    async def watch(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            came.append(await anext(aiter(received)))
        nursery.cancel_scope.cancel()

    results: list[T] = []
    errors: list[Exception] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(watch, name="signals")
        try:
            results.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below, outside of a group
            errors.append(error)
        nursery.cancel_scope.cancel()
    if errors:
        raise _only(errors[0])
    if not results:
        raise SystemExit(128 + came[0])
    return results[0]


def _only(error: Exception) -> Exception:
    """The error of a group that has one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error
