"""Server-sent events of the simulated model server: sent as they come, cut when told to."""

import json
from typing import Any

import trio

from daemon.sandbox.asgi import Receive, Send, wait_disconnect
from daemon.sandbox.model_generation import Generation, ModelCall

STREAM_END = {"type": "http.response.body", "body": b"", "more_body": False}


async def watch_client(call: ModelCall, receive: Receive, nursery: trio.Nursery) -> None:
    """Cancel `nursery` when the client hangs up. Ends then, or cancelled with the answer's end."""
    await wait_disconnect(receive)
    call.disconnects += 1
    nursery.cancel_scope.cancel()


async def send_events(
    send: Send, generation: Generation, start: int, *, cut_after: int | None = None
) -> bool:
    """Stream the events from number `start` on, as they come; return True if none was withheld.

    The end of the stream is left to the caller: while it is sent, the server already reports the
    client as gone. Left out, it makes hypercorn close the connection, which is the cut.
    """
    await start_stream(send)
    index = start
    while index != cut_after:
        event = await generation.wait_event(index)
        if event is None:
            return True
        chunk = event_bytes(event)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        index += 1
    return False


async def start_stream(send: Send) -> None:
    """Send the head of an event stream."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def event_bytes(event: dict[str, Any]) -> bytes:
    """Return an event as server-sent events carry it."""
    data = json.dumps(event, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data}\n\n".encode()
