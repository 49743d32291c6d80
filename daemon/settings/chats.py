"""The tables of the configuration that say which chats are answered, and how.

Every field carries its default, a one-line meaning and, in its type, what a value must be; see
`daemon.settings.sections`.
"""

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.rules import Chats, Rule, Switch
from daemon.settings.sections import Section


class GroupSettings(Section):
    """``[groups]``: what the bot does in groups."""

    mode: Annotated[Literal["off", "mentions", "all"], Rule("off, mentions or all")] = Field(
        default="mentions",
        description="which messages of a group are answered: none, those that mention our number or"
        " answer one of our messages, or all",
    )
    quote: Switch = Field(
        default=True, description="answers in a group quote the message that they answer"
    )
    mention: Switch = Field(
        default=True,
        description="answers in a group in which several people write mention whom they answer",
    )
    context_messages: Annotated[
        int, Field(ge=0, le=200), Rule("a whole number from 0 to 200", int)
    ] = Field(
        default=20,
        description="of the group's talk since the last answer that the model is told of",
    )
    own_number: Chats = Field(
        default=(),
        description="our number, and our …@lid id if known, to recognise mentions by; empty: learnt"
        " from our own messages",
    )


class ContactSettings(Section):
    """``[contacts]``: whose messages are answered, in private chats and in groups."""

    allow: Chats = Field(default=(), description="only these persons; empty: everybody")
    deny: Chats = Field(default=(), description="never these persons, also if they are allowed")


class ChatSettings(Section):
    """``[chats]``: in which chats and groups messages are answered."""

    allow: Chats = Field(default=(), description="only these chats and groups; empty: all")
    deny: Chats = Field(default=(), description="never these chats, also if they are allowed")


class PresenceSettings(Section):
    """``[presence]``: knowing when contacts type."""

    enabled: Switch = Field(
        default=True,
        description="ask WhatsApp to tell when contacts type or record, and wait while they do",
    )


class ReplySettings(Section):
    """``[replies]``: what is answered besides messages with something in them."""

    answer_reactions: Switch = Field(
        default=False, description="answer an emoji on one of our messages, not only know of it"
    )
    answer_calls: Switch = Field(
        default=False,
        description="after a missed call say that calls are not answered here (texts.call)",
    )
