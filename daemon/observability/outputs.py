"""Outputs of the log: readable lines, JSON, or systemd's journal.

The journal has a native protocol (JOURNAL_NATIVE_PROTOCOL), one datagram an event: ``KEY=value``
lines, or for a value with line breaks the key, its length as 64 bits little-endian, and the value.
An entry that is too large for a datagram goes into a sealed memfd, whose descriptor is sent
(``SCM_RIGHTS``).
"""

import array
import errno
import fcntl
import json
import os
import re
import select
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from daemon.observability.lines import LogRecord, human_line, json_line, one_line

# -- systemd's journal -----------------------------------------------------------------------------


SOCKET = Path("/run/systemd/journal/socket")
"""Where journald listens (systemd-journald.service(8))."""

PRIORITIES = {"debug": b"7", "info": b"6", "warning": b"4", "error": b"3", "critical": b"2"}
"""Syslog's levels (syslog(3))."""

MAX_NAME = 64
"""Longer names of fields are refused by journald."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """True if a descriptor is the stream that systemd connected to the journal.

    ``JOURNAL_STREAM`` holds its device and inode (systemd.exec(5)). A program whose standard error
    was redirected since then must not write to the journal.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def journal_entry(record: LogRecord, chat_hash: str) -> bytes:
    """Write one event as journald wants it; the chat by ``chat_hash`` alone, empty if unknown.

    A traceback is part of the message, so that ``journalctl`` shows it.
    """
    message = one_line(record.line)
    if "exception" in record.fields:
        message += f"\n{record.fields['exception']}"
    lines = [
        _field(b"MESSAGE", message),
        b"MESSAGE_ID=" + record.kind.message_id.encode(),
        b"PRIORITY=" + PRIORITIES[record.level],
        b"SYSLOG_IDENTIFIER=recado",
        _field(b"RECADO_EVENT", record.event),
    ]
    if chat_hash:
        lines.append(b"RECADO_CHAT=" + chat_hash.encode())
    for name, value in record.fields.items():
        if name not in {"chat", "exception"}:
            lines.append(_field(_name(name), value if isinstance(value, str) else _json(value)))
    lines.append(b"")
    return b"\n".join(lines)


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        return json.dumps(value)  # halves of characters, which msgspec does not write


def _name(name: str) -> bytes:
    return f"RECADO_{_NOT_IN_NAMES.sub('_', name.upper())}"[:MAX_NAME].encode()


def _field(name: bytes, text: str) -> bytes:
    value = text.encode("utf-8", "backslashreplace")
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value
    return name + b"=" + value


