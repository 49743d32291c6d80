"""Fetching files from servers that are honest, slow, endless, or lead somewhere else."""

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import trio
from support.plain import NO_TLS

from daemon.errors import MediaDelayed, MediaError, MediaRefused
from daemon.media.download import Downloader, request_at
from daemon.media.files import StoredFile

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(2000)


class Server(Protocol):
    """The fixture ``server``; see conftest.py."""

    heads: list[str]
    answers: dict[str, Any]

    @property
    def url(self) -> str: ...
    def give(self, path: str, body: bytes, *, status: str = ..., head: str = ...) -> None: ...
    def redirect(self, path: str, target: str) -> None: ...


Open = Callable[..., AbstractAsyncContextManager[Downloader]]


async def get(
    open_it: Open, link: str = "", media_id: str = "", medium: str = "image", **rules: Any
) -> StoredFile:
    """Fetch one file with a downloader of its own."""
    with trio.fail_after(60):
        async with open_it(**rules) as downloader:
            return await downloader.fetch(
                link=link, media_id=media_id, inline="", medium=medium, declared="image/jpeg"
            )


async def test_a_file_comes_by_its_link_without_the_token(
    server: Server, fetching: Open, tmp_path: Path
) -> None:
    server.give("/files/a.jpeg?x=1", JPEG)
    file = await get(fetching, f"{server.url}/files/a.jpeg?x=1")
    assert (file.mime, file.size, file.name[64:]) == ("image/jpeg", len(JPEG), ".jpg")
    assert (tmp_path / "media" / file.name).read_bytes() == JPEG
    assert [path.name for path in (tmp_path / "media").iterdir()] == [file.name]
    assert "gateway-token" not in server.heads[0]
    assert "Accept-Encoding: identity" in server.heads[0]


async def test_a_file_without_a_usable_link_is_asked_of_the_gateway(
    server: Server, fetching: Open
) -> None:
    server.give("/media/jpeg-1%2F2", JPEG)
    file = await get(fetching, f"{server.url}/gone.jpeg", "jpeg-1/2")
    assert file.mime == "image/jpeg"
    assert "Authorization" not in server.heads[0]
    assert "Authorization: Bearer gateway-token" in server.heads[1]


HOSTILE = (
    "http://files.example.com/a.jpg",
    "https://user@files.example.com/a.jpg",
    "ftp://files.example.com/a.jpg",
    "file:///etc/passwd",
    "https:///a.jpg",
    "http://127.0.0.1:1/a.jpg",
    "http://localhost/a.jpg",
    "https://exa mple.com/",
    "//files.example.com/a.jpg",
    "https://[::1]:99999/",
)


@pytest.mark.parametrize("link", HOSTILE)
async def test_an_address_that_may_not_be_asked_is_not(
    server: Server, fetching: Open, link: str
) -> None:
    """Neither as a link, nor where a link of the gateway leads."""
    with pytest.raises(MediaRefused):
        await get(fetching, link, addresses=("93.184.216.34",))
    server.redirect("/moved", link)
    with pytest.raises(MediaError):
        await get(fetching, f"{server.url}/moved")
    assert all("GET /moved " in head for head in server.heads)


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("::1",),
        ("::ffff:192.168.1.1",),
        ("64:ff9b::a00:1",),
        ("93.184.216.34", "10.0.0.1"),
    ],
)
async def test_a_name_that_leads_inside_is_refused(
    server: Server, fetching: Open, addresses: Sequence[str]
) -> None:
    """Also if only one of its addresses does, and also after a redirect."""
    with pytest.raises(MediaRefused, match="not public"):
        await get(fetching, "https://files.example.com/a.jpg", addresses=addresses)
    server.redirect("/moved", "https://files.example.com/a.jpg")
    with pytest.raises(MediaRefused, match="not public"):
        await get(fetching, media_id="x", link=f"{server.url}/moved", addresses=addresses)


async def test_the_gateway_may_not_pass_the_token_on(server: Server, fetching: Open) -> None:
    server.redirect("/media/x", "http://127.0.0.1:9/elsewhere")
    with pytest.raises(MediaRefused, match="https"):
        await get(fetching, media_id="x")
    assert len(server.heads) == 1


