"""Settings of the conversations: which chats are answered, how, within which limits and words.

Every field has its default, a one-line meaning and, in its type, what a value must be; see
`daemon.settings.rules`.
"""

from typing import Annotated, Literal

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
    setting,
)


class GroupSettings(SettingsTable):
    """``[groups]``: what the bot does in groups."""

    mode: Literal["off", "mentions", "all"] = setting(
        "mentions",
        "which messages of a group are answered: none, those that mention our number or"
        " answer one of our messages, or all",
    )
    quote: Switch = setting(True, "answers in a group quote the message that they answer")
    mention: Switch = setting(
        True, "in a group in which several people write, answers mention the person"
    )
    context_messages: Annotated[int, Range(ge=0, le=200)] = setting(
        20, "messages of the group since the last answer that the model gets"
    )
    own_number: Chats = setting(
        (),
        "our number, and our …@lid id if known, to recognise mentions; empty: read from"
        " the gateway at the start",
    )


class ContactSettings(SettingsTable):
    """``[contacts]``: whose messages are answered, in private chats and in groups."""

    allow: Chats = setting((), "only these persons; empty: everybody")
    deny: Chats = setting((), "never these persons, even if they are allowed")
    consent_notice: OwnText = setting(
        "", "sent to each contact once, before the first answer; empty: nothing is sent"
    )
    opt_out_words: Words = setting(
        ("baja", "darme de baja", "no más mensajes", "stop", "unsubscribe"),
        "a message with one of these alone stops unrequested messages; what the contact"
        " writes is still answered",
    )
    opt_in_words: Words = setting(
        ("alta", "darme de alta", "start", "subscribe"),
        "one of these allows them again; texts.opted_out names the first",
    )


class ChatSettings(SettingsTable):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = setting((), "only these chats and groups; empty: all")
    deny: Chats = setting((), "never these chats, even if they are allowed")


class PresenceSettings(SettingsTable):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = setting(
        True, "subscribe to contacts' typing and recording, and wait while they do"
    )


class ReplySettings(SettingsTable):
    """``[replies]``: what is answered besides messages."""

    answer_reactions: Switch = setting(
        False, "answer an emoji on one of our messages, not only note it"
    )
    answer_calls: Switch = setting(False, "send texts.call after a missed call")


class BufferSettings(SettingsTable):
    """``[buffer]``: the debounce window in which a burst of messages is gathered."""

    window_seconds: Seconds = setting(5, "wait after a text")
    voice_seconds: Seconds = setting(8, "wait after a voice note")
    typing_seconds: Seconds = setting(10, "wait after the last sign of typing or recording")
    stop_seconds: Seconds = setting(1, "the window closes this long after the contact stops typing")
    max_wait_seconds: Seconds = setting(60, "no window is longer than this")
    max_messages: Annotated[int, Range(ge=1, le=1000)] = setting(
        50, "messages at which a window closes at once"
    )
    idle_seconds: Seconds = setting(60, "a chat's task ends after this long with nothing to do")


class TakeoverSettings(SettingsTable):
    """``[takeover]``: stepping aside when a person of the business writes."""

    pause_minutes: Annotated[float, Range("minutes", ge=0)] = setting(
        30, "silence after an agent wrote; fractions allowed, 0: never pause"
    )
    remind_minutes: Annotated[float, Range("minutes", gt=0)] = setting(
        30, "a customer who waits longer for a person is reported"
    )


class EscalationSettings(SettingsTable):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = setting(
        "", "where agents are notified: a number or chat id, best of a group"
    )
    label: OwnName = setting("", "WhatsApp label that the chat gets")
    pause_minutes: Annotated[float, Range("minutes", ge=0)] = setting(
        60, "silence after handing over, at least takeover.pause_minutes"
    )


