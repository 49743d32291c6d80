"""Files behind messages: what messages say of them, and how they are fetched, or not."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from support.gateway import ScriptedGateway

from daemon.domain.rendering.opus import spoken_seconds
from daemon.sandbox import samples
from daemon.sandbox.asgi import follow_lifespan
from daemon.sandbox.media import picture_size

LAURA = "573001234567"
TOKEN = "sandbox-token"


def content(gateway: ScriptedGateway, message_id: str) -> dict[str, Any]:
    message = gateway.ledger.messages[message_id]
    found: dict[str, Any] = message[message["type"]]
    return found


async def test_a_picture_is_described_and_fetched_by_its_id(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        message_id = await gateway.contact(LAURA).send_image(caption="mira")
        image = content(gateway, message_id)
        fetched = await api.get(f"/media/{image['id']}")
        stranger = await api.get(f"/media/{image['id']}", headers={"authorization": ""})
    data = samples.read("receipt.jpg")
    assert fetched.content == data
    assert stranger.status_code == 404
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert (image["file_size"], image["sha256"], image["caption"]) == (len(data), digest, "mira")
    assert (image["width"], image["height"], image["mime_type"]) == (480, 640, "image/jpeg")
    assert image["preview"].startswith("data:image/jpeg;base64,")
    assert "link" not in image


async def test_links_need_no_token_and_exist_only_for_types_with_auto_download(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    gateway.set_auto_download("voice")
    with trio.fail_after(30):
        laura = gateway.contact(LAURA)
        voice = content(gateway, await laura.send_voice())
        image = content(gateway, await laura.send_image())
        forced = content(gateway, await laura.send_image(link=True))
        unlinked = content(gateway, await laura.send_voice(link=False))
        fetched = await api.get(voice["link"], headers={"authorization": ""})
        missing = await api.get(voice["link"].replace("oga-", "oga-0"))
    assert fetched.content == samples.read("voice-rooms.ogg")
    assert fetched.headers["content-type"] == voice["mime_type"] == "audio/ogg; codecs=opus"
    assert (voice["seconds"], missing.status_code) == (4, 404)
    assert ["link" in one for one in (image, forced, unlinked)] == [False, True, False]


@pytest.mark.parametrize("operation", ["media", "file"])
async def test_a_file_can_be_missing_wrong_or_elsewhere(
    gateway: ScriptedGateway, api: httpx.AsyncClient, operation: str
) -> None:
    gateway.set_auto_download("image")
    with trio.fail_after(30):
        image = content(gateway, await gateway.contact(LAURA).send_image())
        url = image["link"] if operation == "file" else f"/media/{image['id']}"
        gateway.faults.add(operation=operation, kind="status", status=404)
        gateway.faults.add(operation=operation, kind="wrong_type")
        gateway.faults.add(operation=operation, kind="redirect", location="http://10.0.0.1/x")
        answers = [await api.get(url) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 200, 302, 200]
    assert answers[1].content.startswith(b"<!doctype html")
    assert answers[2].headers["location"] == "http://10.0.0.1/x"


@asynccontextmanager
async def open_body(api: httpx.AsyncClient, path: str) -> AsyncIterator[trio.SocketStream]:
    """The body of an answer over HTTP/1.0, so that no framing is in its way."""
    host, port = api.base_url.host, api.base_url.port or 80
    async with await trio.open_tcp_stream(host, port) as stream:
        head = f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        await stream.send_all(head.encode())
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += await stream.receive_some(1)
        assert b"200" in received.splitlines()[0]
        yield stream


async def test_a_file_can_be_slow(gateway: ScriptedGateway, api: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        image = content(gateway, await gateway.contact(LAURA).send_image())
        fault = gateway.faults.add(operation="media", kind="slow")
        async with open_body(api, f"/media/{image['id']}") as stream:
            body = b""
            while len(body) < image["file_size"] // 2:
                body += await stream.receive_some()
            assert len(body) == image["file_size"] // 2
            fault.release()
            while part := await stream.receive_some():
                body += part
    assert body == samples.read("receipt.jpg")


async def test_a_file_can_be_endless(gateway: ScriptedGateway, api: httpx.AsyncClient) -> None:
    with trio.fail_after(30):
        image = content(gateway, await gateway.contact(LAURA).send_image())
        gateway.faults.add(operation="media", kind="endless")
        read = 0
        async with open_body(api, f"/media/{image['id']}") as stream:
            while read < 3 * image["file_size"]:
                read += len(await stream.receive_some())
        again = await api.get(f"/media/{image['id']}")
    assert again.content == samples.read("receipt.jpg")


async def test_a_file_sent_by_link_by_id_and_by_base64_is_the_same(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    data = samples.read("booking.pdf")
    encoded = base64.b64encode(data).decode()
    with trio.fail_after(30):
        media_id = gateway.store_media(data, "application/pdf")
        gateway.set_auto_download("document")
        link = gateway.media.describe(media_id, "document")["link"]
        answers = [
            await api.post("/messages/document", json={"to": LAURA, "media": media})
            for media in (link, media_id, f"data:application/pdf;name=reserva.pdf;base64,{encoded}")
        ]
    documents = [answer.json()["message"]["document"] for answer in answers]
    assert {(d["sha256"], d["mime_type"]) for d in documents} == {
        (documents[0]["sha256"], "application/pdf")
    }
    assert [d.get("file_name") for d in documents] == [None, None, "reserva.pdf"]


async def test_a_link_to_another_server_of_this_machine_is_fetched(
    api: httpx.AsyncClient, serve_app: Any
) -> None:
    async def voice_server(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
        head = [(b"content-type", b"audio/mpeg")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"ID3 spoken"})

    with trio.fail_after(30):
        url = await serve_app(voice_server)
        body = {"to": LAURA, "media": f"{url}/audio/voice_1_1.mp3"}
        near = (await api.post("/messages/voice", json=body)).json()["message"]["voice"]
        far_link = "https://files.example.com/menu.pdf"
        body = {"to": LAURA, "media": far_link}
        far = (await api.post("/messages/document", json=body)).json()["message"]["document"]
        data = (await api.get(f"/media/{near['id']}")).content
    assert data == b"ID3 spoken"
    assert (far["mime_type"], far["link"]) == ("application/pdf", far_link)


def test_the_samples_have_the_formats_they_claim() -> None:
    heads = {
        "image": b"\xff\xd8\xff",
        "voice": b"OggS",
        "document": b"%PDF-",
        "sticker": b"RIFF",
        "video": b"\x00\x00",
    }
    for sample in samples.SAMPLES.values():
        assert sample.data.startswith(heads[sample.medium])
        assert len(sample.data) < 20_000
    assert picture_size(samples.read("lake.jpg")) == (640, 400)
    assert picture_size(samples.read("smile.webp")) == (256, 256)
    assert spoken_seconds(samples.read("voice-arrival.ogg")) == 6
    assert b"ftyp" in samples.read("boat.mp4")[:12]
