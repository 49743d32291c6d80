"""What the API gives and takes of work: what is under way, what failed, figures, and the log."""

from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta

from daemon.domain.messages import JsonObject
from daemon.http.api.types import (
    MOST_ROWS,
    ApiRequest,
    ApiResponse,
    Moment,
    Number,
    Ref,
    RowId,
    made_of,
)

MOST_REPLAYED = 100


class ListedContact(ApiResponse, frozen=True):
    """Whose chat a row of a list is about."""

    chat: Annotated[str, Meta(description="Its ref; empty if the chat is gone")]
    number: Number
    name: str
    phone: Annotated[str, Meta(description="Shortened")]


class FailedMessage(ListedContact, frozen=True):
    """A message of ours that was refused for good."""

    id: RowId
    kind: str
    reason: str
    attempts: int
    at: Moment
    turn: str


class FailedMessages(ApiResponse, frozen=True):
    """The newest messages that were refused for good."""

    messages: list[FailedMessage]


class DeadTurn(ListedContact, frozen=True):
    """A turn that was given up."""

    turn: str
    reason: str
    attempts: int
    at: Moment
    messages: Annotated[int, Meta(description="Messages that a replay puts back in")]


class DeadTurns(ApiResponse, frozen=True):
    """The newest turns that were given up."""

    turns: list[DeadTurn]


class UnreadableEvent(ApiResponse, frozen=True):
    """A webhook call of the gateway of which a part could not be read."""

    id: RowId
    at: Moment
    event: str
    reason: str
    kept: Annotated[bool, Meta(description="Whether it can be replayed")]


class UnreadableEvents(ApiResponse, frozen=True):
    """The newest of them."""

    events: list[UnreadableEvent]


class FailedDelivery(ListedContact, frozen=True):
    """An outgoing webhook that was given up."""

    id: RowId
    endpoint: str
    event: str
    tries: int
    error: str
    at: Moment


class FailedDeliveries(ApiResponse, frozen=True):
    """The newest of them."""

    deliveries: list[FailedDelivery]


class ListedReminder(ListedContact, frozen=True):
    """A reminder of any chat."""

    id: RowId
    kind: Literal["reminder", "followup"]
    at: Moment
    text: str
    is_note: bool


class AllReminders(ApiResponse, frozen=True):
    """What is to be sent next, in all chats."""

    reminders: list[ListedReminder]


class TurnsToReplay(ApiRequest, frozen=True):
    """Whose dead messages: of one chat, or of all."""

    chat: Annotated[Ref | None, Meta(description="null: of all chats")]


class DeliveriesToReplay(ApiRequest, frozen=True):
    """Which of the given-up deliveries: these, or all of one endpoint."""

    ids: Annotated[list[RowId], Meta(max_length=MOST_REPLAYED)] | None = None
    endpoint: Annotated[str, Meta(max_length=80, description="* for all endpoints")] = ""


class Replay(ApiResponse, frozen=True):
    """What was put back."""

    put_back: int


class WorkingChat(ListedContact, frozen=True):
    """A chat whose task is at work."""

    state: str
    since: Moment
    queued: int
    turn: str


class WorkInProgress(ApiResponse, frozen=True):
    """What is under way."""

    tasks: int
    windows: int
    runs: int
    chats: list[WorkingChat]
    outbox: Annotated[dict[str, int], Meta(description="Messages of ours by state")]


class QuestionGroupRow(ApiResponse, frozen=True):
    """A question that the documents do not answer, as often as it was asked."""

    text: str
    count: int
    first_at: Moment
    last_at: Moment
    others: Annotated[list[str], Meta(description="Other wordings")]


class UnansweredQuestions(ApiResponse, frozen=True):
    """The most frequent of them lately."""

    questions: list[QuestionGroupRow]


class KnowledgeSearch(ApiRequest, frozen=True):
    """A question to the documents."""

    question: Annotated[str, Meta(min_length=1, max_length=500)]
    number: Number = ""


class KnowledgePassage(ApiResponse, frozen=True):
    """A passage that may answer it."""

    source: str
    file: str
    score: float
    text: str


class KnowledgePassages(ApiResponse, frozen=True):
    """The passages that the model would get, the best first."""

    passages: list[KnowledgePassage]


class TurnRow(ApiResponse, frozen=True):
    """A turn of a chat."""

    turn: str
    state: str
    outcome: str
    reason: str
    attempts: int
    messages: int
    tools: int
    sent: int
    tokens: int
    opened_at: Moment
    closed_at: Moment | None


class TurnRows(ApiResponse, frozen=True):
    """The last turns of a chat, the newest first."""

    turns: list[TurnRow]


class TurnStory(ApiResponse, frozen=True):
    """Everything that the ledger has of a turn, as recado explain shows it."""

    turn: dict[str, Any] | None
    messages: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    outbox: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    stages: list[dict[str, Any]]


# -- the daemon ------------------------------------------------------------------------------------


class NumberRow(ApiResponse, frozen=True):
    """A number of ours."""

    name: Number
    gateway: str
    state: Annotated[str, Meta(description="ok, connecting, needs_qr, stopped, unknown …")]
    detail: str
    since: Moment | None


