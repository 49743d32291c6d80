"""Erasing what is kept only for a while, and people who are to be forgotten, beside the work.

The command line, the dashboard and retention add a row to the store for a person to be forgotten.
The tasks of that person's chats are ended first, and none is started until the model can no longer
get anything of them, so no running task writes about them afterwards. After a crash the next
process continues from the row.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from daemon.conversation.telemetry import Telemetry
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey
from daemon.domain.records import MEDIA_FOLDER
from daemon.errors import FilesUnavailable, StoreUnavailable
from daemon.ledger.drivers.port import Cluster
from daemon.ledger.files import AUDIO_FOLDER, expire
from daemon.ledger.forget.forget import close, erase_traces, look, moved, write_paced
from daemon.ledger.forget.jobs import Forgotten, ask, ask_chat, done_as, next_work, old_chats
from daemon.ledger.forget.stages import OVER, Work, is_held
from daemon.ledger.ledger import Store, tighten_files
from daemon.ledger.media import BATCH, drop_unnamed, expire_media
from daemon.observability.logs import Log
from daemon.system.process_signals import Bell

T = TypeVar("T")

UNNAMED_SECONDS = 3600.0
"""A file without a message is deleted after an hour: an interrupted download left it."""

COPY_SECONDS = 3600.0
"""How long a machine has a copy of a file that is in a shared store, counted from its arrival; and
how long other nodes can see that a file was deleted there."""

DAY_SECONDS = 24 * 3600.0

REST_SECONDS = 0.002
"""Between two writes of long jobs, so that webhooks never wait for several of them."""

COMMITS = 8
"""Between two checkpoints, so that the log stays small while much is deleted. The thread that makes
them besides counts rows, whatever their size: with it alone the log of a store that lets go of 150
MB of raw calls grows to 61 MB, thus to 4."""

ELSEWHERE_SECONDS = 1.0
"""How often a request that waits for an erasure tests whether another node has done it."""

FIRST_SHARE = 0.25
"""Of the most rows of a write, in the first one: pages that nobody has read for long come from the
disk while the writer waits. Later ones are as large as the time of those before allows."""

RETENTION_BATCH = 50
"""Old chats found in one read."""


async def repeat(
    work: Callable[[], Awaitable[object]], every_seconds: float, log: Log, failed: str
) -> None:
    """Do some maintenance at once and then every so often. Runs until cancelled.

    ``failed``: what the log says if the store or the disk refuses it.
    """
    while True:
        try:
            await work()
        except (StoreUnavailable, OSError) as error:
            log.warning(failed, error=str(error))
        await trio.sleep(every_seconds)


MOST_LOG_BYTES = 64_000_000
"""In the log, before work that can wait does so. A backup, or the check of a large file, keeps all
that is written there, and the longer it is, the longer takes the write that cuts it afterwards."""

LOG_SECONDS = 1.0
"""Between two looks whether the log is shorter."""


async def write_slice(
    store: Store, write: Callable[[], Awaitable[T]], *, is_urgent: bool = False
) -> T:
    """Make one write of a long job, and let others write after it. Raises StoreUnavailable.

    Of all long jobs one writes at a time: the writer puts what waits into one transaction, and
    webhooks would wait for the slices of several. What is not urgent also waits for the end of a
    long read.
    """
    database, left = store.database, 0
    async with store.long_work:
        result = await write()
        await trio.sleep(REST_SECONDS)
        if database.commits >= COMMITS:
            left = await database.checkpoint()
            await database.answer()  # the writer copies the last pages now, which are few
    while left > MOST_LOG_BYTES and not is_urgent:
        await trio.sleep(LOG_SECONDS)
        left = await database.checkpoint()
    return result


async def drop_old_events(store: Store, telemetry: Telemetry, *, event_days: float) -> int:
    """Delete raw webhook events older than ``event_days``; returns how many.

    0 keeps them for good, except for those of disappearing messages. Raises StoreUnavailable.
    """
    before = telemetry.now() - event_days * DAY_SECONDS if event_days else 0.0
    delete = partial(expire, before=before, folder=store.data_dir / "events")
    events = files = 0
    more = True
    while more:
        expired = await write_slice(store, partial(store.database.write, delete))
        events, files, more = events + expired.events, files + expired.files, expired.more
    if events:
        telemetry.log.info("old events dropped", symbol="🧹", events=events, files=files)
    return events


async def drop_old_stages(store: Store, telemetry: Telemetry, *, event_days: float) -> None:
    """Delete the stages of turns older than ``event_days``. Raises StoreUnavailable."""
    before = telemetry.now() - event_days * DAY_SECONDS
    while await write_slice(store, partial(store.stages.drop_old, before=before)):
        pass


async def drop_old_webhooks(store: Store, telemetry: Telemetry, *, event_days: float) -> None:
    """Delete older outgoing webhooks and reminders that ended, and comparisons.

    Raises StoreUnavailable.
    """
    before = telemetry.now() - event_days * DAY_SECONDS
    for drop_old in (store.webhooks.drop_old, store.reminders.drop_old, store.comparisons.drop_old):
        while await write_slice(store, partial(drop_old, before=before)):
            pass


async def drop_sent_files(store: Store, telemetry: Telemetry, *, audio_hours: float) -> int:
    """Delete sent voice notes and files older than ``audio_hours``; returns how many.

    Files that are still to be sent are kept. Raises StoreUnavailable or OSError.
    """
    before = telemetry.now() - audio_hours * 3600
    in_use = await store.outbox.files_in_use()
    dropped = await store.files.drop_old(before=before, in_use=in_use)
    if dropped:
        telemetry.log.info("old voice notes deleted", symbol="🧹", files=dropped)
    return dropped


async def drop_media(store: Store, telemetry: Telemetry, *, media_days: float) -> int:
    """Delete files that people sent more than ``media_days`` ago; returns how many.

    0 keeps them for good, except for those of disappearing messages. Files without a message are
    deleted too. Raises StoreUnavailable or OSError.
    """
    database, now = store.database, telemetry.now()
    before = now - media_days * DAY_SECONDS if media_days else 0.0
    folder = store.file_store.path(MEDIA_FOLDER, "")
    delete = partial(expire_media, before=before, folder=folder)
    dropped, more = 0, True
    while more:
        expired = await write_slice(store, partial(database.write, delete))
        dropped, more = dropped + expired.items, expired.more
    unnamed = await store.file_store.old(MEDIA_FOLDER, before=now - UNNAMED_SECONDS)
    for start in range(0, len(unnamed), BATCH):
        drop = partial(drop_unnamed, names=unnamed[start : start + BATCH], folder=folder)
        dropped += await write_slice(store, partial(database.write, drop))
    if dropped:
        telemetry.log.info("old files deleted", symbol="🧹", files=dropped)
    return dropped


async def delete_files(store: Store, telemetry: Telemetry) -> int:
    """Delete for all nodes the files that the ledger has given up; returns how many.

    Also this machine's copies of what another node has deleted. Raises StoreUnavailable or OSError.
    """
    ledger, files, now = store.deleted_files, store.file_store, telemetry.now()
    await drop_deleted_copies(store)
    deleted = 0
    while pending := await ledger.pending():
        in_use = await store.outbox.files_in_use()
        for folder in {folder for folder, _ in pending}:
            names = [name for of, name in pending if of == folder]
            wanted = in_use if folder == AUDIO_FOLDER else ()
            await files.delete(folder, [name for name in names if name not in wanted])
        await ledger.gone(pending, now=telemetry.now())
        deleted += len(pending)
    others = files.is_shared or store.cluster is not None
    await ledger.forget(before=now - COPY_SECONDS if others else math.inf)
    return deleted


async def drop_deleted_copies(store: Store) -> None:
    """Delete this machine's copies of deleted files. Raises StoreUnavailable or OSError."""
    for folder, name in await store.deleted_files.recent():
        await trio.Path(store.file_store.path(folder, name)).unlink(missing_ok=True)


