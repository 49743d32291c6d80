"""Hostile links and files, through the whole daemon: nobody inside is asked, everybody is answered.

What each of them is refused for is shown where files are fetched and read (``tests/media``).
"""

import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from support.rows import select, states_of
from support.scenes import PEDRO, model_input, open_scene, outcomes
from support.stage import LAURA, Stage

from daemon.domain.messages import JsonObject
from daemon.media.kinds import DOCX
from daemon.sandbox.asgi import Upload

NOT_LOADED = "that could not be loaded]"
PRIVATE = "http://10.0.0.1/x"

LINKS = {
    "loopback": "http://127.0.0.1:{port}/a.jpeg",
    "loopback over TLS": "https://127.0.0.1:{port}/a.jpeg",
    "loopback by name": "https://localhost:{port}/a.jpeg",
    "loopback as one number": "https://2130706433:{port}/a.jpeg",
    "loopback in IPv6": "https://[::1]:{port}/a.jpeg",
    "loopback as IPv4 in IPv6": "https://[::ffff:127.0.0.1]:{port}/a.jpeg",
    "this machine's any address": "https://0.0.0.0:{port}/a.jpeg",
    "a private range, 10/8": "https://10.0.0.1/a.jpeg",
    "a private range, 172.16/12": "https://172.16.0.1/a.jpeg",
    "a private range, 192.168/16": "https://192.168.1.1/a.jpeg",
    "a private range of IPv6": "https://[fd00::1]/a.jpeg",
    "the metadata of a cloud": "https://169.254.169.254/latest/meta-data/",
    "a name and password": "https://user:pass@127.0.0.1:{port}/a.jpeg",
    "a file of this machine": "file:///etc/passwd",
}


@pytest.fixture
async def inside(nursery: trio.Nursery) -> tuple[int, list[str]]:
    """A server of this machine that nobody is to ask: its port, and who did all the same."""
    visits: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        visits.append(str(stream.socket.getpeername()))
        await stream.aclose()

    (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    return listener.socket.getsockname()[1], visits


async def test_no_link_leads_the_daemon_inside(
    tmp_path: Path, inside: tuple[int, list[str]]
) -> None:
    """Each link comes with a picture of a contact of its own."""
    port, visits = inside
    async with open_scene(tmp_path) as stage:
        numbers = {name: f"57300300{place:04d}" for place, name in enumerate(LINKS)}
        for name, link in LINKS.items():
            picture = {"mime_type": "image/jpeg", "link": link.format(port=port)}
            await stage.gateway.contact(numbers[name]).send({"type": "image", "image": picture})
        for number in numbers.values():
            await stage.gateway.wait_sent(number)
        await stage.quiet()
        assert visits == []
        assert {_last(call.items) for call in stage.model.calls} == {f"[image {NOT_LOADED}"}
        assert set(outcomes(stage)) == {"answered"}
        reasons = select(stage.settings.data_dir, "media", "state, reason")
        assert {state for state, _ in reasons} == {"failed"}
        assert all(reason for _, reason in reasons)


def _last(items: list[JsonObject]) -> Any:
    content: Any = items[-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


def zip_bomb() -> bytes:
    """A Word document of 110 MB in about 100 kB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(110):
                member.write(bytes(1024 * 1024))
    return target.getvalue()


async def picture(stage: Stage) -> None:
    await stage.gateway.contact(LAURA).send_image(link=False)


async def bomb(stage: Stage) -> None:
    media_id = stage.gateway.media.keep(Upload(zip_bomb(), DOCX, "factura.docx"))
    document = {"id": media_id, "mime_type": DOCX, "file_name": "factura.docx"}
    await stage.gateway.contact(LAURA).send({"type": "document", "document": document})


FILES: dict[str, tuple[dict[str, Any], Callable[[Stage], Any], str]] = {
    "a redirect to loopback": (
        {"kind": "redirect", "location": "http://127.0.0.1:{port}/x"},
        picture,
        f"[image {NOT_LOADED}",
    ),
    "a redirect to a private range": (
        {"kind": "redirect", "location": PRIVATE},
        picture,
        f"[image {NOT_LOADED}",
    ),
    "an endless body": ({"kind": "endless"}, picture, f"[image {NOT_LOADED}"),
    "a page in place of a picture": ({"kind": "wrong_type"}, picture, f"[image {NOT_LOADED}"),
    "a zip bomb": ({}, bomb, "[document factura.docx"),
}


@pytest.mark.parametrize("name", FILES)
async def test_a_hostile_file_is_a_line_and_delays_no_other_chat(
    tmp_path: Path, inside: tuple[int, list[str]], name: str
) -> None:
    """The model is told that it lacks something, and the next customer is answered too."""
    port, visits = inside
    fault, send, line = FILES[name]
    async with open_scene(tmp_path, media={"max_mb": 1}) as stage:
        if fault:
            where = {key: str(value).format(port=port) for key, value in fault.items()}
            stage.gateway.faults.add(operation="media", **where)  # type: ignore[arg-type]
        await send(stage)
        await stage.gateway.wait_sent(LAURA)
        assert model_input(stage)[-1].startswith(line)
        await stage.gateway.customer_says(PEDRO, "Hola")
        await stage.gateway.wait_sent(PEDRO)
        await stage.quiet()
        assert visits == []
        assert {state for state, _ in states_of(stage.settings.data_dir).values()} == {"answered"}
        ((words,),) = select(stage.settings.data_dir, "media", "words")
        assert not words