class NumberRows(ApiResponse, frozen=True):
    """All numbers of ours."""

    numbers: list[NumberRow]


class NodeRow(ApiResponse, frozen=True):
    """A node of a cluster."""

    name: str
    process: str
    version: str
    leads: Annotated[bool, Meta(description="it does what belongs to no single number")]
    numbers: Annotated[tuple[str, ...], Meta(description="those that it owns")]
    silent_seconds: float
    lease_seconds: Annotated[float, Meta(description="0 or less: its numbers are free")]
    clock_ahead: Annotated[
        int, Meta(description="seconds that its clock is ahead of the database's; 0: in step")
    ]


class NodeRows(ApiResponse, frozen=True):
    """The nodes of a cluster; none where one process has the store."""

    nodes: list[NodeRow]


class PartState(ApiResponse, frozen=True):
    """The state of one part of the daemon."""

    name: str
    state: Literal["ok", "wait", "bad"]
    reason: str


class UsageOfDay(ApiResponse, frozen=True):
    """What today has cost, and the limits; a limit of 0 is none."""

    tokens: int
    cost: float
    tokens_limit: int
    cost_limit: float
    currency: str


class PeriodFigures(ApiResponse, frozen=True):
    """Counts of a time."""

    messages: int
    answers: int
    takeovers: int
    dead: int
    tokens: int
    cost: float


class DaemonFigures(ApiResponse, frozen=True):
    """The state of the daemon, and its figures."""

    at: Moment
    started_at: Moment
    parts: list[PartState]
    counts: dict[str, int]
    outbox: dict[str, int]
    oldest_unanswered_at: Moment | None
    waiting_for_person: int
    waiting_since: Moment | None
    today: UsageOfDay
    last_hour: PeriodFigures
    last_day: PeriodFigures


class UsageRow(ListedContact, frozen=True):
    """What a contact has used today."""

    tokens: int
    cost: float
    gateway_cost: float
    spent: bool


class NumberUsage(ApiResponse, frozen=True):
    """What a number has used today."""

    number: Number
    day: str
    currency: str
    tokens: int
    cost: float
    gateway_cost: float
    spent: bool


class UsageToday(ApiResponse, frozen=True):
    """Today's use of each number, and of the contacts that used most."""

    numbers: list[NumberUsage]
    contacts: list[UsageRow]


Day = Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$", description="YYYY-MM-DD")]


class OutcomeFilter(ApiRequest, frozen=True, rename={"first_day": "from", "last_day": "to"}):
    """Whose enquiries, and how they are grouped; without days those of the last 30."""

    first_day: Day = ""
    last_day: Day = ""
    number: Annotated[str, Meta(max_length=80)] = ""
    by: Annotated[
        str, Meta(max_length=40, description="day, number, topic, with commas between")
    ] = "day"


class OutcomeCounts(ApiResponse, frozen=True):
    """What came of some enquiries; docs/figures.md defines each figure."""

    enquiries: int
    automatic: Annotated[int, Meta(description="Resolved without a person")]
    handed_over: int
    waiting: int
    unanswered: int
    reopened: Annotated[int, Meta(description="Within seven days; of those above")]
    first_answer_median: Annotated[float | None, Meta(description="Seconds")]
    first_answer_p90: Annotated[float | None, Meta(description="Seconds")]
    automatic_share: Annotated[float | None, Meta(description="Of those that do not wait")]


class OutcomeRow(OutcomeCounts, frozen=True):
    """The same of one group; empty where it is not grouped by it."""

    day: str = ""
    number: str = ""
    topic: str = ""


class OutcomesOfDays(ApiResponse, frozen=True, rename={"first_day": "from", "last_day": "to"}):
    """What came of the enquiries of some days."""

    first_day: str
    last_day: str
    rows: list[OutcomeRow]
    total: OutcomeCounts


class LogFilter(ApiRequest, frozen=True):
    """Which lines of the live log."""

    after: Annotated[int, Meta(ge=0, le=MOST_ROWS, description="Lines with a larger id")] = 0
    before: Annotated[int, Meta(ge=0, le=MOST_ROWS, description="Lines with a smaller id")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    chat: Annotated[str, Meta(max_length=80, description="A ref")] = ""
    kind: Annotated[str, Meta(max_length=80)] = ""
    level: Annotated[str, Meta(max_length=20)] = ""
    text: Annotated[str, Meta(max_length=200)] = ""


class LoggedLine(ApiResponse, frozen=True):
    """A line of the live log, with numbers shortened."""

    id: int
    at: Moment
    kind: str
    level: str
    chat: str
    turn: str
    line: str


class LoggedLines(ApiResponse, frozen=True):
    """Lines of the live log, oldest first."""

    lines: list[LoggedLine]
    after: Annotated[int, Meta(description="What asks for later lines")]


# -- made of what is shown -------------------------------------------------------------------------

Row = TypeVar("Row", bound=ListedContact)


def row_of(kind: type[Row], row: JsonObject, number: str) -> Row:
    """A row of a list; ``number`` is the name of the only number, where there is one."""
    return made_of(kind, row, chat=row["ref"], number=row["ours"] or number, phone=row["number"])
