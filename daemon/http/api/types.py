"""What the API gives and takes, as types. Its description is made from them.

The functions make them of what `daemon.ops.operator_views` shows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from daemon.domain.labels import LONGEST_NAME, Color
from daemon.domain.messages import JsonObject
from daemon.domain.records import MAX_REMINDER_CHARACTERS
from daemon.domain.rendering.outgoing import MAX_ADDRESS, MAX_CAPTION, MAX_EMOJI

LONGEST_TEXT = 4096
"""Of a WhatsApp message."""
LONGEST_FILENAME = 100
MOST = 100
"""Entries of one page."""
MOST_ROWS = 2**62

Moment = Annotated[datetime, Meta(tz=True)]
Ref = Annotated[
    str,
    Meta(
        min_length=1, max_length=80, pattern="^[A-Za-z0-9_-]+$", description="Name of a chat here"
    ),
]
RowId = Annotated[int, Meta(ge=1, le=MOST_ROWS)]
_NEXT = "The `next` of the page before"
ChatPlace = Annotated[
    str, Meta(max_length=80, pattern=r"^([0-9.e+-]+-[A-Za-z0-9_-]+)?$", description=_NEXT)
]
MessagePlace = Annotated[str, Meta(max_length=80, pattern=r"^([0-9]+-[0-9]+)?$", description=_NEXT)]
FoundPlace = Annotated[str, Meta(max_length=80, pattern=r"^[0-9]*$", description=_NEXT)]
PageSize = Annotated[int, Meta(ge=1, le=MOST, description="Entries of one page")]
Number = Annotated[str, Meta(max_length=80, description="Our number, by its name")]
LabelName = Annotated[str, Meta(max_length=100, description="Name of a label")]
Words = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")]
Caption = Annotated[str, Meta(max_length=MAX_CAPTION)]
QuotedId = Annotated[
    str, Meta(max_length=40, description="The `id` of a message of this chat that is quoted")
]
AgentName = Annotated[
    str, Meta(max_length=60, description="The name shown for who writes; empty: the token's")
]

ChatState = Literal[
    "failed", "with_agent", "paused", "writing", "waiting", "thinking", "sending", "idle"
]


class ApiResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""


class ApiRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a request."""


# -- chats -----------------------------------------------------------------------------------------


class MessageFile(ApiResponse, frozen=True):
    """The file of a message."""

    name: Annotated[str, Meta(description="For /files; empty while it is not stored")]
    mime_type: str
    size: int
    words: Annotated[str, Meta(description="What was read or heard in it")]


class MessageQuote(ApiResponse, frozen=True):
    """What a message answers."""

    message_id: str
    text: str


class ChatMessage(ApiResponse, frozen=True):
    """One message of a chat, of either side."""

    id: Annotated[str, Meta(description="Name of the message here")]
    message_id: Annotated[str, Meta(description="WhatsApp's id; empty before it is sent")]
    side: Annotated[
        Literal["customer", "bot", "agent", "other"],
        Meta(description="other: automatic messages of our number"),
    ]
    name: str
    at: Moment
    kind: Annotated[str, Meta(description="text, image, voice, location …")]
    text: Annotated[str, Meta(description="Its text, caption or title")]
    content: Annotated[dict[str, Any], Meta(description="What its kind has besides")]
    file: MessageFile | None
    quote: MessageQuote | None
    reactions: list[str]
    state: Annotated[
        str,
        Meta(
            description="Of a customer's: received, in_turn, with_agent, answered, ignored,"
            " handed_off, expired, dead; of ours: pending, sending, sent, delivered, read, unknown,"
            " failed, dropped"
        ),
    ]
    reason: str
    turn: Annotated[str, Meta(description="The turn that it belongs to; empty if none")]
    edited_at: Moment | None
    deleted_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None


class WaitingForPerson(ApiResponse, frozen=True):
    """A customer waits for a person."""

    since: Moment
    messages: int
    reason: str
    is_overdue: bool


class ChatEntry(ApiResponse, frozen=True):
    """A chat."""

    ref: Ref
    number: Number
    name: str
    phone: Annotated[str, Meta(description="Shortened; POST …/reveal has it whole")]
    group: bool
    state: ChatState
    at: Annotated[Moment, Meta(description="When it was busy last")]
    first_seen_at: Moment
    unanswered: Annotated[int, Meta(description="Messages without an outcome")]
    unanswered_since: Moment | None
    waiting: WaitingForPerson | None
    paused_until: Moment | None
    opted_out_at: Annotated[
        Moment | None, Meta(description="Since when the contact wants no unrequested messages")
    ]
    window_ends_at: Annotated[
        Moment | None, Meta(description="Until when more than templates may be sent (Cloud API)")
    ]
    last: ChatMessage | None


class ChatCost(ApiResponse, frozen=True):
    """What a chat has cost in all."""

    model: float
    gateway: float
    currency: str


class WholeChat(ChatEntry, frozen=True):
    """A chat, with its labels and costs."""

    labels: Annotated[list[str] | None, Meta(description="null if they are not known")]
    cost: ChatCost


