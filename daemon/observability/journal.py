"""Writes events to systemd's journal in its native protocol (JOURNAL_NATIVE_PROTOCOL).

One datagram an event: ``KEY=value`` lines, or for a value with line breaks the key, its length as
64 bits little-endian, and the value. What is too large for a datagram goes into a sealed memfd
whose descriptor is passed on (``SCM_RIGHTS``).
"""

import array
import errno
import fcntl
import json
import os
import re
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from daemon.observability.lines import LogRecord, one_line

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

    ``JOURNAL_STREAM`` holds its device and inode (systemd.exec(5)); a program whose standard error
    has been sent elsewhere since must not write to the journal behind the user's back.
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
    """The way to journald; an event goes to ``otherwise`` if it cannot be written.

    Never raises and never waits: if journald is behind, the event goes the other way at once.
    May be called from any thread.
    """

    def __init__(self, path: Path, *, otherwise: Callable[[LogRecord, str], None]) -> None:
        """Open the socket; whether anybody listens at ``path`` shows at each event anew."""
        self._path = str(path)
        self._otherwise = otherwise
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Give the socket back; later events go the other way."""
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
