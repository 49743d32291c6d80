"""The event stream of one response, folded into what became of it. Pure: lines in, state out."""

from typing import Any

import msgspec

from daemon.model import JsonObject

FINAL_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
"""Statuses of a response after which nothing more comes (others: queued, in_progress)."""


class StreamEvent(msgspec.Struct, frozen=True):
    """The fields of an event that matter here; deltas are read past, not kept."""

    type: str = ""
    sequence_number: int | None = None
    response: JsonObject | None = None
    item: JsonObject | None = None
    output_index: int | None = None
    code: str | None = None
    message: str | None = None
    error: JsonObject | None = None


class ResponseReader:
    """What is known of one response from the events read so far, over any number of streams.

    `response_id` is empty until an event names it; `sequence` is the last event's number, as
    `starting_after` wants it; `outcome` is the response object once it is final.
    """

    def __init__(self, response_id: str = "", *, sequence: int = -1) -> None:
        self.response_id = response_id
        self.sequence = sequence
        self.outcome: JsonObject | None = None
        self.unreadable = 0
        """Events that were no JSON of the expected shape."""
        self._items: dict[int, JsonObject] = {}
        self._data: list[str] = []

    def start_stream(self) -> None:
        """Forget the half of an event that a cut stream may have left."""
        self._data.clear()

    def feed(self, line: str) -> None:
        """Take one line of the stream, without its end, as server-sent events are defined."""
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
        elif not line and self._data:
            data = "\n".join(self._data)
            self._data.clear()
            if data != "[DONE]":
                self._take_event(data)

    def take_response(self, body: JsonObject, *, status: str = "") -> None:
        """Take a whole response object, from an event or from a plain GET.

        `status` is what it is if it does not say so itself.
        """
        self.response_id = self.response_id or str(body.get("id") or "")
        status = str(body.get("status") or status)
        if status in FINAL_STATUSES:
            body = {**body, "status": status}
            if not body.get("output") and self._items:
                # Some servers send the items one by one and a last event without them.
                body = {**body, "output": [self._items[n] for n in sorted(self._items)]}
            self.outcome = body

    def _take_event(self, data: str) -> None:
        try:
            event = msgspec.json.decode(data, type=StreamEvent)
        except msgspec.DecodeError:
            self.unreadable += 1
            return
        if event.sequence_number is not None:
            self.sequence = max(self.sequence, event.sequence_number)
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
