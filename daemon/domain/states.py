"""The words for the states of rows, each defined once. Pure.

The tables check the same words; ``tests/store/test_states.py`` compares them with these.
"""

from typing import Final, Literal

RECEIVED: Final = "received"
IN_TURN: Final = "in_turn"
WITH_AGENT: Final = "with_agent"
"""Waits for a person."""
ANSWERED: Final = "answered"
IGNORED: Final = "ignored"
HANDED_OFF: Final = "handed_off"
"""Closed by a person."""
EXPIRED: Final = "expired"
DEAD: Final = "dead"
"""Given up: no answer was possible, or none of it could be delivered."""

Outcome = Literal["answered", "ignored", "handed_off", "expired", "dead"]
"""How a turn and its messages can end."""
OUTCOMES: tuple[Outcome, ...] = (ANSWERED, IGNORED, HANDED_OFF, EXPIRED, DEAD)
FOR_BOT = (RECEIVED, IN_TURN)
"""States of messages that the bot is to answer."""
MESSAGE_STATES = (*FOR_BOT, WITH_AGENT, *OUTCOMES)

TURN_OPEN: Final = "open"
DELIVERING: Final = "delivering"
"""Its answer is decided, and being sent."""
TURN_DONE: Final = "done"
TURN_STATES = (TURN_OPEN, DELIVERING, TURN_DONE)

RUNNING: Final = "running"
COMPLETED: Final = "completed"
SUPERSEDED: Final = "superseded"
ABANDONED: Final = "abandoned"
RUN_STATES = (RUNNING, COMPLETED, SUPERSEDED, ABANDONED)

STARTED: Final = "started"
FINISHED: Final = "finished"
FAILED: Final = "failed"
RESPONSE_STATES = (STARTED, COMPLETED, FAILED)
TOOL_CALL_STATES = (STARTED, FINISHED, FAILED)

PENDING: Final = "pending"
SENDING: Final = "sending"
SENT: Final = "sent"
UNKNOWN: Final = "unknown"
"""The outcome of the send is not known."""
DROPPED: Final = "dropped"
UNSETTLED = (PENDING, SENDING, UNKNOWN)
"""States of sends that are unsent or of unknown outcome."""
SEND_STATES = (*UNSETTLED, SENT, FAILED, DROPPED)
NOTIFICATION_STATES = (PENDING, SENT, FAILED)
WEBHOOK_STATES = (PENDING, SENT, DEAD)

GROWING: Final = "growing"
"""A version of a document that is not complete yet."""
CURRENT: Final = "current"
OUTDATED: Final = "outdated"
DOCUMENT_STATES = (GROWING, CURRENT, OUTDATED)

WAITING: Final = "waiting"
CANCELLED: Final = "cancelled"
ReminderState = Literal["waiting", "sent", "cancelled", "expired"]
REMINDER_STATES: tuple[ReminderState, ...] = (WAITING, SENT, CANCELLED, EXPIRED)

BEGUN: Final = "begun"
"""The owner of the number has made the first write of a command."""
DONE: Final = "done"
COMMAND_STATES = (WAITING, BEGUN, DONE)
"""Of what is done on one node to a number of another."""

WANTED: Final = "wanted"
STORED: Final = "stored"
GONE: Final = "gone"
MediaState = Literal["wanted", "stored", "failed", "gone"]
MEDIA_STATES: tuple[MediaState, ...] = (WANTED, STORED, FAILED, GONE)

RESERVED: Final = "reserved"
SETTLED: Final = "settled"
USAGE_STATES = (RESERVED, SETTLED)

ProcessEnd = Literal["clean", "forced", "crashed"]
"""In time; by the deadline or a second signal, during a stop; without a stop."""
PROCESS_ENDS: tuple[ProcessEnd, ...] = ("clean", "forced", "crashed")
