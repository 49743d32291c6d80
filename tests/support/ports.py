"""Ports that a test gives to a server which is started later, or is to refuse connections."""

import socket
from typing import Final

PORTS: Final = range(12_000, 32_000)
"""Below those that Linux gives to whoever asks for any (``ip_local_port_range``)."""

_taken: list[socket.socket] = []


def free_port(host: str = "127.0.0.1") -> int:
    """A port without a listener, which no other test gets while this process lives.

    A name among the abstract sockets marks it as taken. Raises OSError if there is none.
    """
    for port in PORTS:
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0recado-port-{port}")
            socket.create_server((host, port)).close()
        except OSError:
            mark.close()
            continue
        _taken.append(mark)
        return port
    raise OSError("all ports of the tests are taken")