class ChatPage(ApiResponse, frozen=True):
    """One page of the chats, the latest first."""

    chats: list[ChatEntry]
    next: Annotated[str, Meta(description="Cursor of the next page; empty at the end")]
    states: Annotated[dict[str, int], Meta(description="All chats by state, but the idle ones")]


class MessagePage(ApiResponse, frozen=True):
    """One page of a chat, oldest first."""

    messages: list[ChatMessage]
    next: Annotated[str, Meta(description="Cursor of the page before; empty at the beginning")]


class ChatFilter(ApiRequest, frozen=True):
    """Which chats, and which page."""

    query: Annotated[
        str, Meta(max_length=100, description="Part of a name or number, or words of a message")
    ] = ""
    state: ChatState | None = None
    number: Number = ""
    label: LabelName = ""
    cursor: ChatPlace = ""
    limit: PageSize = 40


class SearchFilter(ApiRequest, frozen=True):
    """Which messages, and which page."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100,
            description="Words that a message has, in any order, without accents and case; the last"
            " one may be the beginning of a word",
        ),
    ]
    state: ChatState | None = None
    number: Number = ""
    person: Annotated[
        str, Meta(max_length=100, description="Part of the contact's name or number")
    ] = ""
    label: LabelName = ""
    since: Moment | None = None
    until: Moment | None = None
    cursor: FoundPlace = ""
    limit: PageSize = 20


class KnownLabel(ApiResponse, frozen=True):
    """A label that chats can have."""

    id: Annotated[
        int | None, Meta(description="In the desk's own list; null: it is WhatsApp Business's")
    ]
    name: str
    color: Annotated[str, Meta(description="A word of CSS; empty if it has none")]


class LabelList(ApiResponse, frozen=True):
    """The labels of all our numbers."""

    labels: list[KnownLabel]


class DeskLabel(ApiRequest, frozen=True):
    """A label of the desk's own list."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    color: Color


class SnippetText(ApiResponse, frozen=True):
    """A part of what was found."""

    text: str
    marked: Annotated[bool, Meta(description="Whether it was looked for")]


class FoundMessage(ApiResponse, frozen=True):
    """A message, or a note of colleagues, that has the words."""

    chat: Ref
    number: Number
    name: Annotated[str, Meta(description="Of the contact")]
    id: Annotated[str, Meta(description="Of the message in its chat; note-…: a note")]
    at: Moment
    snippet: list[SnippetText]


class FoundPage(ApiResponse, frozen=True):
    """One page of what was found, the newest first."""

    found: list[FoundMessage]
    next: Annotated[str, Meta(description="Cursor of the next page; empty at the end")]


class MessageFilter(ApiRequest, frozen=True):
    """Which page."""

    cursor: MessagePlace = ""
    limit: PageSize = 60


class Pause(ApiRequest, frozen=True):
    """How long the bot keeps out."""

    minutes: Annotated[float, Meta(gt=0, le=525_600)] | None = None


class ClosedMessages(ApiResponse, frozen=True):
    """What was closed."""

    messages: int


class RevealedPhone(ApiResponse, frozen=True):
    """A phone number, or a group's id."""

    phone: str


class LabelsToChange(ApiRequest, frozen=True):
    """Labels to add and to remove."""

    add: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=20)]
    remove: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=20)
    ] = msgspec.field(default_factory=list)


class ForgetConfirmation(ApiRequest, frozen=True):
    """That this person is meant."""

    confirm: Annotated[
        str, Meta(min_length=1, max_length=10, description="The last four digits of the number")
    ]


class ErasedContact(ApiResponse, frozen=True):
    """What was erased, in numbers."""

    erased: str


class ConsentToSet(ApiRequest, frozen=True):
    """What the contact wants."""

    opted_out: Annotated[bool, Meta(description="No messages that they have not asked for")]


# -- sending ---------------------------------------------------------------------------------------


class TextToSend(ApiRequest, frozen=True, tag_field="type", tag="text"):
    """A text."""

    text: Words
    agent: AgentName = ""
    quote: QuotedId = ""


class TemplateToSend(ApiRequest, frozen=True, tag_field="type", tag="template"):
    """A template that the gateway has approved."""

    template: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Annotated[str, Meta(max_length=20)] = ""
    parameters: dict[str, Annotated[str, Meta(max_length=LONGEST_TEXT)]] = msgspec.field(
        default_factory=dict
    )
    agent: AgentName = ""


class FileToSend(ApiRequest, frozen=True, tag_field="type", tag="file"):
    """A picture or document that WhatsApp fetches from an address."""

    url: Annotated[str, Meta(max_length=MAX_ADDRESS, pattern=r"^https://[^\s/@]+(/\S*)?$")]
    kind: Literal["image", "document"] = "document"
    caption: Caption = ""
    filename: Annotated[str, Meta(max_length=LONGEST_FILENAME)] = ""
    agent: AgentName = ""
    quote: QuotedId = ""


class EmojiToSend(ApiRequest, frozen=True):
    """A reaction to a message."""

    emoji: Annotated[str, Meta(max_length=MAX_EMOJI, description="Empty: take it back")]


