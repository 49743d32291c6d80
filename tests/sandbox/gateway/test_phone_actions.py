"""What the phone page can do beside writing: files, places, polls, switches, both sides."""

import struct
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from support.gateway import ScriptedGateway

from daemon.domain.rendering.opus import as_ogg, spoken_seconds
from daemon.sandbox import samples

LAURA = "573001234567"
LAURA_CHAT = f"{LAURA}@s.whatsapp.net"
GROUP = "120363000000000042@g.us"


def element(number: int, body: bytes, *, unknown_size: bool = False) -> bytes:
    """One EBML element."""
    name = number.to_bytes((number.bit_length() + 7) // 8)
    size = b"\x01" + b"\xff" * 7 if unknown_size else struct.pack(">Q", len(body) | 1 << 56)
    return name + size + body


def recorded(*packets: bytes) -> bytes:
    """A WebM file as a browser's recorder writes it: segment and cluster of unknown size."""
    blocks = b"".join(element(0xA3, b"\x81\x00\x00\x80" + packet) for packet in packets)
    tracks = element(0x1654AE6B, element(0x86, b"A_OPUS"))
    cluster = element(0x1F43B675, element(0xE7, b"\x00") + blocks, unknown_size=True)
    head = element(0x1A45DFA3, element(0x4282, b"webm"))
    return head + element(0x18538067, tracks + cluster, unknown_size=True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"sample": "receipt.jpg", "caption": "mira"}, "image"),
        ({"sample": "voice-rooms.ogg"}, "voice"),
        ({"sample": "booking.pdf"}, "document"),
        ({"sample": "boat.mp4"}, "video"),
        ({"sample": "smile.webp"}, "sticker"),
        ({"kind": "location"}, "location"),
        ({"kind": "contact"}, "contact"),
        ({"kind": "poll", "title": "¿?", "options": ["a", "b"]}, "poll"),
    ],
)
@pytest.mark.parametrize("who", ["customer", "agent"])
async def test_everything_on_the_sheet_can_be_sent_by_both_sides(
    api: httpx.AsyncClient, receiver: Any, body: dict[str, Any], kind: str, who: str
) -> None:
    with trio.fail_after(30):
        answer = await api.post("/phone/send", json={"chat": LAURA_CHAT, "as": who, **body})
        (call,) = await receiver.wait_calls(1)
    message = call.payload["messages"][0]
    assert answer.json() == {"id": message["id"]}
    assert (message["type"], message["from_me"]) == (kind, who == "agent")
    assert message[kind]
    assert (message["source"], "device_id" in message) == ("mobile", False)


@pytest.mark.parametrize("kind", ["image", "document", "voice"])
async def test_a_file_of_ones_own_can_be_sent(
    gateway: ScriptedGateway, api: httpx.AsyncClient, kind: str
) -> None:
    query = {"chat": LAURA_CHAT, "kind": kind, "name": "mío.bin", "caption": "toma"}
    with trio.fail_after(30):
        sent = await api.post("/phone/upload", params=query, content=b"\x89PNG bytes")
        nothing = await api.post("/phone/upload", params=query)
        unknown = await api.post("/phone/upload", params={**query, "kind": "app"}, content=b"x")
        message = gateway.ledger.messages[sent.json()["id"]]
        file = await api.get(f"/phone/media/{message[kind]['id']}")
    assert file.content == b"\x89PNG bytes"
    assert message[kind]["caption"] == "toma"
    assert message[kind].get("file_name") == ("mío.bin" if kind == "document" else None)
    assert (nothing.status_code, unknown.status_code) == (413, 400)


