"""The type of a file by its bytes, and whether it fits its message. Pure.

The type that a sender or a server declares only counts where the bytes allow it.
"""

from typing import NamedTuple

import puremagic

from daemon.errors import MediaRefused

HEAD_BYTES = 8192
"""The length of a file's beginning that determines its type."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX = f"{_OFFICE}wordprocessingml.document"
PDF = "application/pdf"

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/heic": "heic",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/3gpp": "3gp",
    "video/quicktime": "mov",
    PDF: "pdf",
    DOCX: "docx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}presentationml.presentation": "pptx",
    "application/zip": "zip",
    "text/plain": "txt",
    "text/html": "html",
}
"""File extensions by type; anything else is ``bin``."""

SHOWN_IMAGES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
"""Pictures that the Responses API accepts (OpenAI's guide to images and vision)."""

_IMAGES = ("image/",)
_SOUNDS = ("audio/",)
_FAMILIES = {
    "image": _IMAGES,
    "sticker": _IMAGES,
    "video": ("video/", "image/gif"),
    "gif": ("video/", "image/gif"),
    "short": ("video/",),
    "audio": _SOUNDS,
    "voice": _SOUNDS,
    "ptt": _SOUNDS,
}
"""The types that each medium may have; a document may have any."""

_SAME = {
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/opus": "audio/ogg",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
    "application/ogg": "audio/ogg",
    "image/jpg": "image/jpeg",
    "application/x-zip-compressed": "application/zip",
}
_AS_SOUND = {
    "video/mp4": "audio/mp4",
    "video/webm": "audio/webm",
    "video/ogg": "audio/ogg",
    "video/3gpp": "audio/mp4",
}
"""Containers that look the same with and without video."""

_BRANDS = {b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4"}
_HEIC = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


class Kind(NamedTuple):
    """A type of file: its MIME type and extension."""

    mime: str
    extension: str


def kind_of(head: bytes, *, medium: str, declared: str = "") -> Kind:
    """Determine the type of a file that came as a medium (``image``, ``voice``, ``document`` …).

    ``head``: its first `HEAD_BYTES`. ``declared``: the MIME type that its sender names; it chooses
    among those that the bytes allow. Raises MediaRefused if none of them fits the medium.
    """
    if not head:
        raise MediaRefused("the file is empty")
    wanted = _plain(declared)
    found = _candidates(head)
    family = _FAMILIES.get(medium)
    if family is None:
        return _document(found, wanted, head)
    if family is _SOUNDS:
        found = [_AS_SOUND.get(mime, mime) for mime in found]
    fitting = [mime for mime in found if mime.startswith(family)]
    if not fitting:
        raise MediaRefused(f"it is no {medium} but {found[0] if found else 'something else'}")
    return _named(wanted if wanted in fitting else fitting[0])


def _document(found: list[str], wanted: str, head: bytes) -> Kind:
    if wanted in found:
        return _named(wanted)
    if wanted == PDF or (wanted.startswith(_OFFICE) and "application/zip" not in found):
        raise MediaRefused("it is not a document of the declared type")
    if _is_text(head):
        return _named("text/html" if "text/html" in found else "text/plain")
    return _named(found[0] if found else "application/octet-stream")


def _named(mime: str) -> Kind:
    return Kind(mime, EXTENSIONS.get(mime, "bin"))


def _plain(mime: str) -> str:
    bare = mime.partition(";")[0].strip().lower()
    return _SAME.get(bare, bare)


def _candidates(head: bytes) -> list[str]:
    """The types that the bytes allow, the likeliest first."""
    if sure := _sure(head):
        return sure
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return []
    names = [_plain(match.mime_type) for match in matches if match.mime_type]
    return list(dict.fromkeys(names))


def _sure(head: bytes) -> list[str]:
    """The types of the most frequent files, whose signatures are certain."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIC:
            return ["image/heic"]
        if brand.startswith(b"3gp"):
            return ["video/3gpp"]
        return [_BRANDS.get(brand, "video/mp4")]
    if head.startswith(b"RIFF"):
        by_form = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
        return [by_form.get(head[8:12], "application/octet-stream")]
    if head.startswith(b"PK\x03\x04"):
        inside = [mime for mime in EXTENSIONS if mime.startswith(_OFFICE)]
        # Where in the archive its list of contents is varies, so any of them is possible.
        return ["application/zip", *inside]
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return ["audio/aac" if head[1] & 0xF6 == 0xF0 else "audio/mpeg"]  # ADTS, or a frame
    beginnings = {
        b"\xff\xd8\xff": "image/jpeg",
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"GIF8": "image/gif",
        b"OggS": "audio/ogg",
        b"#!AMR": "audio/amr",
        b"ID3": "audio/mpeg",
        b"fLaC": "audio/flac",
        b"%PDF-": PDF,
        b"\x1aE\xdf\xa3": "video/webm",
    }
    return [mime for beginning, mime in beginnings.items() if head.startswith(beginning)]


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD_BYTES and error.start >= len(head) - 3  # cut in a character
    return True
