"""The simulated server's ears and voice: a fixed transcript, and silence that players play."""

import struct
from typing import Any

from daemon.sandbox.asgi import Answer, json_answer
from daemon.sandbox.model_wire import Refusal

UPLOAD_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm")
SPOKEN_CHARACTERS_PER_SECOND = 15

OPUS_RATE = 48_000
OPUS_SILENCE = b"\xf8\xff\xfe"
"""One packet of 20 ms mono silence: CELT, full band (RFC 6716, section 3.1)."""

OPUS_PACKET_SAMPLES = 960
PACKETS_PER_PAGE = 50

MP3_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)
"""One MPEG-1 Layer III frame, 128 kbit/s at 44.1 kHz, mono, all zeros: 26 ms of silence."""

MP3_FRAME_SECONDS = 1152 / 44_100
WAV_RATE = 8_000

CONTENT_TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg", "wav": "audio/wav"}


def transcription_answer(form: bytes, transcript: str) -> Answer:
    """Answer a multipart upload; only the file's name is looked at, as far as it must be right."""
    _, found, rest = form.partition(b'filename="')
    name = rest.partition(b'"')[0].decode(errors="replace")
    if not found or name.rpartition(".")[2].lower() not in UPLOAD_ENDINGS:
        text = f"Invalid file format. Supported formats: {list(UPLOAD_ENDINGS)}"
        return json_answer(Refusal(400, text, None, "file").body(), 400)
    return json_answer({"text": transcript})


def speech_answer(body: dict[str, Any]) -> Answer:
    """Answer with silence as long as the text would take to be spoken."""
    text, audio_format = str(body.get("input") or ""), str(body.get("response_format") or "mp3")
    if not text or len(text) > 4096 or audio_format not in CONTENT_TYPES:
        return json_answer(Refusal(400, "Invalid 'input' or 'response_format'.").body(), 400)
    seconds = len(text) / SPOKEN_CHARACTERS_PER_SECOND
    content = silence(audio_format, seconds)
    return Answer(200, content, CONTENT_TYPES[audio_format])


def silence(audio_format: str, seconds: float) -> bytes:
    """Return a file of about that much silence; raises KeyError for a format unknown here."""
    makers = {"mp3": _mp3, "opus": _ogg_opus, "wav": _wav}
    return makers[audio_format](seconds)


def _mp3(seconds: float) -> bytes:
    return MP3_FRAME * max(1, round(seconds / MP3_FRAME_SECONDS))


def _wav(seconds: float) -> bytes:
    data = bytes([128]) * round(seconds * WAV_RATE)
    head = struct.pack("<IHHIIHH", 16, 1, 1, WAV_RATE, WAV_RATE, 1, 8)
    tail = b"fmt " + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(tail)) + b"WAVE" + tail


def _ogg_opus(seconds: float) -> bytes:
    """Write Opus in Ogg (RFC 3533 and RFC 7845): two header pages, then pages of a second each."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, OPUS_RATE, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 6) + b"recado" + struct.pack("<I", 0)
    left = max(1, round(seconds * OPUS_RATE / OPUS_PACKET_SAMPLES))
    pages = [_page([head], 0, 0, flags=2), _page([tags], 1, 0)]
    position = 0
    while left:
        count = min(left, PACKETS_PER_PAGE)
        left -= count
        position += count * OPUS_PACKET_SAMPLES
        last = 0 if left else 4
        pages.append(_page([OPUS_SILENCE] * count, len(pages), position, flags=last))
    return b"".join(pages)


def _page(packets: list[bytes], number: int, position: int, *, flags: int = 0) -> bytes:
    """Return one Ogg page of whole packets, each shorter than 255 bytes."""
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 1, number, 0)
    body = bytes([len(packets), *map(len, packets)]) + b"".join(packets)
    return head[:22] + struct.pack("<I", _checksum(head + body)) + body


def _checksum(data: bytes) -> int:
    """Return Ogg's CRC-32: polynomial 0x04c11db7, not reflected, starting at 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return crc
