"""Settings of the conversations: which chats are answered, how, within which limits and words.

Every field has its default, below it what it means, and in its type what a value must be; see
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
    Range,
    Seconds,
    SettingsTable,
    Switch,
    Words,
)


class GroupSettings(SettingsTable):
    """``[groups]``: what the bot does in groups."""

    mode: Literal["off", "mentions", "all"] = "mentions"
    """which messages of a group are answered: none, those that mention our number or answer one of
    our messages, or all"""
    quote: Switch = True
    """answers in a group quote the message that they answer"""
    mention: Switch = True
    """in a group in which several people write, answers mention the person"""
    context_messages: Annotated[int, Range(ge=0, le=200)] = 20
    """messages of the group since the last answer that the model gets"""
    own_number: Chats = ()
    """our number, and our …@lid id if known, to recognise mentions; empty: read from the gateway at
    the start"""


class ContactSettings(SettingsTable):
    """``[contacts]``: whose messages are answered, in private chats and in groups."""

    allow: Chats = ()
    """only these persons; empty: everybody"""
    deny: Chats = ()
    """never these persons, even if they are allowed"""
    consent_notice: OwnText = ""
    """sent to each contact once, before the first answer; empty: nothing is sent"""
    opt_out_words: Words = ("baja", "darme de baja", "no más mensajes", "stop", "unsubscribe")
    """a message with one of these alone stops unrequested messages; what the contact writes is
    still answered"""
    opt_in_words: Words = ("alta", "darme de alta", "start", "subscribe")
    """one of these allows them again; texts.opted_out names the first"""


class ChatSettings(SettingsTable):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = ()
    """only these chats and groups; empty: all"""
    deny: Chats = ()
    """never these chats, even if they are allowed"""


class PresenceSettings(SettingsTable):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = True
    """subscribe to contacts' typing and recording, and wait while they do"""


class ReplySettings(SettingsTable):
    """``[replies]``: what is answered besides messages."""

    answer_reactions: Switch = False
    """answer an emoji on one of our messages, not only note it"""
    answer_calls: Switch = False
    """send texts.call after a missed call"""


class BufferSettings(SettingsTable):
    """``[buffer]``: the debounce window in which a burst of messages is gathered."""

    window_seconds: Seconds = 5
    """wait after a text"""
    voice_seconds: Seconds = 8
    """wait after a voice note"""
    typing_seconds: Seconds = 10
    """wait after the last sign of typing or recording"""
    stop_seconds: Seconds = 1
    """the window closes this long after the contact stops typing"""
    max_wait_seconds: Seconds = 60
    """no window is longer than this"""
    max_messages: Annotated[int, Range(ge=1, le=1000)] = 50
    """messages at which a window closes at once"""
    idle_seconds: Seconds = 60
    """a chat's task ends after this long with nothing to do"""


class TakeoverSettings(SettingsTable):
    """``[takeover]``: stepping aside when a person of the business writes."""

    pause_minutes: Annotated[float, Range("minutes", ge=0)] = 30
    """silence after an agent wrote; fractions allowed, 0: never pause"""
    remind_minutes: Annotated[float, Range("minutes", gt=0)] = 30
    """a customer who waits longer for a person is reported"""


class EscalationSettings(SettingsTable):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = ""
    """where agents are notified: a number or chat id, best of a group"""
    label: OwnName = ""
    """WhatsApp label that the chat gets"""
    pause_minutes: Annotated[float, Range("minutes", ge=0)] = 60
    """silence after handing over, at least takeover.pause_minutes"""


