"""The small files that the sandbox's people send: pictures, voices, a paper, a sticker, a film.

All were made for this purpose; the voices are sounds without words,
and
what the simulated model hears in them is written here.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

from daemon.domain.messages import JsonObject

VOICE_TYPE = "audio/ogg; codecs=opus"
"""MIME type of WhatsApp's voice notes."""


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file and its description."""

    name: str
    medium: str
    """Whapi's type of a message with it: ``image``, ``voice`` …"""
    mime_type: str
    words: str = ""
    """The words of a voice; the content of a picture or film, as its caption."""
    preview: str = ""
    """Name of the picture shown before the file is fetched; empty: none."""

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return read(self.name)


SAMPLES = {
    sample.name: sample
    for sample in (
        SampleFile("receipt.jpg", "image", "image/jpeg", "Mi comprobante de pago", "receipt.jpg"),
        SampleFile("lake.jpg", "image", "image/jpeg", "¿Esta es la vista al lago?", "lake.jpg"),
        SampleFile("smile.webp", "sticker", "image/webp"),
        SampleFile("boat.mp4", "video", "video/mp4", "Así llegamos la última vez", "boat.jpg"),
        SampleFile("booking.pdf", "document", "application/pdf"),
        SampleFile(
            "voice-rooms.ogg",
            "voice",
            VOICE_TYPE,
            "Hola, quisiera saber si tienen disponibilidad para este fin de semana.",
        ),
        SampleFile(
            "voice-arrival.ogg",
            "voice",
            VOICE_TYPE,
            "Buenas, llegamos el viernes tarde, como a las diez. ¿Hay alguien que nos reciba?",
        ),
    )
}
"""By file name."""

SPEECH = "speech.ogg"
"""A longer murmur: the voice of the simulated model."""


@cache
def read(name: str) -> bytes:
    """Return the bytes of a sample file; raises FileNotFoundError for a name that is none."""
    return (resources.files(__package__) / "static" / "samples" / name).read_bytes()


def first_of(medium: str) -> SampleFile:
    """Return the first sample of a medium; raises StopIteration if there is none."""
    return next(sample for sample in SAMPLES.values() if sample.medium == medium)


def words_of_voice(data: bytes) -> str:
    """Return what a voice note with these bytes says; empty if it is none of the samples."""
    voices = (sample for sample in SAMPLES.values() if sample.medium == "voice")
    return next((sample.words for sample in voices if sample.data in data), "")


def place() -> JsonObject:
    """Return the location that the sandbox's people send: an invented hotel by a real lake."""
    return {
        "latitude": 6.2339,
        "longitude": -75.1587,
        "name": "Hotel Recado",
        "address": "Vereda La Piedra, km 3",
    }


def card(name: str, phone: str) -> JsonObject:
    """Return a contact card in WhatsApp's form of vCard 3.0; `phone` is digits."""
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:;{name};;;",
        f"FN:{name}",
        f"TEL;type=CELL;waid={phone}:+{phone}",
        "END:VCARD",
    )
    return {"name": name, "vcard": "\n".join(lines)}
