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


class ContactSettings(SettingsTable):
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


class ChatSettings(SettingsTable):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = Field(default=(), description="only these chats and groups; empty: all")
    deny: Chats = Field(default=(), description="never these chats, also if they are allowed")


class PresenceSettings(SettingsTable):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = Field(
        default=True,
        description="ask WhatsApp to tell when contacts type or record, and wait while they do",
    )


class ReplySettings(SettingsTable):
    """``[replies]``: what is answered besides messages with something in them."""

    answer_reactions: Switch = Field(
        default=False, description="answer an emoji on one of our messages, not only know of it"
    )
    answer_calls: Switch = Field(
        default=False,
        description="after a missed call say that calls are not answered here (texts.call)",
    )


class BufferSettings(SettingsTable):
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
            description="after so long a customer who waits for a person is reported",
        )
    )


class EscalationSettings(SettingsTable):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = Field(
        default="", description="where agents are told: a number or chat id, best a group's"
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


# -- limits ----------------------------------------------------------------------------------------


class BudgetSettings(SettingsTable):
    """``[budget]``: what the model may use up in a day (in the time zone of ``timezone``)."""

    contact_tokens: Count = Field(default=0, description="for one contact; 0: no limit")
    contact_cost: Amount = Field(default=0, description="for one contact; 0: no limit")
    total_tokens: Count = Field(default=0, description="for all contacts together; 0: no limit")
    total_cost: Amount = Field(default=0, description="for all contacts together; 0: no limit")
    currency: Name = Field(default="USD", description="of the costs and prices; only shown")
    prices: Prices = Field(
        default={},
        description="by model, for a million tokens: { input = 1.0, cached = 0.1, output = 4.0 };"
        " of models that hear or speak: minute, of sound, and characters, for a million of them",
    )
    answer_tokens: Count = Field(
        default=2000, description="set aside for the output of a call until its real use is known"
    )


class BrakeSettings(SettingsTable):
    """``[brakes]``: chats that go too fast, and talks with machines."""

    turns_per_minute: Count = Field(
        default=10, description="of one chat; further messages are answered later; 0: no limit"
    )
    loop_answers: Count = Field(
        default=6, description="answers in a row that are replied to at once are a loop; 0: off"
    )
    loop_seconds: Seconds = Field(default=120, description="the time in which they count")
    loop_reply_seconds: Seconds = Field(default=10, description="what counts as at once")
    repeats: Count = Field(
        default=4, description="turns in which the same words come are a loop; 0: off"
    )
    repeat_minutes: Annotated[
        float, Field(gt=0, le=1440), Rule("a number of minutes above 0, at most 1440", float)
    ] = Field(default=10, description="the time in which they count")
    pause_minutes: Annotated[float, Field(gt=0), Rule("a number of minutes above 0", float)] = (
        Field(default=30, description="a chat in a loop is not answered")
    )


# -- wording ---------------------------------------------------------------------------------------


class TextSettings(SettingsTable):
    """``[texts]``: own wording for the texts that the daemon says by itself.

    Same field names as ``daemon.domain.texts.Texts``.
    """

    apology: OwnText = Field(default="", description="sent when no answer could be made")
    unclear: OwnText = Field(default="", description="sent when the answer was not fit to be sent")
    expired: OwnText = Field(default="", description="sent for messages too old to be answered")
    too_long: OwnText = Field(default="", description="sent for a message too long to be read")
    escalation: OwnText = Field(
        default="",
        description="sent to the agents; {urgency} {name} {chat} {reason} {summary} {link}",
    )
    budget: OwnText = Field(
        default="", description="sent once a day a chat when the budget of the day is spent"
    )
    document: OwnText = Field(
        default="", description="sent with the document that a very long answer becomes"
    )
    document_name: OwnText = Field(
        default="", description="name of that document, without its ending"
    )
    overdue: OwnText = Field(
        default="", description="sent once when a person was asked for and none has written in time"
    )
    call: OwnText = Field(
        default="", description="sent after a missed call, if replies.answer_calls is on"
    )
    opted_out: OwnText = Field(
        default="", description="sent to who wants no more messages; {word} lets them come again"
    )
    opted_in: OwnText = Field(default="", description="sent to who wants messages again")
    agent_note: OwnText = Field(
        default="", description="stands before an agent's words in the thread; {name} is the agent"
    )
    date_label: OwnText = Field(default="", description="label in the context line")
    time_label: OwnText = Field(default="", description="label in the context line")
    contact_label: OwnText = Field(default="", description="label in the context line")
    chat_label: OwnText = Field(default="", description="label in the context line")
    channel_label: OwnText = Field(default="", description="label in the context line")
    labels_label: OwnText = Field(default="", description="label in the context line")
