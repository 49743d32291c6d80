"""The pictures and documents that the model is given: data URIs, as far as there is room."""

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.domain.messages import Media, Message
from daemon.domain.records import Attachment, AttachmentKind, MediaItem
from daemon.errors import MediaRefused
from daemon.media.kinds import HEAD_BYTES, PDF, SHOWN_IMAGES, kind_of

_PICTURES = frozenset({"image", "sticker", "gif", "document", "documentWithCaption"})
"""Media that may be a picture which does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingRules:
    """What the model is shown, and from which folder."""

    folder: Path
    images: bool
    pdf_as_file: bool
    """Whether the server takes a PDF as it is."""
    request_bytes: int
    """Of all files in one request."""


def load_attachments(
    chosen: Sequence[tuple[Message, MediaItem]],
    rules: ShowingRules,
    kinds: Collection[AttachmentKind],
) -> dict[str, Attachment]:
    """Read the files of messages that go to the model, by message id; the first ones go first.

    ``kinds``: the forms in which the model takes them.

    Blocks for as long as the disk takes: for a worker thread. A file that is not there, or for
    which there is no room, is left out.
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
    """As what a message's file is given, which file that is, and its type."""
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
    """The bytes of a file; none if they are too many, or gone."""
    try:
        return path.read_bytes() if path.stat().st_size <= most else b""
    except OSError:
        return b""


def _picture_type(content: bytes) -> str:
    """The type of a picture that the model can be shown; empty if it is none."""
    try:
        mime = kind_of(content[:HEAD_BYTES], medium="image").mime
    except MediaRefused:
        return ""
    return mime if mime in SHOWN_IMAGES else ""
