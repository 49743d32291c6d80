"""The length of voice notes, and a browser's recording as one that WhatsApp takes.

Nothing is decoded. What a browser records (Opus in WebM: RFC 8794, Matroska's SimpleBlocks with one
track and no lacing) moves packet by packet into what WhatsApp sends (Opus in Ogg: RFC 3533 and
RFC 7845).
"""

import struct
from collections.abc import Iterator, Sequence

OPUS_RATE = 48_000
"""Positions in an Ogg stream of Opus count samples at this rate (RFC 7845)."""


def spoken_seconds(data: bytes) -> int:
    """The length of an Ogg file of Opus in whole seconds; 0 if not known.

    The position in its last page, less what a player skips at the beginning (RFC 7845).
    """
    last, head = data.rfind(b"OggS"), data.find(b"OpusHead")
    if last < 0 or head < 0 or len(data) < max(last + 14, head + 12):
        return 0
    position = int.from_bytes(data[last + 6 : last + 14], "little", signed=True)
    skipped = int.from_bytes(data[head + 10 : head + 12], "little")
    return max(0, round((position - skipped) / OPUS_RATE))


def ogg_head(comment: bytes = b"") -> list[bytes]:
    """Return the two pages with which Opus in Ogg begins."""
    comments = [comment] if comment else []
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 312, OPUS_RATE, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 6) + b"recado" + struct.pack("<I", len(comments))
    tags += b"".join(struct.pack("<I", len(one)) + one for one in comments)
    return [ogg_page([head], 0, 0, flags=2), ogg_page([tags], 1, 0)]


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
