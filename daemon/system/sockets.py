"""Listening sockets that the service manager opened and holds for us (socket activation).

The protocol is that of sd_listen_fds(3): ``LISTEN_PID`` names the process they are meant for,
``LISTEN_FDS`` counts them, and their descriptors begin at 3.
"""

import os
from collections.abc import Mapping

from daemon.errors import SettingsError

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START of sd-daemon.h."""


def inherited_listeners(environ: Mapping[str, str], pid: int) -> list[str]:
    """Return the addresses (``fd://3`` …) of the sockets handed to us; none if there are none.

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
    """Return the descriptors that `environ` hands to the process `pid`, without touching them.

    Sockets for another process, such as our parent, are not ours: none. Raises SettingsError if the
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
