"""What the model is told of each message."""

from typing import Any

import pytest
from support.ledgers import message

from daemon.domain.messages import (
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
from daemon.domain.prompt.message_text import (
    GONE,
    agent_items,
    as_line,
    as_lines,
    burst_item,
    kept,
    unaddressed_item,
)
from daemon.domain.records import StoredMessage
from daemon.domain.texts import texts

LINES: list[tuple[AnyContent, str]] = [
    (Text(body="  Hola,\n¿hay cupo? "), "Hola,\n¿hay cupo?"),
    (Text(body="https://example.com", url="https://example.com"), "https://example.com"),
    (Media(medium="image"), "[image, which you cannot see]"),
    (Media(medium="image", caption="Así"), "[image, which you cannot see] Así"),
    (
        Media(medium="voice", seconds=12.4),
        "[voice note of 12 s; what is spoken cannot be heard here]",
    ),
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
        "[contacts] Ana; Luis",
    ),
    (Choice(choice_id="room-2", title="Doble", description="Dos camas"), "Doble: Dos camas"),
    (Choice(choice_id="room-2", title="Doble"), "Doble"),
    (Choice(choice_id="room-2"), "room-2"),
    (Poll(title="¿Cuándo?", options=("hoy", "mañana")), "[poll] ¿Cuándo?: hoy, mañana"),
    (Other(body=" Se unió "), "Se unió"),
    (Other(), ""),
    (
        Text(body="Mira", url="https://example.com", title="Sol"),
        "Mira\n[link: Sol https://example.com]",
    ),
    (Location(latitude=0, longitude=0, live=True), "[live location 0.00000, 0.00000]"),
    (Reaction(target="m-1", emoji="👍"), "[reacted 👍 to an earlier message]"),
    (Reaction(target="m-1", emoji="👍", about="Son\ntres"), "[reacted 👍 to: Son tres]"),
    (Reaction(target="m-1", about="Son tres"), "[took back the reaction to: Son tres]"),
    (Vote(target="m-1", options=("a",)), "[voted in a poll]"),
    (
        Vote(target="m-1", options=("a", "b"), question="¿Hora?", chosen=("9", "10")),
        "[voted in the poll: ¿Hora?] 9, 10",
    ),
    (Vote(target="m-1", question="¿Hora?"), "[took back the vote in the poll: ¿Hora?]"),
    (Edit(target="m-1", body="x"), ""),
    (Deletion(target="m-1"), ""),
]

GROUP = ChatKey("MANTIS-M72HC", "120363012345678901@g.us")


@pytest.mark.parametrize(("content", "line"), LINES)
def test_each_content_is_a_line(content: AnyContent, line: str) -> None:
    assert as_line(content) == line


def test_every_type_of_content_is_in_this_table() -> None:
    """A new type must not reach the model without anybody having thought of its words."""
    assert {type(content) for content, _ in LINES} == set(AnyContent.__args__)


@pytest.mark.parametrize(
    ("kind", "other", "line"),
    [
        (
            "order",
            Other(
                body="Pedido",
                raw={"order_id": "81", "item_count": 2, "total_price": 90.5, "currency": "COP"},
            ),
            "[order, number 81, 2 items, total 90.5 COP] Pedido",
        ),
        (
            "product",
            Other(
                body="Doble", raw={"product_id": 7, "title": "Doble", "description": "Con vista"}
            ),
            "[product, number 7] Doble Con vista",
        ),
        (
            "event",
            Other(body="Cata", raw={"name": "Cata", "start": 1763990000}),
            "[event] Cata (begins 2025-11-24 13:13 UTC)",
        ),
        ("event", Other(body="Cata", raw={"start": 1e300}), "[event] Cata"),
        (
            "group_invite",
            Other(body="Únete", raw={"url": "https://chat.example.com/abc"}),
            "[invitation to a group] Únete https://chat.example.com/abc",
        ),
        (
            "interactive",
            Other(body="Elija", raw={"action": {"buttons": [{"title": "Sí"}, {"title": "No"}]}}),
            "[menu] Elija (Sí / No)",
        ),
        (
            "list",
            Other(
                raw={"title": "Menú", "sections": [{"title": "A", "rows": [{"title": "Doble"}]}]}
            ),
            "[menu] Menú (Doble)",
        ),
        ("hologram", Other(body=" Se unió "), "Se unió"),
        ("order", Other(raw={"order_id": None, "item_count": True}), "[order]"),
    ],
)
def test_whapis_own_types_are_lines(kind: str, other: Other, line: str) -> None:
    assert as_lines(message("m", other, kind=kind)) == line


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"author": "573001234567", "author_name": "Laura"}, "Laura (5730…4567): Hola"),
        ({"author": "573001234567"}, "5730…4567: Hola"),
        ({"author": "123456789012345@lid", "author_name": "A\nB"}, "A B (1234…2345): Hola"),
        ({}, "somebody: Hola"),
        ({"author": "573009876543", "from_me": True}, "Hola"),
    ],
)
def test_in_a_group_the_speakers_are_named(fields: dict[str, Any], line: str) -> None:
    assert as_lines(message("m", "Hola", key=GROUP, **fields)) == line


