"""A folder of documents, kept in step with its passages in the ledger.

Documents change seldom and slowly, so the folder is looked at every few seconds; what has the same
size and time as before is not opened. One that cannot be read is noted with the reason, and the
others go on being read.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from daemon.assistant.embeddings import Embedder
from daemon.conversation.knowledge.base import folder_name
from daemon.conversation.knowledge.vectors import embed_missing, embedder_of
from daemon.domain.knowledge.passages import passages_of, title_of
from daemon.domain.knowledge.words import language_of
from daemon.domain.progress import Progress, unwatched
from daemon.errors import MediaDelayed, MediaRefused, StoreUnavailable
from daemon.ledger.knowledge import KnownDocument, Passages, ReadDocument
from daemon.media import extraction
from daemon.media.model_files import DocumentReader, DocumentRules
from daemon.observability.logs import Log
from daemon.settings import Settings
from daemon.settings.assistant import KnowledgeSettings
from daemon.settings.numbers import numbers_of

MEGABYTE = 1024 * 1024

KINDS = {
    ".md": "md",
    ".markdown": "md",
    ".txt": "md",
    ".pdf": "pages",
    ".docx": "outline",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
}
"""How a document is read, by the ending of its name."""

LIMITS = DocumentRules(pages=2_000, characters=2_000_000)
"""Of one document; what is beyond them is not searched."""

MOST_DOCUMENTS = 5_000
"""Of a folder; further ones are left out."""

BEGINNING_ONLY = "only its beginning was read: it is too long"
NO_TEXT = "it has no text: a scan, perhaps"
OTHER_TYPE = "files of this type are not read"
CLOSED = "this folder may not be opened"


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A document of a folder, as the file system shows it."""

    path: str
    """Relative to the folder."""
    size: int
    modified: int
    """In nanoseconds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one look has changed, by the documents' paths."""

    read: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    """Of what was read now: each path with the reason."""


