"""Announcements: the content of outgoing webhooks, as typed values. Pure.

One class a type of event. ``docs/webhooks.schema.json`` is generated from them, so a field is
described here and nowhere else. `daemon.ledger.announcements` stores them with what they announce.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta

from daemon.domain.messages import NumberCondition
from daemon.domain.states import Outcome, ReminderState

Moment = Annotated[datetime, Meta(tz=True)]
Chat = Annotated[
    str, Meta(description="WhatsApp's id of the chat: digits and …@s.whatsapp.net, or …@g.us")
]
TurnName = Annotated[str, Meta(description="The turn's name, as in the log and in recado explain")]
MessageId = Annotated[str, Meta(description="WhatsApp's id of the message")]
Words = Annotated[
    str,
    Meta(description="Text or caption; empty for a file without one, or a disappearing message"),
]


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened: the ``data`` of one outgoing webhook."""

    event: ClassVar[str]
    """The type of the event, as `webhooks.events` names it."""


class MessageReceived(Announcement, frozen=True, kw_only=True):
    """A customer has written something that the bot is to answer, or that waits for a person."""

    event = "message.received"
    chat: Chat
    message_id: MessageId
    kind: Annotated[str, Meta(description="Its type in WhatsApp: text, image, voice …")]
    text: Words
    author: Annotated[str, Meta(description="Digits or id of its author; in a group, of a member")]
    author_name: str
    sent_at: Annotated[Moment | None, Meta(description="By WhatsApp's clock")]


class MessageSent(Announcement, frozen=True, kw_only=True):
    """WhatsApp has taken a message of ours: of the bot, or of a person of the business."""

    event = "message.sent"
    chat: Chat
    message_id: MessageId
    kind: Annotated[str, Meta(description="text, voice, image …")]
    text: Words
    by: Annotated[
        Literal["bot", "agent"], Meta(description="agent: a person, at a phone or the dashboard")
    ]
    agent: Annotated[str, Meta(description="The agent's name; empty if unknown")] = ""
    turn: Annotated[str, Meta(description="The turn that it answers; empty if none")] = ""


class TurnEnded(Announcement, frozen=True, kw_only=True):
    """A turn has its outcome; later another one if it proves that nothing was delivered."""

    event = "turn.ended"
    chat: Chat
    turn: TurnName
    outcome: Outcome
    reason: str
    messages: Annotated[list[str], Meta(description="WhatsApp's ids of the customer's messages")]
    opened_at: Moment


class ChatEscalated(Announcement, frozen=True, kw_only=True):
    """The model asks for a person."""

    event = "chat.escalated"
    chat: Chat
    turn: TurnName
    reason: str
    summary: str
    urgency: Annotated[str, Meta(description="low, normal or high")]


class ChatWaiting(Announcement, frozen=True, kw_only=True):
    """A customer's message waits for a person from now on."""

    event = "chat.waiting"
    chat: Chat
    message_id: MessageId
    reason: str
    received_at: Moment


class ChatTakenOver(Announcement, frozen=True, kw_only=True):
    """A person has the chat, and the bot keeps out."""

    event = "chat.taken_over"
    chat: Chat
    by: Annotated[
        Literal["agent", "operator"],
        Meta(description="agent: by writing; operator: in the dashboard or by the API"),
    ]
    until: Annotated[Moment, Meta(description="When the pause ends if nobody writes")]


class ChatGivenBack(Announcement, frozen=True, kw_only=True):
    """A person lets the bot answer again, before the pause has ended by itself."""

    event = "chat.given_back"
    chat: Chat


class ReminderChanged(Announcement, frozen=True, kw_only=True):
    """A reminder or follow-up was made, was sent, or will not be sent."""

    event = "reminder.changed"
    chat: Chat
    reminder: Annotated[int, Meta(description="Its number")]
    kind: Annotated[
        Literal["reminder", "followup"],
        Meta(description="reminder: asked for; followup: by a rule of the configuration"),
    ]
    state: ReminderState
    reason: Annotated[str, Meta(description="Why it is cancelled or expired; else empty")]
    due_at: Moment
    text: str


Change = Literal["new", "name", "opt_out", "facts", "identity", "labels"]


class ContactChanged(Announcement, frozen=True, kw_only=True):
    """A contact is new or has changed; the fields are as they are now."""

    event = "contact.changed"
    chat: Chat
    changed: Annotated[Change, Meta(description="opt_out: out or in again; identity: another id")]
    name: str
    opted_out: Annotated[bool, Meta(description="The contact wants no unrequested messages")]
    facts: Annotated[list[str], Meta(description="What the assistant remembers of the contact")]
    labels: Annotated[list[str], Meta(description="Of the chat, by name")]
    before: Annotated[str, Meta(description="identity: the chat id that is not used any more")] = ""


class BudgetUsedUp(Announcement, frozen=True, kw_only=True):
    """The budget of a day is used up, and a customer was asked to wait for a person."""

    event = "budget.spent"
    day: Annotated[str, Meta(description="YYYY-MM-DD in the number's time zone")]
    chat: Annotated[str, Meta(description="The contact's; empty if it is the number's total")]


class NumberChanged(Announcement, frozen=True, kw_only=True):
    """Our number is in another state at its gateway."""

    event = "number.changed"
    state: NumberCondition
    detail: Annotated[str, Meta(description="The gateway's words for it, and what to do")]


ANNOUNCEMENTS: tuple[type[Announcement], ...] = (
    MessageReceived,
    MessageSent,
    TurnEnded,
    ChatEscalated,
    ChatWaiting,
    ChatTakenOver,
    ChatGivenBack,
    ReminderChanged,
    ContactChanged,
    BudgetUsedUp,
    NumberChanged,
)
EVENTS = tuple(announcement.event for announcement in ANNOUNCEMENTS)
"""All types of events."""


class EndpointCounts(NamedTuple):
    """What waits for one endpoint, and what was given up."""

    pending: int = 0
    oldest_at: float = 0
    """When the oldest that waits was stored, Unix seconds; 0 if nothing waits."""
    dead: int = 0


_json = msgspec.json.Encoder()


def moment(seconds: float) -> datetime:
    """Unix seconds as a moment of an announcement."""
    return datetime.fromtimestamp(seconds, UTC)


def body_of(announcement: Announcement, number: str, *, at: float) -> str:
    """The JSON body of a webhook. ``at``: when it happened, Unix seconds."""
    whole = {
        "type": announcement.event,
        "timestamp": moment(at),
        "number": number,
        "data": announcement,
    }
    return _json.encode(whole).decode()


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of every body."""
    number = Annotated[str, Meta(description="The name of our number in the configuration")]
    timestamp = Annotated[Moment, Meta(description="When it happened")]
    bodies = [
        msgspec.defstruct(
            f"{one.__name__}Webhook",
            [("timestamp", timestamp), ("number", number), ("data", one)],
            tag_field="type",
            tag=one.event,
            namespace={"__doc__": one.__doc__},
        )
        for one in ANNOUNCEMENTS
    ]
    references, definitions = msgspec.json.schema_components(bodies, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Outgoing webhooks of Recado",
        "anyOf": list(references),
        "$defs": definitions,
    }
