"""Settings of the conversations: which chats are answered, how, within which limits and words.

Every field has its default, a one-line meaning and, in its type, what a value must be; see
`daemon.settings.rules`.
"""

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import (
    Amount,
    Chats,
    Count,
    Name,
    OptionalChat,
    OwnName,
    OwnText,
    Prices,
    Rule,
    Seconds,
    SettingsTable,
    Switch,
    Words,
)


class GroupSettings(SettingsTable):
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
        description="in a group in which several people write, answers mention the person",
    )
    context_messages: Annotated[
        int, Field(ge=0, le=200), Rule("a whole number from 0 to 200", int)
    ] = Field(
        default=20,
        description="messages of the group since the last answer that the model gets",
    )
    own_number: Chats = Field(
        default=(),
        description="our number, and our …@lid id if known, to recognise mentions; empty: read from"
        " the gateway at the start",
    )


class ContactSettings(SettingsTable):
    """``[contacts]``: whose messages are answered, in private chats and in groups."""

    allow: Chats = Field(default=(), description="only these persons; empty: everybody")
    deny: Chats = Field(default=(), description="never these persons, even if they are allowed")
    consent_notice: OwnText = Field(
        default="",
        description="sent to each contact once, before the first answer; empty: nothing is sent",
    )
    opt_out_words: Words = Field(
        default=("baja", "darme de baja", "no más mensajes", "stop", "unsubscribe"),
        description="a message with one of these alone stops unrequested messages; what the contact"
        " writes is still answered",
    )
    opt_in_words: Words = Field(
        default=("alta", "darme de alta", "start", "subscribe"),
        description="one of these allows them again; texts.opted_out names the first",
    )


class ChatSettings(SettingsTable):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = Field(default=(), description="only these chats and groups; empty: all")
    deny: Chats = Field(default=(), description="never these chats, even if they are allowed")


class PresenceSettings(SettingsTable):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = Field(
        default=True,
        description="subscribe to contacts' typing and recording, and wait while they do",
    )


class ReplySettings(SettingsTable):
    """``[replies]``: what is answered besides messages."""

    answer_reactions: Switch = Field(
        default=False, description="answer an emoji on one of our messages, not only note it"
    )
    answer_calls: Switch = Field(
        default=False,
        description="send texts.call after a missed call",
    )


class BufferSettings(SettingsTable):
    """``[buffer]``: the debounce window in which a burst of messages is gathered."""

    window_seconds: Seconds = Field(default=5, description="wait after a text")
    voice_seconds: Seconds = Field(default=8, description="wait after a voice note")
    typing_seconds: Seconds = Field(
        default=10, description="wait after the last sign of typing or recording"
    )
    stop_seconds: Seconds = Field(
        default=1, description="the window closes this long after the contact stops typing"
    )
    max_wait_seconds: Seconds = Field(default=60, description="no window is longer than this")
    max_messages: Annotated[
        int, Field(ge=1, le=1000), Rule("a whole number from 1 to 1000", int)
    ] = Field(default=50, description="messages at which a window closes at once")
    idle_seconds: Seconds = Field(
        default=60, description="a chat's task ends after this long with nothing to do"
    )


class TakeoverSettings(SettingsTable):
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
            description="a customer who waits longer for a person is reported",
        )
    )


class EscalationSettings(SettingsTable):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = Field(
        default="", description="where agents are notified: a number or chat id, best of a group"
    )
    label: OwnName = Field(default="", description="WhatsApp label that the chat gets")
    pause_minutes: Annotated[float, Field(ge=0), Rule("a number of minutes, 0 or more", float)] = (
        Field(default=60, description="silence after handing over, at least takeover.pause_minutes")
    )


class DeliverySettings(SettingsTable):
    """``[delivery]``: how answers are sent."""

    typing: Switch = Field(
        default=True, description="show typing and keep a human pace; false sends at once"
    )
    messages_per_minute: Annotated[
        float, Field(ge=0), Rule("a number of messages, 0 or more", float)
    ] = Field(default=120, description="for all chats together while typing is shown; 0: no limit")
    read_receipts: Switch = Field(
        default=True,
        description="mark messages as read when work on their answer starts; never while an agent"
        " has the chat",
    )
    link_preview: Switch = Field(
        default=False, description="let WhatsApp show a preview of the links in an answer"
    )
    max_bubbles: Annotated[int, Field(ge=1, le=20), Rule("a whole number from 1 to 20", int)] = (
        Field(
            default=4,
            description="most messages of one answer; an answer that does not fit, or has more than"
            " 16,000 characters, is sent as a document",
        )
    )
    short_characters: Annotated[
        int, Field(ge=0, le=1000), Rule("a whole number from 0 to 1000", int)
    ] = Field(
        default=40,
        description="a shorter paragraph, such as a greeting, joins its neighbour; 0: each is a"
        " message of its own",
    )
    unknown: Annotated[Literal["leave", "repeat"], Rule("leave or repeat")] = Field(
        default="leave",
        description="a gateway that lists no messages (cloud) has not said whether one was sent:"
        " leave it, with an error in the log, or repeat it",
    )


