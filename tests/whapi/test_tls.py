"""Calls over TLS: whom the client believes, and what a tunnel changes about that."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from daemon.assistant.responses_connection import ModelConnection
from daemon.errors import GatewayTemporary, ModelTemporary
from daemon.gateway.exchange import Api, Reply, raise_unless_done
from daemon.gateway.payloads.fields import ApiCall
from daemon.gateway.whapi.payloads.answers import refusal_of
from daemon.system.connections import Connections

CALL = ApiCall("text", "POST", "/messages/text", content={"body": "Hola"})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NAME = "whapi.invalid"


@dataclass(frozen=True)
class Authority:
    """A server that signed for itself, and a client that believes it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    certificate: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make a certificate; Python itself cannot."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    wanted = (
        f"req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        f" -subj /CN={NAME} -addext subjectAltName=DNS:{NAME},IP:127.0.0.1"
    )
    subprocess.run(
        [openssl, *wanted.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.set_alpn_protocols(["h2", "http/1.1"])
    return Authority(server, ssl.create_default_context(cafile=str(certificate)), certificate)


@dataclass
class Secured:
    """Answers over TLS; as a proxy it lets through into itself what asks for a tunnel."""

    context: ssl.SSLContext
    is_proxy: bool = False
    port: int = 0
    asked: bytes = b""
    connections: int = 0
    requests: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until the client ends it, or does not believe us."""
        self.connections += 1
        if self.is_proxy:
            self.asked = bytes(await stream.receive_some())
            await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secured = trio.SSLStream(stream, self.context, server_side=True, https_compatible=True)
        try:
            async with secured:
                unread = b""
                while data := await secured.receive_some():
                    unread += bytes(data)
                    if unread.endswith(b"}"):
                        self.requests += 1
                        unread = b""
                        await secured.send_all(OK)
        except trio.BrokenResourceError:
            return


@asynccontextmanager
async def secured(context: ssl.SSLContext, *, is_proxy: bool = False) -> AsyncIterator[Secured]:
    """Serve over TLS; ends with the block."""
    server = Secured(context, is_proxy)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            server.port = listener.socket.getsockname()[1]
            yield server
            nursery.cancel_scope.cancel()


async def asked_twice(url: str, tls: ssl.SSLContext) -> list[Reply]:
    """Make two requests, one after the other."""
    connections = Connections(httpx.URL(url), tls, most=1)
    ask = Api(connections, "invented-token").exchange
    responses = [await ask(CALL, seconds=30) for _ in range(2)]
    await connections.aclose()
    return responses


async def test_a_server_that_is_believed_is_asked_over_one_connection(
    authority: Authority,
) -> None:
    async with secured(authority.server) as server:
        responses = await asked_twice(f"https://127.0.0.1:{server.port}", authority.client)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
    assert (server.connections, server.requests) == (1, 2)


async def test_the_model_is_asked_over_tls_if_the_system_believes_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> None:
        model = ModelConnection(
            base_url=f"https://127.0.0.1:{server.port}/v1", api_key="", idle_seconds=30
        )
        try:
            assert await model.call("POST", "/responses", {}) == {}
            assert await model.call("POST", "/responses", {}) == {}
        finally:
            await model.aclose()

    monkeypatch.setattr("daemon.assistant.responses_connection.CONNECT_SECONDS", 30)
    async with secured(authority.server) as server:
        with pytest.raises(ModelTemporary, match="ConnectError"):
            await ask()
        assert server.requests == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        await ask()
        assert (server.connections, server.requests) == (2, 2)


async def test_an_untrusted_server_gets_no_request(authority: Authority) -> None:
    """So what was to be sent certainly was not."""
    async with secured(authority.server) as server:
        stranger = ssl.create_default_context()
        responses = await asked_twice(f"https://127.0.0.1:{server.port}", stranger)
    assert [(x.began, x.failure) for x in responses] == [(False, "no connection")] * 2
    assert server.requests == 0
    with pytest.raises(GatewayTemporary):
        raise_unless_done(CALL, responses[0], name="Whapi", refusal_of=refusal_of)


async def test_a_name_that_the_certificate_does_not_have_is_not_believed(
    authority: Authority,
) -> None:
    async with secured(authority.server) as server:
        responses = await asked_twice(f"https://localhost:{server.port}", authority.client)
    assert [(x.began, x.failure) for x in responses] == [(False, "no connection")] * 2
    assert server.requests == 0


@pytest.mark.parametrize("believed", [True, False])
async def test_a_tunnel_hides_the_request_from_the_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, *, believed: bool
) -> None:
    """And who is at its end is looked at as without one."""
    async with secured(authority.server, is_proxy=True) as server:
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "")
        tls = authority.client if believed else ssl.create_default_context()
        responses = await asked_twice(f"https://{NAME}", tls)
    assert server.asked.startswith(b"CONNECT whapi.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in server.asked  # user:p@ss
    assert b"invented-token" not in server.asked
    if believed:
        assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
        assert (server.connections, server.requests) == (1, 2)
    else:
        assert [(x.began, x.failure) for x in responses] == [(False, "no connection")] * 2
        assert server.requests == 0
