"""The configuration of chats, which an operator may change while the daemon runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from daemon.domain.eligibility import ConsentRules, Policy
from daemon.domain.gateway_prices import PriceList
from daemon.domain.limits import DEFAULT_BRAKES, NO_LIMITS, BrakeRules, Budget, Price
from daemon.domain.messages import ChatKey
from daemon.domain.notification_texts import EscalationRules
from daemon.domain.rendering.split import MAX_BUBBLES, SHORT
from daemon.domain.schedule import OpeningHours
from daemon.domain.texts import Texts
from daemon.domain.topics import TopicRules
from daemon.domain.validation.results import Validator
from daemon.domain.versions import Version, is_in_share
from daemon.domain.window import WindowRules
from daemon.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRule:
    """The text that is sent so long after a question of ours."""

    after_seconds: float
    text: str
    only_open: bool
    """True: in opening hours only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderRules:
    """When contacts are written to at a time of ours."""

    hours: OpeningHours = field(default_factory=OpeningHours)
    quiet: tuple[int, int] | None = None
    """Minutes of the day from and to, in the contact's time zone."""
    most_waiting: int = 20
    most_per_day: int = 3
    """0: no limit."""
    late_seconds: float = 12 * 3600.0
    template: str = ""
    """Name and language; empty: none."""
    template_parameter: str = "1"
    followups: tuple[FollowUpRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRules:
    """The settings of chats. Times in seconds."""

    instructions: str
    model: str = ""
    """The model of a candidate; empty: that of the model server's client."""
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
    """The treatment of the oldest turns of a conversation that exceeds these."""
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
    """The texts about consent, and the words that end and undo it."""
    first_opt_in_word: str
    """Named to who opts out."""
    answer_calls: bool
    """Reply to a missed call that calls are not taken here."""
    group_quote: bool
    """Answers in a group quote the message that they answer."""
    group_mention: bool
    """Answers in a group mention whom they answer, where several people write."""
    group_lines: int
    """Lines of a group's talk since the last answer that the model is shown."""
    typing: bool
    """Show the typing indicator and keep a human pace."""
    read_receipts: bool = True
    """Mark what a turn answers as read."""
    presence: bool = True
    """Subscribe to contacts' typing, and wait while they type."""
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
    message_prices: PriceList = field(default_factory=PriceList)
    """What the gateway charges for messages."""
    brakes: BrakeRules = DEFAULT_BRAKES
    validation_cooldown_seconds: float = 300.0
    """The model is asked to answer again at most once in this time a chat."""
    agent_seconds: float = 5.0
    """An agent's messages are gathered so long after the last (the replaced system's value)."""
    window_template: str = ""
    """Name and language of the template that is sent when nothing else may be; empty: none."""
    window_parameters: Mapping[str, str] = field(default_factory=dict)
    """Its parameters; ``{name}`` in them is the contact's name."""
    unknown_sends: Literal["leave", "repeat"] = "leave"
    """The treatment of sends of unknown outcome."""
    echo_seconds: float = 3.0
    """The echo of a send comes within a second or two; after this the chat itself is asked."""
    reminders: ReminderRules = field(default_factory=ReminderRules)
    topics: TopicRules = field(default_factory=TopicRules)
    retry_seconds: float = 1.0
    """The first wait before a model call or a send is tried again; it doubles with each try."""

    @property
    def has_prices(self) -> bool:
        """Whether prices are configured: without them every cost is 0."""
        budget = self.budget
        priced = (budget.price, budget.hearing, budget.speech)
        return priced != (Price(),) * 3 or bool(self.message_prices.countries)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedConfig:
    """Instructions or a model that are tried before they are for all."""

    instructions: str
    model: str
    """Empty: that of all."""
    budget: Budget
    """That of all, with the price of this model."""
    version: Version
    share: float
    """Of the chats, which are answered by it."""
    is_shadow: bool
    """True if it answers beside the others, and nothing of it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """Rules, texts, tools and validators that belong together: read, checked and replaced whole."""

    rules: ChatRules
    texts: Texts
    toolbox: Toolbox
    validators: tuple[Validator, ...]
    """The validators of answers, in order."""
    version: Version
    """What all of this is, by its hashes; what changes while it is in force aside."""
    candidate: TriedConfig | None = None

    def for_chat(self, key: ChatKey) -> "ChatConfig":
        """The same as it is in a chat: with the candidate, if the chat is in its share."""
        tried = self.candidate
        if tried is None or tried.is_shadow or not is_in_share(key.number, key.chat, tried.share):
            return self
        rules = replace(
            self.rules,
            instructions=tried.instructions,
            model=tried.model,
            budget=tried.budget,
        )
        return replace(self, rules=rules, version=tried.version)


@dataclass(slots=True)
class LiveConfig:
    """The configuration of the moment; only a reload replaces it, in one step."""

    current: ChatConfig

    def pinned(self, key: ChatKey) -> "LiveConfig":
        """The configuration of this moment in a chat for good: for one turn from end to end."""
        return LiveConfig(self.current.for_chat(key))

    @property
    def candidate(self) -> TriedConfig | None:
        """What is tried before it is for all; None if nothing is."""
        return self.current.candidate

    @property
    def rules(self) -> ChatRules:
        """The current settings of chats."""
        return self.current.rules

    @property
    def texts(self) -> Texts:
        """The current texts of the daemon's own messages."""
        return self.current.texts

    @property
    def toolbox(self) -> Toolbox:
        """The tools of this moment."""
        return self.current.toolbox

    @property
    def validators(self) -> tuple[Validator, ...]:
        """The current validators of answers, in order."""
        return self.current.validators
