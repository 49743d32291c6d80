"""Voice notes: the simulated model's input and output."""

import itertools
import math
import struct
from collections.abc import Sequence
from typing import Any

from daemon.domain.rendering.opus import OPUS_RATE, ogg_head, ogg_page
from daemon.sandbox import samples
from daemon.sandbox.asgi import Answer, json_answer
from daemon.sandbox.model_wire import ApiRefusal

UPLOAD_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm")
SPOKEN_CHARACTERS_PER_SECOND = 15

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