class FileUpload(ApiRequest, frozen=True):
    """What a file is sent as."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=LONGEST_FILENAME,
            pattern=r"^[^/\\\x00-\x1f]+$",
            description="Of the file; its ending says what it is",
        ),
    ]
    caption: Caption = ""
    agent: AgentName = ""


class FirstMessage(ApiRequest, frozen=True):
    """A message to somebody by phone number, known or not."""

    to: Annotated[
        str,
        Meta(
            pattern=r"^\+?[0-9]{7,15}$",
            description="A phone number with its country code",
        ),
    ]
    message: TextToSend | TemplateToSend | FileToSend
    number: Number = ""


class AcceptedMessage(ApiResponse, frozen=True):
    """A message that is on its way."""

    id: Annotated[str, Meta(description="Name of the message here")]
    chat: Ref


class ApprovedTemplate(ApiResponse, frozen=True):
    """A template that may be sent."""

    name: str
    language: str
    words: str
    parameters: list[str]


class TemplateList(ApiResponse, frozen=True):
    """The templates that may be sent."""

    templates: list[ApprovedTemplate]


# -- reminders -------------------------------------------------------------------------------------


class ReminderToAdd(ApiRequest, frozen=True):
    """What is to be sent, and when."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_REMINDER_CHARACTERS, pattern=r"\S")]
    when: Annotated[
        str, Meta(min_length=1, max_length=40, description="ISO 8601, in the number's time zone")
    ]
    is_note: Annotated[
        bool, Meta(description="The text is for the model, which writes the message at that time")
    ] = False
    cancel_on: Annotated[
        list[Literal["reply", "agent"]],
        Meta(max_length=2, description="What ends it before: the customer's reply, an agent"),
    ] = msgspec.field(default_factory=list)


class WaitingReminder(ApiResponse, frozen=True):
    """A reminder or follow-up that is still to be sent."""

    id: RowId
    kind: Literal["reminder", "followup"]
    at: Moment
    text: str
    is_note: Annotated[
        bool, Meta(description="Whether the text is for the model, which writes the message")
    ]


class ReminderList(ApiResponse, frozen=True):
    """What is still to be sent, in order."""

    reminders: list[WaitingReminder]


class ReminderAdded(ApiResponse, frozen=True):
    """A new reminder."""

    id: RowId


# -- made of what is shown -------------------------------------------------------------------------

Made = TypeVar("Made", bound=ApiResponse)


def moment(seconds: float) -> datetime:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(seconds, UTC)


def made_of(kind: type[Made], shown: object, **more: object) -> Made:
    """Make an answer of what has its fields, a mapping or an object; ``more`` wins.

    Times are Unix seconds there. 0 is none where a moment may be missing.
    """
    read = shown.__getitem__ if isinstance(shown, Mapping) else partial(getattr, shown)
    values: dict[str, Any] = {
        name: more[name] if name in more else read(name) for name in _types_of(kind)
    }
    for name, expected in _types_of(kind).items():
        if expected is datetime:
            values[name] = moment(values[name])
        elif expected == datetime | None:
            values[name] = moment(values[name]) if values[name] else None
    return kind(**values)


_types_of = cache(get_type_hints)


def message_of(bubble: JsonObject) -> ChatMessage:
    """A message of a conversation."""
    content = dict(bubble["content"])
    words = [str(content.pop(name, "") or "") for name in ("body", "caption", "title")]
    content.pop("type", None)
    file, quote = bubble["file"], bubble["quote"]
    return made_of(
        ChatMessage,
        bubble,
        message_id=bubble["message_id"] or "",
        text=next(filter(None, words), ""),
        content=content,
        file=_file(file) if file else None,
        quote=MessageQuote(message_id=quote["id"], text=quote.get("body", "")) if quote else None,
        reason=bubble["reason"] or "",
        delivered_at=bubble.get("delivered_at"),
        read_at=bubble.get("read_at"),
    )


def _file(file: JsonObject) -> MessageFile:
    return MessageFile(
        name=file["name"],
        mime_type=file.get("mime") or "",
        size=file.get("size") or 0,
        words=file.get("words") or "",
    )


def found_message(text: JsonObject, number: str) -> FoundMessage:
    """A message that was found; ``number`` is the name of the only number, where there is one."""
    return made_of(
        FoundMessage,
        text,
        chat=text["ref"],
        number=text["ours"] or number,
        snippet=[SnippetText(text=words, marked=marked) for words, marked in text["parts"]],
    )


Chat = TypeVar("Chat", bound=ChatEntry)


def chat_of(kind: type[Chat], chat: JsonObject, number: str, **more: object) -> Chat:
    """A chat; ``number`` is the name of the only number, where there is one."""
    waiting, last = chat["waiting"], chat["last"]
    return made_of(
        kind,
        chat,
        number=chat["ours"] or number,
        phone=chat["number"],
        waiting=made_of(WaitingForPerson, waiting) if waiting else None,
        window_ends_at=chat["open_until"],
        last=message_of(last) if last else None,
        **more,
    )