class KnowledgeFolder:
    """Reads the documents of one folder into the ledger. One task uses it."""

    def __init__(
        self,
        passages: Passages,
        folder: Path,
        *,
        max_bytes: int,
        now: Callable[[], float],
        embedder: Embedder | None = None,
        reader: DocumentReader | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._passages = passages
        self._max_bytes = max_bytes
        self._now = now
        self._embedder = embedder
        self._reader = reader or DocumentReader(LIMITS)

    async def keep_in_step(self, every_seconds: float, log: Log) -> None:
        """Look at the folder again and again. Runs until cancelled."""
        try:
            await self._keep_in_step(every_seconds, log)
        finally:
            if self._embedder is not None:
                await self._embedder.aclose()

    async def _keep_in_step(self, every_seconds: float, log: Log) -> None:
        missing = False
        while True:
            try:
                changes = await self.bring_in_step()
                await self.embed(log)
                missing = False
            except OSError as error:
                # What was read before stays: the disk may come back.
                if not missing:
                    log.warning("the documents are out of reach", error=error.strerror)
                missing = True
            except StoreUnavailable as error:
                log.warning("the documents were not stored", error=str(error))
            else:
                self._report(changes, log)
            await trio.sleep(every_seconds)

    def _report(self, changes: Changes, log: Log) -> None:
        if changes.read or changes.gone:
            log.info("documents in step", read=len(changes.read), gone=len(changes.gone))
        for path, fault in changes.faults:
            log.warning("a document cannot be read", document=path, error=fault)

    async def embed(self, log: Log, progress: Progress = unwatched) -> None:
        """Get the vectors that passages lack, if there is a model for that."""
        if self._embedder is not None:
            folder = str(self.folder)
            done = await embed_missing(self._passages, folder, self._embedder, log, progress)
            if done:
                log.info("passages have vectors", passages=done)

    async def bring_in_step(self, progress: Progress = unwatched) -> Changes:
        """Read what is new or changed, and drop what is gone; ``progress`` gets documents.

        Raises OSError if the folder cannot be read, StoreUnavailable.
        """
        folder = str(self.folder)
        files = await trio.to_thread.run_sync(files_of, self.folder, abandon_on_cancel=True)
        known = {one.path: one for one in await self._passages.look(folder)}
        read: list[str] = []
        faults: list[tuple[str, str]] = []
        for done, file in enumerate(files):
            progress(done, len(files), file.path)
            document = await self._read(file, known.get(file.path))
            if document is None:
                continue
            await self._passages.store(folder, document, now=self._now())
            read.append(file.path)
            if document.error:
                faults.append((file.path, document.error))
        progress(len(files), len(files), "")
        gone = sorted(set(known) - {file.path for file in files})
        for path in gone:
            await self._passages.drop(folder, path)
        if read or gone:
            await self._passages.look(folder)
        while await self._passages.sweep(now=self._now()):
            await trio.lowlevel.checkpoint()
        return Changes(tuple(read), tuple(gone), tuple(faults))

    async def _read(self, file: FolderFile, known: KnownDocument | None) -> ReadDocument | None:
        """Read one document; None if nothing of it has changed, or it cannot be read just now."""
        if known and (known.size, known.modified) == (file.size, file.modified):
            return None
        path = self.folder / file.path
        try:
            digest = await trio.to_thread.run_sync(_digest, path)
            if known and known.digest == digest:
                await self._passages.note_unchanged(known.id, modified=file.modified)
                return None
        except OSError:
            digest = ""
        document = await read_document(
            self.folder, file, digest, reader=self._reader, max_bytes=self._max_bytes
        )
        try:
            now = (await trio.Path(path).stat()).st_mtime_ns
        except OSError:
            return None
        # While it is being written, the next look reads it.
        return document if now == file.modified else None


async def read_document(
    folder: Path, file: FolderFile, digest: str, *, reader: DocumentReader, max_bytes: int
) -> ReadDocument | None:
    """Read one document of a folder; None if that cannot be tried just now."""
    made = partial(
        ReadDocument, path=file.path, size=file.size, modified=file.modified, digest=digest
    )
    if file.size > max_bytes:
        return made(error=f"it is larger than {max_bytes // MEGABYTE} MB (knowledge.max_mb)")
    try:
        text = await reader.read_kind(folder / file.path, kind_of(file.path))
    except MediaRefused as error:
        return made(error=str(error))
    except MediaDelayed as error:
        exists = await trio.Path(folder / file.path).exists()
        return made(error=str(error)) if exists else None
    return await trio.to_thread.run_sync(_cut, made, text)


async def faults_of(folder: Path, settings: KnowledgeSettings) -> tuple[int, list[tuple[str, str]]]:
    """How many documents of a folder can be read, and why the others cannot, by their paths.

    Raises OSError if the folder cannot be read.
    """
    reader, max_bytes = DocumentReader(LIMITS), int(settings.max_mb * MEGABYTE)
    files = await trio.to_thread.run_sync(files_of, folder)
    faults = []
    for file in files:
        document = await read_document(folder, file, "", reader=reader, max_bytes=max_bytes)
        if document is not None and document.error:
            faults.append((file.path, document.error))
    return len(files) - len(faults), [*faults, *await trio.to_thread.run_sync(unread_in, folder)]


def files_of(folder: Path) -> list[FolderFile]:
    """The documents of a folder and of those inside it, by their paths. Raises OSError.

    Not hidden ones, nor those of a type that is not read. Blocks for as long as the disk takes.
    """
    found = []
    for path in _looked_into(folder)[0]:
        # What is beside a folder that may be listed and not entered is read all the same.
        with suppress(PermissionError, FileNotFoundError):
            if kind_of(path.name) and path.is_file():
                stat = path.stat()
                relative = path.relative_to(folder).as_posix()
                found.append(FolderFile(relative, stat.st_size, stat.st_mtime_ns))
    return found[:MOST_DOCUMENTS]


def unread_in(folder: Path) -> list[tuple[str, str]]:
    """What inside of a folder is not read, and why. Raises OSError."""
    paths, closed = _looked_into(folder)
    other = [path for path in paths if not kind_of(path.name)]
    unread = [(path, OTHER_TYPE) for path in other] + [(path, CLOSED) for path in closed]
    return [(path.relative_to(folder).as_posix(), why) for path, why in unread]


def _looked_into(folder: Path) -> tuple[list[Path], list[Path]]:
    """The visible files of a folder, and the folders inside it that may not be opened.

    Any other trouble raises OSError: of what is there now, nothing is known then.
    """
    closed: list[Path] = []

    def note(error: OSError) -> None:
        where = Path(error.filename or folder)
        if where == folder or not isinstance(error, PermissionError):
            raise error
        closed.append(where)  # lost+found of a disk, say

    files = []
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Word keeps a file with this beginning beside a document that is open.
        files += [Path(place, n) for n in sorted(names) if not n.startswith((".", "~$"))]
    return files, closed


def kind_of(name: str) -> str:
    """How a document is read, by its name; empty if it is not."""
    return KINDS.get(Path(name).suffix.lower(), "")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cut(made: Callable[..., ReadDocument], text: str) -> ReadDocument:
    """Cut a text into passages; for a thread, as a long one takes its time."""
    body = text.removesuffix(extraction.REST)
    title = title_of(body, made().path)
    passages = passages_of(body, title)
    error = BEGINNING_ONLY if body != text else "" if passages else NO_TEXT
    return made(title=title, language=language_of(body), passages=passages, error=error)


def folders_of(settings: Settings) -> dict[str, Settings]:
    """The folders of documents, each with the settings of a number that has it."""
    found: dict[str, Settings] = {}
    for number in numbers_of(settings).values():
        if number.knowledge.folder is not None:
            found.setdefault(folder_name(number.knowledge.folder), number)
    return found


def knowledge_folder(
    number: Settings, passages: Passages, now: Callable[[], float]
) -> KnowledgeFolder:
    """The folder of a number that has one. Raises SettingsError if vectors cannot be used."""
    assert number.knowledge.folder is not None  # noqa: S101 - `folders_of` gives no other
    max_bytes = int(number.knowledge.max_mb * MEGABYTE)
    return KnowledgeFolder(
        passages,
        number.knowledge.folder,
        max_bytes=max_bytes,
        now=now,
        embedder=embedder_of(number),
    )
