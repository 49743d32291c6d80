"""The rows of the ledger as plain values: arguments and results of its methods.

Those that each webhook call makes are structs, since a frozen dataclass takes ten times as long.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from daemon.domain.labels import names_in
from daemon.domain.messages import ChatKey, JsonObject, Message, ModelResponse
from daemon.domain.states import WANTED, MediaState, Outcome

ArrivalKind = Literal["message", "held", "agent", "change"]


class Arrival(msgspec.Struct, frozen=True):
    """An event for a chat's task to look at."""

    key: ChatKey
    what: ArrivalKind
    """A customer's message, one that waits for a person, the words of a human agent, or a change
    to a message already in."""
    kind: str = "text"
    """The message's type, as the gateway names it."""
    received_at: float = 0
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class DeliveryUpdate:
    """A new status, from WhatsApp, of a message that it took from us."""

    key: ChatKey
    row_id: int
    """Of the outbox."""
    status: str
    """``pending``, ``sent``, ``delivered``, ``read``, ``played`` or ``failed``."""
    error: str = ""
    seconds: float | None = None
    """From its send to its delivery, where that is what it says."""
    again: bool = False
    """True if it has failed and waits to be sent once more."""
    settled: bool = False
    """True if its outcome was unknown before."""
    charged_as: str = ""
    """The category in which the gateway charges it, if this is the first report."""
    charged_micros: int = 0
    """The price of that, in millionths of the currency."""


class Accepted(msgspec.Struct, frozen=True):
    """The result of one webhook call; all of it is durable."""

    event_id: int
    arrivals: tuple[Arrival, ...] = ()
    stored: int = 0
    """Messages that are new."""
    duplicates: int = 0
    echoed: tuple[ChatKey, ...] = ()
    """The chats of messages that are our own sends coming back, one entry each."""
    verdicts: tuple[str, ...] = ()
    """Why each of its messages is ignored; empty for those that are answered."""
    delivery_updates: tuple[DeliveryUpdate, ...] = ()
    """News from its statuses, or from earlier ones that waited for the id of their send."""


ConsentChoice = Literal["", "out", "in"]
"""A message's choice about unasked messages: none made, no more, or again."""

NOT_ADDRESSED = "not addressed to us"
"""Why a group's messages to others are not answered; the model gets them all the same."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A new message together with what the store knows of its surroundings."""

    message: Message
    """With the words of what it quotes, reacts to or votes in, as far as they are stored."""
    names: frozenset[str] = frozenset()
    """The ids of its chat."""
    authors: frozenset[str] = frozenset()
    """The ids of who wrote it, as chat ids."""
    addressed: bool = False
    """In a group: it mentions us, answers us, or goes on with what is waiting for our answer."""
    about_us: bool = False
    """True if it reacts to a message of ours."""
    moved: bool = False
    """It is a live location whose beginning has come before."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One inbound message with its place in the order of arrival."""

    seq: int
    message: Message
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaItem:
    """The state of a message's file, and the words in it."""

    message_id: str
    state: MediaState = WANTED
    reason: str = ""
    """Why it is not stored; for ``wanted``, why the last try brought nothing."""
    file: str = ""
    """Its name in the folder of media files."""
    preview: str = ""
    """Likewise of its first picture."""
    mime: str = ""
    """The type of its bytes, whatever the sender named."""
    size: int = 0
    words: str | None = None
    """Its transcript or text; None if that is not known."""
    words_error: str = ""
    """Why that will never be known."""


EVENTS_FOLDER = "events"
"""Where large webhook calls lie, beside the store, named by their hash."""

MEDIA_FOLDER = "media"
"""Where the files that people send lie, beside the store, named by their hash."""

