"""The client against a real HTTP server on loopback that answers, stalls and breaks as told."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import h11
import httpx
import pytest
import trio
from trio.testing import MockClock

from daemon.domain.messages import ChatInfo, Label, NumberHealth, Text
from daemon.domain.rendering.outgoing import Outgoing
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    SettingsError,
)
from daemon.gateway.exchange import Api, GatewayCalls
from daemon.gateway.payloads.fields import UPLOAD_BYTES_PER_SECOND
from daemon.gateway.whapi.client import WhapiClient, open_whapi
from daemon.gateway.whapi.payloads.answers import refusal_of
from daemon.system.connections import Connections

TOKEN = "invented-token-1234567890"
CHAT = "573001234567@s.whatsapp.net"
WORDS = "Con gusto, la esperamos"
MESSAGE = Outgoing(body=WORDS)
SENT = {"sent": True, "message": {"id": "YhNq-wO4T", "status": "pending"}}
BLAMING = {"error": {"code": 1234, "message": f"{CHAT} cannot read '{WORDS}' with {TOKEN}"}}


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries follow at once: the waits themselves are tested with `backoff`."""
    monkeypatch.setattr("daemon.gateway.exchange.BACKOFF_BASE_SECONDS", 0.01)


@dataclass(kw_only=True)
class Reply:
    """What the server does with one request."""

    status: int = 200
    json: object = None
    raw: bytes | None = None
    headers: Sequence[tuple[str, str]] = ()
    fault: str = ""
    """``cut at once`` before reading, ``cut`` after reading, ``half`` a body, ``hang``."""