class DeliverySettings(SettingsTable):
    """``[delivery]``: how answers are sent."""

    typing: Switch = setting(True, "show typing and keep a human pace; false sends at once")
    messages_per_minute: Annotated[float, Range("messages", ge=0)] = setting(
        120, "for all chats together while typing is shown; 0: no limit"
    )
    read_receipts: Switch = setting(
        True,
        "mark messages as read when work on their answer starts; never while an agent has the chat",
    )
    link_preview: Switch = setting(False, "let WhatsApp show a preview of the links in an answer")
    max_bubbles: Annotated[int, Range(ge=1, le=20)] = setting(
        4,
        "most messages of one answer; an answer that does not fit, or has more than"
        " 16,000 characters, is sent as a document",
    )
    short_characters: Annotated[int, Range(ge=0, le=1000)] = setting(
        40,
        "a shorter paragraph, such as a greeting, joins its neighbour; 0: each is a"
        " message of its own",
    )
    unknown: Literal["leave", "repeat"] = setting(
        "leave",
        "a gateway that lists no messages (cloud) has not said whether one was sent:"
        " leave it, with an error in the log, or repeat it",
    )


# -- limits ----------------------------------------------------------------------------------------


class BudgetSettings(SettingsTable):
    """``[budget]``: what the model may use in a day (in the time zone of ``timezone``)."""

    contact_tokens: Count = setting(0, "for one contact; 0: no limit")
    contact_cost: Amount = setting(0, "for one contact; 0: no limit")
    total_tokens: Count = setting(0, "for all contacts together; 0: no limit")
    total_cost: Amount = setting(0, "for all contacts together; 0: no limit")
    currency: Name = setting("USD", "of the costs and prices; for display")
    prices: Prices = setting(
        {},
        "by model, for a million tokens: { input = 1.0, cached = 0.1, output = 4.0 };"
        " for speech and transcription: minute (of sound) or characters (a million)",
    )
    answer_tokens: Count = setting(
        2000, "reserved for the output of a call until its real use is known"
    )


class BrakeSettings(SettingsTable):
    """``[brakes]``: limits for chats that go too fast, and for loops with machines."""

    turns_per_minute: Count = setting(
        10, "of one chat; further messages are answered later; 0: no limit"
    )
    loop_answers: Count = setting(
        6, "this many answers in a row replied to at once are a loop; 0: off"
    )
    loop_seconds: Seconds = setting(120, "the time in which they count")
    loop_reply_seconds: Seconds = setting(10, "a faster reply is at once")
    repeats: Count = setting(4, "this many turns with the same words are a loop; 0: off")
    repeat_minutes: Annotated[float, Range("minutes", gt=0, le=1440)] = setting(
        10, "the time in which they count"
    )
    pause_minutes: Annotated[float, Range("minutes", gt=0)] = setting(
        30, "a chat in a loop is not answered for this long"
    )


# -- wording ---------------------------------------------------------------------------------------


class TextSettings(SettingsTable):
    """``[texts]``: own wording for the built-in texts.

    Same field names as ``daemon.domain.texts.Texts``.
    """

    apology: OwnText = setting("", "sent when there is no answer")
    unclear: OwnText = setting("", "sent when the model's answer must not be sent")
    expired: OwnText = setting("", "sent for messages too old to be answered")
    too_long: OwnText = setting("", "sent for a message too long to be read")
    escalation: OwnText = setting(
        "", "sent to the agents; {urgency} {name} {chat} {reason} {summary} {link}"
    )
    budget: OwnText = setting("", "sent once a day to a chat when the day's budget is used up")
    document: OwnText = setting("", "sent with a very long answer, which becomes a document")
    document_name: OwnText = setting("", "name of that document, without its extension")
    overdue: OwnText = setting(
        "", "sent once when a person was asked for and none has written in time"
    )
    closed: OwnText = setting(
        "", "sent with a handover outside of hours.open; {opens} is when they begin"
    )
    call: OwnText = setting("", "sent after a missed call, if replies.answer_calls is on")
    opted_out: OwnText = setting("", "sent after an opt-out; {word} is the word that opts in again")
    opted_in: OwnText = setting("", "sent after an opt-in")
    agent_note: OwnText = setting(
        "", "precedes an agent's words in the thread; {name} is the agent"
    )
    date_label: OwnText = setting("", "label in the context line")
    time_label: OwnText = setting("", "label in the context line")
    contact_label: OwnText = setting("", "label in the context line")
    chat_label: OwnText = setting("", "label in the context line")
    channel_label: OwnText = setting("", "label in the context line")
    labels_label: OwnText = setting("", "label in the context line")
