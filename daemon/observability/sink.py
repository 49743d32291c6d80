"""Writes finished lines to a stream without ever failing or holding up the caller."""

import os
import select
import stat
import threading
from typing import TextIO

PATIENCE_MS = 50
"""How long a full pipe is waited for, once; a reader that is alive empties it sooner."""

_CHUNK_BYTES = select.PIPE_BUF
"""A pipe that is ready takes this much without blocking (pipe(7), poll(2))."""


class LineSink:
    """The end of the log: one line in, one line out, or ``lost`` counts it.

    A blocked or closed standard error must stop neither the event loop nor a turn, so a descriptor
    is asked first whether it would take more. May be called from any thread.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.descriptor = _descriptor_of(stream)
        """The stream's file descriptor; None for a stream in memory."""
        self._mutex = threading.Lock()
        self._poll = select.poll()
        self._is_file = self.descriptor is not None and _is_file(self.descriptor)
        if self.descriptor is not None:
            self._poll.register(self.descriptor, select.POLLOUT)
        self._cut = False
        self.lost = 0
        """Lines lost since the last one that was written."""

    def write(self, line: bytes) -> None:
        """Write ``line`` and a line break."""
        with self._mutex:
            try:
                written = self._write(line + b"\n")
            except (OSError, ValueError):  # closed, broken, or no longer there
                written = False
            self.lost = 0 if written else self.lost + 1

    def _write(self, data: bytes) -> bool:
        if self.descriptor is None:
            self._stream.write(data.decode("utf-8", "backslashreplace"))
            self._stream.flush()
            return True
        # A line that was cut short is ended first, so that the next one stands alone.
        if self._cut:
            data = b"\n" + data
        started = False
        while data:
            if not self._is_ready():
                self._cut = self._cut or started
                return False
            data = data[os.write(self.descriptor, data[:_CHUNK_BYTES]) :]
            started = True
        self._cut = False
        return True

    def _is_ready(self) -> bool:
        # A file is always ready (poll(2)). After a loss nobody waits again until there is room.
        return self._is_file or bool(self._poll.poll(0 if self.lost else PATIENCE_MS))


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError):  # a stream in memory
        return None
    return descriptor


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:  # closed already
        return False
