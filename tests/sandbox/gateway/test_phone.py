"""The phone page: its events, what is typed into it, and who may reach it."""

import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import httpx
import pytest
import trio
from support.gateway import ScriptedGateway

from daemon.sandbox.asgi import Request
from daemon.sandbox.ledger import Journal

LAURA = "573001234567"
LAURA_CHAT = f"{LAURA}@s.whatsapp.net"


class Page:
    """The page's end of the event stream, over HTTP/1.0 so that no framing is in its way.

    httpx leaves its generators to the garbage collector when a stream is left before its end.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""
        self.last_id = ""

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """Return kind and data of the next event, or None at the stream's end."""
        while b"\n\n" not in self._buffer:
            data = await self._stream.receive_some()
            if not data:
                return None
            self._buffer += data
        block, _, self._buffer = self._buffer.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
        self.last_id = fields["id"]
        return fields["event"], json.loads(fields["data"])


@asynccontextmanager
async def open_page(api: httpx.AsyncClient, last_id: str = "") -> AsyncIterator[Page]:
    host, port = api.base_url.host, api.base_url.port or 80
    resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    async with await trio.open_tcp_stream(host, port) as stream:
        request = f"GET /phone/events HTTP/1.0\r\nHost: {host}\r\n{resume}\r\n"
        await stream.send_all(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert b"200" in head.splitlines()[0]
        assert b"text/event-stream" in head
        yield Page(stream)


async def see(page: Page) -> tuple[str, dict[str, Any]]:
    event = await page.next()
    assert event is not None
    return event


async def test_a_page_starts_with_a_snapshot_and_gets_later_events(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        await gateway.customer_says(LAURA, "Hola")
        async with open_page(api) as page:
            kind, snapshot = await see(page)
            await api.put(f"/presences/{LAURA}", json={"presence": "typing"})
            typing = await see(page)
            await api.post("/messages/text", json={"to": LAURA, "body": "Buenas"})
            message = await see(page)
    assert kind == "snapshot"
    assert [chat["name"] for chat in snapshot["chats"]] == [
        "Laura Gómez",
        "Andrés Pardo",
        "Sofía Rincón",
        "Emma Carter",
        "Paseo a Salento",
    ]
    (hello,) = snapshot["chats"][0]["messages"]
    assert (hello["text"]["body"], hello["status"]) == ("Hola", "delivered")
    assert typing == ("presence", {"chat": LAURA_CHAT, "presence": "typing"})
    assert (message[0], message[1]["message"]["text"]["body"]) == ("message", "Buenas")


async def test_a_page_that_reconnects_gets_the_missed_events(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        async with open_page(api) as page:
            await page.next()
        gateway.compose(LAURA, "uno")
        gateway.compose(LAURA, "dos")
        async with open_page(api, page.last_id) as page:
            missed = [await see(page) for _ in range(2)]
        async with open_page(api, "00000000-1") as page:
            stranger = await see(page)
    assert [data["message"]["text"]["body"] for _, data in missed] == ["uno", "dos"]
    assert stranger[0] == "snapshot"


def test_a_reader_that_fell_behind_the_journal_gets_none() -> None:
    journal = Journal(limit=3)
    for number in range(5):
        journal.write("message", {"number": number})
    assert journal.since(1) is None
    assert [entry.number for entry in journal.since(2) or ()] == [3, 4, 5]
    assert journal.since(5) == []
    assert journal.since(6) is None


async def test_the_stream_ends_when_the_gateway_closes(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        async with open_page(api) as page:
            await page.next()
            gateway.phone.close()
            assert await page.next() is None


async def test_typed_text_becomes_a_customers_or_an_agents_message(
    api: httpx.AsyncClient, receiver: Any
) -> None:
    with trio.fail_after(30):
        await api.post(f"/presences/{LAURA}")
        said = [
            await api.post("/phone/typing", json={"chat": LAURA_CHAT, "typing": True}),
            await api.post("/phone/typing", json={"chat": LAURA_CHAT, "typing": False}),
            await api.post("/phone/say", json={"chat": LAURA_CHAT, "text": "Hola"}),
            await api.post(
                "/phone/say", json={"chat": LAURA_CHAT, "text": "Soy Ana", "as": "agent"}
            ),
        ]
        calls = await receiver.wait_calls(4)
    assert [response.status_code for response in said] == [202] * 4
    assert [call.payload["presences"][0]["status"] for call in calls[:2]] == ["typing", "online"]
    messages = [call.payload["messages"][0] for call in calls[2:]]
    assert [(m["from_me"], m["text"]["body"]) for m in messages] == [
        (False, "Hola"),
        (True, "Soy Ana"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"chat": "nobody", "text": "x"},
        {"chat": LAURA_CHAT, "text": " "},
        {"chat": LAURA_CHAT, "text": "x" * 4097},
        {"chat": LAURA_CHAT, "text": 7},
    ],
)
async def test_unsendable_content_is_refused(
    gateway: ScriptedGateway, api: httpx.AsyncClient, body: dict[str, object]
) -> None:
    with trio.fail_after(30):
        response = await api.post("/phone/say", json=body)
    assert response.status_code == 400
    assert gateway.ledger.messages == {}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"host": "evil.example"}, 403),
        ("GET", {"host": "evil.example:8080"}, 403),
        ("GET", {"host": "127.0.0.1.evil.example"}, 403),
        ("GET", {"host": "localhost:8080"}, 200),
        ("POST", {"host": "localhost:80", "origin": "http://localhost:80"}, 202),
    ],
)
async def test_other_sites_and_rebound_names_are_kept_out(
    api: httpx.AsyncClient, method: str, headers: dict[str, str], status: int
) -> None:
    with trio.fail_after(30):
        path = "/phone" if method == "GET" else "/phone/say"
        body = {"chat": LAURA_CHAT, "text": "x"}
        response = await api.request(method, path, json=body, headers=headers)
    assert response.status_code == status


