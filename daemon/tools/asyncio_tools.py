"""Tools written for asyncio: each call has a thread with a loop of its own.

This is the one module that knows asyncio; the daemon itself runs on trio. A tool that uses asyncio
without saying so is recognised when it is loaded: in trio's loop its first wait would fail.
"""

import asyncio  # noqa: TID251 - for tools that are written for it
import dis
import inspect
from collections.abc import Awaitable, Callable
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

    Looks at what its code imports and at the globals that it names, and into functions of the same
    module that it uses.
    """
    left: list[Any] = [inspect.unwrap(function)]
    seen: set[int] = set()
    while left and len(seen) < MOST_FUNCTIONS:
        one = left.pop()
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        imported, named = _names(one.__code__)
        values = [one.__globals__[name] for name in named if name in one.__globals__]
        for module in (*imported, *map(_module_of, values)):
            if package := _for_asyncio(module):
                return package
        for value in values:
            if getattr(value, "__module__", "") == function.__module__:
                left.append(value)
                left += vars(value).values() if isinstance(value, type) else ()
    return ""


def _names(code: CodeType) -> tuple[list[str], list[str]]:
    """The modules that a function imports, and the globals that it names.

    With those of the functions inside it. An attribute, such as ``boat.motor``, is neither.
    """
    imported, named = [], []
    for one in dis.get_instructions(code):
        if one.opname in {"IMPORT_NAME", "IMPORT_FROM"}:
            imported.append(str(one.argval))
        elif one.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            named.append(str(one.argval))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _names(constant)
            imported += inner[0]
            named += inner[1]
    return imported, named


def _module_of(value: object) -> str:
    """The module that a value is, or comes from."""
    if isinstance(value, ModuleType):
        return value.__name__
    return str(getattr(value, "__module__", "") or "")


def _for_asyncio(module: str) -> str:
    """The package of a module that needs a loop of asyncio; empty if it does not.

    Of some packages a part is for it, and says so by its name: ``redis.asyncio``.
    """
    package, *parts = module.split(".")
    if package in LIBRARIES:
        return package
    return module if "asyncio" in parts else ""
