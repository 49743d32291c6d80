"""What people do becomes webhooks in Whapi's shapes, and the daemon's own reader understands it."""

from typing import Any

import httpx
import pytest
import trio
from support.gateway import ScriptedGateway

from daemon.domain.messages import Choice, Contacts, Location, Media, Poll, Reaction, Vote
from daemon.gateway.whapi.payloads.parser import parse_webhook

LAURA = "573001234567"
LAURA_CHAT = f"{LAURA}@s.whatsapp.net"
GROUP = "120363000000000042@g.us"
MENU = {
    "to": LAURA,
    "body": {"text": "¿Cuál prefieres?"},
    "footer": {"text": "Hotel Recado"},
    "type": "button",
    "action": {"buttons": [{"type": "quick_reply", "title": "Sí", "id": "yes"}]},
}
LIST = {
    **MENU,
    "type": "list",
    "action": {
        "list": {
            "label": "Ver",
            "sections": [
                {"title": "Cuartos", "rows": [{"id": "r1", "title": "Doble", "description": "2"}]}
            ],
        }
    },
}


@pytest.mark.parametrize(
    ("verb", "content"),
    [
        ("send_image", Media),
        ("send_voice", Media),
        ("send_audio", Media),
        ("send_video", Media),
        ("send_document", Media),
        ("send_sticker", Media),
        ("send_location", Location),
    ],
)
async def test_everything_that_has_a_sample_can_be_sent_and_read(
    gateway: ScriptedGateway, receiver: Any, verb: str, content: type
) -> None:
    with trio.fail_after(30):
        message_id = await getattr(gateway.contact(LAURA), verb)()
        (call,) = await receiver.wait_calls(1)
    (message,) = parse_webhook(call.body).messages
    assert (message.id, message.kind) == (message_id, verb.removeprefix("send_"))
    assert isinstance(message.content, content)
    if isinstance(message.content, Media):
        assert message.content.media_id in gateway.ledger.media
        assert message.content.size_bytes > 100


async def test_cards_polls_votes_and_reactions(gateway: ScriptedGateway, receiver: Any) -> None:
    laura = gateway.contact(LAURA)
    with trio.fail_after(30):
        await laura.send_contacts(("Pedro Niño", "573007654321"), ("Ana", "573007654322"))
        poll = await laura.send_poll("¿Qué día?", "viernes", "sábado")
        await laura.vote(poll, "sábado")
        await laura.vote(poll, "viernes", as_update=True)
        await laura.react(poll, "👍")
        calls = await receiver.wait_calls(5)
    cards, opened, vote, _, reaction = (parse_webhook(call.body) for call in calls)
    assert isinstance(cards.messages[0].content, Contacts)
    assert "waid=573007654321" in cards.messages[0].content.cards[0].vcard
    assert isinstance(opened.messages[0].content, Poll)
    option = gateway.ledger.messages[poll]["poll"]["results"][1]["id"]
    assert vote.messages[0].content == Vote(target=poll, options=(option,))
    update = calls[3].payload["messages_updates"][0]
    counts = [result["count"] for result in update["after_update"]["poll"]["results"]]
    assert (calls[3].event, counts, update["changes"]) == ("messages.patch", [1, 0], ["poll"])
    assert reaction.messages[0].content == Reaction(target=poll, emoji="👍")


@pytest.mark.parametrize(
    ("menu", "choice", "prefixed", "quoted_type"),
    [(MENU, "yes", "ButtonsV3:yes", "hsm"), (LIST, "r1", "ListV3:r1", "list")],
)
async def test_tapped_buttons_come_back_with_whapis_prefix(
    gateway: ScriptedGateway,
    api: httpx.AsyncClient,
    receiver: Any,
    menu: dict[str, Any],
    choice: str,
    prefixed: str,
    quoted_type: str,
) -> None:
    gateway.echoes.mode, gateway.echoes.statuses = "missing", False
    with trio.fail_after(30):
        sent = (await api.post("/messages/interactive", json=menu)).json()["message"]
        await gateway.contact(LAURA).tap(sent["id"], choice)
        (call,) = await receiver.wait_calls(1)
    message = call.payload["messages"][0]
    assert message["reply"][message["reply"]["type"]]["id"] == prefixed
    assert message["context"]["quoted_type"] == quoted_type
    read = parse_webhook(call.body).messages[0]
    assert isinstance(read.content, Choice)
    assert read.content.choice_id == choice
    assert read.quote is not None
    assert read.quote.id == sent["id"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("interactive", {**MENU, "action": {"buttons": [{"title": "no id"}]}}),
        ("interactive", {**MENU, "action": {}}),
        ("poll", {"to": LAURA, "title": "¿?", "options": ["una"]}),
        ("location", {"to": LAURA, "latitude": 91, "longitude": 0}),
    ],
)
async def test_requests_that_whapi_refuses_are_refused(
    gateway: ScriptedGateway, api: httpx.AsyncClient, kind: str, body: dict[str, Any]
) -> None:
    with trio.fail_after(30):
        answer = await api.post(f"/messages/{kind}", json=body)
    assert answer.status_code == 400
    assert gateway.sent(LAURA) == []


