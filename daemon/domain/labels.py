"""Labels of chats: their names and colours, and what a change of them comes to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

LONGEST_NAME = 60
MOST_LABELS = 200
"""Labels of the desk's list."""

Color = Literal[
    "salmon",
    "darkorange",
    "gold",
    "limegreen",
    "mediumturquoise",
    "deepskyblue",
    "cornflowerblue",
    "mediumpurple",
    "violet",
    "silver",
]
COLORS: tuple[Color, ...] = get_args(Color)
"""Of the desk's labels: words of CSS, of those that WhatsApp Business has."""


def folded(name: str) -> str:
    """A name as names are compared: without regard to case and spaces."""
    return " ".join(name.split()).casefold()


def as_stored(names: Sequence[str]) -> str:
    """The labels of a chat in one column: each name between newlines."""
    return "\n".join(("", *names, "")) if names else ""


def names_in(stored: str) -> tuple[str, ...]:
    """The names of stored labels."""
    return tuple(filter(None, stored.split("\n")))


def joined_labels(*stored: str) -> str:
    """The stored labels of two rows of one chat as those of one."""
    return as_stored(tuple(dict.fromkeys(name for one in stored for name in names_in(one))))


def label_fault(name: str, color: str) -> str:
    """Why there cannot be such a label, in words that the pages translate; empty if there can."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        return "A label needs a name of 1 to 60 characters."
    return "" if color in COLORS else "A label needs one of the colors."


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """What a change of a chat's labels comes to, by their names as they are stored."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    fault: str = ""
    """What is wrong with the names; nothing is to be done then."""


def label_changes(
    known: Iterable[str],
    on_chat: Iterable[str],
    *,
    add: Iterable[str],
    remove: Iterable[str],
) -> LabelChanges:
    """Find the labels that are meant, among those that there are and, to remove, the chat's own."""
    listed = {folded(name): name for name in known}
    removable = {folded(name): name for name in on_chat} | listed
    unknown = [
        *(name for name in add if folded(name) not in listed),
        *(name for name in remove if folded(name) not in removable),
    ]
    if unknown:
        return LabelChanges(fault=unknown_labels(unknown, listed))
    return LabelChanges(
        add=tuple(listed[folded(name)] for name in add),
        remove=tuple(removable[folded(name)] for name in remove),
    )


def unknown_labels(names: Iterable[str], known: Mapping[str, str]) -> str:
    """Say which labels there are not, and which there are."""
    there = ", ".join(known.values()) or "none"
    return f"there is no label {', '.join(names)}; the labels are: {there}"
