"""Messages, their contents, presences, and the model's requests and responses, as values.

Every layer may import them. They are msgspec structs, so the store can keep a message's content as
JSON and read the same value back. Nothing here knows HTTP or SQL.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from daemon.domain.ids import is_group
from daemon.domain.strict_schema import fits_strict

JsonObject = dict[str, Any]
"""One JSON object of a foreign protocol, passed on unread."""

INLINE_MARK = "recado-part:"
INLINE_BEGINNINGS = ("data:", INLINE_MARK)
"""Begin the source of a file that came inside its webhook call, in place of a URL."""


class ChatKey(NamedTuple):
    """The place of a conversation: a chat as one number of ours sees it.

    The same person writing to two numbers is two chats, so the number is part of the name.
    """

    number: str
    """The name of our number in the configuration: ``main`` if there is one that has none."""
    chat: str
    """WhatsApp's chat id with its suffix, such as ``573001234567@s.whatsapp.net``."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Common shape of the values below: immutable, named fields, defaults left out of JSON."""


class Content(Value, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The content of a message. One subclass per kind of content that Recado tells apart."""


class Text(Content, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """Written words, with the preview of a link in them if there is one."""

    body: str
    url: str = ""
    title: str = ""


class Media(Content, frozen=True, kw_only=True, omit_defaults=True, tag="media"):
    """A file: image, video, gif, short, audio, voice, document or sticker (``medium``)."""

    medium: str
    media_id: str = ""
    link: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    file_name: str = ""
    caption: str = ""
    seconds: float = 0
    pages: int = 0
    animated: bool = False
    """Of a sticker."""
    view_once: bool = False
    inline: str = ""
    """Where the bytes are that came with the message. Parsed: a data URI, or the mark of a part
    cut out of a large body (`daemon.media.files`). Stored: the name of a file."""
    preview: str = ""
    """The same of the first frame of a moving picture."""


class Location(Content, frozen=True, kw_only=True, omit_defaults=True, tag="location"):
    """A place, fixed or live (``live``), in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    caption: str = ""
    live: bool = False


class ContactCard(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One shared contact; ``vcard`` as sent."""

    name: str = ""
    vcard: str = ""


class Contacts(Content, frozen=True, kw_only=True, omit_defaults=True, tag="contacts"):
    """One or more shared contacts."""

    cards: tuple[ContactCard, ...]


class Choice(Content, frozen=True, kw_only=True, omit_defaults=True, tag="choice"):
    """The button or list row a person tapped. ``choice_id`` is the id that we gave it."""

    choice_id: str
    title: str = ""
    description: str = ""


class Poll(Content, frozen=True, kw_only=True, omit_defaults=True, tag="poll"):
    """A poll."""

    title: str
    options: tuple[str, ...] = ()
    option_ids: tuple[str, ...] = ()
    """WhatsApp's ids of the options, in order, as votes name them; empty if not known."""


class Reaction(Content, frozen=True, kw_only=True, omit_defaults=True, tag="reaction"):
    """An emoji on the message ``target``; an empty ``emoji`` takes it back."""

    target: str
    emoji: str = ""
    about: str = ""
    """The words of that message, found in the store: WhatsApp does not send them."""


class ChangeOrigin(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The origin of a change that is not a message by itself."""

    chat: str
    """Its chat id."""
    author: str = ""
    """As in `Message`; empty if not known."""
    from_me: bool = False


class Edit(Content, frozen=True, kw_only=True, omit_defaults=True, tag="edit"):
    """New words for the message ``target``."""

    target: str
    body: str = ""
    origin: ChangeOrigin | None = None
    """None if it is the content of a message, which has the same fields."""


class Deletion(Content, frozen=True, kw_only=True, omit_defaults=True, tag="deletion"):
    """The message ``target`` was deleted for everyone."""

    target: str
    origin: ChangeOrigin | None = None
    """None also if the gateway names only the deleted message."""


class Vote(Content, frozen=True, kw_only=True, omit_defaults=True, tag="vote"):
    """Options chosen in the poll ``target``, by WhatsApp's option ids."""

    target: str
    options: tuple[str, ...] = ()
    question: str = ""
    """The title of the poll; this and the next two are found in the store."""
    chosen: tuple[str, ...] = ()
    """The words of the options."""
    ours: bool = False
    """True if the poll is ours."""


class Other(Content, frozen=True, kw_only=True, omit_defaults=True, tag="other"):
    """Anything else: system notices, calls, stories, orders, types that are not known yet.

    ``body`` is the readable text in it, if any; ``raw`` what the gateway sent, shortened.
    """

    body: str = ""
    raw: JsonObject = {}


AnyContent = (
    Text | Media | Location | Contacts | Choice | Poll | Reaction | Edit | Deletion | Vote | Other
)


class Quote(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The earlier message that a message answers, as far as it is known."""

    id: str
    author: str = ""
    kind: str = ""
    body: str = ""


NOTE_KIND = "reminder-note"
"""The type of a message that no customer wrote: the note of a reminder that is due, for the model.
No gateway has a type with this name."""


class Message(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One WhatsApp message as it arrived."""

    id: str
    """WhatsApp's id, opaque, unique for one of our numbers."""
    key: ChatKey
    kind: str
    """Its type as sent: ``text``, ``voice``, ``action`` …"""
    content: AnyContent
    from_me: bool = False
    """True for everything sent from our number: our own sends, and people at its phone."""
    source: str = ""
    """``api``, ``mobile``, ``web``, ``system``, ``business_api`` or another word of the gateway."""
    author: str = ""
    """Digits (or ``…@lid``) of its author; in groups the participant."""
    author_name: str = ""
    chat_name: str = ""
    sent_at: float = 0
    """When it was sent by WhatsApp's clock, Unix seconds; 0 if not known."""
    quote: Quote | None = None
    forwarded: bool = False
    mentions: tuple[str, ...] = ()
    ephemeral: bool = False
    """True if its author wants it to disappear: its words are not kept after its turn."""
    ad: str = ""
    """The title of the ad through which its author came."""
    alias: str = ""
    """Another chat id of the person of this private chat, as the gateway says."""
    standby: bool = False
    """True if the Meta Business Agent has the chat: the message is not for us to answer."""

    @property
    def disappears(self) -> bool:
        """True if its content must not be kept: ephemeral, or a view-once file."""
        return self.ephemeral or (isinstance(self.content, Media) and self.content.view_once)

    @property
    def is_note(self) -> bool:
        """True for the note of a reminder; see `NOTE_KIND`."""
        return self.kind == NOTE_KIND

    @property
    def is_group(self) -> bool:
        """True if the chat is a group."""
        return is_group(self.key.chat)


class Presence(Value, frozen=True, kw_only=True):
    """A contact is ``typing``, ``recording``, ``online``, ``offline`` or ``pending``."""

    key: ChatKey
    status: str


class Call(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A call to our number and its state: ``ringing``, ``missed``, ``answered`` …."""

    id: str
    key: ChatKey
    status: str
    video: bool = False
    at: float = 0
    """Unix seconds; 0 if not known."""


class StatusUpdate(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The delivery state of a message: ``sent``, ``delivered``, ``read``, ``failed``."""

    message_id: str
    status: str
    error: str = ""
    at: float = 0
    """By WhatsApp's clock, Unix seconds; 0 if not known."""
    tag: str = ""
    """The tag of the send, which comes back here (`daemon.domain.transitions.sends`)."""
    is_final: bool = False
    """Of a failure: sending it again would fail in the same way."""
    charged_as: str = ""
    """One of `daemon.domain.gateway_prices.CATEGORIES`, or ``free``; empty: it does not say."""


class LabelChange(Value, frozen=True, kw_only=True):
    """The present labels of a chat, by name."""

    key: ChatKey
    labels: tuple[str, ...]


class NameChange(Value, frozen=True, kw_only=True):
    """The present saved name of a chat."""

    key: ChatKey
    name: str


NumberCondition = Literal[
    "ok", "connecting", "unauthorised", "needs_qr", "stopped", "error", "unknown"
]
"""``unauthorised``: logged out, or the token is wrong. ``needs_qr``: no phone is linked.
``unknown``: the gateway does not report it."""


class IdentityChange(Value, frozen=True, kw_only=True):
    """A person has other ids now; all are chat ids."""

    number: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class NumberNews(Value, frozen=True, kw_only=True):
    """A change of our own number's state; never the code that links it to a phone."""

    condition: NumberCondition
    detail: str = ""
    """The gateway's words for it and what to do, for operators."""
    linked: bool = False
    """True if the number has a new session, without the subscriptions of the last one."""
    is_notice: bool = False
    """True if it says nothing of ``condition``: it is for operators to read."""
    templates: bool = False
    """True if the number's templates have changed."""


class NumberHealth(Value, frozen=True, kw_only=True):
    """The state of the number, as the gateway answers."""

    condition: NumberCondition
    detail: str = ""
    """The gateway's words for it and what to do, for operators."""
    channel: str = ""
    """The gateway's id of the number; empty if it gives none."""
    number: str = ""
    """The digits of the phone number; empty if they are not known."""


class Label(Value, frozen=True, kw_only=True):
    """A WhatsApp Business label on a chat."""

    id: str
    name: str = ""
    color: str = ""


class ChatInfo(Value, frozen=True, kw_only=True):
    """The gateway's details of a chat; ``name`` is the saved one."""

    id: str
    name: str = ""
    labels: tuple[Label, ...] = ()


class Webhook(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The contents of one webhook call, in its order."""

    channel: str = ""
    """Our number, as in `ChatKey`."""
    event: str = ""
    """Type and verb, ``messages.post``; empty where the call names none."""
    messages: tuple[Message, ...] = ()
    presences: tuple[Presence, ...] = ()
    statuses: tuple[StatusUpdate, ...] = ()
    edits: tuple[Edit, ...] = ()
    """From ``messages_updates``; edits in ``messages`` are contents of messages."""
    deletions: tuple[Deletion, ...] = ()
    """From ``messages_removed``; deletions in ``messages`` are contents of messages."""
    label_changes: tuple[LabelChange, ...] = ()
    """From ``chats_updates``."""
    name_changes: tuple[NameChange, ...] = ()
    """From ``contacts``, ``contacts_updates`` and ``chats_updates``."""
    labels_changed: bool = False
    """True if the channel's labels themselves changed."""
    identity_changes: tuple[IdentityChange, ...] = ()
    number_news: tuple[NumberNews, ...] = ()
    calls: tuple[Call, ...] = ()
    other_keys: tuple[str, ...] = ()
    """Keys of the payload that were stored unread: ``contacts``, ``health`` …"""
    unreadable: tuple[str, ...] = ()
    """One line for each unreadable part: where, and why. The raw event is stored."""

    @property
    def only_text(self) -> Message | None:
        """The text of a customer that is all that a call says, as in nearly every call."""
        if len(self.messages) != 1 or self != Webhook(
            channel=self.channel, event=self.event, messages=self.messages
        ):
            return None
        message = self.messages[0]
        return message if type(message.content) is Text and not message.from_me else None


class Usage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one model call."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class ToolSpec(Value, frozen=True, kw_only=True):
    """A function tool as the model sees it. ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    is_strict: bool = False
    """Whether a server can enforce the schema; found out once, since a schema may be large."""

    def __post_init__(self) -> None:
        """Look through the schema."""
        msgspec.structs.force_setattr(self, "is_strict", fits_strict(self.parameters))


class ModelRequest(Value, frozen=True, kw_only=True):
    """One call of the model: the whole input, since the history is ours and nothing is remote."""

    instructions: str
    items: tuple[JsonObject, ...]
    """Responses API input items, oldest first."""
    tools: tuple[ToolSpec, ...] = ()
    may_act: bool = True
    """False: tools that the server runs itself are offered only if they cannot change anything."""
    model: str = ""
    """Empty: that of the configuration."""
    contact_hash: str = ""
    """A stable, anonymous name of the contact, for the provider's abuse detection and cache."""
    compact_at: int = 0
    """Input tokens at which a server that can should compact the conversation; 0: never."""


class FunctionCall(Value, frozen=True, kw_only=True):
    """A function call of the model; ``arguments`` is the JSON text that it wrote."""

    call_id: str
    name: str
    arguments: str


def is_for_customer(item: JsonObject) -> bool:
    """True unless an item is a model's commentary between its tool calls.

    Models from gpt-5.3 on give their messages a ``phase``: ``commentary`` or ``final_answer``. An
    item with another phase is not sent either.
    """
    return item.get("phase") in {None, "", "final_answer"}


class ModelResponse(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The model's answer to one call: text, or function calls to be answered, or both."""

    id: str
    items: tuple[JsonObject, ...]
    """Output items in order, fit to be input items of the next call."""
    usage: Usage = Usage()
    incomplete: str = ""
    """Why the output was cut (``max_output_tokens``, ``content_filter``), if it was."""
    left_out: tuple[str, ...] = ()
    """Types of items that ask for something that Recado does not do."""

    @property
    def calls(self) -> tuple[FunctionCall, ...]:
        """The function calls of the output, in order."""
        return tuple(
            FunctionCall(call_id=i["call_id"], name=i["name"], arguments=i.get("arguments", ""))
            for i in self.items
            if i.get("type") == "function_call"
        )

    @property
    def text(self) -> str:
        """The words for the customer: texts and refusals of the answer, in order."""
        parts = (
            str(part.get("text") or part.get("refusal") or "")
            for item in self.items
            if item.get("type") == "message" and is_for_customer(item)
            for part in item.get("content", ())
            if part.get("type") in {"output_text", "refusal"}
        )
        return "\n\n".join(p.strip() for p in parts if p.strip())
