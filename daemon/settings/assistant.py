"""Settings of the model, of what it is sent and may do, and of files and voice notes."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from daemon.settings.rules import (
    Background,
    FilePath,
    Name,
    NamedSecrets,
    Names,
    OptionalPath,
    OptionalSecret,
    OptionalUrl,
    OwnId,
    OwnName,
    Range,
    Rule,
    Seconds,
    SettingsTable,
    Switch,
    Table,
    Tables,
    Url,
    read_table,
)

Looks = Annotated[int, Range(ge=1, le=10_000)]


class AssistantSettings(SettingsTable):
    """``[assistant]``: the model and how it is run."""

    engine: Literal["responses", "assistants"] = "responses"
    """API that the server speaks: responses or assistants"""
    assistant_id: OwnId = ""
    """with engine assistants: the assistant that its runs are made of"""
    polls: Looks = 30
    """with engine assistants: polls of a run, one a second, before it is given up"""
    tool_polls: Looks = 10
    """with engine assistants: polls of a run after its tools' outputs, with growing pauses, before
    it is given up"""
    webhook_secret: OptionalSecret = None
    """secret of the model server's webhooks (whsec_…) at /openai/webhook; with background they
    report finished answers, and no stream is held open"""
    base_url: Url = "https://api.openai.com/v1"
    """address of the model server"""
    api_key: OptionalSecret = None
    """key of the model server"""
    model: Name = "gpt-6-luna"
    """model that answers"""
    instructions_file: FilePath = Path("config/instructions.md")
    """file with the model's instructions"""
    run_timeout_seconds: Seconds = 120
    """time limit of one run of the model, not counting the time of its tools"""
    background: Background = "auto"
    """let the server keep a run, so that it can be resumed after a crash; auto: if the server
    can"""
    max_tool_rounds: Annotated[int, Range(ge=0, le=100)] = 8
    """rounds of tool calls in one run before the model must answer"""
    max_concurrent_runs: Annotated[int, Range(ge=1, le=100_000)] = 200
    """runs of all chats at once; further ones wait"""
    history_tokens: Annotated[int, Range("tokens", ge=1)] = 24000
    """size of the conversation so far that the model gets"""
    compaction: Literal["auto", "summary", "drop"] = "auto"
    """for a longer conversation: summary of its oldest part by the model, drop it, or auto: the
    server's own compaction where it has one, else a summary"""
    candidate: Literal["off", "shadow", "share"] = "off"
    """what candidate_instructions_file and candidate_model are tried on: shadow: on every chat,
    without sending anything; share: on a part of the chats, which get the answers; see
    rollout.md"""
    candidate_share: Annotated[float, Range(ge=0, le=1)] = 0.1
    """with candidate share: the part of the contacts"""
    candidate_instructions_file: OptionalPath = None
    """the candidate's instructions; empty: those of all"""
    candidate_model: Annotated[str, Rule("a text, or empty")] = ""
    """its model; empty: that of all"""
    options: Table = Field(default_factory=dict)
    """passed unchanged to the model call: reasoning, service_tier and so on"""
    hosted_tools: Tables = ()
    """tools that the server runs itself: web search, MCP servers"""


class HistorySettings(SettingsTable):
    """``[history]``: conversations from before Recado."""

    import_messages: Annotated[int, Range(ge=0, le=400)] = 50
    """messages read from the gateway when a customer writes for the first time"""


