"""Files for the model: the text of documents, and pictures and documents as data URIs.

A document is read by a process of its own, which has limits on memory and time.
"""

import sys
from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from daemon.domain.messages import Media, Message
from daemon.domain.records import Attachment, AttachmentKind, MediaItem
from daemon.errors import MediaDelayed, MediaRefused
from daemon.media import extraction
from daemon.media.kinds import DOCX, HEAD_BYTES, PDF, SHOWN_IMAGES, kind_of

SECONDS = 20.0
"""For one document; the process has a smaller limit of processor time."""

PROCESSES = 1
"""Documents read at once: each may take as much memory as the rest of the daemon."""

_KINDS = {PDF: "pdf", DOCX: "docx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRules:
    """How much of a document is read."""

    pages: int
    characters: int


class DocumentReader:
    """Reads documents one at a time. Any task may call it."""

    def __init__(self, rules: DocumentRules, *, seconds: float = SECONDS) -> None:
        self._rules = rules
        self._seconds = seconds
        self._places = trio.CapacityLimiter(PROCESSES)

    @staticmethod
    def reads(mime: str) -> bool:
        """Whether documents of this type can be read."""
        return _kind(mime) != ""

    async def read(self, path: Path, mime: str) -> str:
        """The text of a document, empty if it has none (a scan).

        Raises MediaRefused if it cannot be read within the limits, MediaDelayed if it cannot be
        tried now.
        """
        if not _kind(mime):
            raise MediaRefused(f"documents of type {mime} cannot be read")
        return await self.read_kind(path, _kind(mime))

    async def read_kind(self, path: Path, kind: str) -> str:
        """The text of a document that is read as one of `extraction.READERS`; like `read`."""
        async with self._places:
            with trio.move_on_after(self._seconds):
                return await self._run(path, kind)
        raise MediaRefused("reading it takes too long")

    async def _run(self, path: Path, kind: str) -> str:
        """Run the reading program; a cancellation kills it."""
        rules = self._rules
        # -I: neither the environment nor the current folder changes what it imports.
        command = [sys.executable, "-I", extraction.__file__, kind]
        try:
            with path.open("rb") as file:
                done = await trio.run_process(
                    [*command, str(rules.pages), str(rules.characters)],
                    stdin=file,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env={"LANG": "C.UTF-8"},
                    deliver_cancel=_kill,
                )
        except OSError as error:
            raise MediaDelayed(f"the document cannot be read now: {error.strerror}") from error
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "replace")
        if done.returncode == extraction.UNREADABLE:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise MediaRefused(lines[-1] if lines else "it cannot be read")
        raise MediaRefused("reading it takes too much")


async def _kill(process: trio.Process) -> None:
    """End the program at once: it has nothing to clean up."""
    process.kill()


def _kind(mime: str) -> str:
    return "txt" if mime.startswith("text/") else _KINDS.get(mime, "")


# -- files as data URIs ----------------------------------------------------------------------------


_PICTURES = frozenset({"image", "sticker", "gif", "document", "documentWithCaption"})
"""Media that may be a still picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingRules:
    """The rules of which files the model gets, and their folder."""

    folder: Path
    images: bool
    pdf_as_file: bool
    """Whether the server accepts a PDF file."""
    request_bytes: int
    """The limit for all files of one request."""


def files_shown(
    chosen: Sequence[tuple[Message, MediaItem]],
    rules: ShowingRules,
    kinds: Collection[AttachmentKind],
) -> set[str]:
    """The names of the files that `load_attachments` reads."""
    plans = [
        _plan(message.content, item, rules)
        for message, item in chosen
        if isinstance(message.content, Media)
    ]
    return {plan[1] for plan in plans if plan is not None and plan[0] in kinds}


def load_attachments(
    chosen: Sequence[tuple[Message, MediaItem]],
    rules: ShowingRules,
    kinds: Collection[AttachmentKind],
) -> dict[str, Attachment]:
    """Read the files of messages for the model, by message id, until the limit is reached.

    ``kinds``: the forms in which the model accepts them.

    Blocks for as long as the disk takes: for a worker thread. A file that is missing or does not
    fit is left out.
    """
    room = rules.request_bytes
    loaded: dict[str, Attachment] = {}
    for message, item in chosen:
        content = message.content
        plan = _plan(content, item, rules) if isinstance(content, Media) else None
        if plan is None or plan[0] not in kinds:
            continue
        kind, file, mime = plan
        found = _read(rules.folder / file, room)
        if kind == "preview":
            mime = _picture_type(found)
        if not found or not mime:
            continue
        room -= len(found)
        uri = f"data:{mime};base64,{b64encode(found).decode()}"
        loaded[message.id] = Attachment(kind, _name(message), uri)
    return loaded


def _plan(
    content: Media, item: MediaItem, rules: ShowingRules
) -> tuple[AttachmentKind, str, str] | None:
    """The form in which a message's file is attached, the file, and its type."""
    still = content.medium in _PICTURES and not content.animated
    if rules.images and still and item.mime in SHOWN_IMAGES:
        return "image", item.file, item.mime
    if rules.images and item.preview:
        return "preview", item.preview, ""
    if rules.pdf_as_file and item.mime == PDF:
        return "file", item.file, item.mime
    return None


def _name(message: Message) -> str:
    content = message.content
    return (isinstance(content, Media) and content.file_name) or "document.pdf"


def _read(path: Path, most: int) -> bytes:
    """The bytes of a file; empty if it is too large or gone."""
    try:
        return path.read_bytes() if path.stat().st_size <= most else b""
    except OSError:
        return b""


def _picture_type(content: bytes) -> str:
    """The type of a picture that the model accepts; empty for anything else."""
    try:
        mime = kind_of(content[:HEAD_BYTES], medium="image").mime
    except MediaRefused:
        return ""
    return mime if mime in SHOWN_IMAGES else ""
