"""The shipped configurations of Caddy and nginx, in front of the real process."""

import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trio
from support.ports import free_port
from support.process import NGINX, ROOT, Site

CONFIG = ROOT / "config"
SECRET = "a-webhook-secret-of-some-length"
TOKEN = "an-admin-token-long"
CLIENT = "127.0.0.9"
"""Another address of this machine than the proxy's own."""
SETTINGS = {
    "RECADO_WEB__WEBHOOK_SECRET": SECRET,
    "RECADO_WEB__ADMIN_TOKEN": TOKEN,
    "RECADO_WEB__TRUSTED_PROXIES": "127.0.0.1",
}
TOO_LARGE = 51 * 1024 * 1024


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each word replaced, which must be there."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, target: str) -> list[str]:
    """Lay out nginx's shipped configuration for a port and a certificate of the test."""
    subject = ("-subj", "/CN=bot.example.com", "-days", "2")
    files = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"))
    subprocess.run(
        ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )
    shipped = replaced(
        (CONFIG / "nginx" / "recado.conf").read_text("utf-8"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/bot.example.com.pem", str(folder / "cert.pem")),
        ("/etc/ssl/bot.example.com.key", str(folder / "key.pem")),
        ("127.0.0.1:8080", target),
    )
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, ours=shipped))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, target: str) -> list[str]:
    """Lay out Caddy's shipped configuration for a port, with a certificate of its own making."""
    shipped = replaced(
        (CONFIG / "caddy" / "Caddyfile").read_text("utf-8"),
        ("bot.example.com {", f"https://127.0.0.1:{port} {{\n\ttls internal"),
        ("127.0.0.1:8080", target),
    )
    options = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + shipped)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


@asynccontextmanager
async def open_proxy(name: str, folder: Path, target: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a real proxy for the length of the block; gives a client of it from `CLIENT`."""
    port = free_port()
    command = PROXIES[name](folder, port, target)
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
    with (folder / "stderr").open("wb") as stderr:
        process = await trio.lowlevel.open_process(command, env=environment, stderr=stderr)
    try:
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}",
            transport=httpx.AsyncHTTPTransport(verify=any_certificate(), local_address=CLIENT),
            timeout=60,
        ) as client:
            with trio.fail_after(60):
                while True:
                    try:
                        await client.get("/")
                    except httpx.TransportError:
                        assert process.poll() is None, (folder / "stderr").read_text()
                        await trio.sleep(0.05)
                    else:
                        break
            yield client
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


async def status_of_upload(url: httpx.URL, length: int) -> int:
    """The status that a call with so long a body gets; 0 if the connection is closed instead."""
    stream = await trio.open_ssl_over_tcp_stream(
        url.host, url.port or 443, ssl_context=any_certificate()
    )
    async with stream, trio.open_nursery() as nursery:
        head = f"POST /hook HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        head += f"Authorization: Bearer {SECRET}\r\nContent-Length: {length}\r\n\r\n"

        async def send() -> None:
            with suppress(trio.BrokenResourceError):  # it is refused while it is sent
                for part in (head.encode(), *[b" " * 65536] * (length // 65536)):
                    await stream.send_all(part)

        nursery.start_soon(send, name="upload")
        answer = b""
        with suppress(trio.BrokenResourceError):
            while b"\r\n" not in answer and (part := await stream.receive_some()):
                answer += part
        nursery.cancel_scope.cancel()
    return int(answer.split()[1]) if answer else 0


def any_certificate() -> ssl.SSLContext:
    """Trust the certificate that the proxy has made itself."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return trusting


@pytest.mark.parametrize("name", PROXIES)
async def test_a_shipped_proxy_passes_on_what_is_public(name: str, site: Site) -> None:
    if shutil.which(name, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"there is no {name}: ITS CONFIGURATION IS NOT TRIED HERE")
    folder = site.data_dir.parent / name
    folder.mkdir()
    daemon = await site.launch(variables=SETTINGS)
    url = await site.opened(daemon)
    async with open_proxy(name, folder, url.removeprefix("http://")) as client:
        known = {"Authorization": f"Bearer {SECRET}"}
        for path in ("/hook", "/hook/messages", "/n/main/hook"):
            answer = await client.post(path, json={"messages": []}, headers=known)
            assert answer.status_code == 200, path
        for path in ("/metrics", "/health", "/locks", "/takeover/pause", "/audio/voice_1_1.ogg"):
            assert (await client.get(path)).status_code == 404, path

        # The client is who connects to the proxy, whatever it claims.
        claims = {"X-Forwarded-For": "203.0.113.7"}
        refused = await client.post("/hook", json={}, headers=claims)
        assert refused.status_code == 401
        line = await daemon.wait_event("a webhook was refused")
        assert line["address"] == CLIENT

        # A body above the limit is not taken. If Caddy still sends it when Recado has answered 413
        # and closed, Caddy may answer 502.
        assert await status_of_upload(client.base_url, TOO_LARGE) in {0, 413, 502}

        # A person signs in from the page, and the log is followed over a WebSocket.
        origin = {"Origin": str(client.base_url).rstrip("/")}
        signed_in = await client.post("/dashboard/login", data={"token": TOKEN}, headers=origin)
        assert signed_in.status_code in {302, 303}
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        async with client.stream(
            "GET", "/dashboard/api/logs", headers=handshake | origin
        ) as socket:
            assert socket.status_code == 101


def test_the_pages_name_the_shipped_files() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    for path in CONFIG.glob("*/*"):
        if path.parent.name in PROXIES:
            assert re.search(rf"\(\.\./config/{path.parent.name}/{path.name}\)", page)