class McpServerSettings(SettingsTable):
    """``[[tools.mcp]]``: a server whose tools the model may call."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,24}$")]
    """Stands before the names of its tools."""
    command: tuple[str, ...] = Field(default=(), strict=False)
    """A program that speaks MCP over its standard input and output, and its arguments."""
    url: OptionalUrl = ""
    """Or the address of a server that speaks it over streamable HTTP."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Of each request; ``{name}`` is the secret ``tools.secrets.name``."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of the program, like ``headers``."""
    trust: bool = False
    """Trust its first list of tools without an operator's word."""
    read_only: tuple[str, ...] = Field(default=(), strict=False)
    """Its tools without effects, which may be called again after a crash."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("either command or url")
        return self


McpServers = Annotated[
    tuple[McpServerSettings, ...],
    Field(strict=False, max_length=16),
    Rule(
        "a list of tables, each with a name and either command or url (in the environment: a JSON"
        " list)",
        read_table,
    ),
]


class ToolSettings(SettingsTable):
    """``[tools]``: what the model may call besides the built-in tools."""

    modules: Names = ()
    """Python modules that declare tools"""
    folder: OptionalPath = None
    """a folder of Python files that declare tools"""
    mcp: McpServers = ()
    """MCP servers whose tools the model may call; see docs/tools.md"""
    requirements: OptionalPath = None
    """a requirements file of the packages that tools need; make install installs them, and checks
    their hashes if it has some"""
    secrets: NamedSecrets = Field(default_factory=dict)
    """secrets of tools, for context.secret(name); each may be a credential tools.secrets.<name> or
    a variable RECADO_TOOLS__SECRETS__<NAME>"""
    longest_seconds: Seconds = 300
    """longest timeout that a tool may declare; a longer one stops the start"""
    files_folder: OptionalPath = None
    """a folder with pictures and documents that tools may send by name"""
    disabled: Names = ()
    """names of tools, built-in ones included, that are not offered"""


class KnowledgeSettings(SettingsTable):
    """``[knowledge]``: the business's own documents, which the model searches."""

    folder: OptionalPath = None
    """a folder of documents (Markdown, text, PDF, DOCX, CSV, HTML) that answers come from; kept in
    step as they change"""
    check_seconds: Seconds = 10
    """how often the folder is looked at for changes"""
    passages: Annotated[int, Range(ge=1, le=20)] = 5
    """passages that one search gives the model at most"""
    threshold: Annotated[float, Range(ge=0, le=1)] = 0.2
    """share of a question's words, the rarer the more, that a passage must have for the documents
    to count as answering it"""
    max_mb: Annotated[float, Range("megabytes", gt=0, le=1024)] = 25
    """larger documents are not read"""
    embedding_model: OwnName = ""
    """model that finds passages by their meaning, besides the words; empty: words alone. Needs the
    extra recado[vectors]"""
    embedding_base_url: OptionalUrl = ""
    """address of its server; empty: the assistant's"""
    embedding_api_key: OptionalSecret = None
    """key of that server; empty: the assistant's, if it is the same"""
    embedding_timeout_seconds: Seconds = 3
    """time limit for one question; after that the words alone count"""
    similarity: Annotated[float, Range(ge=0, le=1)] = 0.5
    """similarity from which a passage counts as answering; it depends on the model"""


class ValidatorSettings(SettingsTable):
    """``[validators]``: checks of an answer before it is sent."""

    modules: Names = ()
    """Python modules that declare validators of your own"""
    disabled: Names = ()
    """names of validators, built-in ones included, that are left out"""
    amounts: Literal["flag", "block"] = "flag"
    """for an answer whose amounts are still doubtful at the second try: flag sends it and marks it
    for review, block sends the safe text instead"""
    folder: OptionalPath = None
    """a folder of Python files that declare validators"""


# -- files and voice notes -------------------------------------------------------------------------


class MediaSettings(SettingsTable):
    """``[media]``: what people send as files."""

    max_mb: Annotated[float, Range("megabytes", gt=0, le=1024)] = 25
    """larger files are not fetched"""
    timeout_seconds: Seconds = 60
    """time limit for fetching one file"""
    wait_seconds: Seconds = 20
    """an answer waits this long for a file or transcript, from the file's arrival"""
    concurrency: Annotated[int, Range(ge=1, le=1000)] = 8
    """files of all chats fetched or transcribed at once"""
    hosts: Names = ()
    """the only hosts that files are fetched from, with their subdomains; empty: any public one"""
    images: Switch = True
    """send pictures to the model"""
    documents: Literal["auto", "file", "text"] = "auto"
    """how the model gets a PDF: as a file, as its text, or auto: as a file where the server is
    known to accept one"""
    document_pages: Annotated[int, Range(ge=1, le=1000)] = 30
    """pages of a document that are read"""
    document_characters: Annotated[int, Range(ge=100, le=1_000_000)] = 20_000
    """characters of a document that the model gets"""
    request_mb: Annotated[float, Range("megabytes", gt=0, le=100)] = 15
    """size of all files in one request to the model"""


class VoiceSettings(SettingsTable):
    """``[voice]``: the models for voice notes, which change faster than the one that answers."""

    transcription_model: OwnName = ""
    """model that transcribes voice notes, such as gpt-transcribe; empty: none"""
    transcription_base_url: OptionalUrl = ""
    """address of its server; empty: the assistant's"""
    transcription_api_key: OptionalSecret = None
    """key of that server; empty: the assistant's, if it is the same"""
    transcription_language: OwnName = ""
    """language of voice notes, such as es; empty: detected"""
    transcription_timeout_seconds: Seconds = 30
    """time limit for one voice note, including a second try"""
    max_minutes: Annotated[float, Range("minutes", gt=0, le=600)] = 10
    """longer voice notes are not transcribed"""
    speech_model: OwnName = ""
    """model that speaks; empty: answers are written"""
    reply_with_voice: Switch = True
    """answer a voice note with one, if there is a speech_model and the words can be spoken"""
    speech_base_url: OptionalUrl = ""
    """address of its server; empty: the assistant's"""
    speech_api_key: OptionalSecret = None
    """key of that server; empty: the assistant's, if it is the same"""
    speech_voice: Name = "nova"
    """voice of the speech model"""
    speech_format: Literal["ogg", "mp3"] = "ogg"
    """ogg (Opus) is what WhatsApp's voice notes are"""
    speech_timeout_seconds: Seconds = 20
    """time limit for one part of an answer; after that it is written"""
    max_characters: Annotated[int, Range(ge=50, le=4096)] = 700
    """characters of one spoken part; longer answers are cut by sentences"""
