"""What an operator wants of a number that another node owns: a command that its owner carries out.

A method marked `by_owner` is called on any node. On the owner of its chat's number it runs at once.
Elsewhere it becomes a row, which the owner finds by a notice or at its next look, carries out once,
and answers. Who asks waits a while for that answer.

The owner may be of another version. It refuses a command or an argument that it does not know, and
does nothing then; an argument that has its default is not sent, so that an older owner can do what
it knows.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Any, Protocol, Self, TypeVar, cast, get_type_hints

import msgspec
import trio

from daemon.conversation.numbers import Numbers
from daemon.domain.messages import ChatKey
from daemon.errors import NotOwned, NotYetDone, OtherVersion, StoreUnavailable
from daemon.ledger.drivers.port import Cluster
from daemon.ledger.ledger import Store
from daemon.ledger.nodes import AlreadyBegun, Command, Commands, OnceDatabase
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log

LOOK_SECONDS = 1.0
"""Between two looks, where no notice has come."""

ANSWER_SECONDS = 10.0
"""How long a request waits for the result of another node."""

KEPT_SECONDS = 3600.0
"""How long a command that was done is kept."""

NOTICE = "commands"

LEDGER = ""
"""The name for work of no configured number: the node that leads does it."""

LOST_RESULT = b"null"
"""The result of a command whose owner ended, or failed, before it could say what came of it."""

UNKNOWN_RESULT = b""
"""The result of a command that its owner's version does not know."""

LOST = "outcome unknown: the node that had it ended before it reported"
TAKEN = "accepted, not done yet: the node that has this number will do it"
UNKNOWN = "nothing was done: the node that has this number is of a version that cannot do it"


class Remote:
    """Asks the owners of numbers. Made by the composer, where there can be other nodes."""

    def __init__(self, commands: Commands, cluster: Cluster, *, now: Callable[[], float]) -> None:
        """``now``: wall clock, Unix seconds."""
        self._commands = commands
        self._cluster = cluster
        self._now = now

    async def ask(self, key: ChatKey, operation: str, arguments: bytes) -> bytes:
        """Have the owner of a chat's number do something; returns its result, as JSON.

        Raises NotYetDone after `ANSWER_SECONDS`: it will be done. Raises StoreUnavailable.
        """
        asked = await self._commands.ask(
            key.number, key.chat, operation, arguments.decode(), now=self._now()
        )
        with trio.move_on_after(ANSWER_SECONDS):
            while True:
                result = await self._commands.result(asked)
                if result is not None:
                    return result.encode()
                with trio.move_on_after(LOOK_SECONDS):
                    await self._cluster.noticed(NOTICE)
        raise NotYetDone(TAKEN)


class Owner(Protocol):
    """What has methods that are marked `by_owner`."""

    numbers: Numbers
    remote: Remote | None
    """None: this process owns all numbers."""

    def over(self, store: Store) -> Self:
        """The same, over another way into the ledger."""

    def store_of(self, number: str) -> Store:
        """The ledger for those who write for a number."""


F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def by_owner(method: F) -> F:
    """Have a method done by the node that owns the number of its first argument, a chat.

    Its arguments and its result are what JSON can say. It makes one write at most, or can be
    repeated.
    """
    signature, hints = inspect.signature(method), get_type_hints(method)
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    names = [one.name for one in parameters]
    arguments = msgspec.defstruct(
        method.__name__,
        [(one.name, hints[one.name], *_default(one)) for one in parameters],
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )

    @wraps(method)
    async def on_the_owner(self: Owner, key: ChatKey, *positional: object, **named: object) -> Any:
        place = _place(self.numbers, key)
        if self.remote is None or _is_here(self, place):
            try:
                return await method(self.over(self.store_of(place)), key, *positional, **named)
            except NotOwned:
                if self.remote is None:
                    raise
        bound = signature.bind(self, key, *positional, **named)
        bound.apply_defaults()
        values = arguments(**{name: bound.arguments[name] for name in names})
        answer = await self.remote.ask(
            ChatKey(place, key.chat), method.__name__, msgspec.json.encode(values)
        )
        if answer == UNKNOWN_RESULT:
            raise OtherVersion(UNKNOWN)
        if answer == LOST_RESULT and hints["return"] is not type(None):
            raise NotYetDone(LOST)
        return msgspec.json.decode(answer, type=hints["return"])

    async def carry_out(owner: Owner, given: str) -> bytes:
        """Do it on the owner's node: arguments and result are JSON. Raises UnknownCommand."""
        try:
            values = msgspec.json.decode(given, type=arguments)
        except msgspec.ValidationError as error:
            raise UnknownCommand(str(error)) from error
        key, *rest = names
        named = {name: getattr(values, name) for name in rest}
        return msgspec.json.encode(await method(owner, getattr(values, key), **named))

    marked = cast("Any", on_the_owner)
    marked.carry_out = carry_out
    return cast("F", marked)


