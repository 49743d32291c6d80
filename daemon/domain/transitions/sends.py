"""Sends of ours: their echoes and delivery updates, and the window in which they may go. Pure.

Delivery updates come in any order, more than once, and sometimes before the answer that gives the
send its id. So an update only raises what is known of a send, in the order of `RANKS`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from daemon.domain.messages import (
    Deletion,
    Edit,
    Media,
    Message,
    Other,
    Reaction,
    StatusUpdate,
    Text,
    Vote,
)
from daemon.domain.rendering.outgoing import Likeness
from daemon.domain.states import FAILED, PENDING, SENT

RANKS = {"failed": 0, "pending": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5}
"""How far a message has come (the order is that of WhatsApp's own codes)."""

ARRIVED = RANKS["delivered"]

UNDELIVERED = "WhatsApp could not deliver it"
"""The error of a failure without a reason."""

_TAG = re.compile(r"([0-9]{1,18})-[0-9]{1,18}")

ECHO = "echo"
"""Why our own sends are ignored when they come back."""

HUMAN_SOURCES = frozenset({"mobile", "web", ""})
"""Where a person writes. ``business_api`` and ``system`` are automatic replies and notices."""

UNKNOWN_SOURCE = "unknown"
"""The gateway does not know where it was written. Protocol notices come so too, but without
content: with words or a file, a person has written it."""


# -- delivery updates ------------------------------------------------------------------------------


def tag_of(row_id: int, created_at: float) -> str:
    """The tag that goes with a send of the outbox and comes back with its delivery updates.

    The row's id alone would also be that of a row in another store, whose daemon sends from the
    same number. ``created_at``: Unix seconds.
    """
    return f"{row_id}-{round(created_at * 1000)}"


def tagged_row(tag: str) -> int | None:
    """The id of the row that a tag may name; None if it is no tag of ours."""
    found = _TAG.fullmatch(tag)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A send that WhatsApp has taken, by what an update needs to know. Times are Unix seconds."""

    state: str
    status: str
    created_at: float
    failed_before: bool = False
    """True if WhatsApp could not deliver an earlier attempt."""
    kept_out: bool = False
    """True if the bot was kept out of the chat at some time since the send was created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What an update makes of a send."""

    state: str
    status: str
    error: str | None = None
    """None: as before."""
    keeps_id: bool = True
    """False: the next attempt gets another id."""
    arrived_at: float | None = None
    seen_at: float | None = None
    turn: Literal["", "reopened", "given up"] = ""
    """What becomes of a turn that has ended: this may have been all of its answer."""


def after_update(
    send: Send, update: StatusUpdate, *, at: float, resend_since: float
) -> Updated | None:
    """A send after an update; None if the update has no effect.

    A failed send is sent again, once, if it was created at ``resend_since`` or later (Unix seconds)
    no agent has taken its chat over since, and another try may help; else it ends as failed.
    """
    known = RANKS.get(send.status, -1)
    if update.status == "failed":
        if known >= ARRIVED or send.status == "failed":
            return None  # what has arrived cannot fail
        error = update.error or UNDELIVERED
        again = not update.is_final and not send.failed_before and not send.kept_out
        if again and send.created_at >= resend_since:
            return Updated(state=PENDING, status="", error=error, keeps_id=False)
        return Updated(state=FAILED, status="failed", error=error, turn="given up")
    if RANKS[update.status] <= known:
        return None
    if send.status == "failed" and RANKS[update.status] >= ARRIVED:
        return _raised(SENT, update, at, error="", turn="reopened")
    return _raised(send.state, update, at)


def after_late_update(update: StatusUpdate, *, at: float) -> Updated | None:
    """A send that waits to be repeated, after an update of its failed attempt.

    None unless the attempt has arrived after all.
    """
    if RANKS[update.status] < ARRIVED:
        return None
    return _raised(SENT, update, at, error="")


def _raised(
    state: str,
    update: StatusUpdate,
    at: float,
    *,
    error: str | None = None,
    turn: Literal["", "reopened"] = "",
) -> Updated:
    rank = RANKS[update.status]
    return Updated(
        state=state,
        status=update.status,
        error=error,
        arrived_at=at if rank >= ARRIVED else None,
        seen_at=at if rank > ARRIVED else None,  # what was read was delivered
        turn=turn,
    )


def moment_of(update: StatusUpdate, now: float) -> float:
    """When it was so: by WhatsApp's clock, unless that is missing or ahead of ours."""
    return min(update.at, now) if update.at else now


def by_progress(updates: Iterable[StatusUpdate]) -> list[StatusUpdate]:
    """The order in which waiting updates are applied: what has arrived cannot fail."""
    return sorted(updates, key=lambda update: -RANKS[update.status])


# -- echoes ----------------------------------------------------------------------------------------


class InFlight(NamedTuple):
    """A send whose outcome is not known yet."""

    id: int
    likeness: Likeness


def may_echo(message: Message, like: Likeness) -> bool:
    """Whether a message can be the echo of a send under an id that is not known."""
    return bool(like) and message.source not in {"mobile", "web"}


def settled_by(like: Likeness, in_flight: Sequence[InFlight]) -> int | None:
    """The send in flight that an echo settles: the first that says the same; None if none does.

    An echo may come before the answer to its send, and after a cut connection it is the only one.
    """
    return next((send.id for send in in_flight if send.likeness == like), None)


def own_message(message: Message, *, is_echo: bool) -> tuple[str, bool]:
    """Why a message that left our number is ignored, and whether an agent wrote it."""
    if is_echo:
        return ECHO, False
    if message.source == "api":
        return "sent through the API by another client", False
    content = message.content
    has_content = isinstance(content, Media) or (isinstance(content, Text) and bool(content.body))
    if message.source not in HUMAN_SOURCES and not (
        message.source == UNKNOWN_SOURCE and has_content
    ):
        return "automatic message of our number", False
    if isinstance(content, Reaction | Edit | Deletion | Vote) or (
        isinstance(content, Other) and not content.body
    ):
        return "no words of an agent", False
    return "", True


# -- the customer's window ---------------------------------------------------------------------
#
# Within 24 hours after the customer's last message, Meta's Cloud API delivers any message; later
# only approved templates. Times are Unix seconds.

SLACK_SECONDS = 60.0
"""Two clocks that are in step may differ by so much."""


def written_at(sent_at: float, now: float) -> float:
    """When a customer wrote: WhatsApp's time, unless it is missing or ahead of our clock."""
    return sent_at if 0 < sent_at <= now + SLACK_SECONDS else now


def is_window_shut(wrote_at: float, now: float, *, window_seconds: float) -> bool:
    """Whether only templates can be sent to a contact who last wrote at a time; 0: not known."""
    return bool(wrote_at) and now - wrote_at > window_seconds - SLACK_SECONDS
