"""Telling systemd how we are: the sd_notify protocol, one datagram a message.

Protocol: sd_notify(3). Without NOTIFY_SOCKET in the environment nothing is sent.
"""

import contextlib
import socket
from collections.abc import Callable, Mapping

Notify = Callable[[str], None]
"""Sends lines such as ``READY=1``; never raises and never waits."""


def notifier(environ: Mapping[str, str]) -> Notify:
    """The way to systemd that the environment names, or one that leads nowhere."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda _message: None
    if address.startswith("@"):
        address = "\0" + address[1:]

    def send(message: str) -> None:
        # A manager that does not listen must not stop the daemon.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.setblocking(False)
            channel.sendto(message.encode(), address)

    return send
