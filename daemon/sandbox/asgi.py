"""The HTTP functions of the simulators over a bare ASGI server.

Requests are read whole, answers are sent whole, and a connection can be cut on purpose, all in the
task that the server started for the request.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class ClientGone(Exception):
    """The client hung up before it had sent its whole request."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came in a request."""

    data: bytes
    mime_type: str
    file_name: str = ""


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


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def read_form(body: bytes, content_type: str) -> dict[str, str | Upload]:
    """Return the fields of ``multipart/form-data``; none of anything else."""
    kind, options = parse_options_header(content_type)
    parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO())  # no temporary files
    _, texts, files = parser.parse(BytesIO(body), kind, len(body), options)
    uploads = {
        name: Upload(file.stream.read(), file.content_type or "", file.filename or "")
        for name, file in files.items()
    }
    return {**texts, **uploads}


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return `value` as a JSON answer."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode())


def error_answer(status: int, message: str) -> Answer:
    """Return an error as Whapi words it, ``{"error": {"code": …, "message": …}}``."""
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


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer."""
    await send_head(send, answer)
    await send({"type": "http.response.body", "body": answer.body})


async def send_head(send: Send, answer: Answer, *, whole: bool = True) -> None:
    """Send the status and the headers of an answer; its length only if it will be sent `whole`."""
    length = {"content-length": str(len(answer.body))} if whole else {}
    headers = {"content-type": answer.content_type, **length, **answer.headers}
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers.items()],
        }
    )


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


async def follow_lifespan(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop. Ends when the server stops."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