async def test_a_browser_recording_arrives_as_a_voice_note(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    """50 packets of 20 ms and one longer than an Ogg segment: a second, and their very bytes."""
    packets = [bytes([0x78, number]) for number in range(49)] + [b"\x78" + bytes(300)]
    query = {"chat": LAURA_CHAT, "kind": "voice"}
    headers = {"content-type": "audio/webm;codecs=opus"}
    with trio.fail_after(30):
        content = recorded(*packets)
        sent = await api.post("/phone/upload", params=query, content=content, headers=headers)
    voice = gateway.ledger.messages[sent.json()["id"]]["voice"]
    data = gateway.ledger.media[voice["id"]].data
    assert (voice["mime_type"], voice["seconds"]) == (samples.VOICE_TYPE, 1)
    assert data.startswith(b"OggS")
    assert data.count(b"OggS") == 52
    assert packets[-1] in data


@pytest.mark.parametrize(
    "data",
    [b"", b"OggS", b"\x1a\x45\xdf\xa3", recorded(), recorded(b"\x78\x00")[:-3], recorded() * 2],
)
def test_a_recording_that_is_cut_or_none_does_no_harm(data: bytes) -> None:
    made = as_ogg(data)
    assert made is None or spoken_seconds(made) <= 1


async def test_one_can_answer_react_edit_and_delete(
    api: httpx.AsyncClient, gateway: ScriptedGateway, receiver: Any
) -> None:
    with trio.fail_after(30):
        first = (await api.post("/phone/say", json={"chat": LAURA_CHAT, "text": "uno"})).json()
        body = {"chat": LAURA_CHAT, "text": "dos", "quote": first["id"]}
        await api.post("/phone/say", json=body)
        for action, value in (("react", "👍"), ("edit", "uno!"), ("delete", None)):
            act = {"id": first["id"], "action": action, "value": value}
            assert (await api.post("/phone/act", json=act)).status_code == 202
        calls = await receiver.wait_calls(5)
        unknown = await api.post("/phone/act", json={"id": first["id"], "action": "eat"})
        nobody = await api.post("/phone/act", json={"id": "none", "action": "delete"})
    messages = [call.payload["messages"][0] for call in calls]
    assert messages[1]["context"]["quoted_content"] == {"body": "uno"}
    assert [m["action"]["type"] for m in messages[2:]] == ["reaction", "edit", "delete"]
    assert (unknown.status_code, nobody.status_code) == (400, 404)
    assert len(gateway.ledger.messages) == 5


async def test_one_votes_taps_and_calls(
    api: httpx.AsyncClient, gateway: ScriptedGateway, receiver: Any
) -> None:
    gateway.echoes.mode, gateway.echoes.statuses = "missing", False
    menu = {
        "to": LAURA,
        "body": {"text": "¿Sí?"},
        "action": {"buttons": [{"type": "quick_reply", "title": "Sí", "id": "yes"}]},
    }
    with trio.fail_after(30):
        sent = (await api.post("/messages/interactive", json=menu)).json()["message"]["id"]
        poll = {"to": LAURA, "title": "¿?", "options": ["a", "b"]}
        asked = (await api.post("/messages/poll", json=poll)).json()["message"]["id"]
        for message_id, action, value in ((sent, "tap", "yes"), (asked, "vote", ["b"])):
            body = {"id": message_id, "action": action, "value": value}
            assert (await api.post("/phone/act", json=body)).status_code == 202
        await api.post("/phone/call", json={"chat": LAURA_CHAT})
        calls = await receiver.wait_calls(4)
        wrong = await api.post("/phone/act", json={"id": sent, "action": "tap", "value": "no"})
    assert calls[0].payload["messages"][0]["reply"]["buttons_reply"]["id"] == "ButtonsV3:yes"
    assert [r["count"] for r in gateway.ledger.messages[asked]["poll"]["results"]] == [0, 1]
    assert [c.payload["calls"][0]["status"] for c in calls[2:]] == ["ringing", "missed"]
    assert wrong.status_code == 400


async def test_in_a_group_one_chooses_who_writes(api: httpx.AsyncClient, receiver: Any) -> None:
    with trio.fail_after(30):
        for author in ("573005550142", "570000000000"):
            body = {"chat": GROUP, "text": "hola", "author": author}
            await api.post("/phone/say", json=body)
        calls = await receiver.wait_calls(2)
    authors = [call.payload["messages"][0]["from_name"] for call in calls]
    assert authors == ["Andrés Pardo", "Laura Gómez"]


async def test_opening_a_chat_marks_its_messages_read(
    api: httpx.AsyncClient, gateway: ScriptedGateway, receiver: Any
) -> None:
    with trio.fail_after(30):
        await api.post("/messages/text", json={"to": LAURA, "body": "Buenas"})
        await receiver.wait_calls(3)
        read = await api.post("/phone/read", json={"chat": LAURA_CHAT})
        calls = await receiver.wait_calls(4)
    assert read.json()["read"] == [gateway.sent(LAURA)[0].id]
    assert calls[3].payload["statuses"][0]["status"] == "read"


async def test_recording_is_reported_like_typing(api: httpx.AsyncClient, receiver: Any) -> None:
    with trio.fail_after(30):
        await api.post(f"/presences/{LAURA}")
        await api.post("/phone/typing", json={"chat": LAURA_CHAT, "typing": "recording"})
        (call,) = await receiver.wait_calls(1)
    assert call.payload["presences"][0]["status"] == "recording"


async def test_the_switches_make_whapi_fail_and_recover(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    async def turn(name: str, *, on: bool) -> int:
        answer = await api.post("/phone/control", json={"name": name, "on": on})
        return answer.status_code

    text = {"to": LAURA, "body": "x"}
    with trio.fail_after(30):
        assert await turn("whapi_down", on=True) == 202
        down = (await api.post("/messages/text", json=text)).status_code
        await turn("whapi_down", on=False)
        await turn("needs_qr", on=True)
        unlinked = (await api.post("/messages/text", json=text)).status_code
        await turn("needs_qr", on=False)
        await turn("answer_lost", on=True)
        with pytest.raises(httpx.RemoteProtocolError):
            await api.post("/messages/text", json=text)
        await turn("answer_lost", on=False)
        fine = (await api.post("/messages/text", json=text)).status_code
        unknown = await turn("gravity", on=True)
    assert (down, unlinked, fine, unknown) == (503, 401, 200, 409)
    assert len(gateway.sent(LAURA)) == 2


async def test_a_switch_that_cannot_be_used_here_is_shown_and_does_nothing(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    turned: list[bool] = []
    add: Callable[..., None] = gateway.controls.add
    add("kill", turned.append, button=True, unavailable="no_supervisor")
    with trio.fail_after(30):
        answer = await api.post("/phone/control", json={"name": "kill", "on": True})
    assert answer.status_code == 409
    assert turned == []
    shown = next(c for c in gateway.controls.describe() if c["name"] == "kill")
    assert shown["unavailable"] == "no_supervisor"


async def test_pages_of_this_machine_may_frame_the_phone_and_no_other(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    gateway.phone.language = "en"
    with trio.fail_after(30):
        page = await api.get("/phone")
        outside = [await api.get(f"/phone/{n}") for n in ("samples/lake.jpg", "..%2Fgateway.py")]
    policy = page.headers["content-security-policy"]
    ancestors = policy.partition("frame-ancestors ")[2].partition(";")[0].split()
    assert ancestors == ["'self'", "http://127.0.0.1:*", "http://localhost:*"]
    assert "unsafe" not in policy
    assert '<html lang="en">' in page.text
    assert [answer.status_code for answer in outside] == [404, 404]
