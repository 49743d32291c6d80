"""Files and contact cards for the model: lines of text, and attachments beside them. Pure.

A burst with files has two forms. The one for its own turn has the pictures and documents
themselves; the one that is kept in the thread has a line for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from daemon.domain.messages import ContactCard, Contacts, JsonObject, Media
from daemon.domain.records import Attachment, MediaItem
from daemon.domain.rendering.vcards import read_card

KEPT_CHARACTERS = 2000
"""Of a document's text, how much the thread keeps."""

MOST_CARDS = 20
NAME_CHARACTERS = 100
VOICES = ("voice", "ptt")
SOUNDS = (*VOICES, "audio")
NO_TRANSCRIPTION = "no model is set that hears"
UNPAID = "the day's budget does not pay for hearing it"
"""Why a recording has no transcript, without a fault of its own."""
STRANGE = "no model hears its format"
"""The reason for a format that every server refuses; the format follows."""

_NAMES = {
    "voice": "voice note",
    "ptt": "voice note",
    "documentWithCaption": "document",
    "short": "video note",
    "gif": "moving picture",
}


@dataclass(frozen=True, slots=True)
class BurstFiles:
    """The files of a burst and their attachments, by message id."""

    items: Mapping[str, MediaItem] = field(default_factory=dict)
    attachments: Mapping[str, Attachment] = field(default_factory=dict)


NOTHING_SEEN = BurstFiles()


def media_line(
    content: Media, item: MediaItem | None = None, attached: Attachment | None = None
) -> str:
    """A file as the model reads it.

    ``item`` is the fetched file; None if it was not fetched. ``attached`` is the attachment that
    the model gets beside this line, or got in the file's own turn.
    """
    if content.medium in SOUNDS:
        note = _sound_note(content, item)
    elif content.medium in {"document", "documentWithCaption"}:
        note = _document_note(content, item, attached)
    else:
        note = _picture_note(content, item, attached)
    return f"{note} {content.caption}".strip()


def contacts_line(content: Contacts) -> str:
    """Contact cards as the model reads them: who, and how to reach them."""
    people = [_person(card) for card in content.cards[:MOST_CARDS]]
    left_out = len(content.cards) - len(people)
    more = f" and {left_out} more" if left_out else ""
    return f"[contacts] {'; '.join(people)}{more}"


def with_attachments(lines: Sequence[tuple[str, Attachment | None]]) -> JsonObject:
    """Messages as one input item, each line followed by its attachment.

    The parts are those of the Responses API.
    """
    parts: list[JsonObject] = []
    texts: list[str] = []
    for line, attached in lines:
        texts.append(line)
        if attached is not None:
            parts += [{"type": "input_text", "text": "\n".join(texts)}, _part(attached)]
            texts = []
    if texts:
        parts.append({"type": "input_text", "text": "\n".join(texts)})
    return {"role": "user", "content": parts}


def kept_line(
    content: Media, item: MediaItem | None = None, attached: Attachment | None = None
) -> str:
    """A file as the thread keeps it: a whole transcript, the beginning of a document."""
    if item is not None and item.words and content.medium not in SOUNDS:
        attached = None
        if len(item.words) > KEPT_CHARACTERS:
            words = f"{item.words[:KEPT_CHARACTERS]}\n[the rest is left out]"
            item = replace(item, words=words)
    return media_line(content, item, attached)


def _part(attached: Attachment) -> JsonObject:
    if attached.kind == "file":
        return {"type": "input_file", "filename": attached.name, "file_data": attached.data_uri}
    return {"type": "input_image", "detail": "auto", "image_url": attached.data_uri}


def _name(content: Media) -> str:
    return _NAMES.get(content.medium, content.medium)


def _length(content: Media) -> str:
    return f" of {content.seconds:.0f} s" if content.seconds else ""


def _sound_note(content: Media, item: MediaItem | None) -> str:
    name = _name(content)
    if item is not None and item.words:
        return f"[{name}] {item.words}"
    if item is not None and item.words is not None:
        return f"[{name}{_length(content)} without words in it]"
    if item is None or item.words_error in {NO_TRANSCRIPTION, UNPAID}:
        return f"[{name}{_length(content)}; what is spoken cannot be heard here]"
    if item.words_error.startswith(STRANGE):
        return f"[{name}{_length(content)} in a format that cannot be heard here]"
    return f"[{name}{_length(content)} that could not be heard]"


def _document_note(content: Media, item: MediaItem | None, attached: Attachment | None) -> str:
    name = _file_name(content)
    named = f"document {name}".strip()
    pages = f", {content.pages} pages" if content.pages else ""
    if attached is not None:
        return f"[{named}{pages}]"
    if item is not None and item.words:
        return f"[{named}{pages}; its text:]\n{item.words}\n[end of {named}]"
    if item is not None and item.state in {"wanted", "failed"}:
        return f"[{named} that could not be loaded]"
    return f"[{named}{pages}, which you cannot open]"


def _picture_note(content: Media, item: MediaItem | None, attached: Attachment | None) -> str:
    animated = "animated " if content.animated else ""
    name = f"{animated}{_name(content)}"
    length = f", {content.seconds:.0f} s" if content.seconds else ""
    if attached is not None and attached.kind == "preview":
        return f"[{name}{length}: its first picture]"
    if attached is not None:
        return f"[{name}{length}]"
    if item is not None and item.state in {"wanted", "failed"}:
        return f"[{name}{length} that could not be loaded]"
    return f"[{name}{length}, which you cannot see]"


def _file_name(content: Media) -> str:
    return " ".join(content.file_name.replace("[", "(").replace("]", ")").split())[:NAME_CHARACTERS]


def _person(card: ContactCard) -> str:
    """Name and numbers of a card; the message's name if the card has none."""
    read = read_card(card.vcard)
    name = " ".join((read.name or card.name).split())[:NAME_CHARACTERS]
    firm = f" ({read.organisation})" if read.organisation and read.organisation != name else ""
    ways = ", ".join((*read.numbers, *read.emails))
    return f"{name}{firm}: {ways}".strip(": ") if ways else f"{name}{firm}".strip() or "no name"