# -- limits ----------------------------------------------------------------------------------------


class BudgetSettings(SettingsTable):
    """``[budget]``: what the model may use in a day (in the time zone of ``timezone``)."""

    contact_tokens: Count = Field(default=0, description="for one contact; 0: no limit")
    contact_cost: Amount = Field(default=0, description="for one contact; 0: no limit")
    total_tokens: Count = Field(default=0, description="for all contacts together; 0: no limit")
    total_cost: Amount = Field(default=0, description="for all contacts together; 0: no limit")
    currency: Name = Field(default="USD", description="of the costs and prices; for display")
    prices: Prices = Field(
        default={},
        description="by model, for a million tokens: { input = 1.0, cached = 0.1, output = 4.0 };"
        " for speech and transcription: minute (of sound) or characters (a million)",
    )
    answer_tokens: Count = Field(
        default=2000, description="reserved for the output of a call until its real use is known"
    )


class BrakeSettings(SettingsTable):
    """``[brakes]``: limits for chats that go too fast, and for loops with machines."""

    turns_per_minute: Count = Field(
        default=10, description="of one chat; further messages are answered later; 0: no limit"
    )
    loop_answers: Count = Field(
        default=6, description="this many answers in a row replied to at once are a loop; 0: off"
    )
    loop_seconds: Seconds = Field(default=120, description="the time in which they count")
    loop_reply_seconds: Seconds = Field(default=10, description="a faster reply is at once")
    repeats: Count = Field(
        default=4, description="this many turns with the same words are a loop; 0: off"
    )
    repeat_minutes: Annotated[
        float, Field(gt=0, le=1440), Rule("a number of minutes above 0, at most 1440", float)
    ] = Field(default=10, description="the time in which they count")
    pause_minutes: Annotated[float, Field(gt=0), Rule("a number of minutes above 0", float)] = (
        Field(default=30, description="a chat in a loop is not answered for this long")
    )


# -- wording ---------------------------------------------------------------------------------------


class TextSettings(SettingsTable):
    """``[texts]``: own wording for the built-in texts.

    Same field names as ``daemon.domain.texts.Texts``.
    """

    apology: OwnText = Field(default="", description="sent when there is no answer")
    unclear: OwnText = Field(
        default="", description="sent when the model's answer must not be sent"
    )
    expired: OwnText = Field(default="", description="sent for messages too old to be answered")
    too_long: OwnText = Field(default="", description="sent for a message too long to be read")
    escalation: OwnText = Field(
        default="",
        description="sent to the agents; {urgency} {name} {chat} {reason} {summary} {link}",
    )
    budget: OwnText = Field(
        default="", description="sent once a day to a chat when the day's budget is used up"
    )
    document: OwnText = Field(
        default="", description="sent with a very long answer, which becomes a document"
    )
    document_name: OwnText = Field(
        default="", description="name of that document, without its extension"
    )
    overdue: OwnText = Field(
        default="", description="sent once when a person was asked for and none has written in time"
    )
    closed: OwnText = Field(
        default="",
        description="sent with a handover outside of hours.open; {opens} is when they begin",
    )
    call: OwnText = Field(
        default="", description="sent after a missed call, if replies.answer_calls is on"
    )
    opted_out: OwnText = Field(
        default="", description="sent after an opt-out; {word} is the word that opts in again"
    )
    opted_in: OwnText = Field(default="", description="sent after an opt-in")
    agent_note: OwnText = Field(
        default="", description="precedes an agent's words in the thread; {name} is the agent"
    )
    date_label: OwnText = Field(default="", description="label in the context line")
    time_label: OwnText = Field(default="", description="label in the context line")
    contact_label: OwnText = Field(default="", description="label in the context line")
    chat_label: OwnText = Field(default="", description="label in the context line")
    channel_label: OwnText = Field(default="", description="label in the context line")
    labels_label: OwnText = Field(default="", description="label in the context line")
