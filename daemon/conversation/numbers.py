"""All numbers of the process: each event reaches the runtime of its number, and no other.

Of several nodes each knows all numbers and serves those that it owns: only their chats have tasks.
What is stored of a number that is not configured any more is left alone: no task is started for it.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from daemon.conversation.intake import ReceivedText
from daemon.conversation.live_config import ChatConfig
from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.registry import ChatState, Statistics
from daemon.conversation.telemetry import Telemetry
from daemon.conversation.waiting_calls import WaitingIntake
from daemon.domain.messages import ChatKey
from daemon.domain.records import Arrival
from daemon.errors import NotOwned, WebhookError
from daemon.ledger.drivers.port import WriterThread, WriteSource
from daemon.ledger.nodes import WaitingCalls
from daemon.media.files import LARGE_BODY_BYTES


class Numbers:
    """The runtimes by the names of their numbers. Made by the composer.

    The methods that are about a chat are those of `daemon.conversation.registry.ChatRegistry`.
    """

    def __init__(
        self,
        runtimes: Mapping[str, NumberRuntime],
        *,
        waiting_calls: WaitingCalls | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """``waiting_calls``: where a node stores what is for another; None: there is none."""
        self._runtimes = dict(runtimes)
        self._served: dict[str, NumberRuntime] = {}
        self.waiting: WaitingIntake | None = None
        if waiting_calls is not None and telemetry is not None:
            self.waiting = WaitingIntake(waiting_calls, self._take_in, telemetry)
        self._kinds = {one.kind.name: one.kind for one in self}
        self._names_by_id = {
            (one.kind.name, one.gateway_id): one.name for one in self if one.gateway_id
        }

    def __iter__(self) -> Iterator[NumberRuntime]:
        """The runtimes, in the order of the configuration."""
        return iter(self._runtimes.values())

    def __len__(self) -> int:
        """The count of numbers."""
        return len(self._runtimes)

    def __getitem__(self, name: str) -> NumberRuntime:
        """The runtime of a number. Raises KeyError for a name that no number has."""
        return self._runtimes[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all numbers."""
        return tuple(self._runtimes)

    @property
    def first(self) -> NumberRuntime:
        """The only number, or the first of the configuration."""
        return next(iter(self._runtimes.values()))

    def get(self, name: str) -> NumberRuntime | None:
        """The runtime of a number; None for a name that no number has."""
        return self._runtimes.get(name)

    def serves(self, name: str) -> bool:
        """Whether the chats of a number have their tasks here."""
        return name in self._served

    @property
    def served(self) -> tuple[NumberRuntime, ...]:
        """The runtimes of the numbers that are served here."""
        return tuple(self._served.values())

    def served_names(self) -> Collection[str]:
        """The names of the numbers that are served here."""
        return tuple(self._served)

    async def accept(self, body: bytes, path_event: str, number: str) -> None:
        """Store one webhook call of a number durably and wake its chats.

        ``path_event`` is the event as URL and method name it (``messages.post``), empty if they do
        not. A call for a number that another node owns is stored for that node. Raises WebhookError
        if the body cannot be read, StoreUnavailable if it is not stored. Calls in flight are stored
        even during the stop: the store closes after HTTP.
        """
        if self.waiting is None:
            await self[number].intake.accept(body, path_event)
            return
        if number in self._served:
            try:
                await self.waiting.take(number)
                await self._take_in(body, path_event, number)
            except NotOwned:
                pass  # as of this moment it is another node's
            else:
                return
        await self[number].intake.check(body, path_event)
        await self.waiting.add(number, path_event, body)

    def receive(self, source: WriteSource) -> WriterThread | None:
        """See `daemon.ledger.drivers.port.Database`: the source has what `received_text` gives."""
        return self.first.services.store.database.receive(source)

    def received_text(self, body: bytes, path_event: str, number: str) -> ReceivedText | None:
        """See `daemon.conversation.intake.Intake`."""
        return self[number].intake.received_text(body, path_event)

    async def _take_in(self, body: bytes, path_event: str, number: str) -> None:
        await self[number].intake.accept(body, path_event)

    async def named_in(self, body: bytes) -> tuple[str, ...]:
        """Our numbers that the body of a webhook call is about; some gateways gather several.

        Raises WebhookError if the body cannot be read, or names no number of ours.
        """
        if len(body) < LARGE_BODY_BYTES:
            return self._named_in(body)
        return await trio.to_thread.run_sync(self._named_in, body)

    def _named_in(self, body: bytes) -> tuple[str, ...]:
        ids: tuple[str, ...] = ()
        for gateway, kind in self._kinds.items():
            ids = kind.numbers_in(body)
            known = [name for one in ids if (name := self._names_by_id.get((gateway, one)))]
            if known:
                return tuple(dict.fromkeys(known))
        what = f"names the unknown number {', '.join(ids)}" if ids else "names no number"
        raise WebhookError(f"the body {what}; only /n/<number>/hook takes such calls")

    # -- starting and stopping ---------------------------------------------------------------------

    async def start(self, nursery: trio.Nursery) -> None:
        """Serve all numbers: start the owners of the tasks of files and chats.

        They run until they are cancelled.
        """
        for one in self:
            await self.serve(one.name, nursery)

    async def serve(self, name: str, nursery: trio.Nursery) -> None:
        """Serve a number: its tasks run until they are cancelled. See `end`."""
        one = self[name]
        await one.start(nursery)
        self._served[name] = one

    def end(self, name: str) -> None:
        """Serve a number no more; its tasks have been cancelled. Idempotent."""
        self._served.pop(name, None)

    async def learn_own_ids(self) -> None:
        """Ask for our own numbers, in a fresh store; see `NumberRuntime.learn_own_ids`."""
        async with trio.open_nursery() as nursery:
            for one in self.served:
                nursery.start_soon(one.learn_own_ids, name=f"own number of {one.name}")

    def stop(self) -> None:
        """Take up no more turns. Windows are dropped: their messages are in the store."""
        for one in self.served:
            one.chats.stop()

    async def wait_idle(self) -> None:
        """Wait until no chat has a task."""
        for one in self.served:
            await one.chats.wait_idle()

    @property
    def is_open(self) -> bool:
        """True while tasks of chats can run."""
        return all(one.chats.is_open for one in self.served)

    # -- one chat ----------------------------------------------------------------------------------

    def poke(self, arrival: Arrival) -> None:
        """Something new is in the store for a chat."""
        if one := self.get(arrival.key.number):
            one.chats.poke(arrival)

    def wake(self, key: ChatKey) -> None:
        """Let a chat look into the store for work that no event reported."""
        if one := self.get(key.number):
            one.chats.wake(key)

    def wake_at(self, key: ChatKey, until: float) -> None:
        """Let a chat look into the store at a time (Unix seconds)."""
        if one := self.get(key.number):
            one.chats.wake_at(key, until)

    def pause(self, key: ChatKey, until: float) -> None:
        """An operator has paused the bot on a chat; the store has it already."""
        if one := self.get(key.number):
            one.chats.pause(key, until)

    def give_back(self, key: ChatKey, at: float) -> None:
        """A person has given a chat back to the bot at a time (Unix seconds); the store has it."""
        if one := self.get(key.number):
            one.chats.give_back(key, at)

    def release(self, key: ChatKey) -> bool:
        """Cut short what a chat is at, to begin it again; False if there is nothing to cut."""
        one = self.get(key.number)
        return one is not None and one.chats.release(key)

    def is_busy(self, key: ChatKey) -> bool:
        """True while the task of a chat will take up what is in the store, or where none may."""
        one = self._served.get(key.number)
        return one is None or one.chats.is_busy(key)

    @asynccontextmanager
    async def held(self, keys: Collection[ChatKey]) -> AsyncIterator[None]:
        """End the tasks of some chats, and start none while the block runs."""
        async with AsyncExitStack() as held:
            for one in self.served:
                if own := [key for key in keys if key.number == one.name]:
                    await held.enter_async_context(one.chats.held(own))
            yield

    # -- all of them -------------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Count the chats by what they do."""
        counts = [one.chats.statistics() for one in self.served]
        return Statistics(
            chats=sum(count.chats for count in counts),
            windows=sum(count.windows for count in counts),
            runs=sum(count.runs for count in counts),
            working=sum(count.working for count in counts),
        )

    def states(self) -> list[ChatState]:
        """The state of each chat that has a task."""
        return [state for one in self.served for state in one.chats.states()]

    def retry_now(self) -> int:
        """Begin again, at once, what the chats are at; gateways are asked even in trouble."""
        return sum(one.retry_now() for one in self.served)

    def forget_idle(self, chat_info_seconds: float, contact_seconds: float) -> int:
        """Forget what is remembered of contacts who have not written so long; gives how much."""
        return sum(one.forget_idle(chat_info_seconds, contact_seconds) for one in self)

    def config_replaced(self, chat_configs: Mapping[str, ChatConfig]) -> None:
        """Let other configurations guide the chats from now on, by number. No checkpoint."""
        for one in self:
            one.config_replaced(chat_configs[one.name])
