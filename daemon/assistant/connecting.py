"""The connection to the model server, built at its first use and off the event loop."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from daemon.assistant.connection import Connection

CLOSE_SECONDS = 1.0


class LazyConnection:
    """Builds its connection once, on a worker thread. Any number of tasks may ask for it.

    The import takes a second and 25 MB, and the client reads certificates.
    """

    def __init__(self, build: Callable[[], "Connection"]) -> None:
        self._build = build
        self._building = trio.Lock()
        self.built: Connection | None = None
        """The connection, once somebody has asked for it."""

    async def get(self) -> "Connection":
        """Return the connection."""
        async with self._building:
            if self.built is None:
                # Abandoned at a cancellation: an import finishes by itself and serves the next.
                self.built = await trio.to_thread.run_sync(self._build, abandon_on_cancel=True)
        return self.built

    async def aclose(self) -> None:
        """Close the connection if there is one."""
        if self.built is not None:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await self.built.aclose()


def connection_to(*, base_url: str, api_key: str, idle_seconds: float) -> LazyConnection:
    """Return the connection to a server, not yet built; see `daemon.assistant.connection`."""

    def build() -> "Connection":
        module = importlib.import_module("daemon.assistant.connection")
        connection: Connection = module.Connection(
            base_url=base_url, api_key=api_key, idle_seconds=idle_seconds
        )
        return connection

    return LazyConnection(build)
