"""The outside world of a Recado under test, in a process of its own: Whapi, customers, the model.

Leaner than the simulators of the sandbox, whose shapes it speaks, so that it leaves the daemon a
core of its own even at hundreds of chats a second. It knows when each webhook was posted, how long
the model took, and when the reply came, all by one clock.

Usage: python simulator.py; it prints its port. ``POST /control/VERB`` with a JSON object calls the
method of `Controls` of that name. It ends when its standard input does.
"""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import unquote

import trio
from mixed_traffic import media_of
from simulated_customers import Customers
from simulated_faults import Faults
from simulated_model import TOKEN, Model
from simulator_controls import Controls

from daemon.sandbox import payloads

SENT_KEPT = 500
"""Messages that a list of a chat may show: those that were sent last."""
JSON_HEAD = "HTTP/1.1 {} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class World:
    """One HTTP server for Whapi, the model, and the controls."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._customers = Customers()
        self._model = Model(self._customers.model_took)
        self._faults = Faults()
        self._controls = Controls(self._model, self._customers, self._faults, nursery)
        self._nursery = nursery
        self._ids = count(1)
        self._stamp = f"{os.getpid():07d}"
        self._sent_lately: deque[dict[str, Any]] = deque(maxlen=SENT_KEPT)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection until it closes."""
        rest = b""
        try:
            async with stream:
                while True:
                    head, end, rest = rest.partition(b"\r\n\r\n")
                    while not end:
                        part = await stream.receive_some()
                        if not part:
                            return
                        head, end, rest = (head + part).partition(b"\r\n\r\n")
                    size = _length(head)
                    while len(rest) < size:
                        part = await stream.receive_some()
                        if not part:
                            return
                        rest += part
                    body, rest = rest[:size], rest[size:]
                    method, path = head.decode("latin-1").split(" ", 2)[:2]
                    await self._answer(stream, method, path.partition("?")[0], body)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _answer(self, stream: trio.SocketStream, method: str, path: str, body: bytes) -> None:
        if path == "/v1/responses":
            await self._respond(stream, body)
        elif path.startswith("/control/"):
            verb = getattr(self._controls, path.rpartition("/")[2])
            await _tell(stream, await verb(**json.loads(body or b"{}")))
        elif path.startswith("/v1/responses/"):
            await _tell(stream, self._model.look(path.rpartition("/")[2]))
        elif method == "POST" and path == "/messages/text":
            await self._send(stream, body)
        elif path.startswith("/messages/list/"):
            await _tell(stream, self._listed(unquote(path.rpartition("/")[2])))
        elif path.startswith("/media/"):
            await _give(stream, media_of(unquote(path.rpartition("/")[2])))
        else:
            await _tell(stream, _plain(path))

    async def _respond(self, stream: trio.SocketStream, body: bytes) -> None:
        """Begin a response, or fail to."""
        fault = self._faults.of_model()
        if fault == "silent":
            raise trio.ClosedResourceError
        if fault.isdigit():
            await _tell(stream, {"error": {"message": "not now", "type": "server"}}, int(fault))
            return
        if b'"stream":true' not in body.replace(b" ", b""):
            await _tell(stream, self._model.begin(body))
            return
        await stream.send_all(STREAM_HEAD)
        async with aclosing(self._model.stream(body)) as stream_of_events:
            async for events in stream_of_events:
                await stream.send_all(b"%x\r\n%b\r\n" % (len(events), events))
                if fault:
                    raise trio.ClosedResourceError
        await stream.send_all(b"0\r\n\r\n")

    async def _send(self, stream: trio.SocketStream, body: bytes) -> None:
        """Take a reply, or fail to; the daemon is told of it afterwards."""
        fault = self._faults.of_whapi()
        if fault.isdigit():
            await _tell(stream, {"error": {"code": int(fault), "message": "not now"}}, int(fault))
            return
        if fault == "silent":
            raise trio.ClosedResourceError
        content, after = self._sent(body)
        await self._controls.sends_answered.wait()
        if not fault:
            await _tell(stream, content)
        self._nursery.start_soon(after)
        if fault:
            raise trio.ClosedResourceError

    def _listed(self, chat: str) -> dict[str, Any]:
        found = [one for one in reversed(self._sent_lately) if one["chat_id"] == chat]
        return {"messages": found, "count": len(found), "total": len(found), "offset": 0}

    def _sent(self, body: bytes) -> tuple[dict[str, Any], Callable[[], Awaitable[None]]]:
        """Take a reply; gives Whapi's answer, and what tells the daemon of it afterwards."""
        found = TOKEN.findall(body)
        self._customers.reply_came(found[-1].decode() if found else "")
        asked = json.loads(body)
        message = payloads.own_message(
            payloads.text_content(asked["body"]),
            message_id=f"{next(self._ids):015d}{self._stamp}-gHqFdSGxaw",
            chat=payloads.chat_id_of(asked["to"]),
            at=time.time(),
            source="api",
        )
        self._sent_lately.append(message)
        told = partial(self._customers.tell_of, message)
        return {"sent": True, "message": message}, told


async def _tell(
    stream: trio.SocketStream, content: dict[str, Any] | list[Any], status: int = 200
) -> None:
    data = json.dumps(content).encode()
    await stream.send_all(JSON_HEAD.format(status, len(data)).encode() + data)


async def _give(stream: trio.SocketStream, file: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(file)}\r\n\r\n"
    await stream.send_all(head.encode() + file)


def _plain(path: str) -> dict[str, Any] | list[Any]:
    """The answer of Whapi and the model's server to all other requests of the daemon."""
    if path == "/health":
        return {"status": {"code": 4, "text": "AUTH"}}
    if path == "/labels":
        return []
    if path == "/v1/audio/transcriptions":
        return {"text": "Hola, quisiera saber si tienen cupo para este fin de semana."}
    if path.startswith("/chats/"):
        return {"id": path.rpartition("/")[2], "name": "Laura", "type": "contact"}
    if path == "/v1/models":
        return {"object": "list", "data": [{"id": "gpt-6-luna", "object": "model"}]}
    return {"success": True}


def _length(head: bytes) -> int:
    value = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return int(value or 0)


async def _until_input_ends(nursery: trio.Nursery) -> None:
    """Cancel everything once whoever started this process is gone or wants its end."""
    await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
    nursery.cancel_scope.cancel()


async def main() -> None:
    """Serve until standard input ends."""
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(partial(trio.serve_listeners, world.serve, listeners))
        nursery.start_soon(_until_input_ends, nursery)


if __name__ == "__main__":
    trio.run(main)
    os._exit(0)  # the thread that reads standard input may still be there