def _default(parameter: inspect.Parameter) -> tuple[Any, ...]:
    """What stands for a parameter that is not given, if there is such a thing."""
    return () if parameter.default is parameter.empty else (parameter.default,)


class UnknownCommand(Exception):
    """A node of another version asked for something that this one does not know."""


def _is_here(owner: Owner, place: str) -> bool:
    """Whether this process is to do what is of a number."""
    if place == LEDGER:
        return owner.store_of(LEDGER).database.leads
    return owner.numbers.serves(place)


def _place(numbers: Numbers, key: ChatKey) -> str:
    """The number whose owner is asked: the chat's, the only one, or none that is configured."""
    if numbers.get(key.number):
        return key.number
    return numbers.first.name if not key.number and len(numbers) == 1 else LEDGER


async def drop_old_commands(commands: Commands, now: Callable[[], float]) -> None:
    """Delete commands whose results are no longer awaited. Raises StoreUnavailable.

    ``now``: wall clock, Unix seconds.
    """
    await commands.forget(before=now() - KEPT_SECONDS)


class CommandTask:
    """Carries out what was asked on other nodes. `run` is a side task of each node."""

    def __init__(
        self,
        owner: Owner,
        store: Store,
        cluster: Cluster,
        log: Log,
    ) -> None:
        self._owner = owner
        self._commands = store.commands
        self._database = store.database
        self._cluster = cluster
        self._log = log

    async def run(self) -> None:
        """Look for commands, and carry them out. Runs until cancelled."""
        while True:
            try:
                await self._carry_out_all()
            except StoreUnavailable as error:
                self._log.debug("commands wait for the store", error=str(error))
            with trio.move_on_after(LOOK_SECONDS):
                await self._cluster.noticed(NOTICE)

    async def _carry_out_all(self) -> None:
        while commands := await self._commands.open(self._mine()):
            by_number: dict[str, list[Command]] = {}
            for command in commands:
                by_number.setdefault(command.number, []).append(command)
            async with trio.open_nursery() as nursery:
                for number, some in by_number.items():
                    nursery.start_soon(self._in_order, some, name=f"commands of {number}")

    def _mine(self) -> Collection[str]:
        served = [one.name for one in self._owner.numbers.served]
        return [*served, LEDGER] if self._database.leads else served

    async def _in_order(self, commands: Collection[Command]) -> None:
        waiting = self._owner.numbers.waiting
        for command in commands:
            try:
                if waiting is not None and command.number:
                    await waiting.take(command.number)  # which came before it
                result = LOST_RESULT if command.is_begun else await self._carry_out(command)
                await self._commands.done(command.id, result.decode())
            except NotOwned:
                return  # its new owner does it
            except StoreUnavailable as error:
                self._log.warning("a command waits for the store", error=str(error))
                await trio.sleep(LOOK_SECONDS)
                return

    async def _carry_out(self, command: Command) -> bytes:
        """Carry a command out. Raises StoreUnavailable if that is to be tried again."""
        store = self._owner.store_of(command.number)
        writes = store.database.of(command.number) if command.number else store.database
        there = self._owner.over(store.over(OnceDatabase(writes, command.id)))
        try:
            # Only a method that is marked `by_owner` has this.
            method = getattr(type(there), command.operation, None)
            carry_out = getattr(method, "carry_out", _unknown)
            return cast("bytes", await carry_out(there, command.arguments))
        except UnknownCommand as error:
            what, why = command.operation, str(error)
            self._log.warning("a node of another version asked for more", what=what, error=why)
            return UNKNOWN_RESULT
        except AlreadyBegun:
            return LOST_RESULT
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - a fault of one command leaves the others
            self._log.event(
                UNEXPECTED_ERROR,
                where="side_task",
                what="a command of another node failed",
                task=command.operation,
                exc_info=True,
            )
            return LOST_RESULT


async def _unknown(_owner: Owner, _arguments: str) -> bytes:
    raise UnknownCommand("there is no such command")
