"""The numbered record of what happened, for whoever waits for it or shows it live."""

from collections import deque
from dataclasses import dataclass

import trio

from daemon.domain.messages import JsonObject


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; ``number`` counts from 1 without gaps."""

    number: int
    kind: str
    data: JsonObject


class Journal:
    """The latest `limit` entries, and a way to wait for the next.

    Readers keep their own place in it. Nothing is queued for them, so a slow reader costs nothing;
    one that falls behind what is kept is told so and starts again from a snapshot.
    """

    def __init__(self, limit: int = 2000) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._changed = trio.Event()
        self.last_number = 0
        """Number of the newest entry, 0 if there is none yet."""

    def write(self, kind: str, data: JsonObject) -> None:
        """Add an entry and wake all who wait."""
        self.last_number += 1
        self._entries.append(Entry(self.last_number, kind, data))
        self._changed.set()
        self._changed = trio.Event()

    def since(self, number: int) -> list[Entry] | None:
        """Return the entries after `number`, or None if some of them are no longer kept."""
        missing = self.last_number - number
        if missing < 0 or missing > len(self._entries):
            return None
        return [entry for entry in self._entries if entry.number > number]

    async def wait_change(self) -> None:
        """Wait for the next entry."""
        await self._changed.wait()
