"""Reads the event stream of one response into its outcome. Pure: bytes in, state out.

The format is that of server-sent events (https://html.spec.whatwg.org, 9.2): UTF-8, lines that end
with CR, LF or both, and a blank line after each event. A Unicode line separator does not end a
line; it may occur in a customer's words.
"""

from typing import Any

import msgspec

from daemon.domain.messages import JsonObject

FINAL_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
"""Statuses of a response after which nothing more comes (others: queued, in_progress)."""

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""A longer event is dropped unread; a response with pictures in it has a few megabytes."""


class StreamEvent(msgspec.Struct, frozen=True):
    """The fields of an event that matter here; deltas are skipped."""

    type: str = ""
    sequence_number: int | None = None
    response: JsonObject | None = None
    item: JsonObject | None = None
    output_index: int | None = None
    code: str | None = None
    message: str | None = None
    error: JsonObject | None = None


class Lines:
    """The lines of a stream that comes in parts, without line ends."""

    def __init__(self) -> None:
        self.waiting = 0
        """Bytes of a line that has not ended yet."""
        self._begun: list[bytes] = []
        self._after_cr = False

    def ended_by(self, part: bytes) -> list[bytes]:
        """Return the lines that end in the next part of the stream."""
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]  # the second half of a CR LF
            self._after_cr = False
        if not part:
            return []
        lines = part.splitlines()
        self._after_cr = part.endswith(b"\r")
        rest = b"" if part.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._begun:
            lines[0] = b"".join((*self._begun, lines[0]))
            self._begun.clear()
            self.waiting = 0
        if rest:
            self._begun.append(rest)
            self.waiting += len(rest)
        return lines

    def forget(self) -> None:
        """Drop the line that has not ended; the rest of it is read as a comment."""
        if self._begun:
            self._begun[:] = (b":",)
            self.waiting = 1


_read_event = msgspec.json.Decoder(StreamEvent)


class ResponseReader:
    """The state of one response after the events read so far, from any number of streams.

    `response_id` is empty until an event names it; `sequence` is the last event's number, as
    `starting_after` wants it; `outcome` is the response object once it is final.
    """

    def __init__(self, response_id: str = "", *, sequence: int = -1) -> None:
        self.response_id = response_id
        self.sequence = sequence
        self.outcome: JsonObject | None = None
        self.unreadable = 0
        """Events that were too long, or no JSON of the expected form."""
        self._items: dict[int, JsonObject] = {}
        self._lines = Lines()
        self._data: list[bytes] = []

    def start_stream(self) -> None:
        """Drop the partial event that a cut stream may have left."""
        self._lines = Lines()
        self._data.clear()

    def feed(self, part: bytes) -> None:
        """Take the next bytes of the stream, which may be cut anywhere."""
        for line in self._lines.ended_by(part):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                if data != b"[DONE]":
                    self._take_event(data)
        if self._data or self._lines.waiting:
            self._drop_long_items()

    def take_response(self, body: JsonObject, *, status: str = "") -> None:
        """Take a whole response object, from an event or from a plain GET.

        `status` counts if the object has none.
        """
        self.response_id = self.response_id or str(body.get("id") or "")
        status = str(body.get("status") or status)
        if status in FINAL_STATUSES:
            body = {**body, "status": status}
            if not body.get("output") and self._items:
                # Some servers send the items one by one and a last event without them.
                body = {**body, "output": [self._items[n] for n in sorted(self._items)]}
            self.outcome = body

    def _drop_long_items(self) -> None:
        if self._lines.waiting + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            self._lines.forget()
            self._data[:] = (b"",)  # so that the event is counted when it ends

    def _take_event(self, data: bytes) -> None:
        """Take an event; invalid UTF-8 becomes U+FFFD."""
        try:
            event = _read_event.decode(data)
        except UnicodeDecodeError:
            self._take_event(data.decode("utf-8", "replace").encode())
            return
        except msgspec.DecodeError:
            self.unreadable += 1
            return
        number = event.sequence_number
        if number is not None and number > self.sequence:
            self.sequence = number
        if event.response is not None:
            self.take_response(event.response, status=event.type.removeprefix("response."))
        elif event.type == "response.output_item.done" and event.item is not None:
            index = len(self._items) if event.output_index is None else event.output_index
            self._items[index] = event.item
        elif event.type == "error" or event.error is not None:
            self.outcome = {"status": "failed", "error": _error_of(event)}


def _error_of(event: StreamEvent) -> dict[str, Any]:
    """Return the error of an `error` event; servers put it in the event or one level below."""
    return event.error or {"code": event.code, "message": event.message}
