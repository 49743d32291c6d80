"""The files that people send: fetched, transcribed and read beside the tasks of chats.

A file has a task of its own, so that a slow one holds up nothing but the answer that needs it, and
that one only for a while. What has been done is in the store after each step: what a crash cuts is
begun again by the turn that needs it, and what is done is never done twice.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from daemon.conversation.speech import BudgetedTranscriber, Recording
from daemon.domain.messages import Media, Message
from daemon.domain.prompt.media_text import SOUNDS, STRANGE, BurstFiles
from daemon.domain.records import MEDIA_FOLDER, AttachmentKind, MediaItem, Turn
from daemon.errors import AssistantError, MediaDelayed, MediaError, ModelTemporary, StoreError
from daemon.files.port import FileStore
from daemon.ledger.media import MediaItems
from daemon.media.files import StoredFile
from daemon.media.model_files import DocumentReader, ShowingRules, files_shown, load_attachments
from daemon.observability.events import FILE_ERROR, IMAGE_ERROR, UNEXPECTED_ERROR, VOICE_ERROR
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics

MOST_WAITING = 10_000
"""Files waited for at once; further ones are fetched when their turn needs them."""


class Fetch(Protocol):
    """Fetches a file into the folder; see `daemon.media.download.Downloader`."""

    async def fetch(
        self, *, link: str, media_id: str, inline: str, medium: str, declared: str
    ) -> StoredFile:
        """Raises MediaRefused or MediaDelayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRules:
    """The settings for files. Times in seconds."""

    wait_seconds: float
    """From when a file is begun until the answer no longer waits for it."""
    concurrency: int
    """Files of all chats at once."""
    longest_sound_seconds: float
    max_bytes: int
    """Of one file."""
    showing: ShowingRules


@dataclass(slots=True)
class _FileWork:
    """A file under way."""

    began: float
    """On trio's clock."""
    done: trio.Event


