"""What the apps of the edge know of the connection that a request came by."""

from collections.abc import Callable, Mapping
from typing import Any

import trio

from daemon.http.client_address import Networks, client_address, is_within, read_address

VISIT = "recado.visit"
"""The key of a scope under which the server puts the `Visit`."""


class Visit:
    """One connection, as the apps see it. Made by the connection, used in its tasks alone."""

    __slots__ = ("_left", "_on_proof", "_proxies", "is_proven", "peer", "through_proxy")

    def __init__(self, peer: str, proxies: Networks, on_proof: Callable[[], None]) -> None:
        """``peer``: the other end's address. ``on_proof`` is told of the first right secret."""
        address = read_address(peer)
        self.peer = str(address or peer)
        self.through_proxy = address is not None and is_within(address, proxies)
        """True if the other end is a trusted proxy, which says for whom it asks."""
        self.is_proven = False
        """True once a request here carried a valid secret or cookie."""
        self._proxies = proxies
        self._on_proof = on_proof
        self._left = trio.Event()

    def address(self, scope: Mapping[str, Any]) -> str:
        """The client's address, of a request of this connection."""
        if not self.through_proxy:
            return self.peer
        return client_address(self.peer, scope["headers"], self._proxies)

    def prove(self) -> None:
        """Note that a request here carried a valid secret or cookie."""
        if not self.is_proven:
            self.is_proven = True
            self._on_proof()

    async def hold_up(self, seconds: float) -> None:
        """Let the client wait, but not when the server stops or has closed the connection."""
        with trio.move_on_after(seconds):
            await self._left.wait()

    def leave(self) -> None:
        """Hold nothing up any more; called by the connection."""
        self._left.set()


def visit_of(scope: Mapping[str, Any]) -> Visit:
    """The connection that a request came by; a new one if no server of ours has put it there."""
    visit: Visit | None = scope.get(VISIT)
    if visit is None:
        visit = Visit((scope.get("client") or ("",))[0], (), lambda: None)
    return visit