async def test_other_machines_are_kept_out(gateway: ScriptedGateway) -> None:
    answers: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        answers.append(event)

    host = {"host": "127.0.0.1"}
    request = Request("GET", "/phone", {}, host, b"", peer="192.0.2.7")
    await gateway.phone.serve(request, trio.sleep_forever, send)
    assert answers[0]["status"] == 403


async def test_the_page_and_its_files_come_with_a_policy_and_nothing_foreign(
    api: httpx.AsyncClient,
) -> None:
    with trio.fail_after(30):
        page = await api.get("/phone")
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        files = [await api.get(link) for link in links]
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert all(link.startswith("/phone/") for link in links)
    assert {f.status_code for f in files} == {200}
    scripts = sorted((resources.files("daemon.sandbox") / "static").glob("*.js"))  # type: ignore[attr-defined]
    assert len(scripts) > 5
    for script in scripts:
        text = script.read_text()
        assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write", text)
        imported = re.findall(r'(?:from|import) "\./([\w.]+)"', text)
        assert all((script.parent / name).is_file() for name in imported)


async def test_pictures_and_sounds_are_shown_and_other_files_are_only_saved(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        sound = gateway.store_media(b"OggS", "audio/ogg; codecs=opus")
        drawing = gateway.store_media(b"<svg>", "image/svg+xml")
        page = gateway.store_media(b"<script>", "text/html")
        names = (sound, drawing, page, "none-0")
        answers = [await api.get(f"/phone/media/{name}") for name in names]
    assert [a.status_code for a in answers] == [200, 200, 200, 404]
    saved = [a.headers.get("content-disposition") for a in answers[:3]]
    assert saved == [None, "attachment", "attachment"]
    assert {a.headers["content-type"] for a in answers[1:3]} == {"application/octet-stream"}


async def test_small_pictures_inside_of_messages_do_not_go_to_the_page(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    with trio.fail_after(30):
        laura = gateway.contact(LAURA)
        await laura.send_image()
        async with open_page(api) as page:
            _, snapshot = await see(page)
            await laura.send_image(deliver="queued")
            event = await see(page)
            while event[0] != "message":
                event = await see(page)
    shown = [snapshot["chats"][0]["messages"][0], event[1]["message"]]
    assert all(message["image"]["id"] for message in shown)
    assert all("preview" not in message["image"] for message in shown)
    assert gateway.ledger.messages[shown[0]["id"]]["image"]["preview"]


def test_event_ids_differ_between_gateways() -> None:
    """A page that was open during a restart starts again instead of missing messages."""
    epochs = set()
    for seed in (1, 2):
        rng = random.Random(seed)  # noqa: S311 - the same ids in every run
        gateway = ScriptedGateway(token="t", now=lambda: 1.0, rng=rng)
        epochs.add(gateway.phone._event(1, "chat", {}).partition("-")[0])
    assert len(epochs) == 2