@dataclass
class Seen:
    """A request as the server received it."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedWhapi:
    """Answers requests with its replies in turn, the last one for ever."""

    replies: list[Reply]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    arrived: trio.Event = field(default_factory=trio.Event)
    """Set once a whole request has been read."""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until either side ends it."""
        self.connections += 1
        connection = h11.Connection(h11.SERVER)
        async with stream:
            if self.replies[0].fault == "cut at once":
                return
            while (seen := await self._request(stream, connection)) is not None:
                self.seen.append(seen)
                self.arrived.set()
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                try:
                    whole = await self._answer(stream, connection, reply)
                except trio.BrokenResourceError:  # the client did not want all of it
                    return
                if not whole:
                    return
                connection.start_next_cycle()

    async def _request(self, stream: trio.SocketStream, connection: h11.Connection) -> Seen | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    connection.receive_data(await stream.receive_some())
                except trio.BrokenResourceError:
                    return None
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {k.decode(): v.decode() for k, v in head.headers}
                said = json.loads(body) if body else None
                return Seen(head.method.decode(), head.target.decode(), headers, said)
            else:
                return None

    async def _answer(
        self, stream: trio.SocketStream, connection: h11.Connection, reply: Reply
    ) -> bool:
        if reply.fault == "hang":
            await trio.sleep_forever()
        if reply.fault == "cut":
            return False
        body = json.dumps(reply.json).encode() if reply.raw is None else reply.raw
        headers = [("Content-Length", str(len(body))), *reply.headers]
        head = connection.send(h11.Response(status_code=reply.status, headers=headers))
        await stream.send_all(head or b"")
        if reply.fault == "half":
            await stream.send_all(body[: len(body) // 2])
            return False
        await stream.send_all(connection.send(h11.Data(data=body)) or b"")
        await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
        return True


@dataclass
class Line:
    """A client, the server it talks to, and what it told its observer."""

    client: WhapiClient
    server: ScriptedWhapi
    observed: list[tuple[str, str]]
    port: int


@asynccontextmanager
async def line(*replies: Reply, timeout_seconds: float = 30) -> AsyncIterator[Line]:
    """Open a client of a server that answers as told; both end with the block."""
    server, observed = ScriptedWhapi(list(replies)), list[tuple[str, str]]()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            port = listener.socket.getsockname()[1]
            async with open_whapi(
                api_url=f"http://127.0.0.1:{port}",
                token=TOKEN,
                timeout_seconds=timeout_seconds,
                rng=rng(),
                observe=lambda operation, outcome, _: observed.append((operation, outcome)),
            ) as client:
                yield Line(client, server, observed, port)
            nursery.cancel_scope.cancel()


def rng() -> random.Random:
    """Give the same random numbers in each run."""
    return random.Random(1)  # noqa: S311 - jitter, not secrets


def assert_discreet(error: BaseException) -> None:
    """An error says nothing personal or secret, and neither does anything chained to it."""
    assert error.__context__ is None or error.__suppress_context__
    assert str(error).startswith("Whapi ")
    for secret in (TOKEN, "573001234567", WORDS, "127.0.0.1"):
        assert secret not in str(error)


async def test_a_text_is_sent_with_all_required_fields() -> None:
    async with line(Reply(status=201, json=SENT)) as to:
        sent = await to.client.send(CHAT, Outgoing(body=WORDS, quoted="a-1"))
    (seen,) = to.server.seen
    assert sent == "YhNq-wO4T"
    assert (seen.method, seen.target) == ("POST", "/messages/text")
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.body == {
        "to": CHAT,
        "body": WORDS,
        "no_link_preview": True,
        "quoted": "a-1",
    }
    assert to.observed == [("text", "ok")]


async def test_a_text_that_is_not_unicode_is_sent_all_the_same() -> None:
    async with line(Reply(json=SENT)) as to:
        await to.client.send(CHAT, Outgoing(body="hola \ud83d"))
    assert to.server.seen[0].body == {"to": CHAT, "body": "hola \ufffd", "no_link_preview": True}


@pytest.mark.parametrize(
    ("reply", "error", "outcome", "status"),
    [
        (Reply(status=429, json=BLAMING), GatewayTemporary, "temporary", 429),
        (Reply(status=500, json=BLAMING), OutcomeUnknown, "unknown", 500),
        (Reply(status=502, raw=b"<html>"), OutcomeUnknown, "unknown", 502),
        (Reply(fault="hang"), OutcomeUnknown, "unknown", 0),
        (Reply(fault="cut"), OutcomeUnknown, "unknown", 0),
        (Reply(json=SENT, fault="half"), OutcomeUnknown, "unknown", 200),
        (Reply(raw=b"ok"), OutcomeUnknown, "unknown", 200),
        (Reply(json={"sent": True}), OutcomeUnknown, "unknown", 200),
        (Reply(json={"sent": True, "message": {"id": ""}}), OutcomeUnknown, "unknown", 200),
        (Reply(json={"sent": False}), OutcomeUnknown, "unknown", 200),
        (Reply(json={"sent": False, **BLAMING}), RefusedForm, "rejected", 200),
        (Reply(status=401, json=BLAMING), NumberTrouble, "channel_trouble", 401),
        (Reply(status=402, json=BLAMING), NumberTrouble, "channel_trouble", 402),
        (Reply(status=403, json=BLAMING), RefusedRecipient, "rejected", 403),
        (Reply(status=400, json=BLAMING), RefusedForm, "rejected", 400),
        (Reply(status=400, json=BLAMING, fault="half"), RefusedForm, "rejected", 400),
        (Reply(status=413, json=BLAMING), RefusedForm, "rejected", 413),
        (Reply(status=302, headers=[("Location", "/x")]), NumberTrouble, "channel_trouble", 302),
    ],
)
async def test_the_error_of_a_send_shows_whether_it_may_have_happened(
    reply: Reply,
    error: type[GatewayError],
    outcome: str,
    status: int,
    jumping_clock: MockClock,
) -> None:
    """Each fault becomes the error that tells what to do next, after exactly one request."""
    async with line(reply) as to:
        with pytest.raises(error) as caught:
            await to.client.send(CHAT, MESSAGE)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert len(to.server.seen) == 1
    assert to.observed == [("text", outcome)]
    assert_discreet(caught.value)
    assert jumping_clock.current_time() <= 60


async def test_a_connection_cut_before_the_answer_leaves_the_outcome_open() -> None:
    async with line(Reply(fault="cut at once")) as to:
        with pytest.raises(OutcomeUnknown) as caught:
            await to.client.send(CHAT, MESSAGE)
    assert to.server.connections == 1
    assert_discreet(caught.value)


async def test_no_connection_means_not_sent() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))  # bound, not listening: refuses connections
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with trio.fail_after(60):
            async with open_whapi(
                api_url=address, token=TOKEN, timeout_seconds=30, rng=rng()
            ) as client:
                with pytest.raises(GatewayTemporary) as caught:
                    await client.send(CHAT, MESSAGE)
    assert caught.value.status == 0
    assert_discreet(caught.value)


