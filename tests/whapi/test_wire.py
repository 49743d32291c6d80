"""One whole payload for each kind of webhook, and what is read of it."""

from pathlib import Path

import pytest

from daemon.domain.ids import chat_id
from daemon.domain.messages import (
    AnyContent,
    Call,
    ChangeOrigin,
    ChatKey,
    Choice,
    ContactCard,
    Contacts,
    Deletion,
    Edit,
    LabelChange,
    Location,
    Media,
    Message,
    NameChange,
    NumberNews,
    Other,
    Poll,
    Presence,
    Quote,
    Reaction,
    StatusUpdate,
    Text,
    Vote,
    Webhook,
)
from daemon.errors import WebhookError
from daemon.gateway.whapi.payloads.parser import parse_messages, parse_webhook

SAMPLES = Path(__file__).parents[1] / "sample_data"
FILES = "https://files.example.com/in-files/573009876543/"
TARGET = "text.w30M7fgwWD4XwHu-gBgTwl0rVw"
LAURA = ChatKey("MANTIS-M72HC", "573001234567@s.whatsapp.net")
OPUS = "audio/ogg; codecs=opus"
PEDRO = ContactCard(
    name="Pedro",
    vcard="BEGIN:VCARD\nVERSION:3.0\nFN:Pedro\nTEL;waid=573007654321:+57 300 7654321\nEND:VCARD",
)
CONNECTING = NumberNews(condition="connecting", detail="health LAUNCH")
TO_BE_LINKED = NumberNews(
    condition="needs_qr", detail="qr OK; scan the code in Whapi's panel with the phone"
)
LINKED = NumberNews(condition="ok", detail="user linked", linked=True)
UNLINKED = NumberNews(
    condition="unauthorised",
    detail="user unlinked; link the phone again in Whapi's panel, and check whapi.token",
)
ANA = ContactCard(name="Ana", vcard=PEDRO.vcard.replace("Pedro", "Ana"))

