"""What the model is told of files, in their own turn and in the thread afterwards."""

import pytest

from daemon.domain.messages import ChatKey, ContactCard, Contacts, Media, Message, ModelRequest
from daemon.domain.prompt.history_budget import FILE_TOKENS, request_estimate, rough_estimate
from daemon.domain.prompt.media_text import (
    KEPT_CHARACTERS,
    NO_TRANSCRIPTION,
    BurstFiles,
    contacts_line,
    media_line,
)
from daemon.domain.prompt.message_text import burst_item, burst_with_files
from daemon.domain.records import Attachment, MediaItem, StoredMessage

VOICE = Media(medium="voice", seconds=7)
PAPER = Media(medium="document", file_name="cuenta]\n.pdf", pages=3)


def item(**known: object) -> MediaItem:
    fields = {"message_id": "m-1", "state": "stored", **known}
    return MediaItem(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "known", "line"),
    [
        (VOICE, item(words="Dos noches"), "[voice note] Dos noches"),
        (VOICE, item(words=""), "[voice note of 7 s without words in it]"),
        (VOICE, item(), "[voice note of 7 s that could not be heard]"),
        (VOICE, item(state="failed"), "[voice note of 7 s that could not be heard]"),
        (
            VOICE,
            item(words_error=NO_TRANSCRIPTION),
            "[voice note of 7 s; what is spoken cannot be heard here]",
        ),
        (
            PAPER,
            item(words="A"),
            "[document cuenta) .pdf, 3 pages; its text:]\nA\n[end of document cuenta) .pdf]",
        ),
        (PAPER, item(state="wanted"), "[document cuenta) .pdf that could not be loaded]"),
        (PAPER, item(words_error="x"), "[document cuenta) .pdf, 3 pages, which you cannot open]"),
        (
            Media(medium="sticker", animated=True),
            item(),
            "[animated sticker, which you cannot see]",
        ),
        (
            Media(medium="image", caption="Así"),
            item(state="failed"),
            "[image that could not be loaded] Así",
        ),
    ],
)
def test_a_file_is_a_line(content: Media, known: MediaItem, line: str) -> None:
    assert media_line(content, known) == line


def stored(content: Media) -> StoredMessage:
    key = ChatKey("c", "573001234567@s.whatsapp.net")
    message = Message(id="m-1", key=key, kind=content.medium, content=content)
    return StoredMessage(1, message, 0)


def test_the_thread_keeps_the_beginning_of_a_document() -> None:
    """Its own turn has all of it, or the document itself."""
    seen = BurstFiles({"m-1": item(words="x" * 5000)})
    assert "x" * 5000 in burst_with_files([stored(PAPER)], seen)["content"]
    kept = burst_item([stored(PAPER)], seen)["content"]
    assert len(kept) < KEPT_CHARACTERS + 200
    assert "[the rest is left out]" in kept


def test_pictures_and_files_count_by_number_and_not_by_bytes() -> None:
    picture = Attachment("image", "a", "data:image/jpeg;base64," + "A" * 1_000_000)
    seen = BurstFiles({"m-1": item()}, {"m-1": picture})
    burst = burst_with_files([stored(Media(medium="image"))], seen)
    request = ModelRequest(instructions="", items=(burst,))
    assert request_estimate(request) is None
    assert FILE_TOKENS <= rough_estimate(request) < FILE_TOKENS + 100
    assert "base64" not in str(burst_item([stored(Media(medium="image"))], seen))


def test_cards_are_names_and_numbers() -> None:
    cards = [ContactCard(name=f"Ana {number}") for number in range(25)]
    line = contacts_line(Contacts(cards=tuple(cards)))
    assert line.startswith("[contacts] Ana 0; Ana 1; ")
    assert line.endswith("; Ana 19 and 5 more")
