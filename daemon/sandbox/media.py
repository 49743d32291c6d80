"""The files behind messages: kept in memory, described as Whapi describes them, and fetched again.

A file is fetched by its id with the token (``GET /media/{id}``), or by a link without one, as from
the file host that Whapi's links lead to.
"""

import base64
import binascii
import hashlib
import mimetypes
import random
import re
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.opus import spoken_seconds
from daemon.sandbox import samples
from daemon.sandbox.asgi import Answer, Request, Upload, error_answer
from daemon.sandbox.ledger import Ledger, StoredMedia

PREVIEW_BYTES = 30_000
"""Pictures up to this size are their own preview."""

_ENDINGS = {
    "audio/ogg": "oga",
    "audio/mpeg": "mp3",
    "image/jpeg": "jpeg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/plain": "txt",
}
"""The endings of Whapi's ids and links that are not the second half of the MIME type."""


class MediaFiles:
    """Keeps files, and answers the requests for them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        rng: random.Random,
        now: Callable[[], float],
        has_link: Callable[[str], bool],
    ) -> None:
        """`has_link` says whether the channel fetches a medium by itself (``auto_download``)."""
        self.base_url = ""
        """Where this gateway is served; links are made only if it is known."""
        self._ledger = ledger
        self._rng = rng
        self._now = now
        self._has_link = has_link
        self._fetched: dict[str, str] = {}

    def keep(self, upload: Upload) -> str:
        """Keep a file and return its id, in Whapi's form: ending, hash, suffix."""
        digest = hashlib.sha256(upload.data).digest()
        suffix = f"{self._rng.getrandbits(56):014x}"
        media_id = f"{ending_of(upload.mime_type)}-{digest.hex()[:20]}-{suffix}"
        self._ledger.media[media_id] = StoredMedia(
            upload.mime_type, upload.data, upload.file_name, self._now()
        )
        return media_id

    def describe(self, media_id: str, medium: str, *, link: bool | None = None) -> JsonObject:
        """Return how a message describes its file; `link` overrules the channel's setting.

        Raises KeyError for an unknown id.
        """
        media = self._ledger.media[media_id]
        digest = base64.b64encode(hashlib.sha256(media.data).digest()).decode()
        content: JsonObject = {
            "id": media_id,
            "mime_type": media.mime_type,
            "file_size": len(media.data),
            "sha256": digest,
            "timestamp": int(media.stored_at),
        }
        if media.file_name:
            content["file_name"] = media.file_name
        if self.base_url and (self._has_link(medium) if link is None else link):
            content["link"] = f"{self.base_url}/files/{media_id}.{ending_of(media.mime_type)}"
        return content | _looks(media, medium)

    def preview_of(self, sample: str) -> str:
        """Return a sample picture as the preview of something else."""
        return f"data:image/jpeg;base64,{base64.b64encode(samples.read(sample)).decode()}"

    def known_by(self, link: str) -> str:
        """Return the id of the file behind a link: one of ours, or one fetched; else empty."""
        if self.base_url and link.startswith(f"{self.base_url}/files/"):
            return urlsplit(link).path.rpartition("/")[2].partition(".")[0]
        return self._fetched.get(link, "")

    def keep_fetched(self, link: str, upload: Upload) -> None:
        """Keep the file that a link led to."""
        self._fetched[link] = self.keep(upload)

    def stand_in(self, link: str) -> JsonObject:
        """Return how a message describes a file that is elsewhere and was not fetched."""
        mime_type = mimetypes.guess_type(urlsplit(link).path)[0] or "application/octet-stream"
        digest = hashlib.sha256(link.encode()).hexdigest()
        media_id = f"{ending_of(mime_type)}-{digest[:20]}-{digest[20:34]}"
        return {"id": media_id, "mime_type": mime_type, "file_size": 0, "link": link}

    def get(self, _request: Request, media_id: str) -> Answer:
        """GET /media/{id}: the file itself."""
        media = self._ledger.media.get(media_id)
        if media is None:
            return error_answer(404, "Specified media not found")
        return Answer(200, media.data, media.mime_type)

    def get_linked(self, _request: Request, name: str) -> Answer:
        """GET /files/{name}: the file of a link, to anybody who knows it."""
        media = self._ledger.media.get(name.partition(".")[0])
        if media is None:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        return Answer(200, media.data, media.mime_type)


def upload_of(fields: JsonObject) -> Upload | None:
    """Return the file in a request's ``media``: a data URI or base64; None if it is neither."""
    media, mime_type = str(fields.get("media")), str(fields.get("mime_type") or "")
    file_name = str(fields.get("filename") or "")
    if media.startswith("data:"):
        head, _, media = media.partition(",")
        mime_type = mime_type or head.removeprefix("data:").removesuffix(";base64")
        mime_type, _, named = mime_type.partition(";name=")
        file_name = file_name or named
    try:
        data = base64.b64decode(media, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Upload(data, mime_type or "application/octet-stream", file_name)


def ending_of(mime_type: str) -> str:
    """Return a file's ending for a type, letters and digits alone."""
    plain = mime_type.partition(";")[0].strip()
    return _ENDINGS.get(plain) or re.sub(r"\W", "", plain.rpartition("/")[2]) or "file"


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, JPEG or WebP; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data.startswith(b"RIFF") and data[12:16] == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if data.startswith(b"RIFF") and data[12:16] == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk a JPEG's segments to its frame header (ITU T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xC3:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def _looks(media: StoredMedia, medium: str) -> JsonObject:
    """Return the fields that depend on what the file is: size, length, preview."""
    looks: JsonObject = {}
    if size := picture_size(media.data):
        looks |= {"width": size[0], "height": size[1]}
        if medium in {"image", "sticker"} and len(media.data) <= PREVIEW_BYTES:
            kind = media.mime_type.partition(";")[0]
            looks["preview"] = f"data:{kind};base64,{base64.b64encode(media.data).decode()}"
    if medium in {"voice", "audio"}:
        looks["seconds"] = max(1, spoken_seconds(media.data))
    if medium == "sticker":
        looks["animated"] = False
    return looks
