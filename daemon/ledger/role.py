"""Roles: classes whose methods read and write on a connection that they are given.

A method marked `query` or `transaction` is written as a plain function of a connection, which runs
in the database's thread. Its caller awaits it, without the connection::

    class Turns(Role):
        @query
        def active(self, connection: Connection, key: ChatKey) -> Turn | None: ...


    turn = await turns.active(key)
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from daemon.ledger.drivers.port import Connection, Database


class Role:
    """The part of the ledger that one kind of caller uses."""

    def __init__(self, database: Database) -> None:
        self._database = database


R = TypeVar("R", bound=Role)
P = ParamSpec("P")
T = TypeVar("T")


def query(
    method: Callable[Concatenate[R, Connection, P], T],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Run a method on a connection that changes nothing. Raises StoreUnavailable."""

    @wraps(method)
    async def run(self: R, /, *arguments: P.args, **named: P.kwargs) -> T:
        def call(connection: Connection) -> T:
            return method(self, connection, *arguments, **named)

        call.__qualname__ = method.__qualname__  # for the crash harness and for logs
        return await self._database.read(call)

    return run


def transaction(
    method: Callable[Concatenate[R, Connection, P], T],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Run a method inside a transaction; durable on return. Raises StoreUnavailable.

    The method may be undone and run again, so it changes nothing but the database.
    """

    @wraps(method)
    async def run(self: R, /, *arguments: P.args, **named: P.kwargs) -> T:
        def call(connection: Connection) -> T:
            return method(self, connection, *arguments, **named)

        call.__qualname__ = method.__qualname__  # for the crash harness and for logs
        return await self._database.write(call)

    return run
