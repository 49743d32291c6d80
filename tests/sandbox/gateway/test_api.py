"""The gateway's API answers in Whapi's shapes and keeps its ledger."""

import base64

import httpx
import pytest
import trio
from support.gateway import ScriptedGateway

LAURA = "573001234567"
LAURA_CHAT = f"{LAURA}@s.whatsapp.net"
GROUP = "120363000000000042@g.us"


async def test_a_sent_text_is_in_the_ledger_under_the_id_answered(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        body = {"to": LAURA, "body": "Con gusto", "typing_time": 3}
        answer = (await api.post("/messages/text", json=body)).json()
        sent = await gateway.wait_sent(LAURA)
    assert answer["sent"] is True
    assert answer["message"]["status"] == "pending"
    assert answer["message"]["source"] == "api"
    assert [(s.id, s.chat, s.text, s.typing_seconds) for s in sent] == [
        (answer["message"]["id"], LAURA_CHAT, "Con gusto", 3)
    ]
    assert [call.status for call in gateway.calls("send")] == [200]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("image", {"media": "data:image/png;base64,aGk=", "caption": "mira"}),
        ("voice", {"media": "aGk=", "mime_type": "audio/ogg; codecs=opus"}),
        ("document", {"media": "aGk=", "filename": "carta.pdf"}),
        ("link_preview", {"body": "https://example.com", "title": "Ejemplo"}),
        ("location", {"latitude": 0, "longitude": -74.07}),
    ],
)
async def test_every_kind_of_message_can_be_sent(
    gateway: ScriptedGateway, api: httpx.AsyncClient, kind: str, content: dict[str, object]
) -> None:
    with trio.fail_after(30):
        response = await api.post(f"/messages/{kind}", json={"to": LAURA, **content})
    assert response.status_code == 200
    assert response.json()["message"]["type"] == kind
    assert gateway.sent(LAURA)[0].kind == kind


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/messages/text", {"to": "nobody", "body": "x"}, 400),
        ("/messages/text", {"to": LAURA}, 400),
        ("/messages/text", {"to": LAURA, "body": "x", "typing_time": 61}, 400),
        ("/messages/text", {"to": LAURA, "body": {"x": 1}}, 400),
        ("/messages/text", [], 400),
        ("/messages/smoke", {"to": LAURA, "body": "x"}, 404),
        ("/messages/voice", {"to": LAURA, "media": "not base64!"}, 404),
        ("/nowhere", {}, 404),
        ("/health", {}, 405),
    ],
)
async def test_refusals_have_whapis_shape_and_deliver_nothing(
    gateway: ScriptedGateway, api: httpx.AsyncClient, path: str, body: object, status: int
) -> None:
    with trio.fail_after(30):
        response = await api.post(path, json=body)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "message"}
    assert gateway.sent(LAURA) == []