async def test_no_free_connection_in_time_means_not_sent() -> None:
    """A send that only waited in the client's own queue certainly did not happen."""
    async with line(Reply(fault="hang"), timeout_seconds=60) as to:
        url = httpx.URL(f"http://127.0.0.1:{to.port}")
        connections = Connections(url, None, most=1)
        api = Api(connections, TOKEN)

        def client(seconds: float) -> WhapiClient:
            calls = GatewayCalls(
                api,
                name="Whapi",
                refusal_of=refusal_of,
                timeout_seconds=seconds,
                rng=rng(),
                observe=None,
            )
            return WhapiClient(calls)

        patient, hasty = client(60), client(0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(patient.send, CHAT, MESSAGE)
            await to.server.arrived.wait()
            with pytest.raises(GatewayTemporary):
                await hasty.send(CHAT, MESSAGE)
            nursery.cancel_scope.cancel()
    assert len(to.server.seen) == 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("soon", None), ("-1", None)])
async def test_retry_after_is_passed_on(header: str, seconds: float | None) -> None:
    """A send is not repeated here, so the wish is handed to the caller."""
    async with line(Reply(status=429, headers=[("Retry-After", header)])) as to:
        with pytest.raises(GatewayTemporary) as caught:
            await to.client.send(CHAT, MESSAGE)
    assert caught.value.retry_after == seconds


async def test_a_file_adds_to_the_time_allowed(jumping_clock: MockClock) -> None:
    message = Outgoing(body="", kind="image", media="x" * UPLOAD_BYTES_PER_SECOND)
    async with line(Reply(fault="hang"), timeout_seconds=0.2) as to:
        started = jumping_clock.current_time()
        with pytest.raises(OutcomeUnknown):
            await to.client.send(CHAT, message)
        assert jumping_clock.current_time() - started > 1


async def test_a_cancelled_send_is_observed_and_ends_at_once() -> None:
    async with line(Reply(fault="hang"), timeout_seconds=60) as to:
        with trio.move_on_after(0.2) as scope:
            await to.client.send(CHAT, MESSAGE)
    assert scope.cancelled_caught
    assert to.observed == [("text", "cancelled")]


Call = Callable[[WhapiClient], Awaitable[object]]
PRESENCE: Call = lambda whapi: whapi.set_presence(CHAT, "typing")  # noqa: E731 - a table row
SUBSCRIBE: Call = lambda whapi: whapi.subscribe_presence("573001234567")  # noqa: E731
HEALTH: Call = lambda whapi: whapi.health()  # noqa: E731
GET_CHAT: Call = lambda whapi: whapi.get_chat(CHAT)  # noqa: E731
LISTING: Call = lambda whapi: whapi.list_messages(CHAT, from_me=True, since=7.9, count=9)  # noqa: E731
HEALTHY = {"status": {"code": 4, "text": "AUTH"}, "version": "1.8.3", "uptime": 77}
KNOWN_CHAT = {"id": CHAT, "name": "Laura", "labels": [{"id": "1", "name": "Cotizado"}, 3]}


@pytest.mark.parametrize(
    ("call", "reply", "request_line", "result"),
    [
        (PRESENCE, Reply(json={}), f"PUT /presences/{CHAT}", None),
        (SUBSCRIBE, Reply(json={}), "POST /presences/573001234567", None),
        (SUBSCRIBE, Reply(status=409, json=BLAMING), "POST /presences/573001234567", None),
        (
            HEALTH,
            Reply(json=HEALTHY),
            "GET /health?wakeup=false",
            NumberHealth(condition="ok", detail="health AUTH"),
        ),
        (
            GET_CHAT,
            Reply(json=KNOWN_CHAT),
            f"GET /chats/{CHAT}",
            ChatInfo(id=CHAT, name="Laura", labels=(Label(id="1", name="Cotizado"),)),
        ),
        (GET_CHAT, Reply(status=404, json=BLAMING), f"GET /chats/{CHAT}", None),
        (
            LISTING,
            Reply(json={"messages": []}),
            f"GET /messages/list/{CHAT}?count=9&time_from=7&from_me=true",
            (),
        ),
    ],
)
async def test_other_calls(call: Call, reply: Reply, request_line: str, result: object) -> None:
    """Each call asks what Whapi documents and reads the answer."""
    async with line(reply) as to:
        assert await call(to.client) == result
    (seen,) = to.server.seen
    assert f"{seen.method} {seen.target}" == request_line
    assert [outcome for _, outcome in to.observed] == ["ok"]