class JournalSocket:
    """The socket of journald; an event that cannot be written goes to ``otherwise``.

    Never raises and never waits: if journald is behind, the event goes to ``otherwise`` at once.
    May be called from any thread.
    """

    def __init__(self, path: Path, *, otherwise: "Writer") -> None:
        """Open the socket; whether journald listens at ``path`` shows at each event."""
        self._path = str(path)
        self._otherwise = otherwise
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close the socket; later events go to ``otherwise``."""
        self._socket.close()

    def write(self, record: LogRecord, chat_hash: str) -> None:
        """Write one event; ``chat_hash`` names its chat, empty if it has none."""
        try:
            self._send(journal_entry(record, chat_hash))
        except OSError:
            self._otherwise(record, chat_hash)

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_sealed(entry)

    def _send_sealed(self, entry: bytes) -> None:
        memory = os.memfd_create("recado-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(entry)
            while view:
                view = view[os.write(memory, view) :]
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(memory)


# -- the stream ------------------------------------------------------------------------------------


PATIENCE_MS = 50
"""How long to wait for a full pipe, once; a live reader empties it sooner."""

_CHUNK_BYTES = select.PIPE_BUF
"""A pipe that is ready takes this much without blocking (pipe(7), poll(2))."""


class LineSink:
    """Writes each line, or counts it as ``lost``.

    A blocked or closed standard error must stop neither the event loop nor a turn, so the
    descriptor is polled before each write. May be called from any thread.
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
        self._gathered: list[bytes] | None = None
        """Lines of a block of `together`."""
        self.lost = 0
        """Lines lost since the last one that was written."""

    def write(self, line: bytes) -> None:
        """Write ``line`` and a line break."""
        with self._mutex:
            if self._gathered is None:
                self._write_lines([line])
            else:
                self._gathered.append(line)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write the lines of the block at its end, with few system calls. No task runs meanwhile.

        Each call gives the interpreter's lock away, for which a busy thread then has to wait.
        """
        with self._mutex:
            self._gathered = self._gathered or []
        try:
            yield
        finally:
            with self._mutex:
                lines, self._gathered = self._gathered, None
                for some in _chunks(lines or []):
                    self._write_lines(some)

    def _write_lines(self, lines: list[bytes]) -> None:
        try:
            written = self._write(b"\n".join(lines) + b"\n")
        except (OSError, ValueError):  # closed, broken, or no longer there
            written = False
        self.lost = 0 if written else self.lost + len(lines)

    def _write(self, data: bytes) -> bool:
        if self.descriptor is None:
            self._stream.write(data.decode("utf-8", "backslashreplace"))
            self._stream.flush()
            return True
        # End a line that was cut short first, so that this one starts on a line of its own.
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
        # A file is always ready (poll(2)). After a loss there is no wait until there is room again.
        return self._is_file or bool(self._poll.poll(0 if self.lost else PATIENCE_MS))


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lines by as many as a pipe takes at once, so that none of them is lost in part."""
    some: list[bytes] = []
    size = 0
    for line in lines:
        if some and size + len(line) >= _CHUNK_BYTES:
            yield some
            some, size = [], 0
        some.append(line)
        size += len(line) + 1
    if some:
        yield some


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


Format = Literal["auto", "human", "json", "journal"]

Writer = Callable[[LogRecord, str], None]
"""Writes one event; the text is the hash that names its chat to machines, empty if it has none."""


class Output:
    """Takes finished events; never raises, never waits long. May be called from any thread."""

    def __init__(self, sink: LineSink, write: Writer, close: Callable[[], None]) -> None:
        """``write`` may write to the sink; ``close`` closes what else it writes to."""
        self._sink = sink
        self.write = write
        self.close = close
        """Close what was opened here; the stream stays open and may be written to."""

    @property
    def lost(self) -> int:
        """Events lost since the last one that was written."""
        return self._sink.lost

    def together(self) -> AbstractContextManager[None]:
        """Write the events of a block, in which no task waits, with few system calls."""
        return self._sink.together()


def open_output(
    stream: TextIO,
    *,
    format: Format,  # noqa: A002 - the name of the setting
    environ: Mapping[str, str],
    symbols: bool,
    no_color: bool,
    journal: Path = SOCKET,
) -> Output:
    """Choose the output for a stream; see `daemon.observability.logs.open_log`."""
    terminal = stream.isatty()
    sink = LineSink(stream)

    def for_people(record: LogRecord, _chat_hash: str) -> None:
        line = human_line(record, color=terminal and not no_color, symbols=symbols)
        sink.write(line.encode("utf-8", "backslashreplace"))

    def for_machines(record: LogRecord, chat_hash: str) -> None:
        sink.write(json_line(record, chat_hash))

    if format == "auto":
        format = _fitting(sink, environ, terminal=terminal)  # noqa: A001 - see above
    if format == "journal":
        opened = JournalSocket(journal, otherwise=for_machines)
        return Output(sink, opened.write, opened.close)
    return Output(sink, for_people if format == "human" else for_machines, lambda: None)


def _fitting(sink: LineSink, environ: Mapping[str, str], *, terminal: bool) -> Format:
    if terminal:
        return "human"
    in_journal = sink.descriptor is not None and is_journal(environ, sink.descriptor)
    return "journal" if in_journal else "json"