async def drop_copies(store: Store, telemetry: Telemetry) -> None:
    """Delete this machine's old copies of files that are in a shared store. Raises OSError."""
    await store.file_store.drop_copies(before=telemetry.now() - COPY_SECONDS)


async def keep_files_private(store: Store, log: Log) -> None:
    """Remove the permissions of others from files of earlier versions. Ends when done."""
    folder = store.data_dir
    tightened = await trio.to_thread.run_sync(tighten_files, folder)
    if tightened:
        log.warning("files were readable for others, and are not any more", files=tightened)


class HeldChats(Protocol):
    """The chats of all numbers."""

    def held(self, keys: Collection[ChatKey], /) -> AbstractAsyncContextManager[None]:
        """End the tasks of some chats, and start none while the block runs."""

    def wake(self, key: ChatKey, /) -> None:
        """Let a chat look into the store for work."""


class Forgetter:
    """Forgets people. Made by the composer; `run` is a side task."""

    def __init__(
        self,
        store: Store,
        telemetry: Telemetry,
        chats: HeldChats,
        data_dir: Path,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` measures durations, in seconds."""
        self._store = store
        self._telemetry = telemetry
        self._log = telemetry.log
        self._now = telemetry.now
        self.chats = chats
        """Of several nodes those of all."""
        self._data_dir = data_dir
        self._clock = clock
        self._share = FIRST_SHARE
        self._bell = Bell()
        self._progress = trio.Event()
        """Set, and replaced, at the end of each person."""

    async def run(self, every_seconds: float, days: float, retention_seconds: float) -> None:
        """Carry out pending erasures, periodically and on request. Runs until cancelled.

        Also erases chats whose last message is older than ``days``, at once and then every
        ``retention_seconds``; 0 keeps them for good.
        """
        due = trio.current_time()
        while True:
            try:
                await self.do_all()
                if days and trio.current_time() >= due:
                    await self.drop_conversations(days)
                    due = trio.current_time() + retention_seconds
            except (StoreUnavailable, FilesUnavailable) as error:
                self._log.warning("forgetting waits for the store", error=str(error))
            with trio.move_on_after(every_seconds):
                await self._bell.answer()

    async def do_all(self) -> None:
        """Forget all people of whom the store says so. Raises StoreUnavailable or OSError."""
        while work := await self._next():
            await self._carry_out(work)

    async def drop_conversations(self, days: float) -> int:
        """Erase chats that are too old; returns how many. Raises StoreUnavailable.

        People who are to be forgotten are erased in between.
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
        """Forget a person; ends when that is done. Any task may call it. Raises StoreUnavailable.

        It is done even if the caller is cancelled or the process ends.
        """
        database = self._store.database
        asked = partial(ask, names=names, by=by, now=self._now())
        name = await database.of().write(asked)  # whichever node leads does it
        self._bell.ring()
        while True:
            over = self._progress
            done = await database.read(partial(done_as, name=name))
            if done is not None:
                return done
            with trio.move_on_after(ELSEWHERE_SECONDS):
                await over.wait()

    async def listen(self, cluster: Cluster) -> None:
        """Look at once when another node asks for an erasure. Runs until cancelled."""
        while True:
            await cluster.noticed("forgettings")
            self._bell.ring()

    async def held_now(self) -> frozenset[ChatKey]:
        """The chats for which no task may be started now, as the ledger says.

        Raises StoreUnavailable.
        """
        work = await self._next()
        if work is None or not is_held(work):
            return frozenset()
        return frozenset((*work.person.keys, *work.person.groups))

    async def _next(self) -> Work | None:
        read = self._store.database.read
        return await read(partial(next_work, data_dir=self._data_dir))

    async def _carry_out(self, work: Work) -> None:
        """Finish one person, with their files. Raises StoreUnavailable or OSError."""
        database, person = self._store.database, work.person
        if is_held(work):
            async with self.chats.held({*person.keys, *person.groups}):
                # Read again: the tasks that were ended may have written until now.
                work = await self._named(work.name) or work
                work = await self._erase(work, until=lambda one: not is_held(one))
        work = await self._erase(work, until=lambda one: one.stage == OVER)
        await database.write(partial(erase_traces, work=work))
        if work.deletes:
            await write_slice(self._store, self._store.search.merge)
        else:
            await self._purge_search()
            await database.empty_log()
        await delete_files(self._store, self._telemetry)
        await database.write(partial(close, work=work, now=self._now()))
        over, self._progress = self._progress, trio.Event()
        over.set()

    async def _purge_search(self) -> None:
        """Take the words that are gone out of the bytes of the search's index."""
        begin = True
        while await write_slice(self._store, partial(self._store.search.purge, begin=begin)):
            begin = False

    async def _named(self, name: str) -> Work | None:
        read = self._store.database.read
        return await read(partial(next_work, data_dir=self._data_dir, name=name))

    async def _erase(self, work: Work, *, until: Callable[[Work], bool]) -> Work:
        database, now = self._store.database, self._now
        work = replace(work, share=self._share)
        while not until(work):
            batch = await database.read(partial(look, work=work))
            if not batch.rows:
                work = moved(work, batch)
                continue
            erase = partial(write_paced, work=work, batch=batch, now=now(), clock=self._clock)
            write = partial(database.write, erase)
            work = await write_slice(self._store, write, is_urgent=is_held(work))
            self._share = work.share
        return work
