"""What chats go by, as an operator may change it while the daemon runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from daemon.domain.consent import ConsentRules
from daemon.domain.eligibility import Policy
from daemon.domain.limits import DEFAULT_BRAKES, NO_LIMITS, BrakeRules, Budget
from daemon.domain.notifications import EscalationRules
from daemon.domain.rendering.split import MAX_BUBBLES, SHORT
from daemon.domain.texts import Texts
from daemon.domain.validation.results import Validator
from daemon.domain.window import WindowRules
from daemon.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRules:
    """The settings that chats go by. Times in seconds."""

    instructions: str
    language: str
    zone: ZoneInfo
    window: WindowRules
    idle_seconds: float
    run_timeout_seconds: float
    """Of one run, the time in which its tools work aside."""
    max_tool_rounds: int
    history_tokens: int
    """Of the conversation so far, as the server counts them."""
    compaction: Literal["drop", "summary"]
    """What becomes of the oldest turns of a conversation that exceeds these."""
    server_compacts: bool
    """Whether the model server is asked to compact conversations before that."""
    import_messages: int
    """Of the time before Recado, that a new thread begins with; 0: none."""
    pause_seconds: float
    """How long an agent's message keeps the bot out of a chat; 0: not at all."""
    remind_seconds: float
    """A customer who has waited so long for a person is reported."""
    max_age_seconds: float
    """Older messages are not answered any more."""
    messages_per_minute: float
    """Messages of all chats together while there is typing; 0: no limit."""
    policy: Policy
    """Which messages are answered."""
    consent: ConsentRules
    """What is said about consent, and the words that end and undo it."""
    first_opt_in_word: str
    """Named to who opts out."""
    answer_calls: bool
    """Say after a missed call that nobody takes it here."""
    group_quote: bool
    """Answers in a group quote the message that they answer."""
    group_mention: bool
    """Answers in a group mention whom they answer, where several people write."""
    group_lines: int
    """Of a group's talk since the last answer that the model is told of."""
    typing: bool
    """Show the typing indicator and keep a human pace."""
    read_receipts: bool = True
    """Mark what a turn answers as read."""
    presence: bool = True
    """Ask WhatsApp to tell when contacts type, and heed it."""
    link_preview: bool = False
    """Let WhatsApp show previews of links."""
    max_bubbles: int = MAX_BUBBLES
    """Messages of one answer; what does not fit into them is a document."""
    short_characters: int = SHORT
    """A paragraph with fewer goes with its neighbour."""
    spoken_characters: int = 700
    """Of one voice note; a longer answer is cut."""
    longest_tool_seconds: float = 300.0
    """No tool may take longer; so long the run's own clock stops."""
    files_folder: Path | None = None
    """The files that tools may send by their names."""
    escalation: EscalationRules = field(default_factory=EscalationRules)
    budget: Budget = NO_LIMITS
    brakes: BrakeRules = DEFAULT_BRAKES
    validation_cooldown_seconds: float = 300.0
    """The model is asked to answer anew at most once in this time a chat."""
    agent_seconds: float = 5.0
    """An agent's messages are gathered so long after the last (the replaced system's value)."""
    echo_seconds: float = 3.0
    """The echo of a send comes within a second or two; after this the chat itself is asked."""
    retry_seconds: float = 1.0
    """The first wait before a model call or a send is tried again; it doubles with each try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """Rules, texts, tools and validators that belong together: read, checked and replaced whole."""

    rules: ChatRules
    texts: Texts
    toolbox: Toolbox
    validators: tuple[Validator, ...]
    """What an answer has to pass, in order."""


@dataclass(slots=True)
class LiveConfig:
    """Where the guidance of the moment is found; only a reload replaces it, in one step."""

    current: ChatConfig
