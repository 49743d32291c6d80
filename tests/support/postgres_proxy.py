"""A proxy in front of PostgreSQL that cuts a connection during COMMIT."""

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
COMMIT = b"COMMIT\x00"
CUT_BEFORE, CUT_AFTER = "SELECT 'cut before'", "SELECT 'cut after'"
"""Statements that ask for their own connection to be cut at its next COMMIT."""

MARKS = {CUT_BEFORE.encode() + b"\x00": "before", CUT_AFTER.encode() + b"\x00": "after"}


class Proxy:
    """Passes connections on to a server's socket, as long as it is told to."""

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.refuses = False
        """Whether new connections are closed at once."""
        self.flows = threading.Event()
        """Unset: nothing passes in any direction, and nobody is told."""
        self.flows.set()
        self.commits = 0
        """How many COMMITs have come."""
        self.over = threading.Event()
        """Set once the server has done, or not got, the COMMIT that was cut off."""
        self._cut = ""
        self._clients: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next_commit(self, *, arrives: bool, refuses: bool = False) -> None:
        """Cut the connection at the next COMMIT, before or after the server has carried it out.

        With ``refuses``, no new connection is taken from then on.
        """
        self.over.clear()
        self._cut = ("after" if arrives else "before") + (" refuse" if refuses else "")

    def outage(self) -> None:
        """Cut all connections, and take no new ones until `refuses` is unset."""
        self.refuses = True
        for client in tuple(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._server / SOCKET))
            back = threading.Thread(target=_copy, args=[server, client, self.flows], daemon=True)
            first, marked = True, ""
            back.start()
            self._clients.add(client)
            while (message := _message(client, first=first)) is not None:
                if message[5:] in MARKS:
                    marked = MARKS[message[5:]]
                elif message[5:] == COMMIT:
                    self.commits += 1
                    cut, self._cut = self._cut or marked, ""
                    if cut:
                        self.refuses = cut.endswith("refuse")
                        self._cut_at(client, server, back, message if "after" in cut else b"")
                        self.over.set()
                        break
                self.flows.wait()
                server.sendall(message)
                first = False
            self._clients.discard(client)

    @staticmethod
    def _cut_at(
        client: socket.socket, server: socket.socket, back: threading.Thread, message: bytes
    ) -> None:
        """End a connection, without or with what the client has sent last."""
        client.shutdown(socket.SHUT_RDWR)
        if message:
            server.sendall(message)
        # The server carries out what it has before it notices that nobody is there.
        server.shutdown(socket.SHUT_WR)
        back.join()


def _message(client: socket.socket, *, first: bool) -> bytes | None:
    """Read one message of the protocol; the first one has no type. None at the end."""
    head = _exactly(client, 4 if first else 5)
    if head is None:
        return None
    rest = _exactly(client, int.from_bytes(head[-4:], "big") - 4)
    return None if rest is None else head + rest


def _exactly(client: socket.socket, size: int) -> bytes | None:
    found = b""
    while len(found) < size:
        chunk = client.recv(size - len(found))
        if not chunk:
            return None
        found += chunk
    return found


def _copy(source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
    """Pass on what the server says until it ends; what nobody reads is dropped."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            flows.wait()
            with contextlib.suppress(OSError):
                target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_before(server: Path) -> Iterator[Proxy]:
    """Run a proxy in front of the server whose socket is in a folder."""
    folder = Path(tempfile.mkdtemp(prefix="recado-proxy-"))  # short: a socket's path has 107 bytes
    proxy = Proxy(server, folder)
    try:
        yield proxy
    finally:
        proxy.close()
        shutil.rmtree(folder)
