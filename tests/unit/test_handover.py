"""What becomes of a customer's open messages when a person takes a chat or leaves it: tables."""

import pytest

from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import (
    AGENT_WROTE,
    AN_AGENT,
    BUDGET,
    DELETED,
    DONE,
    ESCALATED,
    LOOP,
    Event,
    Hold,
    OpenMessage,
    after,
    escalated,
    held,
    left_by_turn,
    notice_is_due,
    waits_because,
)

NOW = 1000.0
NEW = OpenMessage("received")
ASKED = OpenMessage("in_turn")
ANSWERED_PARTLY = OpenMessage("in_turn", in_thread=True)
WAITS = OpenMessage(WITH_AGENT, AN_AGENT, to_note=True)
LEFT = OpenMessage(WITH_AGENT, ESCALATED, to_note=True)
TOLD = OpenMessage(WITH_AGENT, BUDGET)


@pytest.mark.parametrize(
    ("message", "event", "becomes"),
    [
        # An agent's message closes all that came before it; what no thread has is to be noted.
        (NEW, "agent wrote", OpenMessage("handed_off", AGENT_WROTE, to_note=True)),
        (ASKED, "agent wrote", OpenMessage("handed_off", AGENT_WROTE, to_note=True)),
        (ANSWERED_PARTLY, "agent wrote", OpenMessage("handed_off", AGENT_WROTE)),
        (WAITS, "agent wrote", OpenMessage("handed_off", AGENT_WROTE, to_note=True)),
        (LEFT, "agent wrote", OpenMessage("handed_off", AGENT_WROTE, to_note=True)),
        (TOLD, "agent wrote", OpenMessage("handed_off", AGENT_WROTE)),
        # One that does not pause the bot closes what waits, and leaves the bot its work.
        (NEW, "agent wrote beside the bot", NEW),
        (ASKED, "agent wrote beside the bot", ASKED),
        (WAITS, "agent wrote beside the bot", OpenMessage("handed_off", AGENT_WROTE, to_note=True)),
        (TOLD, "agent wrote beside the bot", OpenMessage("handed_off", AGENT_WROTE)),
        # "done" is about what waits for a person.
        (NEW, "done", NEW),
        (ASKED, "done", ASKED),
        (WAITS, "done", OpenMessage("handed_off", DONE, to_note=True)),
        (TOLD, "done", OpenMessage("handed_off", DONE)),
        # A chat that is given back is the bot's again, with all that waits.
        (NEW, "given back", NEW),
        (ASKED, "given back", ASKED),
        (WAITS, "given back", NEW),
        (LEFT, "given back", NEW),
        (TOLD, "given back", NEW),
        # A pause that ends gives back what only the agent kept from the bot.
        (NEW, "pause ended", NEW),
        (ASKED, "pause ended", ASKED),
        (WAITS, "pause ended", NEW),
        (LEFT, "pause ended", LEFT),
        (TOLD, "pause ended", TOLD),
    ],
)
def test_an_event_changes_an_open_message(
    message: OpenMessage, event: Event, becomes: OpenMessage
) -> None:
    assert after(message, event) == becomes


@pytest.mark.parametrize("event", ["agent wrote", "done", "given back", "pause ended"])
@pytest.mark.parametrize("state", ["answered", "handed_off", "expired", "dead", "ignored"])
def test_closed_messages_stay_closed(state: str, event: Event) -> None:
    message = OpenMessage(state, "whatever")
    assert after(message, event) == message


@pytest.mark.parametrize(
    ("hold", "reason"),
    [
        (Hold(), ""),
        (Hold(paused_until=NOW), ""),
        (Hold(paused_until=NOW + 1), AN_AGENT),
        (Hold(paused_until=NOW + 1, loop_until=NOW + 1), LOOP),
        (Hold(paused_until=NOW + 1, loop_until=NOW), AN_AGENT),
        (Hold(paused_until=NOW + 1, escalated_at=NOW - 9), ESCALATED),
        (Hold(paused_until=NOW + 1, escalated_at=NOW - 9, overdue_at=NOW - 1), AN_AGENT),
        (Hold(paused_until=NOW, escalated_at=NOW - 9), ""),
    ],
)
def test_the_reason_why_a_message_waits(hold: Hold, reason: str) -> None:
    assert waits_because(hold, NOW) == reason


@pytest.mark.parametrize(
    ("hold", "due"),
    [
        (Hold(paused_until=NOW - 1), False),
        (Hold(paused_until=NOW + 1, escalated_at=NOW - 9), False),
        (Hold(paused_until=NOW - 1, escalated_at=NOW - 9), True),
        (Hold(paused_until=NOW - 1, escalated_at=NOW - 9, overdue_at=NOW - 1), False),
    ],
)
def test_the_customer_is_notified_once_of_an_overdue_escalation(hold: Hold, due: bool) -> None:  # noqa: FBT001
    assert notice_is_due(hold, NOW) == due


@pytest.mark.parametrize(
    ("before", "pause_seconds", "agent_wrote", "then"),
    [
        (Hold(), 60, False, Hold(paused_until=NOW + 60, escalated_at=NOW)),
        (Hold(), 60, True, Hold(paused_until=NOW + 60)),
        (Hold(), 0, False, Hold(escalated_at=NOW, overdue_at=NOW)),
        (
            Hold(paused_until=NOW + 90),
            60,
            False,
            Hold(paused_until=NOW + 90, escalated_at=NOW),
        ),
        (
            Hold(escalated_at=NOW - 500, overdue_at=NOW - 100),
            60,
            False,
            Hold(paused_until=NOW + 60, escalated_at=NOW - 500),
        ),
    ],
)
def test_an_escalation_asks_for_a_person(
    before: Hold,
    pause_seconds: float,
    agent_wrote: bool,  # noqa: FBT001 - a column of the table
    then: Hold,
) -> None:
    hold = escalated(before, pause_seconds=pause_seconds, agent_wrote=agent_wrote, now=NOW)
    assert hold == then


def test_messages_that_the_bot_skips_wait_for_a_person() -> None:
    assert held(NEW, LOOP) == OpenMessage(WITH_AGENT, LOOP, to_note=True)
    assert held(NEW, "") == NEW
    assert held(ASKED, LOOP) == ASKED
    assert held(TOLD, LOOP) == TOLD


def test_a_turn_that_is_handed_off_leaves_its_messages_waiting() -> None:
    assert left_by_turn(ASKED, AN_AGENT, in_thread=False) == WAITS
    assert left_by_turn(ASKED, BUDGET, in_thread=True) == TOLD


def test_a_deleted_message_does_not_wait_for_a_person() -> None:
    deleted = OpenMessage("in_turn", deleted=True)
    assert left_by_turn(deleted, AN_AGENT, in_thread=False) == OpenMessage("ignored", DELETED)
    assert not after(deleted, "agent wrote").to_note


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_message_answered_by_an_agent_stays_so_when_its_turn_ends(in_thread: bool) -> None:  # noqa: FBT001
    closed = OpenMessage("handed_off", AGENT_WROTE, to_note=True)
    left = left_by_turn(closed, AN_AGENT, in_thread=in_thread)
    assert left == OpenMessage("handed_off", AGENT_WROTE, to_note=not in_thread)
