"""The table of the configuration with the operator's own wording."""

from pydantic import Field

from daemon.settings.rules import OwnText
from daemon.settings.section import Section


class TextSettings(Section):
    """``[texts]``: own wording for the texts that the daemon says by itself.

    Same field names as ``daemon.domain.texts.Texts``.
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
    document: OwnText = Field(
        default="", description="sent with the document that a very long answer becomes"
    )
    document_name: OwnText = Field(
        default="", description="name of that document, without its ending"
    )
    overdue: OwnText = Field(
        default="", description="sent once when a person was asked for and none has written in time"
    )
    call: OwnText = Field(
        default="", description="sent after a missed call, if replies.answer_calls is on"
    )
    opted_out: OwnText = Field(
        default="", description="sent to who wants no more messages; {word} lets them come again"
    )
    opted_in: OwnText = Field(default="", description="sent to who wants messages again")
    agent_note: OwnText = Field(
        default="", description="stands before an agent's words in the thread; {name} is the agent"
    )
    date_label: OwnText = Field(default="", description="label in the context line")
    time_label: OwnText = Field(default="", description="label in the context line")
    contact_label: OwnText = Field(default="", description="label in the context line")
    chat_label: OwnText = Field(default="", description="label in the context line")
    channel_label: OwnText = Field(default="", description="label in the context line")
    labels_label: OwnText = Field(default="", description="label in the context line")