async def test_a_group_has_participants_who_mention_us(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    group = gateway.group(GROUP)
    with trio.fail_after(30):
        await group.say("573005550142", "@573000000001 hay cupo?", mentions=["573000000001"])
        await group.change("add", "573009990000", names=["Nuevo"])
        calls = await receiver.wait_calls(2)
    message = parse_webhook(calls[0].body).messages[0]
    assert (message.author, message.author_name, message.key.chat) == (
        "573005550142",
        "Andrés Pardo",
        GROUP,
    )
    assert message.mentions == ("573000000001",)
    assert calls[1].payload["groups_participants"][0]["action"] == "add"


async def test_the_manner_of_a_message(gateway: ScriptedGateway, receiver: Any) -> None:
    laura = gateway.contact(LAURA)
    with trio.fail_after(30):
        first = await laura.say("Hola")
        await laura.send_image(view_once=True, forwarded=3, quote=first)
        await laura.say("esto se borra", ephemeral=True)
        calls = await receiver.wait_calls(3)
    image, text = (call.payload["messages"][0] for call in calls[1:])
    assert image["image"]["view_once"] is True
    assert image["context"]["forwarding_score"] == 3
    assert image["context"]["quoted_content"] == {"body": "Hola"}
    assert text["context"] == {"ephemeral": 86_400}


async def test_an_album_arrives_in_one_call_and_in_order(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    laura = gateway.contact(LAURA)
    with trio.fail_after(30):
        ids = await laura.send_together(laura.image(caption="uno"), laura.image(caption="dos"))
        (call,) = await receiver.wait_calls(1)
    assert [message["id"] for message in call.payload["messages"]] == ids


async def test_a_call_rings_and_is_missed(gateway: ScriptedGateway, receiver: Any) -> None:
    with trio.fail_after(30):
        await gateway.contact(LAURA).call("missed")
        calls = await receiver.wait_calls(2)
    assert [call.payload["calls"][0]["status"] for call in calls] == ["ringing", "missed"]
    assert calls[0].payload["calls"][0]["from"] == LAURA_CHAT
    assert calls[0].payload["calls"][0]["timestamp"] > 1e12


async def test_presences_of_group_members_are_reported_if_subscribed(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    andres = gateway.group(GROUP).member("573005550142")
    with trio.fail_after(30):
        await andres.records()
        await api.post("/presences/573005550142")
        await andres.types()
        await andres.leaves()
        calls = await receiver.wait_calls(2)
    told = [call.payload["presences"][0] for call in calls]
    assert told == [
        {"contact_id": "573005550142", "status": "typing"},
        {"contact_id": "573005550142", "status": "offline"},
    ]


async def test_a_label_is_posted_as_a_changed_chat(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    with trio.fail_after(30):
        await api.post(f"/labels/2/{LAURA_CHAT}")
        gateway.set_labels(LAURA, "Nuevo cliente")
        calls = await receiver.wait_calls(2)
    updates = [call.payload["chats_updates"][0] for call in calls]
    assert [call.event for call in calls] == ["chats.patch"] * 2
    assert [label["name"] for label in updates[0]["after_update"]["labels"]] == ["Cotizado"]
    assert [label["name"] for label in updates[1]["after_update"]["labels"]] == ["Nuevo cliente"]
    assert updates[0]["changes"] == ["labels"]


async def test_a_message_advances_to_its_scripted_delivery(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    gateway.echoes.mode = "missing"
    gateway.faults.add(operation="delivery", kind="failed")
    laura = gateway.contact(LAURA)
    with trio.fail_after(30):
        await api.post("/messages/text", json={"to": LAURA, "body": "uno"})
        second = (await api.post("/messages/text", json={"to": LAURA, "body": "dos"})).json()
        await receiver.wait_calls(3)
        assert laura.reads() == [second["message"]["id"]]
        calls = await receiver.wait_calls(4)
    told = [call.payload["statuses"][0] for call in calls]
    assert [status["status"] for status in told] == ["failed", "sent", "delivered", "read"]
    assert told[0]["errors"][0]["message"]
    assert laura.reads() == []


async def test_an_unlinked_phone_refuses_sends_and_reports_its_state(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    body = {"to": LAURA, "body": "x"}
    with trio.fail_after(30):
        gateway.set_channel_state("QR")
        refused = await api.post("/messages/text", json=body)
        health = (await api.get("/health")).json()["status"]
        gateway.set_channel_state("SYNC_ERROR")
        half = [(await api.post("/messages/text", json=body)), await api.get("/labels")]
        gateway.set_channel_state("AUTH")
        fine = await api.get("/labels")
        calls = await receiver.wait_calls(5)
    assert (refused.status_code, health) == (401, {"code": 3, "text": "QR"})
    assert [answer.status_code for answer in (*half, fine)] == [200, 401, 200]
    events = [call.event for call in calls if call.event.startswith(("users", "channel"))]
    assert events[:3] == ["users.delete", "channel.post", "channel.patch"]


async def test_our_own_reaction_and_read_receipt(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    with trio.fail_after(30):
        sent = (await api.post("/messages/text", json={"to": LAURA, "body": "uno"})).json()
        await api.put(f"/messages/{sent['message']['id']}/reaction", json={"emoji": "👍"})
        question = await gateway.contact(LAURA).say("¿?")
        await api.put(f"/messages/{question}")
        actions = [
            m["action"]["type"]
            for m in gateway.ledger.chats[LAURA_CHAT].messages
            if m["type"] == "action"
        ]
        await gateway.wait_for(lambda: question in gateway.ledger.read)
        await receiver.wait_calls(1)
    assert actions == ["reaction"]
    assert len(gateway.sent(LAURA)) == 1
    assert gateway.ledger.statuses[question] == "read"