class Attachments:
    """Fetches and reads files. `begin` returns at once; what waits is for the tasks of chats."""

    def __init__(
        self,
        items: MediaItems,
        files: FileStore,
        rules: AttachmentRules,
        *,
        fetch: Fetch,
        transcriber: BudgetedTranscriber,
        read: DocumentReader,
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._items = items
        self.files = files
        self.rules = rules
        self._fetch = fetch
        self._transcriber = transcriber
        self._read = read
        self._log = log
        self._metrics = metrics
        self._now = now
        self._reported_formats: set[str] = set()
        """Unsupported audio formats that were already reported."""
        self._places = trio.CapacityLimiter(rules.concurrency)
        self._under_way: dict[tuple[str, str], _FileWork] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of files. Runs until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    # -- for chats -----------------------------------------------------------------------------

    def begin(self, message: Message) -> None:
        """Begin with the file of a stored message, if it has one that is not under way."""
        key = (message.key.number, message.id)
        if not isinstance(message.content, Media) or key in self._under_way:
            return
        if self._nursery is None or len(self._under_way) >= MOST_WAITING:
            return
        work = self._under_way[key] = _FileWork(trio.current_time(), trio.Event())
        self._nursery.start_soon(self._process, message, work, name=f"file of {message.id}")

    async def wait(self, messages: Sequence[Message]) -> None:
        """Wait until everything is known that can be of the files of messages, or long enough.

        What has been left undone by an earlier process, or by a failed try, is begun again.
        """
        with_file = _with_file(messages)
        known = await self._items.of(with_file)
        for message in with_file:
            if self._lacks(message, known.get(message.id)):
                self.begin(message)
        for message in with_file:
            work = self._under_way.get((message.key.number, message.id))
            if work is not None:
                with trio.move_on_at(work.began + self.rules.wait_seconds):
                    await work.done.wait()

    async def known(self, messages: Sequence[Message]) -> BurstFiles:
        """The state of the files of messages as it is now; nothing is attached."""
        with_file = _with_file(messages)
        return BurstFiles(await self._items.of(with_file)) if with_file else BurstFiles()

    async def delete_withdrawn(self, turn: Turn) -> None:
        """Delete the files of a turn that is over, as far as they were to disappear."""
        if gone := await self._items.delete_withdrawn(turn):
            self._log.info("files deleted that were to disappear", chat=turn.key, files=gone)

    async def seen(
        self, messages: Sequence[Message], *, kinds: Collection[AttachmentKind]
    ) -> BurstFiles:
        """The state of the files of messages as it is now, and the attachments for the model.

        ``kinds``: the forms in which it takes files.
        """
        with_file = _with_file(messages)
        if not with_file:
            return BurstFiles()
        items = await self._items.of(with_file)
        chosen = [
            (message, item)
            for message in with_file
            if (item := items.get(message.id)) and item.state == "stored"
        ]
        async with trio.open_nursery() as nursery:
            for name in files_shown(chosen, self.rules.showing, kinds):
                nursery.start_soon(self._bring, name, name=f"file {name}")
        load = partial(load_attachments, chosen, self.rules.showing, kinds)
        return BurstFiles(items, await trio.to_thread.run_sync(load))

    async def _bring(self, name: str) -> None:
        """Have a file on this disk for the model, if that can be; else it is left out."""
        try:
            await self.files.fetch(MEDIA_FOLDER, name)
        except OSError as error:
            self._log.warning("a file was not shown to the model", error=str(error))

    # -- one file ------------------------------------------------------------------------------

    async def _process(self, message: Message, work: _FileWork) -> None:
        """Fetch a file, and transcribe or read it. Ends when there is nothing more to try."""
        try:
            async with self._places:
                item = await self._items.want(message, now=self._now())
                if item.state == "wanted":
                    item = await self._fetch_file(message, item)
                if self._lacks(message, item) and item.state == "stored":
                    await self._understand(message, item)
        except StoreError as error:
            self._log.warning("a file was not noted", chat=message.key, error=str(error))
        except Exception:  # noqa: BLE001 - a stranger's file must not end the daemon
            self._log.event(
                UNEXPECTED_ERROR,
                where="chat",
                what="a file failed",
                chat=message.key,
                exc_info=True,
            )
        finally:
            self._under_way.pop((message.key.number, message.id), None)
            work.done.set()

    def _lacks(self, message: Message, item: MediaItem | None) -> bool:
        """Whether something is still to be done about a file."""
        if item is None or item.state == "wanted":
            return True
        undecided = item.words is None and not item.words_error
        return item.state == "stored" and undecided and _has_words(message, item)

    async def _fetch_file(self, message: Message, item: MediaItem) -> MediaItem:
        content = message.content
        assert isinstance(content, Media)  # noqa: S101 - `begin` takes no other
        result = "stored"
        try:
            file = await self._fetch.fetch(
                link=content.link,
                media_id=content.media_id,
                inline=content.inline,
                medium=content.medium,
                declared=content.mime_type,
            )
        except MediaDelayed as error:
            result = "delayed"
            await self._items.delayed(message, str(error))
            self._report("a file did not come", message, error)
        except MediaError as error:
            result = "refused"
            await self._items.failed(message, str(error), now=self._now())
            self._report("a file was refused", message, error)
        else:
            await self._items.stored(
                message, file=file.name, mime=file.mime, size=file.size, now=self._now()
            )
        self._metrics.media.labels(result).inc()
        known = await self._items.of([message])
        return known.get(message.id, item)

    async def _understand(self, message: Message, item: MediaItem) -> None:
        """Hear or read what is in a file."""
        content = message.content
        try:
            await self._have(item.file)
            if isinstance(content, Media) and content.medium in SOUNDS:
                words = await self._transcribe(message, content, item)
            else:
                words = await self._read.read(self.rules.showing.folder / item.file, item.mime)
        except (MediaDelayed, ModelTemporary) as error:
            self._report("a file was not understood", message, error)
        except (MediaError, AssistantError) as error:
            self._report("a file cannot be understood", message, error)
            await self._items.not_understood(message, str(error))
        else:
            await self._items.understood(message, words)

    async def _have(self, name: str) -> None:
        """Have a file on this disk. Raises MediaDelayed if that cannot be now."""
        try:
            await self.files.fetch(MEDIA_FOLDER, name)
        except OSError as error:
            raise MediaDelayed(str(error)) from error

    async def _transcribe(self, message: Message, content: Media, item: MediaItem) -> str:
        recording = Recording(
            key=message.key,
            path=self.rules.showing.folder / item.file,
            mime=item.mime,
            seconds=content.seconds,
        )
        return await self._transcriber.words_of(
            recording, longest_seconds=self.rules.longest_sound_seconds
        )

    def _report(self, words: str, message: Message, error: Exception) -> None:
        if str(error).startswith(STRANGE):
            self._report_strange(str(error), message)
            return
        kind = VOICE_ERROR if message.kind in SOUNDS else FILE_ERROR
        self._log.event(
            IMAGE_ERROR if message.kind == "image" else kind,
            chat=message.key,
            name=message.author_name,
            kind=message.kind,
            what=words,
            error=str(error),
        )

    def _report_strange(self, error: str, message: Message) -> None:
        """Report each format once, not each voice note in it."""
        if error not in self._reported_formats:
            self._reported_formats.add(error)
            self._log.event(
                VOICE_ERROR,
                chat=message.key,
                name=message.author_name,
                kind=message.kind,
                what="a voice note came in an unsupported format; reported once",
                error=error,
            )


def _with_file(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if isinstance(message.content, Media)]


def _has_words(message: Message, item: MediaItem) -> bool:
    """Whether there may be words in a file that can be made out."""
    content = message.content
    if not isinstance(content, Media):
        return False
    return content.medium in SOUNDS or DocumentReader.reads(item.mime)
