"""Chats without tasks while a person is forgotten, on every node.

The ledger says which chats are held: those of the erasure under way. The node that leads has the
owners of their numbers hold them before it begins; a node that gains a number looks first; and all
look again each second, so that they let go when the erasure is over.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import trio

from daemon.conversation.numbers import Numbers
from daemon.domain.messages import ChatKey
from daemon.errors import NotOwned, NotYetDone, StoreUnavailable

LOOK_SECONDS = 1.0

Ask = Callable[[ChatKey], Awaitable[None]]
"""Has the owner of a number hold its chats; returns when it does. Raises NotYetDone."""


class ChatsOfAllNodes:
    """The chats of all nodes. Made by the composer, where there can be others."""

    def __init__(self, numbers: Numbers, *, ask: Ask) -> None:
        self._numbers = numbers
        self._ask = ask
        self._held_now: Callable[[], Awaitable[frozenset[ChatKey]]] | None = None
        self._held: frozenset[ChatKey] = frozenset()
        self._one_by_one = trio.Lock()

    def follow(self, held_now: Callable[[], Awaitable[frozenset[ChatKey]]]) -> None:
        """Let the ledger say which chats are held. Called once, before any other method."""
        self._held_now = held_now

    @asynccontextmanager
    async def held(self, keys: Collection[ChatKey]) -> AsyncIterator[None]:
        """End the tasks of some chats, and start none while the block runs.

        The ledger says already that these are held, and no more when the block has ended.
        """
        await self.look()
        for number in sorted({key.number for key in keys} & {*self._numbers.names}):
            while not await self._is_held(number):
                continue  # it has no owner at the moment: its next one will look
        yield

    async def _is_held(self, number: str) -> bool:
        """Have a number's owner take in what waits from before, which is to be erased, too."""
        try:
            if not self._numbers.serves(number):
                await self._ask(ChatKey(number, ""))
            elif self._numbers.waiting is not None:
                await self._numbers.waiting.take(number)
        except (NotOwned, NotYetDone):
            return False
        return True

    def wake(self, key: ChatKey) -> None:
        """Let a chat look into the store for work."""
        self._numbers.wake(key)

    async def look(self) -> None:
        """Hold what the ledger says, and let go of all else. Raises StoreUnavailable."""
        if self._held_now is None:
            return
        async with self._one_by_one:
            held = await self._held_now()
            let_go = self._held - held
            self._held = held
            for one in self._numbers:
                own = [key for key in held if key.number == one.name]
                if own:
                    await one.chats.hold(own)
                elif any(key.number == one.name for key in let_go):
                    one.chats.let_go()

    async def run(self) -> None:
        """Look each second. Runs until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StoreUnavailable:
                continue  # what is held stays so
