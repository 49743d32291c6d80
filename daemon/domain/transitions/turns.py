"""The end of a turn, and its effect on the turn's messages. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from daemon.domain.states import ANSWERED, DEAD, DROPPED, FAILED, HANDED_OFF, IN_TURN, Outcome
from daemon.domain.transitions.handover import WINDOW_SHUT, OpenMessage, left_by_turn


class Part(NamedTuple):
    """A part of a turn's answer. Interim messages of tools are none."""

    state: str
    error: str = ""


def nothing_sent(parts: Sequence[Part]) -> bool:
    """True if every part was refused or dropped; one that waits to be sent again may arrive."""
    return all(part.state in {FAILED, DROPPED} for part in parts)


def outcome_of(parts: Sequence[Part]) -> tuple[Outcome, str]:
    """Outcome and reason of a turn whose answer was delivered as far as possible.

    Answered if any part was sent, or if there was none to send; dead if every part was refused.
    What can be sent as soon as the customer writes again is left to a person until then.
    """
    errors = [part.error for part in parts if part.state == FAILED]
    if WINDOW_SHUT in errors and nothing_sent(parts):
        return HANDED_OFF, WINDOW_SHUT
    if errors and nothing_sent(parts):
        return DEAD, max(errors)
    return ANSWERED, max(errors, default="")


def dies_afterwards(outcome: str, parts: Sequence[Part]) -> bool:
    """Whether a turn that counts as answered is dead after all: nothing of its answer arrived.

    Then it is listed as unanswered, and can be replayed.
    """
    return outcome == ANSWERED and nothing_sent(parts)


def after_turn(
    message: OpenMessage, outcome: Outcome, reason: str, *, in_thread: bool
) -> OpenMessage:
    """A message of a turn after the end of it. ``in_thread``: the thread has its words."""
    if outcome == HANDED_OFF:
        return left_by_turn(message, reason, in_thread=in_thread)
    if message.state == IN_TURN:
        return replace(message, state=outcome, reason=reason)
    return message
