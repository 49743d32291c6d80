"""What the dashboard asks for and shows: chats, lines of the live log, figures of the last day."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from daemon.domain.messages import ChatKey

SECONDS_SHOWN = 24 * 3600
"""How far back the overview's charts reach."""


class FeedLost(Exception):
    """A reader of the live log was too slow; from its last cursor it can read what it missed."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the live log: words for people, numbers masked, and what it is searched by."""

    id: int
    """The cursor: later lines have larger ones, over restarts too."""
    at: float
    kind: str
    level: str
    key: ChatKey | None = None
    """The chat of the line; never shown as it is."""
    ref: str = ""
    """A stable, anonymous name of the chat; empty if the line has none."""
    turn: str = ""
    symbol: str = ""
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """A query of stored lines. Empty fields match everything; times in Unix seconds."""

    after: int = 0
    """Lines with a larger id, oldest first; 0: the newest ones."""
    before: int = 0
    """Lines with a smaller id; 0: up to the newest."""
    limit: int = 200
    ref: str = ""
    kind: str = ""
    level: str = ""
    turn: str = ""
    text: str = ""
    since: float = 0
    until: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatQuery:
    """A query of the list of chats, or of their messages, and one page of it."""

    query: str = ""
    """A part of a name or number, or words of a message."""
    words: bool = True
    """False: ``query`` is only a part of a name or number."""
    person: str = ""
    """A part of the contact's name or number."""
    label: str = ""
    """Only chats with this label."""
    state: str = ""
    """One of `daemon.ledger.views.chat_list.STATES`; empty: any."""
    mine: int | None = None
    """Only the chats of this account."""
    unread: bool = False
    """Only unread chats."""
    account: int | None = None
    """Whose chats are counted."""
    since: float = 0.0
    until: float = 0.0
    """Only chats with a message of this time, in Unix seconds; 0: of any time. With a ``query``,
    one with these words."""
    number: str = ""
    """One of our numbers; empty: all."""
    before: tuple[float, str] | None = None
    """The value ``next`` of the page before."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The figures of one minute; counts are those of this minute."""

    at: float
    """When the minute ended, Unix seconds."""
    messages: int = 0
    answers: int = 0
    takeovers: int = 0
    dead: int = 0
    tokens: int = 0
    cost: float = 0
    memory_bytes: int = 0
    acknowledgement: tuple[int, ...] = ()
    """Webhooks stored, by bucket of `daemon.observability.metrics`; the last has no upper end."""
    turn: tuple[int, ...] = ()
    """Turns ended, by bucket too."""


@dataclass(frozen=True, slots=True)
class ComponentState:
    """The state of one component."""

    name: str
    """``daemon``, ``channel``, ``model`` or ``store``."""
    state: Literal["ok", "wait", "bad"]
    """``wait``: it recovers by itself."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the overview page shows, as of now."""

    at: float
    started_at: float
    parts: tuple[ComponentState, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    """By the names that ``/dashboard/stats`` has for them."""
    outbox: dict[str, int] = field(default_factory=dict)
    oldest_unanswered: float = 0
    """When the oldest message without an outcome was stored; 0 if there is none."""
    oldest_for_bot: float = 0
    """The same, of messages that the bot has to answer."""
    waiting: int = 0
    """Chats in which a customer waits for a person."""
    waiting_since: float = 0
    """When the longest of these waits began; 0 if there is none."""
    remind_seconds: float = 0
    """A longer wait for a person is reported."""
    tokens_today: int = 0
    cost_today: float = 0
    tokens_limit: int = 0
    cost_limit: float = 0
    currency: str = ""
    """Of the costs, for display."""
    is_priced: bool = True
    """Whether prices are configured; without them every cost is 0."""
    samples: tuple[Sample, ...] = ()
    """Oldest first, at most a day old."""
    acknowledgement_buckets: tuple[float, ...] = ()
    """Upper ends of the samples' buckets in seconds, without the last."""
    turn_buckets: tuple[float, ...] = ()