async def test_a_lid_that_is_looked_up_does_not_count_as_a_card_that_is_sent() -> None:
    async with line(Reply(status=404)) as to:
        assert await to.client.find_alias("573001234567") == ""
    assert to.observed == [("lid", "ok")]


async def test_presence_carries_its_state() -> None:
    async with line(Reply(json={})) as to:
        await to.client.set_presence(CHAT, "recording")
    assert to.server.seen[0].body == {"presence": "recording", "delay": 0}


async def test_listed_messages_are_read() -> None:
    message = {"id": "a-1", "chat_id": CHAT, "from_me": True, "type": "text"}
    reply = Reply(json={"messages": [{**message, "text": {"body": WORDS}}], "count": 1})
    async with line(reply) as to:
        (found,) = await to.client.list_messages(CHAT)
    assert (found.id, found.from_me, found.content) == ("a-1", True, Text(body=WORDS))
    assert to.server.seen[0].target == f"/messages/list/{CHAT}?count=100"


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=429),
        Reply(status=503, headers=[("Retry-After", "0.1")]),
        Reply(fault="cut"),
        Reply(json=HEALTHY, fault="half"),
        Reply(raw=b"<html>"),
    ],
)
async def test_idempotent_calls_are_repeated(fault: Reply) -> None:
    """Two failures that may pass are survived; the observer sees one call."""
    async with line(fault, fault, Reply(json=HEALTHY)) as to:
        health = await to.client.health()
    assert health.condition == "ok"
    assert len(to.server.seen) == 3
    assert to.observed == [("health", "ok")]


async def test_it_gives_up_after_three_tries() -> None:
    async with line(Reply(status=500, json=BLAMING)) as to:
        with pytest.raises(GatewayTemporary) as caught:
            await to.client.health()
    assert len(to.server.seen) == 3
    assert caught.value.status == 500
    assert_discreet(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(401, NumberTrouble), (400, RefusedForm), (404, RefusedForm)]
)
async def test_a_refusal_is_not_repeated(status: int, error: type[GatewayError]) -> None:
    """What the server refuses for good is asked once."""
    async with line(Reply(status=status, json=BLAMING)) as to:
        with pytest.raises(error) as caught:
            await to.client.list_messages(CHAT)
    assert len(to.server.seen) == 1
    assert_discreet(caught.value)


async def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.gateway.exchange._MOST_ANSWER_BYTES", 100_000)
    async with line(Reply(json={**HEALTHY, "x": "y" * 1_000_000})) as to:
        with pytest.raises(GatewayTemporary, match="too large"):
            await to.client.health()


async def test_a_wait_beyond_the_deadline_is_left_to_the_caller() -> None:
    async with line(Reply(status=429, headers=[("Retry-After", "600")])) as to:
        with pytest.raises(GatewayTemporary) as caught:
            await to.client.health()
    assert len(to.server.seen) == 1
    assert caught.value.retry_after == 600


async def test_tries_share_one_deadline(jumping_clock: MockClock) -> None:
    async with line(Reply(fault="hang"), timeout_seconds=2.0) as to:
        started = jumping_clock.current_time()
        with pytest.raises(GatewayTemporary):
            await to.client.health()
        assert jumping_clock.current_time() - started == pytest.approx(4)
    assert 1 < len(to.server.seen) <= 3


@pytest.mark.parametrize(
    ("api_url", "token"),
    [
        ("gate.example.com", TOKEN),
        ("ftp://gate.example.com", TOKEN),
        ("http://gate.example.com:port", TOKEN),
        ("https://gate.example.com", ""),
        ("https://gate.example.com", "secret\nsecret"),
        ("https://gate.example.com", "secreto-ñ"),
    ],
)
async def test_an_unusable_address_or_token_is_reported_at_once(api_url: str, token: str) -> None:
    """The error names the setting and not its value."""
    opened = open_whapi(api_url=api_url, token=token, timeout_seconds=1, rng=rng())
    with pytest.raises(SettingsError, match=r"^whapi\.") as caught:
        await opened.__aenter__()
    assert "secret" not in str(caught.value)
