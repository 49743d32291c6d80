"""Word that a response has ended, from whoever hears of it: the server's webhook."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Notices:
    """Wakes those that wait for a response. What nobody waits for is forgotten at once."""

    def __init__(self) -> None:
        self._waiting: dict[str, trio.Event] = {}

    def ended(self, response_id: str) -> None:
        """A response has ended; never blocks."""
        event = self._waiting.get(response_id)
        if event is not None:
            event.set()

    @contextmanager
    def listening(self, response_id: str) -> Iterator[trio.Event]:
        """Give an event for the end of a response.

        Begin to listen before the response is asked for its state, so that no word falls between.
        """
        event = self._waiting[response_id] = trio.Event()
        try:
            yield event
        finally:
            if self._waiting.get(response_id) is event:
                del self._waiting[response_id]
