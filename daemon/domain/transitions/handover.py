"""Handover: what becomes of a customer's open messages when a person takes a chat or leaves it.

Pure. A message that waits for a person has the state `WITH_AGENT`. It is closed by a later message
of an agent or by "done", and goes back to the bot when the pause ends or the chat is given back. A
message that an agent has answered is never answered again. `daemon.ledger.handover` stores what is
decided here.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

WITH_AGENT: Final = "with_agent"
"""The state of a message that waits for a person."""

AN_AGENT = "an agent has the chat"
ESCALATED = "escalated"
LOOP = "loop"
BUDGET = "budget"
REFUSED = "the model server refuses every request"
"""Why a message waits for a person. With `AN_AGENT` it goes back to the bot when the pause ends;
with the others only a person, or giving the chat back, ends the wait."""

AGENT_WROTE = "an agent wrote"
DONE = "done"
"""Why a message is `handed_off`: by what a person has closed it."""

DELETED = "deleted by its author"
"""Why a message is `ignored` that nobody has to answer any more."""

Event = Literal["agent wrote", "agent wrote beside the bot", "done", "given back", "pause ended"]
"""``agent wrote beside the bot``: an agent's message that does not pause the bot."""


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A customer's message without an outcome, as far as a handover is concerned."""

    state: str
    reason: str = ""
    """Why it waits for a person, or what has closed it."""
    to_note: bool = False
    """True while its words are in no thread and no turn will put them there."""
    in_thread: bool = False
    """True for a message in a turn whose answer is decided: the thread has its words."""
    deleted: bool = False
    """True if its author has deleted it while it was in a turn."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps the bot out of a chat. Times are Unix seconds, 0 for never."""

    paused_until: float = 0
    loop_until: float = 0
    escalated_at: float = 0
    """Since when a person is asked for by the model and none has written."""
    overdue_at: float = 0
    """When the customer was told that none has come."""

    def is_paused(self, now: float) -> bool:
        """True while the bot keeps out."""
        return now < self.paused_until

    @property
    def is_escalated(self) -> bool:
        """True from an escalation until a person writes or its pause ends."""
        return bool(self.escalated_at) and not self.overdue_at


def waits_because(hold: Hold, now: float) -> str:
    """Why a message that comes now waits for a person; empty if the bot answers it."""
    if not hold.is_paused(now):
        return ""
    if hold.is_escalated:
        return ESCALATED
    return LOOP if now < hold.loop_until else AN_AGENT


def notice_is_due(hold: Hold, now: float) -> bool:
    """Whether the customer is to be told that the person who was asked for has not come."""
    return hold.is_escalated and not hold.is_paused(now)


def escalated(hold: Hold, *, pause_seconds: float, agent_wrote: bool, now: float) -> Hold:
    """What keeps the bot out of a chat from the end of a turn on that asks for a person.

    A longer pause that has begun already stays. Nobody is asked for who has come: ``agent_wrote``
    while the turn was still at work. Without a pause the bot goes on, so the customer is not told
    at its end that nobody has come.
    """
    paused_until = hold.paused_until
    if pause_seconds:
        paused_until = max(paused_until, now + pause_seconds)
    if agent_wrote:
        return replace(hold, paused_until=paused_until)
    return replace(
        hold,
        paused_until=paused_until,
        escalated_at=hold.escalated_at or now,
        overdue_at=0.0 if pause_seconds else now,
    )


def held(message: OpenMessage, reason: str) -> OpenMessage:
    """A message that the bot does not answer because it keeps out of the chat."""
    if message.state != "received" or not reason:
        return message
    return OpenMessage(WITH_AGENT, reason, to_note=True)


def left_by_turn(message: OpenMessage, reason: str, *, in_thread: bool) -> OpenMessage:
    """A message of a turn that ends without an answer because a person has to see to it.

    ``in_thread``: the thread has its words. What an agent has closed meanwhile stays closed.
    """
    if message.state == "in_turn" and message.deleted:
        return OpenMessage("ignored", DELETED)
    if message.state == "in_turn":
        return OpenMessage(WITH_AGENT, reason, to_note=not in_thread)
    return replace(message, to_note=message.to_note and not in_thread)


def after(message: OpenMessage, event: Event) -> OpenMessage:
    """What becomes of an open message of a chat after what has happened there.

    An agent's message closes those that came before it. One that does not pause the bot leaves to
    the bot what the bot is answering.
    """
    if message.state == WITH_AGENT:
        return _after_waiting(message, event)
    if event != "agent wrote" or message.state not in {"received", "in_turn"}:
        return message
    is_known = message.in_thread or message.deleted
    return OpenMessage("handed_off", AGENT_WROTE, to_note=not is_known)


def _after_waiting(message: OpenMessage, event: Event) -> OpenMessage:
    if event == "given back" or (event == "pause ended" and message.reason == AN_AGENT):
        return OpenMessage("received")
    if event == "pause ended":
        return message
    reason = DONE if event == "done" else AGENT_WROTE
    return OpenMessage("handed_off", reason, to_note=message.to_note)
