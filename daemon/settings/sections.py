"""The tables of the configuration, one class each; `daemon.settings` puts them together.

Every field carries its default, a one-line meaning (shown in ``config/recado.toml`` and
``docs/settings.md``) and, in its type, what a value must be (`daemon.settings.rules`).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.settings.rules import (
    Amount,
    Background,
    Count,
    FilePath,
    Name,
    Names,
    OptionalChat,
    OptionalPath,
    OptionalSecret,
    OptionalUrl,
    OwnId,
    OwnName,
    OwnText,
    Port,
    Prices,
    Rule,
    Seconds,
    Secrets,
    Switch,
    Table,
    Tables,
    Url,
)


class Section(BaseModel):
    """Common shape of the tables: immutable, strict about types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class LogSettings(Section):
    """``[log]``: what is written to the log."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Rule("debug, info, warning or error")
    ] = Field(default="info", description="the least serious lines that are written")
    format: Annotated[
        Literal["auto", "human", "json", "journal"], Rule("auto, human, json or journal")
    ] = Field(
        default="auto",
        description="auto: the journal under systemd, readable lines on a terminal, else JSON",
    )
    emoji: Switch = Field(
        default=True, description="whether readable lines begin with a symbol of what happened"
    )


class WebSettings(Section):
    """``[web]``: the HTTP edge."""

    host: Name = Field(
        default="127.0.0.1",
        description="address to listen on; an inherited systemd socket wins over it",
    )
    port: Port = Field(default=8080, description="port to listen on; 0 takes any free one")
    webhook_secret: Secrets = Field(
        default=(),
        description="one secret, or two while changing it, one of which POST /hook must carry",
    )
    admin_token: OptionalSecret = Field(
        default=None, description="token for the dashboard, /locks and /metrics"
    )
    max_body_mb: Annotated[
        float, Field(gt=0, le=1024), Rule("a number of megabytes above 0, at most 1024", float)
    ] = Field(default=50, description="larger bodies are answered with 413")
    webhook_url: OptionalUrl = Field(
        default="", description="public address of /hook, shown by / and set by recado webhook set"
    )


class WhapiSettings(Section):
    """``[whapi]``: the WhatsApp gateway."""

    api_url: Url = Field(default="https://gate.whapi.cloud", description="where Whapi is")
    token: OptionalSecret = Field(default=None, description="token of the Whapi channel")
    timeout_seconds: Seconds = Field(default=15, description="for one call of Whapi")
    check_seconds: Seconds = Field(
        default=300, description="between two looks at whether the channel is well"
    )


class AssistantSettings(Section):
    """``[assistant]``: the model and how it is run."""

    engine: Annotated[Literal["responses", "assistants"], Rule("responses or assistants")] = Field(
        default="responses", description="API that the server speaks: responses or assistants"
    )
    assistant_id: OwnId = Field(
        default="", description="with engine assistants: the assistant that its runs are made of"
    )
    webhook_secret: OptionalSecret = Field(
        default=None,
        description="of the model server's webhooks (whsec_…) at /openai/webhook; with background"
        " they tell when an answer is ready and no stream is held open",
    )
    base_url: Url = Field(
        default="https://api.openai.com/v1", description="where the model server is"
    )
    api_key: OptionalSecret = Field(default=None, description="key of the model server")
    model: Name = Field(default="gpt-6-luna", description="model that answers")
    instructions_file: FilePath = Field(
        default=Path("config/instructions.md"), description="what the model is told to be and to do"
    )
    run_timeout_seconds: Seconds = Field(
        default=120, description="for one run of the model, its tools included"
    )
    background: Background = Field(
        default="auto",
        description="let the server keep a run so that a crash can resume it; auto: if it can",
    )
    max_tool_rounds: Annotated[
        int, Field(ge=0, le=100), Rule("a whole number from 0 to 100", int)
    ] = Field(default=8, description="calls of the model in one run before it must answer")
    max_concurrent_runs: Annotated[
        int, Field(ge=1, le=100_000), Rule("a whole number from 1 to 100000", int)
    ] = Field(default=200, description="runs of all chats at once; further ones wait in line")
    history_tokens: Annotated[
        int, Field(ge=1), Rule("a whole number of tokens, 1 or more", int)
    ] = Field(default=24000, description="of the conversation so far that the model is shown")
    compaction: Annotated[Literal["auto", "summary", "drop"], Rule("auto, summary or drop")] = (
        Field(
            default="auto",
            description="of a conversation longer than that: a summary by the model, the oldest"
            " part dropped, or (auto) the server's own where it has one, else a summary",
        )
    )
    options: Table = Field(
        default={},
        description="passed to the model call as they are: reasoning, service_tier and so on",
    )
    hosted_tools: Tables = Field(
        default=(), description="tools that the server runs itself: web search, MCP servers"
    )


class HistorySettings(Section):
    """``[history]``: conversations from before Recado."""

    import_messages: Annotated[
        int, Field(ge=0, le=400), Rule("a whole number from 0 to 400", int)
    ] = Field(
        default=50,
        description="read from Whapi when a customer writes for the first time; 0 reads none",
    )


class ToolSettings(Section):
    """``[tools]``: what the model may call besides the built-in tools."""

    modules: Names = Field(default=(), description="Python modules that declare tools")
    folder: OptionalPath = Field(
        default=None, description="a folder of Python files that declare tools"
    )
    files_folder: OptionalPath = Field(
        default=None,
        description="a folder with the pictures and documents that tools may send by their names",
    )
    disabled: Names = Field(
        default=(), description="names of tools, built-in ones included, that are not offered"
    )


class ValidatorSettings(Section):
    """``[validators]``: what looks at an answer before the customer reads it."""

    modules: Names = Field(
        default=(), description="Python modules that declare validators of your own"
    )
    disabled: Names = Field(
        default=(), description="names of validators, built-in ones included, that are left out"
    )


class BufferSettings(Section):
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


class TakeoverSettings(Section):
    """``[takeover]``: stepping aside when a person of the business writes."""

    pause_minutes: Annotated[float, Field(ge=0), Rule("a number of minutes, 0 or more", float)] = (
        Field(
            default=30,
            description="silence after an agent wrote; fractions allowed, 0: never pause",
        )
    )


class EscalationSettings(Section):
    """``[escalation]``: handing a chat to a person when the model asks for it."""

    chat: OptionalChat = Field(
        default="", description="where agents are told: a number or chat id, best a group's"
    )
    label: OwnName = Field(default="", description="WhatsApp label that the chat gets")
    pause_minutes: Annotated[float, Field(ge=0), Rule("a number of minutes, 0 or more", float)] = (
        Field(default=60, description="silence after handing over, at least takeover.pause_minutes")
    )


class DeliverySettings(Section):
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


class BudgetSettings(Section):
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


class BrakeSettings(Section):
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


class RecoverySettings(Section):
    """``[recovery]``: what happens to work that the last process left."""

    delay_seconds: Annotated[
        float,
        Field(ge=0, le=86400),
        Rule("a number of seconds from 0 to 86400", float),
    ] = Field(default=5, description="from start to recovery")
    timeout_seconds: Seconds = Field(default=10, description="for the whole recovery")
    max_age_hours: Annotated[float, Field(gt=0), Rule("a number of hours above 0", float)] = Field(
        default=6, description="older messages get one polite line a chat instead of an answer"
    )


class RetentionSettings(Section):
    """``[retention]``: how long things are kept that are not needed for the work."""

    event_days: Annotated[float, Field(ge=0), Rule("a number of days, 0 or more", float)] = Field(
        default=30, description="raw webhook events are kept; 0 keeps them for good"
    )
    audio_hours: Annotated[float, Field(ge=0), Rule("a number of hours, 0 or more", float)] = Field(
        default=24,
        description="voice notes and files that were sent are kept; 0 keeps them for good",
    )
    media_days: Annotated[float, Field(ge=0), Rule("a number of days, 0 or more", float)] = Field(
        default=30, description="files that people sent are kept; 0 keeps them for good"
    )


class ShutdownSettings(Section):
    """``[shutdown]``: the end."""

    deadline_seconds: Seconds = Field(
        default=5, description="after which the process ends whatever it is doing"
    )


class TextSettings(Section):
    """``[texts]``: own wording for the texts that the daemon says by itself.

    Same field names as ``daemon.texts.Texts``.
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
    call: OwnText = Field(
        default="", description="sent after a missed call, if replies.answer_calls is on"
    )
    agent_note: OwnText = Field(
        default="", description="put before an agent's words in the thread; {name} is the agent"
    )
    date_label: OwnText = Field(default="", description="label in the context line")
    time_label: OwnText = Field(default="", description="label in the context line")
    contact_label: OwnText = Field(default="", description="label in the context line")
    chat_label: OwnText = Field(default="", description="label in the context line")
    channel_label: OwnText = Field(default="", description="label in the context line")
    labels_label: OwnText = Field(default="", description="label in the context line")
