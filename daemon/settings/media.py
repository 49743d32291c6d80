"""The tables of the configuration about what is no text: files, voice notes, speech."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import (
    Name,
    Names,
    OptionalSecret,
    OptionalUrl,
    OwnName,
    Rule,
    Seconds,
    Switch,
)
from daemon.settings.section import Section


class MediaSettings(Section):
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


class VoiceSettings(Section):
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
