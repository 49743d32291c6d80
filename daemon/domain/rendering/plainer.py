"""The same message without the parts that a gateway may refuse: quote, mention, preview, buttons.

Pure. A customer who gets an answer without its quote or its buttons is answered; one whose message
is refused for their sake is not.
"""

from collections.abc import Iterable

from daemon.domain.messages import JsonObject
from daemon.domain.records import NewPart, OutboxRow

WITHOUT = "without"
"""In the payload of a message that was made plainer: what was left out. It is done once."""

_WITH_CHOICES = frozenset({"buttons", "list", "poll"})


def parts_of(row: OutboxRow, *, shows_previews: bool) -> frozenset[str]:
    """The optional parts of a message: ``quoted``, ``mentions``, ``link_preview``, ``buttons``.

    ``shows_previews``: whether links are sent with a preview. ``buttons`` are also the rows of a
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
    """Make the message that is sent once more in the place of a refused one; None if there is none.

    Left out is what the refusal has ``named``; all optional parts if it has named none of them.
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
    """Take away the mention that an answer begins with: without the tag it is only a number."""
    for person in people:
        body = body.removeprefix(f"@{person.partition('@')[0]} ")
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