AttachmentKind = Literal["image", "preview", "file"]
"""``preview``: the first picture of what moves."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as the model gets it, beside the words of its message."""

    kind: AttachmentKind
    name: str
    data_uri: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One burst being worked on. ``state`` is ``open`` or ``delivering``."""

    id: int
    key: ChatKey
    state: str
    request_id: str
    attempts: int
    superseded: int
    quotes: bool
    """True if the answer should quote the burst's first message, because it came late."""
    opened_at: float
    messages: tuple[StoredMessage, ...]
    effects: bool = False
    """True if a tool with side effects has been called for it, or a message was sent already: then
    nothing joins it any more."""
    taken_over: bool = False
    """True if an agent has answered its messages: nothing more of it is sent."""

    @property
    def is_asked(self) -> bool:
        """True if a customer wrote something in it, and not only a reminder is due."""
        return not all(stored.message.is_note for stored in self.messages)

    @property
    def contact_name(self) -> str:
        """The author's name in WhatsApp; empty if unknown."""
        return self.messages[-1].message.author_name if self.messages else ""


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The end of a turn, and what is left to be done about it."""

    outcome: Outcome
    paused_until: float = 0
    """The end of the pause that its end has begun, Unix seconds; 0 if it began none."""
    leaves_files: bool = False
    """True if there are files of its messages that are to disappear now."""


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """A chat without its thread. Times are Unix seconds, 0 for never."""

    name: str = ""
    contact_name: str = ""
    paused_until: float = 0
    apologised_at: float = 0
    context_at: float = 0
    """When the model last got the time and the contact's name."""
    context_text: str = ""
    """The last context line in the thread (`daemon.domain.prompt.context_line`); empty for none."""
    token_ratio: float = 1
    """Tokens as the server counts them, for each token of our own estimate."""
    loop_until: float = 0
    """Until when the bot keeps out because it talks with a machine there."""
    opted_out_at: float = 0
    """Since when the contact wants no messages that they have not asked for."""
    consent_at: float = 0
    """When the contact got the notice about their data."""
    stored_labels: str = ""
    """As the ledger has them; `labels` are their names."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels, as they were told last."""
        return names_in(self.stored_labels)


@dataclass(frozen=True, slots=True)
class ThreadItem:
    """One stored item of a thread. Items of one turn stay together when a thread is shortened."""

    turn_id: int | None
    item: JsonObject
    tokens: int
    id: int = 0
    created_at: float = 0
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class ThreadHead:
    """The replacement of a thread's oldest part, which is no longer sent."""

    item: JsonObject | None
    """A summary or the server's own compaction; None if that part was only dropped."""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Recollection:
    """The stored part of a conversation: its chat, and the newest items of its thread."""

    chat: ChatRecord
    head: ThreadHead
    items: tuple[ThreadItem, ...]
    facts: "tuple[Fact, ...]" = ()
    """The facts about the contact, oldest first."""
    notes: tuple[str, ...] = ()
    """What colleagues have noted for the model, oldest first."""


@dataclass(frozen=True, slots=True)
class ChatUpdate:
    """Changes of the chat's row at the end of a turn; stored with the turn's items."""

    context_text: str = ""
    """The context line of this turn; empty if it was not repeated."""
    token_ratio: float = 0
    """The new ratio of the chat; 0 leaves it as it is."""
    choice: ConsentChoice = ""
    """``out``: the contact wants no messages that they have not asked for; ``in``: again."""
    consent: bool = False
    """The contact got the notice about their data."""


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """One call of the model as the ledger has it.

    With a ``response`` it need not be asked again; with only a ``response_id`` the server may
    still have the answer.
    """

    round: int
    response_id: str
    response: ModelResponse | None
    calls: int
    """How often the model was asked in this round."""
    note: str = ""
    """The note for the model when this answer was sent back to it."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One tool call as the ledger has it; ``output`` is None if its outcome is unknown."""

    id: int
    run_id: int
    round: int
    call_id: str
    key: str
    effects: bool
    output: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """The run of a turn, with everything of it that is already known."""

    id: int
    turn_id: int
    rounds: tuple[RecordedRound, ...] = ()
    calls: tuple[RecordedCall, ...] = ()
    """Tool calls of the whole turn, earlier runs included."""
    is_asked: bool = False
    """True if its first round was started with it, and the model is to be asked now."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message to send. ``turn_id`` is None for operators' messages and notices.

    ``kind`` and ``payload`` are those of `writing.outgoing`; ``body`` is what it says in words.
    """

    id: int
    key: ChatKey
    turn_id: int | None
    body: str
    quoted: str
    state: str
    attempts: int
    created_at: float
    attempted_at: float
    kind: str = "text"
    payload: JsonObject = field(default_factory=dict)
    author: str = ""
    """The person of the business who wrote it in the dashboard; empty for the bot's words."""


MAX_REMINDER_CHARACTERS = 1000
"""As of a template's parameter, which may have to carry it."""

MAX_FACT_CHARACTERS = 300
"""Facts are in every request to the model, so they are short."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored fact about a contact; the model names it by the number."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The validators' rulings on the answer that a turn ends with."""

    round: int
    """Of the answer's run."""
    rulings: str
    """A JSON list of validators and verdicts."""
    doubt: str = ""
    """The validators that doubt it although it is sent; a person should look at it."""


@dataclass(frozen=True, slots=True)
class NewPart:
    """One chunk of an answer, or another message, to be put into the outbox."""

    body: str
    quoted: str = ""
    kind: str = "text"
    payload: JsonObject = field(default_factory=dict)
    """Other fields of its kind; see `daemon.domain.rendering.outgoing`."""
