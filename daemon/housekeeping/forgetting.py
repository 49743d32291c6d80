"""Forgetting people while the daemon runs: the one place that does it, in slices beside the work.

Whoever wants somebody forgotten (the command line, the dashboard, retention) leaves a row in the
store. The tasks of that person's chats are ended first and none is started until the model could
be told nothing of them any more, so nothing that was under way writes about them afterwards. A
crash loses nothing: the next process goes on from where the row says.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import trio

from daemon.audit import Actor
from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.errors import StoreUnavailable
from daemon.housekeeping.retention import DAY_SECONDS
from daemon.store.operator.forgetting import (
    Forgotten,
    ask,
    ask_chat,
    close,
    done_as,
    let_go,
    look,
    moved,
    next_work,
    old_chats,
    write,
)
from daemon.store.operator.stages import OVER, Work, is_held
from daemon.system.signals import Bell

REST_SECONDS = 0.01
"""Between two slices, so that webhooks never wait behind several of them."""

RETENTION_BATCH = 50
"""Old chats found in one read."""


class Forgetter:
    """Carries out what was asked for. Made by the composer; `run` is a side task."""

    def __init__(self, needs: Dependencies, chats: ChatRegistry, data_dir: Path) -> None:
        self._needs = needs
        self._chats = chats
        self._data_dir = data_dir
        self._bell = Bell()
        self._progress = trio.Event()
        """Set, and replaced, whenever one work is over."""

    async def run(self, every_seconds: float) -> None:
        """Look for work whenever it is asked for, and every so often. Runs until cancelled."""
        while True:
            try:
                while work := await self._next():
                    await self._carry_out(work)
            except StoreUnavailable as error:
                self._needs.log.warning("forgetting waits for the store", error=str(error))
            with trio.move_on_after(every_seconds):
                await self._bell.answer()

    async def keep_conversations(self, days: float, every_seconds: float) -> None:
        """Erase chats whose last message is older than ``days``, at once and then every so often.

        0 keeps them for good. Runs until cancelled.
        """
        while days:
            try:
                erased = await self.drop_conversations(days)
                if erased:
                    self._needs.log.info("old conversations deleted", symbol="🧹", chats=erased)
            except StoreUnavailable as error:
                self._needs.log.warning("old conversations not deleted", error=str(error))
            await trio.sleep(every_seconds)
        await trio.sleep_forever()

    async def drop_conversations(self, days: float) -> int:
        """Erase what is too old now; gives how many chats. Raises StoreUnavailable."""
        database, before = self._needs.store.database, self._needs.now() - days * DAY_SECONDS
        find = partial(old_chats, before=before, most=RETENTION_BATCH)
        erased = 0
        while keys := await database.read(find):
            for key in keys:
                ask = partial(ask_chat, key=key, before=before, now=self._needs.now())
                name = await database.write(ask)
                work = await self._named(name) if name else None
                if work is not None:
                    await self._carry_out(work)
                    erased += 1
        return erased

    async def forget(self, names: Sequence[str], *, by: Actor) -> Forgotten:
        """Have a person forgotten; ends when they are. Any task may ask. Raises StoreUnavailable.

        If it is cancelled, or this process ends, it is done all the same.
        """
        database = self._needs.store.database
        name = await database.write(partial(ask, names=names, by=by, now=self._needs.now()))
        self._bell.ring()
        while True:
            over = self._progress
            done = await database.read(partial(done_as, name=name))
            if done is not None:
                return done
            await over.wait()

    async def _next(self) -> Work | None:
        read = self._needs.store.database.read
        return await read(partial(next_work, data_dir=self._data_dir))

    async def _carry_out(self, work: Work) -> None:
        """Go on with one work to its end."""
        database, person = self._needs.store.database, work.person
        if is_held(work):
            async with self._chats.held({*person.keys, *person.groups}):
                # Who they are is read anew: the tasks that were ended have written until now.
                work = await self._named(work.name) or work
                work = await self._erase(work, until=lambda one: not is_held(one))
        work = await self._erase(work, until=lambda one: one.stage == OVER)
        await database.write(partial(let_go, work=work))
        await database.empty_log()
        await database.write(partial(close, work=work, now=self._needs.now()))
        over, self._progress = self._progress, trio.Event()
        over.set()

    async def _named(self, name: str) -> Work | None:
        read = self._needs.store.database.read
        return await read(partial(next_work, data_dir=self._data_dir, name=name))

    async def _erase(self, work: Work, *, until: Callable[[Work], bool]) -> Work:
        """Erase slice by slice, until something is so."""
        database, now = self._needs.store.database, self._needs.now
        while not until(work):
            batch = await database.read(partial(look, work=work))
            if not batch.rows:
                work = moved(work, batch)
                continue
            work = await database.write(partial(write, work=work, batch=batch, now=now()))
            await trio.sleep(REST_SECONDS)
        return work
