"""What a business sees in an hour, as webhook calls: regulars, passers-by, groups, files, changes.

Which call comes is a function of its number, so that every soak has the same.
"""

import base64
import os
import time
from collections import deque
from itertools import accumulate, count
from typing import Any

from load import SENTENCE

from daemon.sandbox import payloads
from daemon.sandbox.samples import SAMPLES

REGULARS, GROUPS = 1000, 20
RECENT = 200
"""Messages that are known well enough to be changed or reacted to."""
PICTURE_BYTES = 60_000
SHARES = {
    "text of a one-time contact": 45,
    "text of a regular": 17,
    "typing": 11,
    "group talk": 6,
    "group mention": 3,
    "reaction": 4,
    "edit": 2,
    "deletion": 2,
    "picture in the body": 2,
    "picture to be fetched": 2,
    "document": 1,
    "voice note": 2,
    "missed call": 1,
    "an agent who takes the chat over": 2,
}
"""Of a hundred calls, so many are of a kind."""
BOUNDS = tuple(zip(accumulate(SHARES.values()), SHARES, strict=True))
STRIDE = 61
"""Prime to 100, so that kinds do not come in rows."""
FILES = {
    "picture to be fetched": "lake.jpg",
    "document": "booking.pdf",
    "voice note": "voice-rooms.ogg",
}


def media_of(media_id: str) -> bytes:
    """The file behind an id, as Whapi gives it at ``/media/ID``."""
    return SAMPLES[media_id.partition("~")[2]].data


class MixedTraffic:
    """Makes one call after the other; remembers a few messages for later changes."""

    def __init__(self) -> None:
        self._run = f"{int(time.time()) % 10**8:08d}"
        self._numbers = count(1)
        self._calls = count()
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next call: ``messages``, ``presences`` or ``calls``, and what is in it."""
        number = next(self._calls)
        kind = kind_of(number)
        chat = f"573{10**8 + number * 7919 % REGULARS:09d}"
        if kind == "typing":
            return "presences", {"contact_id": chat, "status": "typing"}
        if kind == "missed call":
            at = time.time()
            name = payloads.chat_id_of(chat)
            call = payloads.voice_call(self._new_id(), name, chat, "missed", at, video=False)
            return "calls", call
        if kind == "an agent who takes the chat over":
            words = payloads.text_content("Hola, soy Ana, de la recepción.")
            message = payloads.own_message(
                words,
                message_id=self._new_id(),
                chat=payloads.chat_id_of(chat),
                at=time.time(),
                source="mobile",
            )
            return "messages", message
        if kind == "text of a one-time contact":
            chat = f"574{number:09d}"
        return "messages", self._of_a_customer(kind, number, chat)

    def _of_a_customer(self, kind: str, number: int, chat: str) -> dict[str, Any]:
        group = f"120363{number * 13 % GROUPS:012d}@g.us"
        if kind == "group talk":
            return self._message(chat, payloads.text_content("Buenos días a todos."), group)
        if kind == "group mention":
            words = f"@{payloads.OWN_NUMBER} ¿hay cupo? consulta {number}-{self._run}"
            mentions = [payloads.chat_id_of(payloads.OWN_NUMBER)]
            content = {**payloads.text_content(words), "context": {"mentions": mentions}}
            return self._message(chat, content, group)
        if kind == "picture in the body":
            data = base64.b64encode(b"\xff\xd8\xff\xe0" + os.urandom(PICTURE_BYTES)).decode()
            link = f"data:image/jpeg;base64,{data}"
            image = {"mime_type": "image/jpeg", "file_size": PICTURE_BYTES + 4, "link": link}
            return self._message(chat, {"type": "image", "image": image})
        if kind in FILES:
            return self._message(chat, _file(FILES[kind], number))
        if kind in {"edit", "deletion", "reaction"} and self._recent:
            target = self._recent[number % len(self._recent)]
            return self._message(target["from"], _change(kind, target), target["chat_id"])
        text = f"{SENTENCE}Para el día {number % 28 + 1}, consulta {number}-{self._run}"
        message = self._message(chat, payloads.text_content(text))
        self._recent.append(message)
        return message

    def _message(self, author: str, content: dict[str, Any], chat: str = "") -> dict[str, Any]:
        return payloads.customer_message(
            content,
            message_id=self._new_id(),
            chat=chat or payloads.chat_id_of(author),
            at=time.time(),
            author=author,
            name="Laura",
            chat_name="Laura Cliente",
        )

    def _new_id(self) -> str:
        return f"{next(self._numbers):012d}{self._run}-gHqFdSGxaw"


def kind_of(number: int) -> str:
    """Of what kind a call is."""
    place = number * STRIDE % 100
    return next(kind for bound, kind in BOUNDS if place < bound)


def _file(name: str, number: int) -> dict[str, Any]:
    sample = SAMPLES[name]
    file = {"id": f"{number}~{name}", "mime_type": sample.mime_type, "file_size": len(sample.data)}
    if sample.medium == "document":
        file["file_name"] = name
    if sample.medium == "voice":
        file["seconds"] = 4
    return {"type": sample.medium, sample.medium: file}


def _change(kind: str, target: dict[str, Any]) -> dict[str, Any]:
    if kind == "reaction":
        return _action(target, {"type": "reaction", "emoji": "👍"})
    if kind == "deletion":
        return _action(target, {"type": "delete"})
    body = f"{target['text']['body']} (o mejor el sábado)"
    return _action(
        target, {"type": "edit", "edited_type": "text", "edited_content": {"body": body}}
    )


def _action(target: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    return {"type": "action", "action": {"target": target["id"], **action}}
