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

from daemon.conversation.registry import ChatRegistry
from daemon.conversation.telemetry import Telemetry
from daemon.domain.audit_chain import Actor
from daemon.errors import StoreUnavailable
from daemon.ledger.forget.forget import close, let_go, look, moved, write_paced
from daemon.ledger.forget.jobs import Forgotten, ask, ask_chat, done_as, next_work, old_chats
from daemon.ledger.forget.stages import OVER, Work, is_held
from daemon.ledger.ledger import Store
from daemon.ops.maintenance.retention import DAY_SECONDS, rest_after_write
from daemon.system.signals import Bell

RETENTION_BATCH = 50
"""Old chats found in one read."""


class Forgetter:
    """Carries out what was asked for. Made by the composer; `run` is a side task."""

    def __init__(
        self,
        store: Store,
        telemetry: Telemetry,
        chats: ChatRegistry,
        data_dir: Path,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` measures durations, in seconds."""
        self._store = store
        self._log = telemetry.log
        self._now = telemetry.now
        self._chats = chats
        self._data_dir = data_dir
        self._clock = clock
        self._bell = Bell()
        self._progress = trio.Event()
        """Set, and replaced, whenever one work is over."""

    async def run(self, every_seconds: float, days: float, retention_seconds: float) -> None:
        """Do what is asked for, and look for it every so often. Runs until cancelled.

        Erases chats whose last message is older than ``days``, too, at once and then every
        ``retention_seconds``; with 0 days they are kept for good.
        """
        due = trio.current_time()
        while True:
            try:
                await self.do_all()
                if days and trio.current_time() >= due:
                    await self.drop_conversations(days)
                    due = trio.current_time() + retention_seconds
            except StoreUnavailable as error:
                self._log.warning("forgetting waits for the store", error=str(error))
            with trio.move_on_after(every_seconds):
                await self._bell.answer()

    async def do_all(self) -> None:
        """Do what has been asked for until now. Raises StoreUnavailable."""
        while work := await self._next():
            await self._carry_out(work)

    async def drop_conversations(self, days: float) -> int:
        """Erase what is too old now; gives how many chats. Raises StoreUnavailable.

        Whoever is to be forgotten meanwhile does not wait for all of them.
        """
        database, before = self._store.database, self._now() - days * DAY_SECONDS
        find = partial(old_chats, before=before, most=RETENTION_BATCH)
        erased, more = 0, True
        while more:
            more = False
            for key in await database.read(find):
                asked = partial(ask_chat, key=key, before=before, now=self._now())
                more |= bool(await database.write(asked))
                await self.do_all()
                erased += more
        if erased:
            self._log.info("old conversations deleted", symbol="🧹", chats=erased)
        return erased

    async def forget(self, names: Sequence[str], *, by: Actor) -> Forgotten:
        """Have a person forgotten; ends when they are. Any task may ask. Raises StoreUnavailable.

        If it is cancelled, or this process ends, it is done all the same.
        """
        database = self._store.database
        name = await database.write(partial(ask, names=names, by=by, now=self._now()))
        self._bell.ring()
        while True:
            over = self._progress
            done = await database.read(partial(done_as, name=name))
            if done is not None:
                return done
            await over.wait()

    async def _next(self) -> Work | None:
        read = self._store.database.read
        return await read(partial(next_work, data_dir=self._data_dir))

    async def _carry_out(self, work: Work) -> None:
        """Go on with one work to its end."""
        database, person = self._store.database, work.person
        if is_held(work):
            async with self._chats.held({*person.keys, *person.groups}):
                # Who they are is read anew: the tasks that were ended have written until now.
                work = await self._named(work.name) or work
                work = await self._erase(work, until=lambda one: not is_held(one))
        work = await self._erase(work, until=lambda one: one.stage == OVER)
        await database.write(partial(let_go, work=work))
        if not work.deletes:
            await database.empty_log()
        await database.write(partial(close, work=work, now=self._now()))
        over, self._progress = self._progress, trio.Event()
        over.set()

    async def _named(self, name: str) -> Work | None:
        read = self._store.database.read
        return await read(partial(next_work, data_dir=self._data_dir, name=name))

    async def _erase(self, work: Work, *, until: Callable[[Work], bool]) -> Work:
        """Erase slice by slice, until something is so."""
        database, now = self._store.database, self._now
        while not until(work):
            batch = await database.read(partial(look, work=work))
            if not batch.rows:
                work = moved(work, batch)
                continue
            work = await database.write(
                partial(write_paced, work=work, batch=batch, now=now(), clock=self._clock)
            )
            await rest_after_write(database)
        return work