CONTENTS: dict[str, AnyContent] = {
    "text": Text(body="Hola, tienen cupo el viernes?"),
    "text_with_quote": Text(body="Si, ese"),
    "text_from_ad": Text(body="Hola, tienen cupo el viernes?"),
    "link_preview": Text(
        body="vi esto https://example.com/h", url="https://example.com/h", title="Hotel"
    ),
    "image": Media(
        medium="image",
        media_id="jpeg-3a3239-80e585",
        link=FILES + "jpeg-3a3239-80e585.jpeg",
        mime_type="image/jpeg",
        size_bytes=46793,
        caption="mi cedula",
        view_once=True,
    ),
    "video": Media(
        medium="video",
        media_id="mp4-13e004-942100",
        mime_type="video/mp4",
        size_bytes=812344,
        caption="miren",
        seconds=12,
        preview="data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD",
    ),
    "gif": Media(
        medium="gif",
        media_id="mp4-13e005-942101",
        mime_type="video/mp4",
        size_bytes=90123,
        seconds=3,
    ),
    "short": Media(
        medium="short",
        media_id="mp4-13e006-942102",
        mime_type="video/mp4",
        size_bytes=70123,
        seconds=5,
    ),
    "audio": Media(
        medium="audio",
        media_id="mp3-a1b2c3-80b513",
        mime_type="audio/mpeg",
        size_bytes=220133,
        seconds=31,
    ),
    "voice": Media(
        medium="voice",
        media_id="oga-3aa6ca-807a85",
        link=FILES + "oga-3aa6ca-807a85.oga",
        mime_type=OPUS,
        size_bytes=9164,
        seconds=3,
    ),
    "ptt": Media(
        medium="ptt",
        media_id="oga-3aa6cb-807a86",
        mime_type=OPUS,
        size_bytes=9100,
        seconds=2.5,
    ),
    "document": Media(
        medium="document",
        media_id="pdf-a1b2c3-80b513",
        link=FILES + "pdf-a1b2c3-80b513.pdf",
        mime_type="application/pdf",
        size_bytes=48211,
        file_name="comprobante.pdf",
        caption="pago",
        pages=1,
    ),
    "document_with_caption": Media(
        medium="documentWithCaption",
        media_id="pdf-a1b2c4-80b514",
        mime_type="application/pdf",
        size_bytes=48212,
        file_name="recibo.pdf",
        caption="el recibo",
    ),
    "sticker": Media(
        medium="sticker", media_id="webp-a1b2-80b5", mime_type="image/webp", size_bytes=18233
    ),
    "location": Location(
        latitude=4.711, longitude=-74.0721, name="Hotel Sol", address="Cra 7 # 1-20"
    ),
    "live_location": Location(latitude=4.711, longitude=-74.0721, caption="voy", live=True),
    "contact": Contacts(cards=(PEDRO,)),
    "contact_list": Contacts(cards=(PEDRO, ANA)),
    "reply_buttons": Choice(choice_id="si", title="Si"),
    "reply_button": Choice(choice_id="si", title="Si"),
    "reply_list": Choice(choice_id="r1", title="Doble", description="2 personas"),
    "poll": Poll(title="Hora?", options=("9", "10"), option_ids=("YCUA=", "f61L=")),
    "action_reaction": Reaction(target=TARGET, emoji="👍"),
    "action_edit": Edit(target=TARGET, body="Hola, el sabado"),
    "action_edited": Edit(target=TARGET, body="mi pasaporte"),
    "action_delete": Deletion(target=TARGET),
    "action_vote": Vote(target=TARGET, options=("YCUA=",)),
    "poll_update": Vote(target=TARGET, options=("YCUA=",)),
    "action_ephemeral": Other(raw={"type": "ephemeral", "ephemeral": 86400}),
    "interactive": Other(
        body="Elija",
        raw={
            "header": {"text": "Menu"},
            "body": {"text": "Elija"},
            "footer": {"text": "gracias"},
            "type": "button",
            "action": {"buttons": [{"type": "quick_reply", "title": "Si", "id": "si"}]},
        },
    ),
    "hsm": Other(
        body="Elija",
        raw={"header": "Menu", "body": "Elija", "footer": "gracias", "buttons": []},
    ),
    "order": Other(
        body="Pedido de Laura",
        raw={
            "order_id": "8123",
            "seller": "573009876543",
            "title": "Pedido de Laura",
            "item_count": 2,
            "total_price": 180000,
            "currency": "COP",
        },
    ),
    "product": Other(
        body="Cuarto doble",
        raw={"product_id": "77", "title": "Cuarto doble", "description": "Con vista"},
    ),
    "catalog": Other(body="Catalogo", raw={"catalog_id": "5", "title": "Catalogo"}),
    "event": Other(
        body="Cata de cafe",
        raw={"name": "Cata de cafe", "description": "Trae amigos", "start": 1763990000},
    ),
    "group_invite": Other(
        body="Unete a mi grupo",
        raw={"body": "Unete a mi grupo", "url": "https://chat.example.com/abc"},
    ),
    "system": Other(
        body="Messages are end-to-end encrypted",
        raw={"body": "Messages are end-to-end encrypted"},
    ),
    "call": Other(),
    "story": Other(body="Promo", raw={"text": {"body": "Promo"}}),
    "unknown": Other(),
    "hologram": Other(
        body="un tipo del futuro",
        raw={"caption": "un tipo del futuro", "depth": {"layers": [1, 2]}},
    ),
    "newsletter_invite": Other(
        body="Sigue el canal",
        raw={
            "newsletter_id": "120363099999999999@newsletter",
            "title": "Ofertas",
            "body": "Sigue el canal",
        },
    ),
    "admin_invite": Other(
        body="Ayudame con el canal",
        raw={
            "newsletter_id": "120363099999999999@newsletter",
            "title": "Ofertas",
            "caption": "Ayudame con el canal",
        },
    ),
    "buttons": Other(
        body="Elija",
        raw={
            "header": "Menu",
            "text": "Elija",
            "footer": "gracias",
            "buttons": [
                {"type": "quick_reply", "text": "Si", "id": "si"},
                {"type": "quick_reply", "text": "No", "id": "no"},
            ],
        },
    ),
    "list": Other(
        body="Menu",
        raw={
            "title": "Menu",
            "description": "Elija",
            "label": "Ver",
            "sections": [
                {
                    "title": "Cuartos",
                    "rows": [{"id": "r1", "title": "Doble"}, {"id": "r2", "title": "Sencillo"}],
                }
            ],
        },
    ),
    "carousel": Other(
        body="Nuestros cuartos",
        raw={
            "body": {"text": "Nuestros cuartos"},
            "cards": [
                {
                    "text": "Doble",
                    "buttons": [{"type": "quick_reply", "title": "Lo quiero", "id": "c1"}],
                }
            ],
        },
    ),
    "pin": Other(raw={"target": TARGET, "time": 86400}),
    "album": Other(raw={"expected_image_count": 2, "expected_video_count": 0}),
    "ephemeral_text": Text(body="Mi clave es Sol"),
    "reaction_removed": Reaction(target=TARGET),
    "quote_without_content": Text(body="Si, ese"),
    "group_mention": Text(body="@573009876543 tienen cupo?"),
    "agent_text": Text(body="Hola, soy Marta"),
    "agent_voice": Media(
        medium="voice",
        media_id="oga-3aa6cc-807a87",
        mime_type=OPUS,
        size_bytes=9100,
        seconds=4,
    ),
    "agent_image": Media(
        medium="image",
        media_id="jpeg-3a3240-80e586",
        mime_type="image/jpeg",
        size_bytes=4679,
        caption="El cuarto",
    ),
    "echo_from_api": Text(body="Con gusto"),
    "group_text": Text(body="Buenas"),
    "lid_text": Text(body="Hola"),
}

