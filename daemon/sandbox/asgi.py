"""The little of HTTP that the simulated gateway needs over a bare ASGI server.

A request is read whole, an answer is sent whole, and a connection can be cut on purpose. All three
run in the task that the server started for the request.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import trio

from daemon.sandbox.forms import read_form

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class ClientGone(Exception):
    """The client hung up before its request was whole; nobody is left to be answered."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, whole. Header names are in lower case; of repeated ones the last counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str
    """Address of the client, without its port; empty if the server does not say."""

    def json_object(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, or None if it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def fields(self) -> dict[str, Any] | None:
        """Return the fields of a JSON object or of a form, files as `Upload`; else None."""
        found = self.json_object()
        if found is not None:
            return found
        return read_form(self.body, self.headers.get("content-type", ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return `value` as a JSON answer."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode())


def error_answer(status: int, message: str) -> Answer:
    """Return an error in Whapi's shape, ``{"error": {"code": …, "message": …}}``."""
    return json_answer({"error": {"code": status, "message": message}}, status)


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read the whole request. Raises ClientGone if the client hangs up first."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={n.decode("latin-1").lower(): v.decode("latin-1") for n, v in scope["headers"]},
        body=bytes(body),
        peer=str(client[0]) if client else "",
    )


async def send_answer(send: Send, answer: Answer, *, cut_after: int | None = None) -> None:
    """Send an answer; with `cut_after`, only that many bytes of its body and then a cut.

    The cut is an application that returns before it has sent the length it announced: hypercorn
    then closes the connection, since it cannot be used for another answer.
    """
    headers = {
        "content-type": answer.content_type,
        "content-length": str(len(answer.body)),
        **answer.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers.items()],
        }
    )
    if cut_after is None:
        await send({"type": "http.response.body", "body": answer.body})
    else:
        part = answer.body[:cut_after]
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def send_in_parts(
    receive: Receive, send: Send, answer: Answer, *, rest_after: trio.Event | None
) -> None:
    """Send half of a body and the rest after `rest_after`; without one, send it on and on.

    Ends early when the client hangs up.
    """
    length = {} if rest_after is None else {"content-length": str(len(answer.body))}
    headers = {"content-type": answer.content_type, **length, **answer.headers}
    head = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    half = len(answer.body) if rest_after is None else len(answer.body) // 2
    first = {"type": "http.response.body", "body": answer.body[:half], "more_body": True}
    await send(first)
    if rest_after is None:
        await _repeat(receive, send, {**first, "body": answer.body or bytes(65_536)})
    elif await wait_unless_gone(rest_after, receive):
        await send({"type": "http.response.body", "body": answer.body[half:]})


async def _repeat(receive: Receive, send: Send, part: dict[str, Any]) -> None:
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await wait_disconnect(receive)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch, name="gateway client watch")
        while True:
            await send(part)
            await trio.lowlevel.checkpoint()


async def cut_connection(send: Send) -> None:
    """Make hypercorn close the connection before any answer; the caller must return after it.

    An application that returns without an answer gets a 500 from hypercorn, and one that raises
    gets the same. But an interim 102 counts as the start of an answer, HTTP clients skip it, and an
    answer that was started and not finished ends in a closed connection: the client sees the server
    hang up without having answered.
    """
    await send({"type": "http.response.start", "status": 102, "headers": []})


async def wait_disconnect(receive: Receive) -> None:
    """Wait until the client of a request that was read whole hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def wait_unless_gone(event: trio.Event, receive: Receive) -> bool:
    """Wait for `event`; return False if the client hung up before it."""

    async def watch() -> None:
        await wait_disconnect(receive)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, name="gateway client watch")
        await event.wait()
        nursery.cancel_scope.cancel()
    return event.is_set()


async def follow_lifespan(receive: Receive, send: Send) -> None:
    """Tell the server that there is nothing to start or stop. Ends when the server stops."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