async def test_a_wrong_or_expired_token_knows_no_channel(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        wrong = {b"authorization": "Bearer ñ".encode()}
        response = await api.post("/messages/text", json={"to": LAURA, "body": "x"}, headers=wrong)
        by_query = await api.get("/health?token=sandbox-token", headers={"authorization": ""})
        gateway.token_is_good = False
        expired = await api.get("/health")
    for refused in (response, expired):
        assert refused.status_code == 404
        assert refused.json()["error"]["message"] == "Channel not found"
    assert gateway.sent(LAURA) == []
    assert by_query.status_code == 200


async def test_presences_are_recorded_and_subscribed_once(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        first = await api.post(f"/presences/{LAURA}")
        second = await api.post(f"/presences/{LAURA}")
        shown = await api.put(f"/presences/{LAURA_CHAT}", json={"presence": "typing", "delay": 0})
        bad = await api.put(f"/presences/{LAURA_CHAT}", json={"presence": "singing"})
    codes = [r.status_code for r in (first, second, shown, bad)]
    assert codes == [200, 409, 200, 400]
    assert [(p.presence, p.at) for p in gateway.presences(LAURA)] == [("typing", 1763890000.0)]


async def test_messages_are_listed_newest_first_and_filtered(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        await gateway.customer_says(LAURA, "Hola", id="first-0001")
        sent = await api.post("/messages/text", json={"to": LAURA, "body": "Buenas"})
        ours = sent.json()["message"]["id"]
        url = f"/messages/list/{LAURA_CHAT}"
        newest = (await api.get(url)).json()
        oldest = (await api.get(url, params={"sort": "asc", "count": 1})).json()
        mine = (await api.get(url, params={"from_me": "true"})).json()
        later = (await api.get(url, params={"time_from": 1763890001})).json()
        nobody = await api.get("/messages/list/573009990000@s.whatsapp.net")
        too_many = await api.get(url, params={"count": 501})
    assert [m["id"] for m in newest["messages"]] == [ours, "first-0001"]
    assert (oldest["messages"][0]["id"], oldest["count"], oldest["total"]) == ("first-0001", 1, 2)
    assert [m["id"] for m in mine["messages"]] == [ours]
    assert later["messages"] == []
    assert (nobody.status_code, too_many.status_code) == (404, 400)


async def test_a_message_can_be_read_and_reacted_to(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        message_id = await gateway.customer_says(LAURA, "Hola")
        read = await api.put(f"/messages/{message_id}")
        react = await api.put(f"/messages/{message_id}/reaction", json={"emoji": "👍"})
        missing = await api.put("/messages/none-such")
    assert read.json() == react.json() == {"success": True}
    assert message_id in gateway.ledger.read
    assert missing.status_code == 404


async def test_chats_and_labels(gateway: ScriptedGateway, api: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        added = [(await api.post(f"/labels/2/{LAURA_CHAT}")).status_code for _ in range(2)]
        chat = (await api.get(f"/chats/{LAURA_CHAT}")).json()
        counts = {x["name"]: x["count"] for x in (await api.get("/labels")).json()}
        removed = await api.delete(f"/labels/2/{LAURA_CHAT}")
        group = (await api.get(f"/chats/{GROUP}")).json()
    assert (chat["type"], group["type"]) == ("contact", "group")
    assert added == [200, 409]
    assert chat["labels"] == [{"id": "2", "name": "Cotizado", "color": "lightblue"}]
    assert counts["Cotizado"] == 1
    assert removed.json() == {"success": True}
    assert chat["name"] == "Laura Gómez"
    assert gateway.ledger.chats[LAURA_CHAT].labels == []


async def test_media_that_was_stored_or_sent_can_be_fetched(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        stored = gateway.store_media(b"OggS", "audio/ogg; codecs=opus")
        voice = await api.get(f"/media/{stored}")
        media = base64.b64encode(b"\x89PNG").decode()
        body = {"to": LAURA, "media": f"data:image/png;base64,{media}"}
        sent = (await api.post("/messages/image", json=body)).json()
        image = await api.get(f"/media/{sent['message']['image']['id']}")
        missing = await api.get("/media/ogg-00")
    assert (voice.content, voice.headers["content-type"]) == (b"OggS", "audio/ogg; codecs=opus")
    assert (image.content, image.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert missing.status_code == 404


async def test_health_and_settings(gateway: ScriptedGateway, api: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        health = (await api.get("/health", params={"wakeup": "false"})).json()
        webhook = {"url": "http://127.0.0.1:1/x", "mode": "path", "events": []}
        patched = (await api.patch("/settings", json={"webhooks": [webhook]})).json()
        settings = (await api.get("/settings")).json()
        bad = await api.patch("/settings", json={"webhooks": "all"})
    assert health["status"]["text"] == "AUTH"
    assert patched["changes"] == ["webhooks"]
    assert settings["webhooks"] == [webhook]
    assert settings["callback_persist"] is True
    assert bad.status_code == 400
    assert [target.mode for target in gateway.targets()] == ["path"]


async def test_typing_time_holds_a_send_when_honoured(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    """The indicator shows before the message, as on a real phone."""
    gateway.honour_typing_time = True
    with trio.fail_after(30):
        body = {"to": LAURA, "body": "Ya voy", "typing_time": 0.01}
        await api.post("/messages/text", json=body)
    kinds = [e.kind for e in gateway.ledger.journal.since(0) or () if e.kind != "webhook"]
    assert kinds[kinds.index("presence") :][:2] == ["presence", "message"]