PATCHED_EDIT = Edit(
    target=TARGET,
    body="Hola, el sabado",
    origin=ChangeOrigin(chat="573001234567@s.whatsapp.net", author="573001234567"),
)
STATUSES = (
    StatusUpdate(message_id=TARGET, status="delivered", at=1763890061),
    StatusUpdate(
        message_id="failed.w30M-gBg",
        status="failed",
        error="131026 not deliverable",
        at=1763890062,
    ),
)
PRESENCES = (
    Presence(key=LAURA, status="typing"),
    Presence(key=ChatKey("MANTIS-M72HC", "123456789012345@lid"), status="offline"),
)


PATCHED_REACTION = Message(
    id="messages_updates_reaction.w30M7fgwWD4XwHu-gBgTwl0rVw",
    key=LAURA,
    kind="action",
    content=Reaction(target=TARGET, emoji="❤️"),
    source="mobile",
    author="573001234567",
    author_name="Laura",
    sent_at=1763890000,
)
CALL = Call(id="ED3D01", key=LAURA, status="missed", video=True, at=1763890000)


def said(event: str, **parts: object) -> Webhook:
    """Build the expected webhook of a payload without messages."""
    return Webhook(channel="MANTIS-M72HC", event=event, **parts)  # type: ignore[arg-type]


WITHOUT_MESSAGES: dict[str, Webhook] = {
    "messages_updates_edit": said("messages.patch", edits=(PATCHED_EDIT,)),
    "messages_updates_vote": said("messages.patch", other_keys=("messages_updates",)),
    "messages_updates_reaction": said("messages.patch", messages=(PATCHED_REACTION,)),
    "calls": said("calls.post", calls=(CALL,)),
    "messages_removed": said("messages.delete", deletions=(Deletion(target=TARGET),)),
    "messages_removed_all": said("messages.delete", other_keys=("messages_removed_all",)),
    "statuses": said("statuses.post", statuses=STATUSES),
    "presences": said("presences.post", presences=PRESENCES),
    "chats_updates": said(
        "chats.patch", label_changes=(LabelChange(key=LAURA, labels=("Cotizado",)),)
    ),
    "channel": said("channel.post", number_news=(CONNECTING,)),
    "channel_qr": said(
        "channel.patch",
        number_news=(
            NumberNews(
                condition="needs_qr", detail="qr OK; scan the code in Whapi's panel with the phone"
            ),
        ),
    ),
    "users_post": said("users.post", number_news=(LINKED,)),
    "users_delete": said(
        "users.delete",
        number_news=(UNLINKED,),
    ),
    "contacts_updates": said(
        "contacts.patch",
        name_changes=(NameChange(key=LAURA, name="Laura Gómez"),),
        other_keys=("contacts_updates",),
    ),
    "labels": said("labels.post", labels_changed=True),
    "labels_removed": said("labels.delete", labels_changed=True),
    "chats": said("chats.post", other_keys=("chats",)),
}


def sample(name: str) -> Webhook:
    """Read one sample file."""
    return parse_webhook((SAMPLES / f"{name}.json").read_bytes(), number="MANTIS-M72HC")


def sample_message(name: str) -> Message:
    """Give the only message of a sample."""
    (message,) = sample(name).messages
    return message


def test_every_sample_is_in_a_table() -> None:
    assert {p.stem for p in SAMPLES.glob("*.json")} == {*CONTENTS, *WITHOUT_MESSAGES}


@pytest.mark.parametrize("name", CONTENTS)
def test_content(name: str) -> None:
    """Each type becomes its content, and nothing else in the payload is odd."""
    webhook = sample(name)
    (message,) = webhook.messages
    assert message.content == CONTENTS[name]
    assert message.id == f"{name}.w30M7fgwWD4XwHu-gBgTwl0rVw"
    assert (webhook.channel, webhook.event) == ("MANTIS-M72HC", "messages.post")
    assert not webhook.unreadable
    assert not webhook.other_keys


@pytest.mark.parametrize("name", WITHOUT_MESSAGES)
def test_other_events(name: str) -> None:
    """Each payload without messages becomes exactly this."""
    assert sample(name) == WITHOUT_MESSAGES[name]


def test_the_whole_message_is_read() -> None:
    assert sample_message("text_with_quote") == Message(
        id="text_with_quote.w30M7fgwWD4XwHu-gBgTwl0rVw",
        key=LAURA,
        kind="text",
        content=Text(body="Si, ese"),
        source="mobile",
        author="573001234567",
        author_name="Laura",
        chat_name="Laura Cliente",
        sent_at=1763890000,
        quote=Quote(
            id="OjI5zPXtkQlm6g-gOWFdSGxaw",
            author="573009876543",
            kind="text",
            body="Le sirve el apto 301?",
        ),
        forwarded=True,
        mentions=("573009876543",),
    )