async def test_a_redirect_inside_the_gateway_is_followed_but_not_for_ever(
    server: Server, fetching: Open
) -> None:
    server.redirect("/media/x", "/files/x")
    server.give("/files/x", JPEG)
    assert (await get(fetching, media_id="x")).size == len(JPEG)
    server.redirect("/media/x", "/media/x")
    with pytest.raises(MediaRefused, match="too often"):
        await get(fetching, media_id="x")


async def test_only_listed_hosts_are_asked(fetching: Open) -> None:
    with pytest.raises(MediaRefused, match=r"media\.hosts"):
        await get(
            fetching,
            "https://files.example.com.evil.example/a.jpg",
            hosts=("example.com",),
            addresses=("93.184.216.34",),
        )


async def test_an_endless_body_is_cut_at_the_size(
    server: Server, fetching: Open, tmp_path: Path
) -> None:
    """Nothing of it stays."""

    async def endless(stream: trio.SocketStream, _head: str) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n" + JPEG)
        while True:
            await stream.send_all(bytes(65536))

    server.answers["/endless"] = endless
    with pytest.raises(MediaRefused, match="larger"):
        await get(fetching, f"{server.url}/endless")
    assert list((tmp_path / "media").iterdir()) == []


async def test_a_body_declared_too_large_is_not_read(server: Server, fetching: Open) -> None:
    server.give("/large", JPEG + bytes(200_000))
    with pytest.raises(MediaRefused, match="larger"):
        await get(fetching, f"{server.url}/large")


async def test_a_slow_body_is_cut_at_the_time(
    server: Server, fetching: Open, tmp_path: Path
) -> None:
    """Each byte comes soon after the last, but the whole does not."""

    async def slow(stream: trio.SocketStream, _head: str) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            await stream.send_all(b"\xff")
            await trio.sleep(0.01)

    server.answers["/slow"] = slow
    with pytest.raises(MediaDelayed, match="in time"):
        await get(fetching, f"{server.url}/slow", timeout_seconds=0.3)
    assert list((tmp_path / "media").iterdir()) == []


async def test_a_packed_body_is_refused(server: Server, fetching: Open) -> None:
    server.give("/packed", JPEG, head="Content-Encoding: gzip\r\n")
    with pytest.raises(MediaRefused, match="compressed"):
        await get(fetching, f"{server.url}/packed")


async def test_a_body_that_breaks_off_may_be_completed_later(
    server: Server, fetching: Open
) -> None:
    async def broken(stream: trio.SocketStream, _head: str) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + JPEG)

    server.answers["/broken"] = broken
    with pytest.raises(MediaDelayed):
        await get(fetching, f"{server.url}/broken")


@pytest.mark.parametrize(
    ("status", "error"),
    [("500 No", MediaDelayed), ("429 No", MediaDelayed), ("403 No", MediaRefused)],
)
async def test_the_servers_answer_decides_whether_to_retry(
    server: Server, fetching: Open, status: str, error: type[MediaError]
) -> None:
    server.give("/a", b"", status=status)
    with pytest.raises(error):
        await get(fetching, f"{server.url}/a")


async def test_a_page_in_place_of_a_picture_is_refused(
    server: Server, fetching: Open, tmp_path: Path
) -> None:
    server.give("/a", b"<html><body>Sign in</body></html>", head="Content-Type: image/jpeg\r\n")
    with pytest.raises(MediaRefused, match="no image but text/html"):
        await get(fetching, f"{server.url}/a")
    assert list((tmp_path / "media").iterdir()) == []


@pytest.mark.filterwarnings("error")
async def test_a_call_that_is_cancelled_while_it_is_written_leaves_nothing_to_collect() -> None:
    """Trio warns of async generators that are collected, in whatever test that happens."""
    begun = trio.Event()

    async def take_little(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        begun.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery, httpx.AsyncClient(verify=NO_TLS, timeout=60) as http:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, take_little, [listener])
        port = listener.socket.getsockname()[1]
        request = request_at(
            http, "POST", f"http://localhost:{port}/", "127.0.0.1", headers={}, content=bytes(2**25)
        )
        nursery.start_soon(http.send, request)
        with trio.fail_after(30):
            await begun.wait()
        nursery.cancel_scope.cancel()
    del request
    gc.collect()
