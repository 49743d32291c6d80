"""The kinds of outgoing messages: how they are made, recognised, and made plainer. Pure.

Limits are WhatsApp's own, as the documentation of the Cloud API states them for the same messages
(interactive messages, media).
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from daemon.domain.ids import local_part
from daemon.domain.messages import Contacts, JsonObject, Location, Media, Message, Other, Poll, Text
from daemon.domain.records import NewPart, OutboxRow
from daemon.domain.rendering.vcards import written_card

Kind = Literal[
    "text",
    "voice",
    "image",
    "document",
    "location",
    "contact",
    "buttons",
    "list",
    "poll",
    "reaction",
]

WITH_MEDIA = frozenset({"voice", "image", "document"})
"""Kinds that carry a file."""

REPEATABLE = frozenset({"reaction"})
"""Kinds that may be sent again without checking: a second reaction replaces the first."""

MAX_CAPTION = 1024
MAX_ADDRESS = 2048
MAX_QUESTION = 1024
MAX_BUTTONS = 3
MAX_BUTTON_TITLE = 20
MAX_ROWS = 10
MAX_ROW_TITLE = 24
MAX_ROW_DESCRIPTION = 72
MAX_LIST_LABEL = 20
MAX_ID = 200
MAX_EMOJI = 16
MAX_NAME = 100
MIN_DIGITS = 7
MAX_DIGITS = 15
"""Of a telephone number (E.164)."""
MAX_POLL_TITLE = 255
MIN_OPTIONS = 2
MAX_OPTIONS = 12
"""Of a poll (WhatsApp's limits)."""
MAX_OPTION = 100
_BETWEEN_DIGITS = r"[\s().+\u2010-\u2015\u202a-\u202e\u2060\u2066-\u2069-]"
"""Characters that phones write between the digits of a number, and around it."""
LAST_LATIN_SIGN = 0xA8
"""The first character that is shown as an emoji is ©, U+00A9."""

Likeness = tuple[str | float, ...]
"""The parts that two messages must share to count as the same; empty: it matches none."""

_SPOKEN = frozenset({"voice", "audio", "ptt"})
_INTERACTIVE = frozenset({"interactive", "buttons", "list", "hsm"})
"""The types under which our buttons and lists come back, as quoted messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message as it is given to the gateway."""

    kind: str = "text"
    body: str = ""
    quoted: str = ""
    """Id of the quoted message."""
    payload: JsonObject = field(default_factory=dict)
    media: str = ""
    """The file: its address, or a data URI."""
    link_preview: bool = False
    """Whether links in a text get a preview."""
    tag: str = ""
    """Comes back with its delivery updates, from gateways that return it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """One row of a list to choose from. ``id`` comes back when it is chosen."""

    id: str
    title: str
    description: str = ""
    section: str = ""
    """Its heading; rows of one section follow each other."""


# -- recognising ---------------------------------------------------------------------------------


def likeness(kind: str, body: str, payload: Mapping[str, Any]) -> Likeness:
    """The features by which a message of ours is found again in its chat's history.

    A text has its words, a picture or document its caption, a place its coordinates; buttons,
    lists and polls have their question, a contact card its name. A voice note has nothing of its
    own: a gateway may encode files again, so size and checksum may change, and a document's name is
    not always reported. That suffices: only one message of a chat is looked for at a time, and
    messages with known ids do not count.
    """
    match kind:
        case "voice":
            return ("voice",)
        case "location":
            return ("location", *_rounded(payload.get("latitude"), payload.get("longitude")))
        case "buttons" | "list":
            return ("interactive", body)
        case "contact":
            return ("contact", str(payload.get("name", "")))
        case "reaction":
            return ()
        case _:
            return (kind, body)


def likeness_of(message: Message) -> Likeness:
    """The likeness of a message in the chat's history; empty for kinds that we never send."""
    content = message.content
    if isinstance(content, Text):
        return ("text", content.body)
    if isinstance(content, Media):
        return _media_likeness(content)
    if isinstance(content, Location) and not content.live:
        return ("location", *_rounded(content.latitude, content.longitude))
    if isinstance(content, Contacts) and len(content.cards) == 1:
        return ("contact", content.cards[0].name)
    if isinstance(content, Poll):
        return ("poll", content.title)
    if isinstance(content, Other) and message.kind in _INTERACTIVE:
        return ("interactive", _question(content))
    return ()


def _media_likeness(content: Media) -> Likeness:
    if content.medium in _SPOKEN:
        return ("voice",)
    if content.medium == "image":
        return ("image", content.caption)
    if content.medium in {"document", "documentWithCaption"}:
        return ("document", content.caption)
    return ()


def _question(content: Other) -> str:
    body = content.raw.get("body")
    if isinstance(body, dict):
        body = body.get("text")
    return body if isinstance(body, str) else content.body


def _rounded(*degrees: object) -> tuple[float, ...]:
    """Coordinates to about ten metres, since they may come back with fewer digits."""
    return tuple(round(float(d), 4) for d in degrees if isinstance(d, int | float))


def shown_line(kind: str, body: str, payload: Mapping[str, Any]) -> str:
    """The line in the thread for a message other than text, in brackets."""
    match kind:
        case "reaction":
            what = f"reaction {payload.get('emoji', '')}"
        case "location":
            what = f"place: {payload.get('name') or payload.get('latitude')}"
        case "contact":
            what = f"contact {payload.get('name', '')}: {payload.get('number', '')}"
        case "poll":
            what = f"{body} — poll: {', '.join(payload['options'])}"
        case "buttons":
            what = f"{body} — buttons: {', '.join(b['title'] for b in payload['buttons'])}"
        case "list":
            what = f"{body} — list: {', '.join(r['title'] for r in payload['rows'])}"
        case "document":
            what = f"document {payload.get('filename', '')}: {body}"
        case _:
            what = f"{kind}: {body}"
    return f"[Sent to the customer by the tool: {what.strip().rstrip(':')}]"


# -- making --------------------------------------------------------------------------------------


def mentioning(part: NewPart, person: str) -> NewPart:
    """Begin a text with the mention of a person, so that WhatsApp notifies them.

    ``person``: digits, or an id ``…@lid``. Where the text has these digits after an @, WhatsApp
    shows the name under which each reader knows the person.
    """
    sign = f"@{local_part(person)}"
    body = part.body if sign in part.body else f"{sign} {part.body}"
    return replace(part, body=body, payload={**part.payload, "mentions": [person]})


def media_part(
    kind: Literal["image", "document"], source: str, caption: str, *, filename: str = ""
) -> NewPart:
    """Make a picture or document; ``source`` is an https address, or a file's name.

    Raises ValueError with a reason if it cannot be sent.
    """
    _require(0 < len(source) <= MAX_ADDRESS, "no address, or one that is too long")
    if "://" in source:
        _require_https(source)
    _require(len(caption) <= MAX_CAPTION, f"a caption has at most {MAX_CAPTION} characters")
    named = {"filename": filename} if filename else {}
    return NewPart(body=caption.strip(), kind=kind, payload={"source": source, **named})


def location_part(
    latitude: float, longitude: float, *, name: str = "", address: str = ""
) -> NewPart:
    """Make a place, in degrees. Raises ValueError with a reason if it does not exist."""
    _require(-90 <= latitude <= 90 and -180 <= longitude <= 180, "no such place on earth")
    place: JsonObject = {"latitude": float(latitude), "longitude": float(longitude)}
    place |= {key: value for key, value in (("name", name), ("address", address)) if value}
    return NewPart(body="", kind="location", payload=place)


def contact_part(name: str, number: str, *, organisation: str = "", email: str = "") -> NewPart:
    """Make a contact card; ``number`` in international form. Raises ValueError with a reason."""
    name = " ".join(name.split())
    _require(0 < len(name) <= MAX_NAME, f"a name has 1 to {MAX_NAME} characters")
    digits = re.sub(_BETWEEN_DIGITS, "", number)
    _require(
        re.fullmatch(rf"[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_DIGITS - 1}}}", digits) is not None,
        f"a number has {MIN_DIGITS} to {MAX_DIGITS} digits, the country's first",
    )
    _require(max(len(organisation), len(email)) <= MAX_NAME, "the card is too long")
    card = written_card(name, digits, organisation=organisation, email=email)
    payload = {"name": name, "number": f"+{digits}", "vcard": card}
    return NewPart(body="", kind="contact", payload=payload)


def poll_part(question: str, options: Sequence[str], *, several: bool = False) -> NewPart:
    """Make a poll; ``several``: more than one choice. Raises ValueError with a reason."""
    question, most = question.strip(), MAX_POLL_TITLE
    _require(0 < len(question) <= most, f"a poll's question has 1 to {most} characters")
    options = [option.strip() for option in options]
    _require(
        MIN_OPTIONS <= len(options) <= MAX_OPTIONS,
        f"a poll has {MIN_OPTIONS} to {MAX_OPTIONS} options",
    )
    _require(len(set(options)) == len(options), "two options are the same")
    for option in options:
        _require(0 < len(option) <= MAX_OPTION, f"an option has 1 to {MAX_OPTION} characters")
    return NewPart(body=question, kind="poll", payload={"options": options, "several": several})


def poll_option_id(option: str) -> str:
    """The id by which votes name an option of a poll: the hash of its words."""
    return base64.b64encode(hashlib.sha256(option.encode()).digest()).decode()


def buttons_part(
    question: str, buttons: Mapping[str, str], *, header: str = "", footer: str = ""
) -> NewPart:
    """Make a question with up to three buttons, titles by id. Raises ValueError with a reason."""
    _require_question(question)
    _require(0 < len(buttons) <= MAX_BUTTONS, f"there are 1 to {MAX_BUTTONS} buttons")
    for button, title in buttons.items():
        _require_choice(button, title, MAX_BUTTON_TITLE)
    shown = [{"id": button, "title": title} for button, title in buttons.items()]
    return NewPart(
        body=question.strip(),
        kind="buttons",
        payload={"buttons": shown, **_around(header, footer)},
    )


def list_part(
    question: str, label: str, rows: Sequence[ListRow], *, header: str = "", footer: str = ""
) -> NewPart:
    """Make a question with a list that ``label`` opens. Raises ValueError with a reason."""
    _require_question(question)
    _require(0 < len(label) <= MAX_LIST_LABEL, f"a label has 1 to {MAX_LIST_LABEL} characters")
    _require(0 < len(rows) <= MAX_ROWS, f"a list has 1 to {MAX_ROWS} rows")
    _require(len({row.id for row in rows}) == len(rows), "two rows have the same id")
    for row in rows:
        _require_choice(row.id, row.title, MAX_ROW_TITLE)
        most = MAX_ROW_DESCRIPTION
        _require(len(row.description) <= most, f"a description has at most {most} characters")
    shown = [
        {"id": r.id, "title": r.title, "description": r.description, "section": r.section}
        for r in rows
    ]
    return NewPart(
        body=question.strip(),
        kind="list",
        payload={"label": label, "rows": shown, **_around(header, footer)},
    )


def reaction_part(emoji: str, target: str) -> NewPart:
    """Make a reaction to a message; an empty ``emoji`` takes it back. Raises ValueError."""
    _require(bool(target), "there is no message to react to")
    pictured = not emoji or max(map(ord, emoji)) > LAST_LATIN_SIGN
    _require(
        len(emoji) <= MAX_EMOJI and pictured and not any(map(str.isalpha, emoji)),
        "this is no emoji",
    )
    return NewPart(body="", kind="reaction", payload={"emoji": emoji, "target": target})


def _around(header: str, footer: str) -> JsonObject:
    return {key: value for key, value in (("header", header), ("footer", footer)) if value}


def _require_question(question: str) -> None:
    _require(
        0 < len(question.strip()) <= MAX_QUESTION, f"a question has 1 to {MAX_QUESTION} characters"
    )


def _require_choice(choice: str, title: str, most: int) -> None:
    _require(0 < len(choice) <= MAX_ID, f"an id has 1 to {MAX_ID} characters")
    _require(0 < len(title.strip()) <= most, f"a title has 1 to {most} characters")


def _require_https(address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    _require(usable and not re.search(r"\s", address), "not an https address")


def _require(holds: bool, words: str) -> None:  # noqa: FBT001 - a condition, and its words
    if not holds:
        raise ValueError(words)


# -- plainer messages: without the parts that a gateway may refuse ---------------------------------


WITHOUT = "without"
"""The key in the payload of a plainer message that lists what was left out. It is done once."""

_WITH_CHOICES = frozenset({"buttons", "list", "poll"})


def is_template(row: OutboxRow) -> bool:
    """Whether a message is a template that the gateway's operator has approved."""
    return "template" in row.payload


def parts_of(row: OutboxRow, *, shows_previews: bool) -> frozenset[str]:
    """The optional parts of a message: ``quoted``, ``mentions``, ``link_preview``, ``buttons``.

    ``shows_previews``: whether links are sent with a preview. ``buttons`` includes the rows of a
    list and the options of a poll.
    """
    has = {
        "quoted": bool(row.quoted),
        "mentions": bool(row.payload.get("mentions")),
        "link_preview": shows_previews and row.kind == "text",
        "buttons": row.kind in _WITH_CHOICES,
    }
    return frozenset(name for name, there in has.items() if there)


def plainer(row: OutboxRow, named: frozenset[str], *, shows_previews: bool) -> NewPart | None:
    """Make the message that is sent in place of a refused one; None if there is none.

    The parts ``named`` in the refusal are left out, or all optional parts if it names none. A
    customer who gets an answer without its quote or buttons is at least answered.
    """
    parts = parts_of(row, shows_previews=shows_previews)
    if WITHOUT in row.payload or not parts:
        return None
    left_out = (parts & named) or parts
    kind, body, payload = row.kind, row.body, dict(row.payload)
    if "mentions" in left_out:
        body = _without_signs(body, payload.pop("mentions"))
    if "buttons" in left_out:
        kind, body, payload = "text", _in_words(row.kind, body, payload), {"instead_of": row.kind}
    return NewPart(
        body=body,
        quoted="" if "quoted" in left_out else row.quoted,
        kind=kind,
        payload={**payload, WITHOUT: sorted(left_out)},
    )


def _without_signs(body: str, people: Iterable[str]) -> str:
    """Remove the leading mention of an answer: without the tag it is only a number."""
    for person in people:
        body = body.removeprefix(f"@{local_part(person)} ")
    return body


def _in_words(kind: str, question: str, payload: JsonObject) -> str:
    """Write a question with its choices as numbered lines."""
    match kind:
        case "buttons":
            choices = [str(button["title"]) for button in payload["buttons"]]
        case "list":
            choices = [_row_in_words(row) for row in payload["rows"]]
        case _:
            choices = [str(option) for option in payload["options"]]
    lines = [f"{number}. {choice}" for number, choice in enumerate(choices, 1)]
    blocks = [payload.get("header"), question, "\n".join(lines), payload.get("footer")]
    return "\n\n".join(str(block) for block in blocks if block)


def _row_in_words(row: JsonObject) -> str:
    return f"{row['title']}: {row['description']}" if row.get("description") else str(row["title"])
