"""Handover: who answers a chat, and what becomes of a customer's open messages. Pure.

A pause keeps the bot out of a chat; each function here that returns a `Hold` sets or ends one, and
no other code does. A message that waits for a person has the state `WITH_AGENT`. A later message of
an agent or "done" closes it; the end of the pause or giving the chat back returns it to the bot. A
message that an agent has answered is never answered again.
"""

from dataclasses import dataclass, replace
from typing import Literal

from daemon.domain.states import HANDED_OFF, IGNORED, IN_TURN, RECEIVED, WITH_AGENT

AN_AGENT = "an agent has the chat"
ESCALATED = "escalated"
LOOP = "loop"
BUDGET = "budget"
REFUSED = "the model server refuses every request"
WINDOW_SHUT = "too long since the customer's last message: the gateway takes only templates"
"""Why a message waits for a person. With `AN_AGENT` it goes back to the bot when the pause ends;
with the others only a person, or giving the chat back, ends the wait."""

AGENT_WROTE = "an agent wrote"
DONE = "done"
"""Why a message is `handed_off`: how a person closed it."""

DELETED = "deleted by its author"
"""Why a message is `ignored` that its author took back."""

Event = Literal["agent wrote", "agent wrote beside the bot", "done", "given back", "pause ended"]
"""``agent wrote beside the bot``: an agent's message that does not pause the bot."""


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A customer's message without an outcome, by what a handover needs to know."""

    state: str
    reason: str = ""
    """Why it waits for a person, or what has closed it."""
    to_note: bool = False
    """True while its words are in no thread and no turn will put them there."""
    in_thread: bool = False
    """True in a turn whose answer is decided: the thread has its words."""
    deleted: bool = False
    """True if its author deleted it while it was in a turn."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The hold on a chat that keeps the bot out. Times are Unix seconds, 0 for never."""

    paused_until: float = 0
    loop_until: float = 0
    escalated_at: float = 0
    """Since when the model asks for a person and none has written."""
    overdue_at: float = 0
    """When the customer was notified that none has come."""

    def is_paused(self, now: float) -> bool:
        """True while the bot keeps out."""
        return now < self.paused_until

    @property
    def is_escalated(self) -> bool:
        """True from an escalation until a person writes or its pause ends."""
        return bool(self.escalated_at) and not self.overdue_at


def paused(hold: Hold, until: float) -> Hold:
    """An operator pauses the bot until a time, whatever pause there was."""
    return replace(hold, paused_until=until, loop_until=0.0)


def stopped_loop(hold: Hold, until: float) -> Hold:
    """The bot keeps out until a time because it talks with a machine."""
    return replace(hold, paused_until=max(hold.paused_until, until), loop_until=until)


def agent_has_written(hold: Hold, pause_until: float) -> Hold:
    """An agent's message pauses the bot until a time (0: it does not); the person has come."""
    if pause_until:
        paused_until = max(hold.paused_until, pause_until)
        hold = replace(hold, paused_until=paused_until, loop_until=0.0)
    return seen_to(hold)


def given_back(hold: Hold, now: float) -> Hold:
    """A person lets the bot answer again."""
    return seen_to(replace(hold, paused_until=min(hold.paused_until, now), loop_until=0.0))


def seen_to(hold: Hold) -> Hold:
    """A person has seen to the chat, so none is asked for any more."""
    return replace(hold, escalated_at=0.0, overdue_at=0.0) if hold.escalated_at > 0 else hold


def customer_notified(hold: Hold, now: float) -> Hold:
    """The customer is notified that the person who was asked for has not come."""
    return replace(hold, overdue_at=now)


def joined(hold: Hold, alias: Hold) -> Hold:
    """Two chats turn out to be of one person: the longer pause and the later request count."""
    return replace(
        hold,
        paused_until=max(hold.paused_until, alias.paused_until),
        escalated_at=max(hold.escalated_at, alias.escalated_at),
        overdue_at=max(hold.overdue_at, alias.overdue_at),
    )


def waits_because(hold: Hold, now: float) -> str:
    """Why a message that comes now waits for a person; empty if the bot answers it."""
    if not hold.is_paused(now):
        return ""
    if hold.is_escalated:
        return ESCALATED
    return LOOP if now < hold.loop_until else AN_AGENT


def notice_is_due(hold: Hold, now: float) -> bool:
    """Whether to notify the customer that the person who was asked for has not come."""
    return hold.is_escalated and not hold.is_paused(now)


def escalated(hold: Hold, *, pause_seconds: float, agent_wrote: bool, now: float) -> Hold:
    """A turn ends that asks for a person: the pause begins.

    A longer pause stays. If a person has come while the turn was at work (``agent_wrote``), none is
    asked for. Without a pause the bot goes on, so the customer gets no notice later that none came.
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
    """A message that the bot leaves to a person, for a reason (empty: it does not)."""
    if message.state != RECEIVED or not reason:
        return message
    return OpenMessage(WITH_AGENT, reason, to_note=True)


def left_by_turn(message: OpenMessage, reason: str, *, in_thread: bool) -> OpenMessage:
    """A message of a turn that ends without an answer and leaves it to a person.

    ``in_thread``: the thread has its words. What an agent closed meanwhile stays closed.
    """
    if message.state == IN_TURN and message.deleted:
        return OpenMessage(IGNORED, DELETED)
    if message.state == IN_TURN:
        return OpenMessage(WITH_AGENT, reason, to_note=not in_thread)
    return replace(message, to_note=message.to_note and not in_thread)


def after(message: OpenMessage, event: Event) -> OpenMessage:
    """An open message after an event in its chat.

    An agent's message closes those before it. One that does not pause the bot leaves to the bot
    what the bot is answering.
    """
    if message.state == WITH_AGENT:
        return _after_waiting(message, event)
    if event != "agent wrote" or message.state not in {RECEIVED, IN_TURN}:
        return message
    is_known = message.in_thread or message.deleted
    return OpenMessage(HANDED_OFF, AGENT_WROTE, to_note=not is_known)


def _after_waiting(message: OpenMessage, event: Event) -> OpenMessage:
    if event == "given back" or (event == "pause ended" and message.reason == AN_AGENT):
        return OpenMessage(RECEIVED)
    if event == "pause ended":
        return message
    reason = DONE if event == "done" else AGENT_WROTE
    return OpenMessage(HANDED_OFF, reason, to_note=message.to_note)
