"""The sandbox with a second number: its phone page writes to a simulated Cloud API."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import trio
from support.plain import NO_TLS
from support.rows import select, states_of
from support.scenes import found
from support.stage import new_world, quick_settings

from daemon.sandbox.cloud_phones import NAMELESS
from daemon.sandbox.start import run_sandbox

LAURA = "573001234567@s.whatsapp.net"
Messages = list[dict[str, Any]]


@dataclass
class CloudPhone:
    """The phone page of the number at the Cloud API."""

    client: httpx.AsyncClient
    data_dir: Path
    url: str = ""
    gateways: Any = None

    async def do(self, verb: str, **body: Any) -> dict[str, Any]:
        answer = await self.client.post(f"{self.url}/phone/{verb}", json=body)
        assert answer.status_code == 202, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def snapshot(self) -> dict[str, Any]:
        """What a page gets when it opens."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        received = b""
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(f"GET /phone/events HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            while b"\n\n" not in received.partition(b"data: ")[2]:
                received += await stream.receive_some()
        text = received.partition(b"data: ")[2].partition(b"\n\n")[0]
        value: dict[str, Any] = json.loads(text)
        return value

    async def messages(self, chat: str = LAURA) -> Messages:
        chats = (await self.snapshot())["chats"]
        return next(list(one["messages"]) for one in chats if one["id"] == chat)

    async def wait(self, enough: Callable[[Messages], bool], chat: str = LAURA) -> Messages:
        """Wait until a chat looks so on the page."""
        with trio.fail_after(60):
            while not enough(shown := await self.messages(chat)):  # noqa: ASYNC110 - a page asks
                await trio.sleep(0.05)
        return shown


def answers(messages: Messages) -> Messages:
    return [message for message in messages if message["from_me"]]


@asynccontextmanager
async def open_sandbox(folder: Path) -> AsyncIterator[CloudPhone]:
    """The whole sandbox; its daemon waits hardly at all."""
    quick = {"window_seconds": 0.1, "idle_seconds": 0.1}
    settings = quick_settings(folder / "data", {"buffer": quick})
    update = {
        "sandbox": settings.sandbox.model_copy(update={"port": 0, "cloud": True}),
        "web": settings.web.model_copy(update={"port": 0}),
    }
    log = StringIO()
    environment = new_world(log)
    with trio.fail_after(120):
        async with (
            trio.open_nursery() as nursery,
            httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=30) as client,
        ):
            nursery.start_soon(run_sandbox, settings.model_copy(update=update), environment)
            (address,) = await found(lambda: _addresses(log))
            phone = CloudPhone(client, settings.data_dir, address.removesuffix("/phone"))
            phone.gateways = (await phone.snapshot())["gateways"]
            phone.url = phone.gateways[1]["url"].removesuffix("/phone")
            yield phone
            environment.stop.set()


def _addresses(log: StringIO) -> list[str]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line["address"] for line in lines if line["event"].startswith("write to the bot")]


async def test_the_page_switches_between_the_gateways_and_has_a_person_without_a_number(
    tmp_path: Path,
) -> None:
    async with open_sandbox(tmp_path) as phone:
        assert [(one["name"], one["current"]) for one in phone.gateways] == [
            ("Whapi", True),
            ("Cloud API", False),
        ]
        page = await phone.client.get(f"{phone.url}/phone")
        assert "Recado" in page.text
        await phone.do("say", chat=NAMELESS, text="Hola")
        shown = await phone.wait(lambda messages: len(messages) == 2, NAMELESS)
        assert "«Hola»" in shown[1]["text"]["body"]
        chats = select(phone.data_dir, "chats", "channel, chat")
        assert chats == [("cloud", NAMELESS)]
        await phone.do("read", chat=NAMELESS)
        await found(
            lambda: select(phone.data_dir, "outbox", "status"), lambda rows: rows == [("read",)]
        )


async def test_everything_on_the_sheet_reaches_the_daemon(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as phone:
        for body in (
            {"sample": "receipt.jpg", "caption": "mira"},
            {"sample": "voice-rooms.ogg"},
            {"sample": "booking.pdf"},
            {"sample": "smile.webp"},
            {"kind": "location"},
            {"kind": "contact"},
            {"kind": "poll", "title": "¿?", "options": ["a", "b"]},
        ):
            await phone.do("send", chat=LAURA, **body)
        asked = (await phone.do("say", chat=LAURA, text="¿Hay cuarto?"))["id"]
        await phone.wait(lambda messages: bool(answers(messages)))
        await phone.do("act", chat=LAURA, id=asked, action="edit", value="¿Hay dos cuartos?")
        ours = answers(await phone.messages())[0]["id"]
        await phone.do("act", chat=LAURA, id=ours, action="react", value="👍")
        await phone.do("act", chat=LAURA, id=asked, action="delete")
        rows = await found(
            lambda: select(phone.data_dir, "messages", "kind", where={"from_me": 0}),
            lambda rows: len(rows) == 11,
        )
        kinds = sorted(kind for (kind,) in rows)
        files = await found(
            lambda: select(phone.data_dir, "media", "state"),
            lambda rows: len(rows) == 4 and all(state == "stored" for (state,) in rows),
        )
    assert len(files) == 4
    assert {"image", "voice", "document", "sticker", "location", "contacts"} <= set(kinds)
    assert {"edit", "reaction", "revoke", "text"} <= set(kinds)


async def test_a_person_takes_over_and_24_hours_pass(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as phone:
        await phone.do("control", name="window_shut", on=True)
        asked = (await phone.do("say", chat=LAURA, text="¿Hay cuarto?"))["id"]
        shown = await phone.wait(lambda messages: bool(answers(messages)))
        assert answers(shown)[0]["text"]["body"].startswith("Hola Laura Gómez, ya tenemos")
        await found(
            lambda: states_of(phone.data_dir), lambda states: states[asked][0] == "with_agent"
        )
        await phone.do("control", name="window_shut", on=False)
        await phone.do("say", chat=LAURA, text="¿Hola?")
        shown = await phone.wait(lambda messages: len(answers(messages)) == 3)
        assert "«¿Hay cuarto?»" in answers(shown)[1]["text"]["body"]
        await phone.do("say", chat=LAURA, text="Yo sigo", **{"as": "agent"})
        held = (await phone.do("say", chat=LAURA, text="Gracias"))["id"]
        await found(
            lambda: states_of(phone.data_dir),
            lambda states: states.get(held, ("",))[0] == "with_agent",
        )
