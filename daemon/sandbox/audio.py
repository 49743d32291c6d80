"""Voice notes: the simulated model's input and output, and a browser's recordings, as Ogg.

Nothing is decoded. What a browser records (Opus in WebM: RFC 8794, Matroska's SimpleBlocks with one
track and no lacing) moves packet by packet into what WhatsApp sends (Opus in Ogg: RFC 3533 and
RFC 7845).
"""

import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from daemon.sandbox import samples
from daemon.sandbox.asgi import Answer, json_answer
from daemon.sandbox.model_wire import ApiRefusal

UPLOAD_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm")
SPOKEN_CHARACTERS_PER_SECOND = 15

OPUS_RATE = 48_000
OPUS_PACKET_SAMPLES = 960
PACKETS_PER_PAGE = 50

MP3_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)
"""One MPEG-1 Layer III frame, 128 kbit/s at 44.1 kHz, mono, all zeros: 26 ms of silence."""

MP3_FRAME_SECONDS = 1152 / 44_100
WAV_RATE = 8_000
WAVE_SAMPLES = 40
"""Length of one wave of the tone: 200 Hz."""

WORDS = "TRANSCRIPT="
"""Begins the comment that has a voice note's words (RFC 7845, 5.2)."""

CONTENT_TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg", "wav": "audio/wav"}


def transcription_answer(form: bytes, transcript: str) -> Answer:
    """Answer a multipart upload with `transcript`; its file's name must say a format."""
    _, found, rest = form.partition(b'filename="')
    name = rest.partition(b'"')[0].decode(errors="replace")
    if not found or name.rpartition(".")[2].lower() not in UPLOAD_ENDINGS:
        text = f"Invalid file format. Supported formats: {list(UPLOAD_ENDINGS)}"
        return json_answer(ApiRefusal(400, text, None, "file").body(), 400)
    return json_answer({"text": transcript})


def speech_answer(body: dict[str, Any]) -> Answer:
    """Answer with a murmur (as MP3: silence) as long as the text would take to speak."""
    text, audio_format = str(body.get("input") or ""), str(body.get("response_format") or "mp3")
    if not text or len(text) > 4096 or audio_format not in CONTENT_TYPES:
        return json_answer(ApiRefusal(400, "Invalid 'input' or 'response_format'.").body(), 400)
    seconds = len(text) / SPOKEN_CHARACTERS_PER_SECOND
    content = placeholder_sound(audio_format, seconds)
    return Answer(200, content, CONTENT_TYPES[audio_format])


def placeholder_sound(audio_format: str, seconds: float) -> bytes:
    """Return a file of about that length; raises KeyError for a format unknown here."""
    makers = {"mp3": _mp3, "opus": _ogg_opus, "wav": _wav}
    return makers[audio_format](seconds)


def _mp3(seconds: float) -> bytes:
    return MP3_FRAME * max(1, round(seconds / MP3_FRAME_SECONDS))


def _wav(seconds: float) -> bytes:
    wave = bytes(
        round(128 + 40 * math.sin(2 * math.pi * i / WAVE_SAMPLES)) for i in range(WAVE_SAMPLES)
    )
    data = wave * round(seconds * WAV_RATE / WAVE_SAMPLES)
    head = struct.pack("<IHHIIHH", 16, 1, 1, WAV_RATE, WAV_RATE, 1, 8)
    tail = b"fmt " + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(tail)) + b"WAVE" + tail


def _ogg_opus(seconds: float) -> bytes:
    """Write the sample's murmur again and again, in pages of a second each."""
    spoken = _ogg_packets(samples.read(samples.SPEECH))
    count = max(1, round(seconds * OPUS_RATE / OPUS_PACKET_SAMPLES))
    return ogg_opus(list(itertools.islice(itertools.cycle(spoken), count)))


def voice_note(words: str) -> bytes:
    """Return a murmur whose comment has the words, which `words_in` finds."""
    packets = _ogg_packets(samples.read(samples.SPEECH))
    return ogg_opus(packets, comment=f"{WORDS}{words}".encode())


def words_in(data: bytes) -> str:
    """Return the words of a `voice_note` among other bytes; empty if there is none."""
    at = data.find(WORDS.encode())
    if at < 4:
        return ""
    (length,) = struct.unpack("<I", data[at - 4 : at])
    return data[at + len(WORDS) : at + length].decode(errors="replace")


