"""Messages between systemd and the daemon: readiness, watchdog, inherited sockets.

Protocols: sd_notify(3), one datagram a message, nothing without NOTIFY_SOCKET in the environment;
sd_watchdog_enabled(3): without a message in time systemd sends SIGABRT and starts the daemon again;
sd_listen_fds(3): ``LISTEN_PID`` names the process that the sockets are for, ``LISTEN_FDS`` counts
them, and their descriptors begin at 3.
"""

import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from daemon.errors import SettingsError
from daemon.observability.logs import Log

Notify = Callable[[str], None]
"""Sends lines such as ``READY=1``; never raises and never waits."""


def notifier(environ: Mapping[str, str]) -> Notify:
    """The function that notifies systemd, or one that does nothing without NOTIFY_SOCKET."""
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
"""The time that a long start asks for, three times as often as it must."""


async def keep_extending(notify: Notify) -> None:
    """Ask systemd to wait longer for the end of a long start. Runs until cancelled.

    A large store may take minutes to migrate and check. Nothing is sent in the first seconds, and
    nothing while the event loop is blocked.
    """
    while True:
        await trio.sleep(EXTEND_SECONDS / 3)
        notify(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000:.0f}")


def reloading_notice() -> str:
    """The notice that a reload begins; READY=1 ends it."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return f"RELOADING=1\nMONOTONIC_USEC={microseconds}"


# -- the watchdog ----------------------------------------------------------------------------------


FEEDS = 3
"""Within the time that systemd allows, so that one late notice does no harm."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that one part of the daemon makes progress."""

    of: str
    """The part, as the log names it."""
    show: Callable[[], Awaitable[bool]]
    """Returns False if the part makes no progress; does not return if it hangs."""


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog interval of systemd for this process; None: it has none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    return int(microseconds) / 1_000_000


async def keep_feeding(
    seconds: float | None, signs: Sequence[Sign], notify: Notify, log: Log
) -> None:
    """Feed the watchdog every third of ``seconds``, if all parts show their signs in that time.

    That this task runs is the sign of the event loop. Runs until cancelled; ends at once if
    ``seconds`` is None.
    """
    if seconds is None:
        return
    interval = seconds / FEEDS
    while True:
        begun = trio.current_time()
        silent = ""
        for sign in signs:
            silent = sign.of
            with trio.move_on_at(begun + interval):
                if await sign.show():
                    silent = ""
            if silent:
                break
        if silent:
            log.error("the watchdog is not fed", silent=silent)
        else:
            notify("WATCHDOG=1")
        await trio.sleep_until(begun + interval)


# -- inherited sockets -----------------------------------------------------------------------------


FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START of sd-daemon.h."""


def inherited_listeners(environ: Mapping[str, str], pid: int) -> list[str]:
    """Return the addresses (``fd://3`` …) of the inherited sockets; empty without any.

    Each is marked close-on-exec, so that no child process keeps it. Call it once, before any child
    is started. Raises SettingsError if the environment contradicts itself or a socket is not open.
    """
    descriptors = inherited_descriptors(environ, pid)
    for descriptor in descriptors:
        try:
            os.set_inheritable(descriptor, False)
        except OSError as error:
            raise SettingsError(
                [f"LISTEN_FDS: descriptor {descriptor} cannot be used: {error.strerror}"]
            ) from error
    return [f"fd://{descriptor}" for descriptor in descriptors]


def inherited_descriptors(environ: Mapping[str, str], pid: int) -> list[int]:
    """Return the descriptors that `environ` names for the process `pid`, without touching them.

    Empty if they are for another process, such as our parent. Raises SettingsError if the
    environment contradicts itself.
    """
    if _number(environ, "LISTEN_PID") != pid:
        return []
    count = _number(environ, "LISTEN_FDS") or 0
    names = environ.get("LISTEN_FDNAMES")
    if names is not None and len(names.split(":")) != count:
        raise SettingsError([f"LISTEN_FDNAMES: does not name {count} sockets, as LISTEN_FDS says"])
    return list(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count))


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise SettingsError([f"{name}: is not a number"])
    return int(text)
