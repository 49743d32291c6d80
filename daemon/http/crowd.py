"""Who is connected, and who has to go when there is no room: strangers first, the oldest first.

A stranger is a connection that never carried a valid secret or cookie. However many there are, one
that has just come is let in, so a webhook never waits until strangers leave.
"""

from typing import Protocol

import trio

from daemon.http.asgi import Log
from daemon.http.client_address import neighbourhood
from daemon.observability.events import CROWDED


class Guest(Protocol):
    """A connection, as far as room is concerned."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def is_exempt(self) -> bool:
        """True if it stands for many clients, which are not counted together."""

    @property
    def idle_since(self) -> float | None:
        """When its last request ended; None while one is under way."""

    def abort(self) -> None:
        """Close at once."""


class Crowd:
    """All connections of one server. Used in its tasks alone."""

    def __init__(self, *, most: int, strangers_per_address: int, log: Log) -> None:
        self._most = most
        self._most_of_one = strangers_per_address
        self._log = log
        self._strangers: dict[Guest, None] = {}
        """Oldest first."""
        self._by_address: dict[str, dict[Guest, None]] = {}
        """The strangers of each address, oldest first; those that are exempt are in none."""
        self._known: dict[Guest, None] = {}
        self._change: trio.Event | None = None
        """Somebody waits for this because all connections have a request of a known client."""

    async def room(self) -> None:
        """Wait until a connection can be let in."""
        while self._is_full and not self._strangers and self._oldest_idle() is None:
            self._change = self._change or trio.Event()
            await self._change.wait()

    def enter(self, guest: Guest) -> None:
        """Let a connection in as a stranger, and somebody out for it if that must be."""
        name = neighbourhood(guest.address)
        neighbours = self._by_address.get(name, {})
        if len(neighbours) >= self._most_of_one:
            self._put_out(next(iter(neighbours)), "address")
        if self._is_full:
            oldest = next(iter(self._strangers), None) or self._oldest_idle()
            if oldest is not None:
                self._put_out(oldest, "server")
        self._strangers[guest] = None
        if not guest.is_exempt:
            self._by_address.setdefault(name, {})[guest] = None

    def proved(self, guest: Guest) -> None:
        """Note that a connection has carried a valid secret or cookie."""
        if guest in self._strangers:
            self._forget(guest)
            self._known[guest] = None

    def fell_idle(self) -> None:
        """Note that a request has ended."""
        if self._change is not None:
            self._change.set()
            self._change = None

    def leave(self, guest: Guest) -> None:
        """Note that a connection is over."""
        self._forget(guest)
        self.fell_idle()

    @property
    def _is_full(self) -> bool:
        return len(self._strangers) + len(self._known) >= self._most

    def _oldest_idle(self) -> Guest | None:
        """The known connection that has been idle longest."""
        idle = ((guest.idle_since, guest) for guest in self._known)
        since = [(at, guest) for at, guest in idle if at is not None]
        return min(since, key=lambda pair: pair[0])[1] if since else None

    def _put_out(self, guest: Guest, full: str) -> None:
        self._forget(guest)
        guest.abort()
        self._log.event(CROWDED, full=full, address=guest.address)

    def _forget(self, guest: Guest) -> None:
        self._strangers.pop(guest, None)
        self._known.pop(guest, None)
        name = neighbourhood(guest.address)
        neighbours = self._by_address.get(name, {})
        neighbours.pop(guest, None)
        if not neighbours:
            self._by_address.pop(name, None)
