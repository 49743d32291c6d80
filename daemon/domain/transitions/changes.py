"""The effect of an edit or a deletion on the message that it names. Pure."""

from dataclasses import dataclass

import msgspec

from daemon.domain.messages import Deletion, Edit, JsonObject, Media, Message, Text
from daemon.domain.states import (
    ANSWERED,
    HANDED_OFF,
    IGNORED,
    IN_TURN,
    RECEIVED,
    TURN_OPEN,
    WITH_AGENT,
)
from daemon.domain.transitions.handover import DELETED

EARLIER_KEPT = 10
"""Earlier wordings of an edited message that are kept: its first, and the last nine."""
EARLIER_CHARACTERS = 4096
"""Kept of each of them, and an ellipsis where words are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changeable:
    """A stored message that a change names."""

    message: Message
    state: str
    reason: str
    to_note: bool
    turn_state: str
    """Of its turn; empty without one."""
    is_closed: bool
    """True if it left our own number, or its author has deleted it already."""
    earlier: tuple[JsonObject, ...] = ()
    """Its earlier wordings, oldest first: ``words``, ``until``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A message after a change."""

    state: str
    reason: str
    to_note: bool
    message: Message
    earlier: tuple[JsonObject, ...]
    is_deleted: bool = False
    forget_words: bool = False
    """True if a row with words that were to disappear loses them now, not at the end of a turn."""
    wakes_chat: bool = False
    """True if no answer is decided yet: the chat's task has to look at it again."""
    note: str = ""
    """A note for the thread, which has the earlier words; empty for none."""


def after_change(
    before: Changeable, change: Edit | Deletion, *, by_author: bool, now: float
) -> Changed | None:
    """A message after a change; None if the change has no effect.

    ``by_author``: it was made in the same chat and by the same person; the id alone proves nothing.
    """
    message, state = before.message, before.state
    if before.is_closed or not by_author:
        return None
    if isinstance(change, Edit) and words(message) == change.body:
        return None
    undecided = state == RECEIVED or (state == IN_TURN and before.turn_state == TURN_OPEN)
    if message.disappears and not undecided and state != WITH_AGENT:
        return None
    is_noted = not undecided and not before.to_note
    is_noted = is_noted and state in {ANSWERED, IN_TURN, HANDED_OFF, WITH_AGENT}
    note = change_note(message, change) if is_noted else ""
    if isinstance(change, Edit):
        return Changed(
            state=state,
            reason=before.reason,
            to_note=before.to_note,
            message=msgspec.structs.replace(message, content=_edited(message, change)),
            earlier=_with_earlier(before, until=now),
            wakes_chat=undecided,
            note=note,
        )
    waits = state in {RECEIVED, WITH_AGENT}
    return Changed(
        state=IGNORED if waits else state,
        reason=DELETED if waits else before.reason,
        to_note=False,
        message=message,
        earlier=before.earlier,
        is_deleted=True,
        forget_words=waits,
        wakes_chat=undecided,
        note=note,
    )


def words(message: Message) -> str:
    """The words of a message: its text, or the caption of its file."""
    content = message.content
    if isinstance(content, Text):
        return content.body
    return content.caption if isinstance(content, Media) else ""


def change_note(message: Message, change: Edit | Deletion) -> str:
    """The note for the model about a change that came after the answer."""
    if isinstance(change, Edit):
        return f"[The customer edited an earlier message. It now says:] {change.body}"
    return f"[The customer deleted an earlier message:] {words(message)}"


def _with_earlier(before: Changeable, *, until: float) -> tuple[JsonObject, ...]:
    """The earlier wordings with the one that an edit replaces.

    A message that is to disappear leaves nothing here, and one without words has nothing to leave.
    """
    replaced = words(before.message)
    if before.message.disappears or not replaced:
        return before.earlier
    if len(replaced) > EARLIER_CHARACTERS:
        replaced = replaced[:EARLIER_CHARACTERS] + "…"
    kept = (*before.earlier, {"words": replaced, "until": until})
    return (*kept[:1], *kept[1:][1 - EARLIER_KEPT :])


def _edited(message: Message, change: Edit) -> Text | Media:
    """The content with its new words: an edited picture keeps the picture."""
    if isinstance(message.content, Media):
        return msgspec.structs.replace(message.content, caption=change.body)
    return Text(body=change.body)
