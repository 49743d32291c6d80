"""Tools written for asyncio: each call has a thread with a loop of its own.

This is the one module that knows asyncio; the daemon itself runs on trio. A tool that uses asyncio
without saying so is recognised when it is loaded: in trio's loop its first wait would fail.
"""

import asyncio  # noqa: TID251 - for tools that are written for it
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any

LIBRARIES = frozenset(
    {
        *("aioboto3", "aiobotocore", "aiofiles", "aiogram", "aiohttp", "aiokafka", "aiomqtt"),
        *("aiomysql", "aioodbc", "aiopg", "aioredis", "aiosmtplib", "aiosqlite", "asyncio"),
        *(
            "asyncpg",
            "asyncmy",
            "beanie",
            "gino",
            "motor",
            "nats",
            "telethon",
            "tortoise",
            "uvloop",
        ),
    }
)
"""Packages whose coroutines only run in a loop of asyncio."""

MOST_FUNCTIONS = 200
"""Functions of a module that are looked at, from a tool on."""


class AsyncioCall:
    """One call of a coroutine function, in a loop of its own."""

    def __init__(self, function: Callable[[], Awaitable[Any]]) -> None:
        self._function = function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def run(self) -> Any:
        """Run it to its end, in a thread. Raises what the function raises."""
        return asyncio.run(self._run())

    async def _run(self) -> Any:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._cancelled:
            raise asyncio.CancelledError
        return await self._function()

    def cancel(self) -> None:
        """Cancel it, from another thread: the function's own clean-up still runs."""
        self._cancelled = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._task.cancel)


def library_for_asyncio(function: Callable[..., Any]) -> str:
    """The package for asyncio that a coroutine function uses; empty if none is seen.

    Looks at the names in its code, and in functions of the same module that it uses.
    """
    left: list[Any] = [inspect.unwrap(function)]
    seen: set[int] = set()
    while left and len(seen) < MOST_FUNCTIONS:
        one = left.pop()
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            package = _package_of(name, value)
            if package in LIBRARIES:
                return package
            if getattr(value, "__module__", "") == function.__module__:
                left.append(value)
                left += vars(value).values() if isinstance(value, type) else ()
    return ""


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function uses, with those of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _package_of(name: str, value: object) -> str:
    """The package that a name stands for; the name itself where it is imported in the function."""
    if value is None:
        return name
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0]
    return str(getattr(value, "__module__", "") or "").partition(".")[0]