class DeliverySettings(SettingsTable):
    """``[delivery]``: how answers are sent."""

    typing: Switch = True
    """show typing and keep a human pace; false sends at once"""
    messages_per_minute: Annotated[float, Range("messages", ge=0)] = 120
    """for all chats together while typing is shown; 0: no limit"""
    read_receipts: Switch = True
    """mark messages as read when work on their answer starts; never while an agent has the chat"""
    link_preview: Switch = False
    """let WhatsApp show a preview of the links in an answer"""
    max_bubbles: Annotated[int, Range(ge=1, le=20)] = 4
    """most messages of one answer; an answer that does not fit, or has more than 16,000 characters,
    is sent as a document"""
    short_characters: Annotated[int, Range(ge=0, le=1000)] = 40
    """a shorter paragraph, such as a greeting, joins its neighbour; 0: each is a message of its
    own"""
    unknown: Literal["leave", "repeat"] = "leave"
    """a gateway that lists no messages (cloud) has not said whether one was sent: leave it, with an
    error in the log, or repeat it"""


# -- limits ----------------------------------------------------------------------------------------


class BudgetSettings(SettingsTable):
    """``[budget]``: what the model may use in a day (in the time zone of ``timezone``)."""

    contact_tokens: Count = 0
    """for one contact; 0: no limit"""
    contact_cost: Amount = 0
    """for one contact; 0: no limit"""
    total_tokens: Count = 0
    """for all contacts together; 0: no limit"""
    total_cost: Amount = 0
    """for all contacts together; 0: no limit"""
    currency: Name = "USD"
    """of the costs and prices; for display"""
    prices: Prices = Field(default_factory=dict)
    """by model, for a million tokens: { input = 1.0, cached = 0.1, output = 4.0 }; for speech and
    transcription: minute (of sound) or characters (a million)"""
    answer_tokens: Count = 2000
    """reserved for the output of a call until its real use is known"""


class BrakeSettings(SettingsTable):
    """``[brakes]``: limits for chats that go too fast, and for loops with machines."""

    turns_per_minute: Count = 10
    """of one chat; further messages are answered later; 0: no limit"""
    loop_answers: Count = 6
    """this many answers in a row replied to at once are a loop; 0: off"""
    loop_seconds: Seconds = 120
    """the time in which they count"""
    loop_reply_seconds: Seconds = 10
    """a faster reply is at once"""
    repeats: Count = 4
    """this many turns with the same words are a loop; 0: off"""
    repeat_minutes: Annotated[float, Range("minutes", gt=0, le=1440)] = 10
    """the time in which they count"""
    pause_minutes: Annotated[float, Range("minutes", gt=0)] = 30
    """a chat in a loop is not answered for this long"""


# -- wording ---------------------------------------------------------------------------------------


class TextSettings(SettingsTable):
    """``[texts]``: own wording for the built-in texts.

    Same field names as ``daemon.domain.texts.Texts``.
    """

    apology: OwnText = ""
    """sent when there is no answer"""
    unclear: OwnText = ""
    """sent when the model's answer must not be sent"""
    expired: OwnText = ""
    """sent for messages too old to be answered"""
    too_long: OwnText = ""
    """sent for a message too long to be read"""
    escalation: OwnText = ""
    """sent to the agents; {urgency} {name} {chat} {reason} {summary} {link}"""
    budget: OwnText = ""
    """sent once a day to a chat when the day's budget is used up"""
    document: OwnText = ""
    """sent with a very long answer, which becomes a document"""
    document_name: OwnText = ""
    """name of that document, without its extension"""
    overdue: OwnText = ""
    """sent once when a person was asked for and none has written in time"""
    closed: OwnText = ""
    """sent with a handover outside of hours.open; {opens} is when they begin"""
    call: OwnText = ""
    """sent after a missed call, if replies.answer_calls is on"""
    opted_out: OwnText = ""
    """sent after an opt-out; {word} is the word that opts in again"""
    opted_in: OwnText = ""
    """sent after an opt-in"""
    agent_note: OwnText = ""
    """precedes an agent's words in the thread; {name} is the agent"""
    date_label: OwnText = ""
    """label in the context line"""
    time_label: OwnText = ""
    """label in the context line"""
    contact_label: OwnText = ""
    """label in the context line"""
    chat_label: OwnText = ""
    """label in the context line"""
    channel_label: OwnText = ""
    """label in the context line"""
    labels_label: OwnText = ""
    """label in the context line"""
