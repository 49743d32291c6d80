"""The simulated model's reading of pictures, voices, documents and places. Pure.

It knows Recado's lines about them (``[voice note] …``) and the sandbox's own sample
files; of other pictures it knows their size.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.sandbox import samples
from daemon.sandbox.media import picture_size

Part = Mapping[str, Any]

SEEN: Mapping[str, Mapping[str, str]] = {
    "receipt.jpg": {
        "es": "un comprobante de pago aprobado, con la referencia REC-000142",
        "en": "an approved receipt with the reference REC-000142",
    },
    "lake.jpg": {
        "es": "un lago con un velero al atardecer",
        "en": "a lake with a sailing boat at sunset",
    },
    "boat.jpg": {"es": "un velero que llega a la orilla", "en": "a sailing boat coming ashore"},
    "smile.webp": {"es": "una cara feliz", "en": "a happy face"},
}
"""The contents of the samples."""

PHRASES: Mapping[str, Mapping[str, str]] = {
    "es": {
        "image": "una imagen",
        "sticker": "un sticker",
        "video": "un video",
        "seen": "{what} en la que veo {seen}",
        "sized": "{what} de {width} x {height} puntos",
        "caption": "{what}, con el texto «{words}»",
        "voice": "tu nota de voz, que dice «{words}»",
        "deaf": "una nota de voz que no pude escuchar (¿me la escribes?)",
        "document": "el documento «{words}»",
        "location": "tu ubicación, {words}",
        "somewhere": "tu ubicación",
        "contacts": "el contacto de {words}",
        "reacted": "tu reacción",
        "voted": "tu voto por «{words}»",
    },
    "en": {
        "image": "a picture",
        "sticker": "a sticker",
        "video": "a video",
        "seen": "{what} in which I see {seen}",
        "sized": "{what} of {width} x {height} points",
        "caption": "{what}, saying «{words}»",
        "voice": "your voice note, which says «{words}»",
        "deaf": "a voice note that I could not hear (would you write it?)",
        "document": "the document «{words}»",
        "location": "your location, {words}",
        "somewhere": "your location",
        "contacts": "the contact of {words}",
        "reacted": "your reaction",
        "voted": "your vote for «{words}»",
    },
}

_LINE = re.compile(r"\[(?P<head>[a-z][^\]]*)\] ?(?P<words>.*)", re.DOTALL)
_PICTURES = {
    "image": "image",
    "sticker": "sticker",
    "video": "video",
    "animated sticker": "sticker",
    "moving picture": "video",
}
_QUOTED_CHARACTERS = 80


def perceived(parts: Sequence[Part], language: str) -> list[str]:
    """Return what a customer's parts are, one phrase each, in their order.

    `parts` are those of the Responses API: ``input_text``, ``input_image``, ``input_file``.
    """
    phrases = PHRASES[language]
    found: list[str] = []
    announced = ""
    """The line of a picture, whose data comes next if the model is shown it."""
    for part in parts:
        if part.get("type") == "input_image":
            what, caption = _picture_in(announced) or ("image", "")
            seen = _seen(str(part.get("image_url") or ""), phrases[what], language)
            found.append(_captioned(seen, caption, phrases))
            announced = ""
            continue
        for line in _messages(str(part.get("text") or "")):
            found.append(_phrase_of(announced, phrases))
            announced = line if _picture_in(line) else ""
            found.append("" if announced else _phrase_of(line, phrases))
    found.append(_phrase_of(announced, phrases))
    return [phrase for phrase in found if phrase]


def shortened(text: str) -> str:
    """Return a text on one line, cut to what can be quoted."""
    line = " ".join(text.split())
    if len(line) <= _QUOTED_CHARACTERS:
        return line
    return line[:_QUOTED_CHARACTERS].rstrip() + "…"


def _messages(text: str) -> list[str]:
    """Cut a text where a line in brackets begins or ends; what is quoted (``> …``) is left out.

    So is the text of a document, between the lines that begin and end it.
    """
    found: list[str] = []
    plain = inside = False
    for raw in text.splitlines():
        line = raw.removeprefix("[forwarded] ")
        if line.startswith("[end of "):
            inside = False
        elif not inside and not line.startswith("> "):
            bracketed = _LINE.match(line) is not None
            if found and plain and not bracketed:
                found[-1] += f"\n{line}"
            else:
                found.append(line)
            plain = not bracketed
            inside = line.endswith("; its text:]")
    return [message for message in found if message.strip()]


def _picture_in(line: str) -> tuple[str, str] | None:
    match = _LINE.match(line)
    head = re.split(r"[,:;]| that | of ", match["head"])[0].strip() if match else ""
    return (_PICTURES[head], match["words"].strip()) if match and head in _PICTURES else None


def _phrase_of(line: str, phrases: Mapping[str, str]) -> str:
    """Return what one message is; empty for an empty line."""
    match = _LINE.match(line)
    if match is None:
        return f"«{shortened(line)}»" if line else ""
    if picture := _picture_in(line):
        return _captioned(phrases[picture[0]], picture[1], phrases)
    head, words = match["head"], shortened(match["words"])
    kind = head.split()[0].rstrip(";,")
    if head.startswith(("voice note", "audio")):
        return phrases["voice"].format(words=words) if words else phrases["deaf"]
    if kind == "document":
        named = re.match(r"document ([^,;]*)", head)
        return phrases["document"].format(words=named[1].strip() if named else words or "?")
    if kind in {"location", "live"}:
        return phrases["location"].format(words=words) if words else phrases["somewhere"]
    if kind == "contacts":
        return phrases["contacts"].format(words=words.partition(":")[0])
    if kind in {"reacted", "took"}:
        return phrases["reacted"]
    if kind == "voted":
        return phrases["voted"].format(words=words)
    return f"«{words}»" if words else ""


def _seen(image_url: str, what: str, language: str) -> str:
    phrases = PHRASES[language]
    try:
        data = base64.b64decode(image_url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return what
    for name, words in SEEN.items():
        if data == samples.read(name):
            return phrases["seen"].format(what=what, seen=words[language])
    size = picture_size(data)
    return phrases["sized"].format(what=what, width=size[0], height=size[1]) if size else what


def _captioned(what: str, caption: str, phrases: Mapping[str, str]) -> str:
    return phrases["caption"].format(what=what, words=shortened(caption)) if caption else what
