"""The tables of the configuration that say which chats are answered, and how.

Every field carries its default, a one-line meaning and, in its type, what a value must be; see
`daemon.settings.section`.
"""

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import (
    Chats,
    OptionalChat,
    OwnName,
    OwnText,
    Rule,
    Seconds,
    Switch,
    Words,
)
from daemon.settings.section import Section


class GroupSettings(Section):
    """``[groups]``: what the bot does in groups."""

    mode: Annotated[Literal["off", "mentions", "all"], Rule("off, mentions or all")] = Field(
        default="mentions",
        description="which messages of a group are answered: none, those that mention our number or"
        " answer one of our messages, or all",
    )
    quote: Switch = Field(
        default=True, description="answers in a group quote the message that they answer"
    )
    mention: Switch = Field(
        default=True,
        description="answers in a group in which several people write mention whom they answer",
    )
    context_messages: Annotated[
        int, Field(ge=0, le=200), Rule("a whole number from 0 to 200", int)
    ] = Field(
        default=20,
        description="of the group's talk since the last answer that the model is told of",
    )
    own_number: Chats = Field(
        default=(),
        description="our number, and our …@lid id if known, to recognise mentions by; empty: asked"
        " of the gateway at the start",
    )


class ContactSettings(Section):
    """``[contacts]``: whose messages are answered, in private chats and in groups."""

    allow: Chats = Field(default=(), description="only these persons; empty: everybody")
    deny: Chats = Field(default=(), description="never these persons, also if they are allowed")
    consent_notice: OwnText = Field(
        default="",
        description="said to each contact once, before the first answer; empty: nothing is said",
    )
    opt_out_words: Words = Field(
        default=("baja", "darme de baja", "no más mensajes", "stop", "unsubscribe"),
        description="a message that is one of these ends messages nobody has asked for; what the"
        " contact writes is still answered",
    )
    opt_in_words: Words = Field(
        default=("alta", "darme de alta", "start", "subscribe"),
        description="and one of these lets them come again; the first is named in texts.opted_out",
    )


class ChatSettings(Section):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = Field(default=(), description="only these chats and groups; empty: all")
    deny: Chats = Field(default=(), description="never these chats, also if they are allowed")


class PresenceSettings(Section):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = Field(
        default=True,
        description="ask WhatsApp to tell when contacts type or record, and wait while they do",
    )


class ReplySettings(Section):
    """``[replies]``: what is answered besides messages with something in them."""

    answer_reactions: Switch = Field(
        default=False, description="answer an emoji on one of our messages, not only know of it"
    )
    answer_calls: Switch = Field(
        default=False,
        description="after a missed call say that calls are not answered here (texts.call)",
    )


class BufferSettings(Section):
    """``[buffer]``: the debounce window in which a burst of messages is gathered."""

    window_seconds: Seconds = Field(default=5, description="waited after a text")
    voice_seconds: Seconds = Field(default=8, description="waited after a voice note")
    typing_seconds: Seconds = Field(
        default=10, description="waited after the last sign of typing or recording"
    )
    stop_seconds: Seconds = Field(
        default=1, description="the window closes this long after the contact stops typing"
    )
    max_wait_seconds: Seconds = Field(default=60, description="no window is longer than this")
    max_messages: Annotated[
        int, Field(ge=1, le=1000), Rule("a whole number from 1 to 1000", int)
    ] = Field(default=50, description="a full window closes at once; what comes next opens another")
    idle_seconds: Seconds = Field(
        default=60, description="a chat's task leaves after this long with nothing to do"
    )


class TakeoverSettings(Section):
    """``[takeover]``: stepping aside when a person of the business writes."""

    pause_minutes: Annotated[float, Field(ge=0), Rule("a number of minutes, 0 or more", float)] = (
        Field(
            default=30,
            description="silence after an agent wrote; fractions allowed, 0: never pause",
        )
    )
    remind_minutes: Annotated[float, Field(gt=0), Rule("a number of minutes above 0", float)] = (
        Field(
            default=30,
            description="after so long a customer who waits for a person is reported",
        )
    )


class EscalationSettings(Section):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = Field(
        default="", description="where agents are told: a number or chat id, best a group's"
    )
    label: OwnName = Field(default="", description="WhatsApp label that the chat gets")
    pause_minutes: Annotated[float, Field(ge=0), Rule("a number of minutes, 0 or more", float)] = (
        Field(default=60, description="silence after handing over, at least takeover.pause_minutes")
    )


class DeliverySettings(Section):
    """``[delivery]``: how answers are sent."""

    typing: Switch = Field(
        default=True, description="show typing and keep a human pace; false sends at once"
    )
    messages_per_minute: Annotated[
        float, Field(ge=0), Rule("a number of messages, 0 or more", float)
    ] = Field(default=120, description="of all chats together while typing is shown; 0: no limit")
    read_receipts: Switch = Field(
        default=True,
        description="mark messages as read when their answer is begun; never while an agent has"
        " the chat",
    )
    link_preview: Switch = Field(
        default=False, description="let WhatsApp show a preview of the links in an answer"
    )
    max_bubbles: Annotated[int, Field(ge=1, le=20), Rule("a whole number from 1 to 20", int)] = (
        Field(
            default=4,
            description="messages of one answer, at most; one that does not fit into them, or has"
            " more than 16,000 characters, is sent as a document",
        )
    )
    short_characters: Annotated[
        int, Field(ge=0, le=1000), Rule("a whole number from 0 to 1000", int)
    ] = Field(
        default=40,
        description="a paragraph with fewer, such as a greeting, goes with its neighbour; 0: each"
        " paragraph is a message",
    )
