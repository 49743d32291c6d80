"""The numbers of a node in a cluster: served while it owns them, and left to others otherwise.

Which numbers those are is decided in the database (`daemon.ledger.drivers.postgres.ownership`). A
number that is gained goes on where its former owner stopped. One that is lost ends at once; nothing
of it could be stored or sent any more. One that another node is to have finishes its open work,
then is handed over.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import trio

from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.telemetry import Telemetry
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.port import Cluster
from daemon.observability.counts import core_task

LOOK_SECONDS = 0.5
"""Between two looks, where no notice has come."""

NOTICE = "numbers"

FINISH_SECONDS = 5.0
"""How long the chats of a number may finish their open work before it is handed over."""

RETRY_SECONDS = 0.5
"""Before a number is begun again with a store that was away."""

FIRST_SECONDS = 5.0
"""How long the start waits for the first numbers."""


class TakesOver(Protocol):
    """What goes on with the work that a former owner has left."""

    async def take_over(self, numbers: Collection[str], /) -> None:
        """Wake the chats of these numbers that have work in the store."""


class HoldsChats(Protocol):
    """What starts no task for chats whose rows are being erased."""

    async def look(self) -> None:
        """Hold what the ledger says. Raises StoreUnavailable."""

    async def run(self) -> None:
        """Look each second. Runs until cancelled."""


@dataclass(slots=True)
class _Work:
    """One number that is served."""

    epoch: int
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_left: trio.Event = field(default_factory=trio.Event)
    """Set when another node is to have it."""


class NumberSharing:
    """Serves the numbers that this node owns. Made by the composer; `run` is a core task."""

    def __init__(
        self,
        cluster: Cluster,
        numbers: Numbers,
        recovery: TakesOver,
        telemetry: Telemetry,
        *,
        held_chats: HoldsChats,
        look: Callable[[], Awaitable[None]],
        watch: Callable[[trio.Nursery, NumberRuntime], None],
        lead: Callable[[trio.Nursery], Awaitable[None]],
    ) -> None:
        """``held_chats`` holds those whose rows are being erased, of numbers that were gained too.

        ``look`` puts in force what was edited on other nodes.

        ``watch`` starts what looks after a number while it is served, ``lead`` what the node that
        leads does.
        """
        self._cluster = cluster
        self._numbers = numbers
        self._recovery = recovery
        self._log = telemetry.log
        self._metrics = telemetry.metrics.node
        self._held_chats = held_chats
        self._look_for_edits = look
        self._watch = watch
        self._lead = lead
        self._at_work: dict[str, _Work] = {}
        self._leading: trio.CancelScope | None = None
        self._to_take_over: set[str] = set()
        self._taking_over = trio.Lock()
        self._namesake = ""
        self._is_in_step = True
        self._metrics.read(
            numbers=lambda: len(numbers.served),
            leads=lambda: cluster.leads,
            lease=cluster.lease_left,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve what this node owns. Runs until cancelled; started with its first numbers."""
        with core_task(self._log):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._held_chats.run, name="held chats")
                self._look(nursery)
                with trio.move_on_after(FIRST_SECONDS):
                    while self._cluster.owned - {one.name for one in self._numbers.served}:
                        await trio.sleep(LOOK_SECONDS / 10)
                        self._look(nursery)
                task_status.started()
                while True:
                    with trio.move_on_after(LOOK_SECONDS):
                        await self._cluster.noticed(NOTICE)
                    self._look(nursery)

    def _look(self, nursery: trio.Nursery) -> None:
        """Begin and end what has to be, as of now."""
        owned = self._cluster.owned
        for one in self._numbers:
            epoch, work = self._cluster.epoch(one.name), self._at_work.get(one.name)
            if work is None and epoch:
                work = self._at_work[one.name] = _Work(epoch)
                nursery.start_soon(self._serve, one, work, name=f"number {one.name}")
            if work is not None and work.epoch != epoch:
                work.scope.cancel()
            elif work is not None and one.name not in owned:
                work.is_left.set()
        if self._cluster.leads and self._leading is None:
            self._leading = trio.CancelScope()
            nursery.start_soon(self._lead_all, self._leading, name="leading")
        elif self._leading is not None and not self._cluster.leads:
            self._leading.cancel()
        self._warn()

    def _warn(self) -> None:
        """Report what is wrong with this node, and that its clock is right again."""
        if (namesake := self._cluster.namesake) != self._namesake:
            self._namesake = namesake
            if namesake:
                self._log.error(
                    "another node has the same name; set node.name on each", process=namesake
                )
        ahead = self._cluster.clock_ahead
        if ahead and self._is_in_step:
            self._log.warning("our clock differs from the database's", seconds_ahead=round(ahead))
        elif not ahead and not self._is_in_step:
            self._log.info("our clock and the database's are in step again")
        self._is_in_step = not ahead

    async def _serve(self, one: NumberRuntime, work: _Work) -> None:
        """Serve a number until it is lost or handed over."""
        self._metrics.hand_overs.labels("gained").inc()
        self._log.info("number taken", number=one.name, epoch=work.epoch)
        try:
            with work.scope:
                await self._until_it_works(self._prepare, one)
                async with trio.open_nursery() as nursery:
                    await self._numbers.serve(one.name, nursery)
                    await one.learn_own_ids()
                    self._to_take_over.add(one.name)
                    await self._until_it_works(self._take_over, one)
                    self._watch(nursery, one)
                    await work.is_left.wait()
                    one.chats.stop()
                    with trio.move_on_after(FINISH_SECONDS) as finishing:
                        await one.chats.wait_idle()
                    nursery.cancel_scope.cancel()
        finally:
            self._numbers.end(one.name)
            del self._at_work[one.name]
        if work.scope.cancelled_caught:
            self._metrics.hand_overs.labels("lost").inc()
            self._log.warning("another node has a number now", number=one.name)
            return
        try:
            is_finished = not finishing.cancelled_caught
            await self._cluster.release(one.name, is_finished=is_finished)
        except StoreUnavailable as error:
            self._log.warning("a number is not handed over yet", number=one.name, error=str(error))
            return
        self._metrics.hand_overs.labels("handed_over").inc()
        self._log.info("number handed over", number=one.name)

    async def _prepare(self, one: NumberRuntime) -> None:
        """Before any task of the number: what its former owner was sending, erased, edited."""
        await one.services.store.outbox.repair(one.name)
        await self._held_chats.look()
        await self._look_for_edits()

    async def _take_over(self, _one: NumberRuntime) -> None:
        """Go on with the work of all numbers that were gained by now, with one look for it."""
        async with self._taking_over:
            # Taken out before the look: one that is lost and gained again meanwhile needs another.
            names, self._to_take_over = frozenset(self._to_take_over), set()
            try:
                if names:
                    await self._recovery.take_over(names)
            except BaseException:
                self._to_take_over |= names
                raise

    async def _until_it_works(
        self, step: Callable[[NumberRuntime], Awaitable[None]], one: NumberRuntime
    ) -> None:
        while True:
            try:
                await step(one)
            except StoreUnavailable as error:
                self._log.warning("a number waits for the store", number=one.name, error=str(error))
                await trio.sleep(RETRY_SECONDS)
            else:
                return

    async def _lead_all(self, scope: trio.CancelScope) -> None:
        """Do what belongs to no number until another node leads."""
        self._log.info("this node leads")
        try:
            with scope:
                async with trio.open_nursery() as nursery:
                    await self._lead(nursery)
                    await trio.sleep_forever()
        finally:
            self._leading = None
        self._log.warning("another node leads now")