def test_unaddressed_group_messages_are_one_item() -> None:
    talk = _stored(message("m-1", "Hola", key=GROUP), message("m-2", "¿Vamos?", key=GROUP))
    item = unaddressed_item(talk, missing=True)
    assert item["role"] == "user"
    assert item["content"].splitlines()[1:] == ["[…]", "somebody: Hola", "somebody: ¿Vamos?"]


def test_only_a_placeholder_of_a_disappearing_message_is_kept() -> None:
    burst = _stored(
        message("m-1", "Hola"),
        message("m-2", "secreto", ephemeral=True, quote=Quote(id="q", body="¿Cuál?")),
        message("m-3", Media(medium="image", caption="mi cédula", view_once=True)),
    )
    assert [as_lines(m.message) for m in kept(burst)] == ["Hola", GONE, GONE]


def test_a_quote_comes_before_its_answer_on_one_short_line() -> None:
    quoting = message("m", "Sí", quote=Quote(id="m-0", body="¿Dos\nnoches?  " + "x" * 400))
    quote, _, words = as_lines(quoting).partition("\n")
    assert words == "Sí"
    assert quote.startswith("> ¿Dos noches? xxx")
    assert len(quote) == 302


def test_a_quote_without_words_is_not_shown() -> None:
    assert as_lines(message("m", "Sí", quote=Quote(id="m-0", kind="image"))) == "Sí"


def test_a_forwarded_message_is_marked() -> None:
    assert as_lines(message("m", "Mira", forwarded=True)) == "[forwarded] Mira"


def _stored(*messages: Message) -> list[StoredMessage]:
    return [StoredMessage(seq=n, message=m, received_at=100) for n, m in enumerate(messages)]


def test_a_burst_is_one_item_in_order() -> None:
    burst = _stored(message("m-1", "Hola"), message("m-2", Media(medium="image")))
    assert burst_item(burst) == {
        "role": "user",
        "content": "Hola\n[image, which you cannot see]",
    }


@pytest.mark.parametrize(
    ("author", "name"),
    [({"author_name": "Ana {1}", "author": "57300"}, "Ana {1}"), ({"author": "57300"}, "57300")],
)
def test_an_agents_words_are_a_note_and_the_assistants_side(
    author: dict[str, Any], name: str
) -> None:
    words = _stored(message("a-1", "Buenas", **author), message("a-2", "Soy Ana"))
    assert agent_items(words, texts("es")) == [
        {"role": "user", "content": f"[Mensaje manual de {name}]"},
        {"role": "assistant", "content": "Buenas\nSoy Ana"},
    ]


def test_an_agents_quote_is_not_in_the_assistants_role() -> None:
    quoting = message("a-1", "Sí", quote=Quote(id="m-0", body="Me prometieron\nla mitad"))
    assert [item["content"] for item in agent_items(_stored(quoting), texts("es"))] == [
        f"{texts('es').note_of('')}\n> Me prometieron la mitad",
        "Sí",
    ]


def test_no_words_of_an_agent_are_no_item() -> None:
    assert agent_items([], texts("es")) == []
