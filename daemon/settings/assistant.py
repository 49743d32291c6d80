"""Settings of the model, of what it is sent and may do, and of files and voice notes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import (
    Background,
    FilePath,
    Name,
    Names,
    OptionalPath,
    OptionalSecret,
    OptionalUrl,
    OwnId,
    OwnName,
    Rule,
    Seconds,
    SettingsTable,
    Switch,
    Table,
    Tables,
    Url,
)

Looks = Annotated[int, Field(ge=1, le=10_000), Rule("a whole number from 1 to 10000", int)]


class AssistantSettings(SettingsTable):
    """``[assistant]``: the model and how it is run."""

    engine: Annotated[Literal["responses", "assistants"], Rule("responses or assistants")] = Field(
        default="responses", description="API that the server speaks: responses or assistants"
    )
    assistant_id: OwnId = Field(
        default="", description="with engine assistants: the assistant that its runs are made of"
    )
    polls: Looks = Field(
        default=30,
        description="with engine assistants: looks at a run, one a second, before it is given up",
    )
    tool_polls: Looks = Field(
        default=10,
        description="with engine assistants: looks at a run after its tools' outputs,"
        " with growing pauses, before it is given up",
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
        default=120,
        description="for one run of the model; the time in which its tools work is not counted",
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


class HistorySettings(SettingsTable):
    """``[history]``: conversations from before Recado."""

    import_messages: Annotated[
        int, Field(ge=0, le=400), Rule("a whole number from 0 to 400", int)
    ] = Field(
        default=50,
        description="read from the gateway when a customer writes for the first time; 0 reads none",
    )


class ToolSettings(SettingsTable):
    """``[tools]``: what the model may call besides the built-in tools."""

    modules: Names = Field(default=(), description="Python modules that declare tools")
    folder: OptionalPath = Field(
        default=None, description="a folder of Python files that declare tools"
    )
    longest_seconds: Seconds = Field(
        default=300, description="no tool may have a longer timeout; with one there is no start"
    )
    files_folder: OptionalPath = Field(
        default=None,
        description="a folder with the pictures and documents that tools may send by their names",
    )
    disabled: Names = Field(
        default=(), description="names of tools, built-in ones included, that are not offered"
    )


class ValidatorSettings(SettingsTable):
    """``[validators]``: what looks at an answer before the customer reads it."""

    modules: Names = Field(
        default=(), description="Python modules that declare validators of your own"
    )
    disabled: Names = Field(
        default=(), description="names of validators, built-in ones included, that are left out"
    )
    amounts: Annotated[Literal["flag", "block"], Rule("flag or block")] = Field(
        default="flag",
        description="what becomes of an answer whose amounts are still doubtful at the second try:"
        " flag sends it and marks it for a person, block sends the safe text instead",
    )
    folder: OptionalPath = Field(
        default=None, description="a folder of Python files that declare validators"
    )


# -- files and voice notes -------------------------------------------------------------------------


class MediaSettings(SettingsTable):
    """``[media]``: what people send as files."""

    max_mb: Annotated[
        float, Field(gt=0, le=1024), Rule("a number of megabytes above 0, at most 1024", float)
    ] = Field(default=25, description="larger files are not fetched")
    timeout_seconds: Seconds = Field(default=60, description="for fetching one file")
    wait_seconds: Seconds = Field(
        default=20,
        description="an answer waits so long for a file or a transcript, from its arrival on",
    )
    concurrency: Annotated[
        int, Field(ge=1, le=1000), Rule("a whole number from 1 to 1000", int)
    ] = Field(default=8, description="files of all chats fetched or heard at once")
    hosts: Names = Field(
        default=(),
        description="the only hosts that files are fetched from, with their subdomains; empty: any"
        " public one",
    )
    images: Switch = Field(default=True, description="show pictures to the model")
    documents: Annotated[Literal["auto", "file", "text"], Rule("auto, file or text")] = Field(
        default="auto",
        description="how the model gets a PDF: as a file, as its text, or (auto) as a file where"
        " the server is known to take one",
    )
    document_pages: Annotated[
        int, Field(ge=1, le=1000), Rule("a whole number from 1 to 1000", int)
    ] = Field(default=30, description="of a document that are read")
    document_characters: Annotated[
        int, Field(ge=100, le=1_000_000), Rule("a whole number from 100 to 1000000", int)
    ] = Field(default=20_000, description="of a document that the model is told")
    request_mb: Annotated[
        float, Field(gt=0, le=100), Rule("a number of megabytes above 0, at most 100", float)
    ] = Field(default=15, description="of pictures and files in one request to the model")


class VoiceSettings(SettingsTable):
    """``[voice]``: the models for voice notes, which change faster than the one that answers."""

    transcription_model: OwnName = Field(
        default="", description="model that hears voice notes, such as gpt-transcribe; empty: none"
    )
    transcription_base_url: OptionalUrl = Field(
        default="", description="where that model is; empty: where the assistant's is"
    )
    transcription_api_key: OptionalSecret = Field(
        default=None, description="key of that server; empty: the assistant's, if it is the same"
    )
    transcription_language: OwnName = Field(
        default="", description="language that voice notes are in, such as es; empty: found out"
    )
    transcription_timeout_seconds: Seconds = Field(
        default=30, description="for one voice note, its second try included"
    )
    max_minutes: Annotated[
        float, Field(gt=0, le=600), Rule("a number of minutes above 0, at most 600", float)
    ] = Field(default=10, description="longer voice notes are not heard")
    speech_model: OwnName = Field(
        default="", description="model that speaks; empty: answers are written"
    )
    reply_with_voice: Switch = Field(
        default=True,
        description="answer a voice note with one, if there is a speech_model and the words are fit"
        " to be spoken",
    )
    speech_base_url: OptionalUrl = Field(
        default="", description="where that model is; empty: where the assistant's is"
    )
    speech_api_key: OptionalSecret = Field(
        default=None, description="key of that server; empty: the assistant's, if it is the same"
    )
    speech_voice: Name = Field(default="nova", description="voice that the model speaks with")
    speech_format: Annotated[Literal["ogg", "mp3"], Rule("ogg or mp3")] = Field(
        default="ogg", description="ogg (Opus) is what WhatsApp's voice notes are"
    )
    speech_timeout_seconds: Seconds = Field(
        default=20, description="for one part of an answer; after that it is written"
    )
    max_characters: Annotated[
        int, Field(ge=50, le=4096), Rule("a whole number from 50 to 4096", int)
    ] = Field(default=700, description="of one spoken part; longer answers are cut by sentences")
