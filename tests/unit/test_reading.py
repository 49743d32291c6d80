"""What the model is told of each message, and which messages are not for it."""

from typing import Any

import pytest
from support.ledgers import message

from daemon.ledger import StoredMessage
from daemon.model import (
    AnyContent,
    ChatKey,
    Choice,
    ContactCard,
    Contacts,
    Deletion,
    Edit,
    Location,
    Media,
    Message,
    Other,
    Poll,
    Quote,
    Reaction,
    Text,
    Vote,
)
from daemon.reading import agent_items, as_line, as_lines, burst_item, verdict
from daemon.texts import texts

LINES: list[tuple[AnyContent, str]] = [
    (Text(body="  Hola,\n¿hay cupo? "), "Hola,\n¿hay cupo?"),
    (Text(body="https://example.com", url="https://example.com"), "https://example.com"),
    (Media(medium="image"), "[image, which you cannot open]"),
    (Media(medium="image", caption="Así"), "[image, which you cannot open] Así"),
    (Media(medium="voice", seconds=12.4), "[voice, 12 s, which you cannot open]"),
    (
        Media(medium="document", file_name="cuenta.pdf", caption="La cuenta"),
        "[document cuenta.pdf, which you cannot open] La cuenta",
    ),
    (Location(latitude=4.711, longitude=-74.0721), "[location 4.71100, -74.07210]"),
    (
        Location(
            latitude=4.711, longitude=-74.0721, name="Hotel", address="Calle 1", caption="acá"
        ),
        "[location 4.71100, -74.07210] Hotel, Calle 1, acá",
    ),
    (
        Contacts(cards=(ContactCard(name="Ana"), ContactCard(name="Luis"))),
        "[contacts] Ana, Luis",
    ),
    (Choice(choice_id="room-2", title="Doble", description="Dos camas"), "Doble: Dos camas"),
    (Choice(choice_id="room-2", title="Doble"), "Doble"),
    (Choice(choice_id="room-2"), "room-2"),
    (Poll(title="¿Cuándo?", options=("hoy", "mañana")), "[poll] ¿Cuándo?: hoy, mañana"),
    (Other(body=" Se unió "), "Se unió"),
    (Other(), ""),
    (Reaction(target="m-1", emoji="👍"), ""),
]

SILENT: list[tuple[Message, str]] = [
    (message("m", Reaction(target="m-1", emoji="👍")), "a reaction"),
    (message("m", Vote(target="m-1")), "a vote"),
    (message("m", Edit(target="m-1", body="x")), "a change of another message"),
    (message("m", Deletion(target="m-1")), "a change of another message"),
    (message("m", Text(body=" \n\u00a0")), "an empty text"),
    (
        message("m", Other(body="x"), kind="system"),
        "nothing to answer in a message of type system",
    ),
    (message("m", key=ChatKey("c", "120363012345678901@g.us")), "groups are not answered"),
    (message("m", key=ChatKey("c", "status@broadcast")), "not a conversation"),
    (message("m", key=ChatKey("c", "123@newsletter")), "not a conversation"),
    (message("m", key=ChatKey("c", "stories")), "not a conversation"),
]

ANSWERED: list[AnyContent] = [
    Text(body="Hola"),
    Media(medium="sticker"),
    Location(latitude=0, longitude=0),
    Contacts(cards=()),
    Choice(choice_id="x"),
    Poll(title="?"),
]


@pytest.mark.parametrize(("content", "line"), LINES)
def test_each_content_is_a_line(content: AnyContent, line: str) -> None:
    assert as_line(content) == line


def test_every_type_of_content_is_in_these_tables() -> None:
    """A new type must not reach the model without anybody having thought of its words."""
    shown = {type(content) for content, _ in LINES}
    silent = {type(stranger.content) for stranger, _ in SILENT}
    assert shown | silent == set(AnyContent.__args__)
    assert {type(content) for content in ANSWERED} <= shown


@pytest.mark.parametrize(("stranger", "reason"), SILENT)
def test_what_is_not_for_the_model_has_a_reason(stranger: Message, reason: str) -> None:
    assert verdict(stranger) == reason


@pytest.mark.parametrize("content", ANSWERED)
def test_what_is_for_the_model_has_none(content: AnyContent) -> None:
    assert verdict(message("m", content)) == ""


def test_a_lid_chat_is_a_conversation() -> None:
    assert verdict(message("m", key=ChatKey("c", "123456789012345@lid"))) == ""


def test_a_quote_comes_before_its_answer_on_one_short_line() -> None:
    quoting = message("m", "Sí", quote=Quote(id="m-0", body="¿Dos\nnoches?  " + "x" * 400))
    quote, _, words = as_lines(quoting).partition("\n")
    assert words == "Sí"
    assert quote.startswith("> ¿Dos noches? xxx")
    assert len(quote) == 302


def test_a_quote_without_words_is_not_shown() -> None:
    assert as_lines(message("m", "Sí", quote=Quote(id="m-0", kind="image"))) == "Sí"


def test_a_forwarded_message_says_so() -> None:
    assert as_lines(message("m", "Mira", forwarded=True)) == "[forwarded] Mira"


def _stored(*messages: Message) -> list[StoredMessage]:
    return [StoredMessage(seq=n, message=m, received_at=100) for n, m in enumerate(messages)]


def test_a_burst_is_one_item_in_order() -> None:
    burst = _stored(message("m-1", "Hola"), message("m-2", Media(medium="image")))
    assert burst_item(burst) == {
        "role": "user",
        "content": "Hola\n[image, which you cannot open]",
    }


@pytest.mark.parametrize(
    ("author", "name"),
    [({"author_name": "Ana {1}", "author": "57300"}, "Ana {1}"), ({"author": "57300"}, "57300")],
)
def test_an_agents_words_are_the_assistants_side_with_a_note(
    author: dict[str, Any], name: str
) -> None:
    words = _stored(message("a-1", "Buenas", **author), message("a-2", "Soy Ana"))
    (item,) = agent_items(words, texts("es"))
    assert item["role"] == "assistant"
    assert item["content"] == f"[Mensaje manual de {name}]\nBuenas\nSoy Ana"


def test_no_words_of_an_agent_are_no_item() -> None:
    assert agent_items([], texts("es")) == []
