"""The folder of media files beside the store, and files that arrive inside a webhook call.

A file is a draft until it is complete and its type is known. Everything here blocks for as long as
the disk takes; callers on the event loop use a thread.

A picture of 37 MB is a JSON string of 50 MB. A decoder that builds the string holds the interpreter
for a tenth of a second and keeps the body twice. So the long strings of a large body are cut out
first, found by their quotes, and only the rest is parsed. Their bytes stay in the body until a
message needs them, and are decoded piece by piece.
"""

import binascii
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.domain.messages import INLINE_MARK
from daemon.domain.records import MEDIA_FOLDER
from daemon.errors import MediaDelayed, MediaRefused
from daemon.media.kinds import HEAD_BYTES, Kind, kind_of
from daemon.system.private_files import make_folder, new_file

FOLDER = MEDIA_FOLDER
"""The folder's name in the data directory."""

DRAFT_PREFIX = ".draft-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the folder; its name is its hash."""

    name: str
    mime: str
    size: int


class Draft:
    """A file that is being written. Exactly one of `keep` and `discard` ends it."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        """``limit``: bytes it may have. Raises MediaDelayed if it cannot be written."""
        self.size = 0
        self._folder = folder
        self._limit = limit
        self._hash = hashlib.sha256()
        self._head = b""
        self._path = folder / f"{DRAFT_PREFIX}{os.urandom(8).hex()}"
        try:
            make_folder(folder)
            self._file = new_file(self._path)
        except OSError as error:
            raise _unwritable(error) from error

    def add(self, chunk: bytes) -> None:
        """Append bytes. Raises MediaRefused above the limit, MediaDelayed at a fault."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise MediaRefused(f"it is larger than {self._limit} bytes")
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._hash.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _unwritable(error) from error

    def keep(self, *, medium: str, declared: str = "") -> StoredFile:
        """Return the file its name, once it is on disk and its type fits the medium.

        Raises MediaRefused if it is of another kind, MediaDelayed at a fault of the disk.
        """
        kind = kind_of(self._head, medium=medium, declared=declared)
        return self._named(kind)

    def _named(self, kind: Kind) -> StoredFile:
        name = f"{self._hash.hexdigest()}.{kind.extension}"
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._folder / name)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unwritable(error) from error
        return StoredFile(name, kind.mime, self.size)

    def keep_unchecked(self, extension: str) -> StoredFile:
        """Return the file its name without checking its type, which `look_at` does later."""
        return self._named(Kind("", extension))

    def discard(self) -> None:
        """Remove the draft; does nothing after it was kept."""
        try:
            self._file.close()
            self._path.unlink(missing_ok=True)
        except OSError:
            return  # retention removes it later


def look_at(folder: Path, name: str, *, medium: str, declared: str) -> StoredFile:
    """Determine the type of a file that is in the folder already. Raises as `Draft.keep` does."""
    path = folder / name
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise MediaRefused(f"its file cannot be read: {error.strerror}") from error
    return StoredFile(name, kind_of(head, medium=medium, declared=declared).mime, size)


def _unwritable(error: OSError) -> MediaDelayed:
    return MediaDelayed(f"the file cannot be written: {error.strerror}")


# -- bytes inside a webhook call -------------------------------------------------------------------


LARGE_BODY_BYTES = 128 * 1024
"""Smaller bodies are parsed whole on the event loop, which takes a millisecond at most."""

BLOCK = 32 * 1024
"""A string of twice this length contains a block without a quote, by which it is found."""

PIECE = 64 * 1024
"""Characters of base64 checked or decoded at once; a multiple of four."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_"
_ESCAPED = b"\\/"
"""Some JSON encoders write every slash like this."""

_LONGEST_HEAD = 200
"""Characters of a data URI before its bytes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A body, the same without its long base64 strings, and where these are."""

    body: bytes
    slim: bytes
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The range of each part in ``body``, by its mark in ``slim``."""


def open_body(body: bytes, *, nonce: str) -> Opened:
    """Cut the long base64 strings out of a JSON text; runs in a worker thread if it is large.

    ``nonce`` is part of the marks, so that no sender can write one. A text that is no JSON before
    is none afterwards.
    """
    parts: dict[str, tuple[int, int]] = {}
    pieces: list[bytes] = []
    done = 0
    for start, end in _long_strings(body):
        mark = f"{INLINE_MARK}{nonce}:{len(parts)}"
        parts[mark] = (start, end)
        pieces += [body[done:start], mark.encode()]
        done = end
    if not parts:
        return Opened(body, body)
    return Opened(body, b"".join([*pieces, body[done:]]), parts)


def _long_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """The ranges of all long strings that are base64, plain or as a data URI."""
    position = 0
    while position + BLOCK <= len(body):
        if body.find(b'"', position, position + BLOCK) >= 0:
            position += BLOCK
            continue
        start = body.rfind(b'"', 0, position) + 1
        end = body.find(b'"', position + BLOCK)
        if end < 0:
            return
        if start and body[start - 2 : start - 1] != b"\\" and _is_base64(body, start, end):
            yield start, end
        position = end + 1


def _is_base64(body: bytes, start: int, end: int) -> bool:
    for left in range(_bytes_start(body, start, end), end, PIECE):
        piece = body[left : min(left + PIECE, end)]
        rest = piece.translate(None, _BASE64)
        if not rest:
            continue
        if set(rest) != {ord("\\")} or not _slashes_only(body, left, min(left + PIECE, end)):
            return False
    return True


def _slashes_only(body: bytes, start: int, end: int) -> bool:
    """Whether each backslash precedes a slash, also the last one, before the next piece.

    A backslash before the closing quote would mean that the string goes on.
    """
    return body.count(b"\\", start, end) == body.count(_ESCAPED, start, end + 1)


def _bytes_start(body: bytes, start: int, end: int) -> int:
    """Where the base64 of a data URI begins, or of a plain string."""
    if not body.startswith(b"data:", start):
        return start
    comma = body.find(b",", start, min(start + _LONGEST_HEAD, end))
    return comma + 1 if comma >= 0 else start


def keep_inline(opened: Opened, source: str, folder: Path, *, limit: int) -> str:
    """Write the bytes that a message came with to a file; returns its name, empty without bytes.

    ``source``: a data URI, or the mark of a part. Blocks; for a worker thread. Raises MediaRefused
    if there are too many or they are no base64, MediaDelayed if they cannot be written.
    """
    if source.startswith(INLINE_MARK):
        part = opened.parts.get(source)
        if part is None:
            return ""  # not one of our marks
        text, (start, end) = opened.body, part
    else:
        text = source.encode("ascii", "replace")
        start, end = 0, len(text)
    draft = Draft(folder, limit=limit)
    try:
        for piece in _decoded(text, _bytes_start(text, start, end), end):
            draft.add(piece)
        return draft.keep_unchecked("bin").name if draft.size else ""
    except binascii.Error as error:
        raise MediaRefused("it is no base64") from error
    finally:
        draft.discard()


def _decoded(text: bytes, start: int, end: int) -> Iterator[bytes]:
    """Decode base64 piece by piece; an incomplete group of four is carried to the next piece."""
    rest = b""
    for left in range(start, end, PIECE):
        piece = text[left : min(left + PIECE, end)].replace(b"\\", b"")
        piece = rest + piece.replace(b"-", b"+").replace(b"_", b"/")
        whole = len(piece) - len(piece) % 4
        piece, rest = piece[:whole], piece[whole:]
        yield binascii.a2b_base64(piece)
    if rest.strip(b"="):
        yield binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))