def test_disappearing_messages_are_marked() -> None:
    names = ("ephemeral_text", "image", "text")
    assert [sample_message(name).disappears for name in names] == [True, True, False]


def test_a_mention_is_the_bare_number() -> None:
    assert sample_message("group_mention").mentions == ("573009876543",)


def test_a_quoted_menu_keeps_its_words() -> None:
    buttons, rows = sample_message("reply_buttons").quote, sample_message("reply_list").quote
    assert buttons is not None
    assert rows is not None
    assert (buttons.kind, buttons.body) == ("hsm", "Elija")
    assert (rows.kind, rows.body) == ("list", "Menu")


def test_echoes_and_other_chats_keep_author_and_chat() -> None:
    echo = sample_message("echo_from_api")
    assert (echo.from_me, echo.source, echo.key) == (True, "api", LAURA)
    group = sample_message("group_text")
    assert group.is_group
    assert group.author == "573001234567"
    lid = sample_message("lid_text")
    assert (lid.key.chat, lid.author) == ("123456789012345@lid", "123456789012345@lid")
    assert sample_message("story").key.chat == "stories"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("573001234567", "573001234567@s.whatsapp.net"),
        ("+573001234567", "573001234567@s.whatsapp.net"),
        (" 573001234567@c.us ", "573001234567@s.whatsapp.net"),
        ("573001234567@s.whatsapp.net", "573001234567@s.whatsapp.net"),
        ("120363012345678901@g.us", "120363012345678901@g.us"),
        ("57300-1234@g.us", "57300-1234@g.us"),
        ("123456789012345@lid", "123456789012345@lid"),
        ("status@broadcast", "status@broadcast"),
        ("stories", "stories"),
        ("", ""),
    ],
)
def test_chat_id(raw: str, expected: str) -> None:
    """A chat has one spelling, and normalising it again changes nothing."""
    assert chat_id(raw) == expected
    assert chat_id(expected) == expected


@pytest.mark.parametrize(
    ("body", "path_event", "expected"),
    [
        (b'{"event":{"type":"messages","event":"post"}}', "", "messages.post"),
        (b'{"event":{"type":"messages","method":"put"}}', "", "messages.put"),
        (b'{"event":{"type":"message","event":"patch"}}', "", "messages.patch"),
        (b'{"event":{"type":"ack","event":"post"}}', "", "statuses.post"),
        (b'{"event":{"type":"status","event":"post"}}', "", "statuses.post"),
        (b'{"event":{"type":"chat","event":"post"}}', "", "chats.post"),
        (b'{"event":{"type":"messages","event":"put"}}', "messages.post", "messages.put"),
        (b'{"event":"messages.post"}', "", "messages.post"),
        (b'{"event":{"type":7,"event":null}}', "message.patch", "messages.patch"),
        (b'{"event":[]}', "messages/post", "messages.post"),
        (b"{}", "messages", "messages"),
        (b"{}", "", ""),
    ],
)
def test_the_event_is_named(body: bytes, path_event: str, expected: str) -> None:
    """The body's event wins over the path's, and old type names become today's."""
    assert parse_webhook(body, path_event=path_event).event == expected


def test_several_keys_in_one_payload_are_all_read() -> None:
    body = b"""{"presences":[{"contact_id":"573001234567","status":"typing"}],
        "messages":[{"id":"a-1","chat_id":"573001234567","type":"text","text":{"body":"si"}}],
        "statuses":[{"id":"b-1","code":4,"timestamp":"1763890061"}],
        "messages_removed":["c-1"],"labels_removed":["1"],"errors":[{"code":1}]}"""
    webhook = parse_webhook(body, number="MANTIS-M72HC")
    assert [p.status for p in webhook.presences] == ["typing"]
    assert [m.content for m in webhook.messages] == [Text(body="si")]
    assert webhook.statuses == (StatusUpdate(message_id="b-1", status="read", at=1763890061),)
    assert webhook.deletions == (Deletion(target="c-1"),)
    assert webhook.other_keys == ("errors",)


def test_a_listing_of_the_api_is_read_in_its_order() -> None:
    body = b"""{"messages":[{"id":"b-2","chat_id":"573001234567","from_me":true,"source":"api"},
        {"id":"a-1","chat_id":"573001234567"}, 5],"count":3,"total":3,"offset":0}"""
    assert [(m.id, m.from_me) for m in parse_messages(body)] == [("b-2", True), ("a-1", False)]
    with pytest.raises(WebhookError):
        parse_messages(b"[]")