def ogg_opus(packets: Sequence[bytes], *, comment: bytes = b"") -> bytes:
    """Write packets of 20 ms as Opus in Ogg (RFC 3533, RFC 7845): two headers, then the sound."""
    pages = ogg_head(comment)
    for start in range(0, len(packets), PACKETS_PER_PAGE):
        part = packets[start : start + PACKETS_PER_PAGE]
        end = start + len(part)
        last = 4 if end == len(packets) else 0
        pages.append(ogg_page(part, len(pages), end * OPUS_PACKET_SAMPLES, flags=last))
    return b"".join(pages)


def ogg_head(comment: bytes = b"") -> list[bytes]:
    """Return the two pages with which Opus in Ogg begins."""
    comments = [comment] if comment else []
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 312, OPUS_RATE, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 6) + b"recado" + struct.pack("<I", len(comments))
    tags += b"".join(struct.pack("<I", len(one)) + one for one in comments)
    return [ogg_page([head], 0, 0, flags=2), ogg_page([tags], 1, 0)]


def _ogg_packets(data: bytes) -> list[bytes]:
    """Return the sound's packets of an Ogg file whose pages hold whole packets."""
    packets: list[bytes] = []
    at = 0
    while at < len(data):
        count = data[at + 26]
        sizes = data[at + 27 : at + 27 + count]
        at += 27 + count
        for size in sizes:
            packets.append(data[at : at + size])
            at += size
    return packets[2:]


def ogg_page(packets: Sequence[bytes], number: int, position: int, *, flags: int = 0) -> bytes:
    """Return one Ogg page of whole packets, of at most 255 segments (RFC 3533, section 6)."""
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 1, number, 0)
    sizes = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    body = bytes([len(sizes)]) + sizes + b"".join(packets)
    return head[:22] + struct.pack("<I", _checksum(head + body)) + body


def _remainder(crc: int) -> int:
    for _ in range(8):
        crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
    return crc & 0xFFFFFFFF


_REMAINDERS = tuple(_remainder(byte << 24) for byte in range(256))


def _checksum(data: bytes) -> int:
    """Return Ogg's CRC-32: polynomial 0x04c11db7, not reflected, starting at 0."""
    crc = 0
    for byte in data:
        crc = (crc << 8) & 0xFFFFFFFF ^ _REMAINDERS[crc >> 24 ^ byte]
    return crc


_SEGMENT, _CLUSTER, _SIMPLE_BLOCK, _TRACKS = 0x18538067, 0x1F43B675, 0xA3, 0x1654AE6B
_ENTERED = {_SEGMENT, _CLUSTER}
_EBML = b"\x1a\x45\xdf\xa3"
_FRAME_SAMPLES = (480, 960, 1920, 2880)
"""Samples at 48 kHz of SILK's frame sizes, by the configuration's two low bits (RFC 6716, 3.1)."""


def as_ogg(data: bytes) -> bytes | None:
    """Return a WebM voice note as Ogg; None for anything else, such as what is Ogg already."""
    if not data.startswith(_EBML) or b"A_OPUS" not in data[:4096]:
        return None
    packets = [block[4:] for block in _blocks(data)]
    packets = [packet for packet in packets if 0 < len(packet) < 255 * 200]
    return _pages(packets) if packets else None


def _blocks(data: bytes) -> Iterator[bytes]:
    """Yield the contents of all SimpleBlocks; stop at what cannot be read."""
    at = 0
    while at < len(data):
        element, at = _number(data, at, keep_marker=True)
        size, at = _number(data, at, keep_marker=False)
        if element in _ENTERED:
            continue
        if size < 0:
            return
        if element == _SIMPLE_BLOCK:
            yield data[at : at + size]
        at += size


def _number(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """Return an EBML number and the place behind it; -1 if its size is unknown or it is cut."""
    length = 9 - data[at].bit_length() if at < len(data) and data[at] else 9
    if at + length > len(data) or length > 8:
        return -1, len(data)
    value = int.from_bytes(data[at : at + length])
    if not keep_marker:
        value &= (1 << (7 * length)) - 1
        if value == (1 << (7 * length)) - 1:
            value = -1
    return value, at + length


def _pages(packets: list[bytes]) -> bytes:
    pages = ogg_head()
    position = 0
    for index, packet in enumerate(packets):
        position += _samples(packet)
        last = 4 if index == len(packets) - 1 else 0
        pages.append(ogg_page([packet], len(pages), position, flags=last))
    return b"".join(pages)


def _samples(packet: bytes) -> int:
    """Return the length of an Opus packet in samples at 48 kHz (RFC 6716, section 3.1)."""
    config, count = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame = _FRAME_SAMPLES[config & 3]
    elif config < 16:
        frame = 480 << (config & 1)
    else:
        frame = 120 << (config & 3)
    frames = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 1)[count]
    return frame * frames
