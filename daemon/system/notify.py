"""Telling systemd how we are: the sd_notify protocol, one datagram a message.

Protocol: sd_notify(3). Without NOTIFY_SOCKET in the environment nothing is sent.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping

import trio

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


EXTEND_SECONDS = 30.0
"""A start that is at work asks for so much time, three times as often as it must."""


async def keep_extending(notify: Notify) -> None:
    """Let systemd wait longer for the end of a long start. Runs until cancelled.

    A large store may take minutes to be brought up to date and checked. Nothing is sent in the
    first seconds, and nothing while the event loop stands.
    """
    while True:
        await trio.sleep(EXTEND_SECONDS / 3)
        notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000:.0f}")


def reloading_notice() -> str:
    """What systemd is told when a reload begins; READY=1 ends it."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return f"RELOADING=1\nMONOTONIC_USEC={microseconds}"
