"""What an event does to a message, a send, a turn or a chat: tables."""

from dataclasses import replace

import pytest

from daemon.domain.messages import ChatKey, Deletion, Edit, Media, Message, StatusUpdate, Text
from daemon.domain.rendering.outgoing import Likeness
from daemon.domain.states import (
    ANSWERED,
    DEAD,
    DELIVERING,
    DROPPED,
    EXPIRED,
    FAILED,
    HANDED_OFF,
    IGNORED,
    IN_TURN,
    PENDING,
    RECEIVED,
    SENT,
    TURN_DONE,
    TURN_OPEN,
    UNKNOWN,
    WITH_AGENT,
    Outcome,
)
from daemon.domain.transitions.changes import (
    EARLIER_CHARACTERS,
    EARLIER_KEPT,
    Changeable,
    after_change,
)
from daemon.domain.transitions.handover import (
    AGENT_WROTE,
    BUDGET,
    DELETED,
    Hold,
    OpenMessage,
    agent_has_written,
    customer_notified,
    given_back,
    joined,
    paused,
    seen_to,
    stopped_loop,
)
from daemon.domain.transitions.sends import (
    ECHO,
    RANKS,
    UNDELIVERED,
    InFlight,
    Send,
    Updated,
    after_late_update,
    after_update,
    by_progress,
    may_echo,
    moment_of,
    own_message,
    settled_by,
)
from daemon.domain.transitions.turns import Part, after_turn, dies_afterwards, outcome_of

NOW, EARLIER, LATER = 1000.0, 400.0, 1600.0
LAURA = ChatKey("MANTIS-1", "573001234567@s.whatsapp.net")


# -- pauses ----------------------------------------------------------------------------------------

FREE = Hold()
PAUSED = Hold(paused_until=LATER)
LOOP = Hold(paused_until=LATER, loop_until=LATER)
ASKED = Hold(paused_until=LATER, escalated_at=EARLIER)
OVERDUE = Hold(paused_until=EARLIER, escalated_at=EARLIER, overdue_at=EARLIER)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # An operator's pause replaces the one before, and ends a loop's; a request stays open.
        (paused(FREE, NOW), Hold(paused_until=NOW)),
        (paused(PAUSED, NOW), Hold(paused_until=NOW)),
        (paused(LOOP, NOW), Hold(paused_until=NOW)),
        (paused(ASKED, NOW), Hold(paused_until=NOW, escalated_at=EARLIER)),
        # An agent's message lengthens a pause, never shortens it, and answers a request.
        (agent_has_written(FREE, NOW), Hold(paused_until=NOW)),
        (agent_has_written(PAUSED, NOW), PAUSED),
        (agent_has_written(LOOP, NOW), PAUSED),
        (agent_has_written(ASKED, NOW), PAUSED),
        (agent_has_written(OVERDUE, NOW), Hold(paused_until=NOW)),
        # Without a pause it leaves the bot in, and a loop's pause as it is.
        (agent_has_written(FREE, 0), FREE),
        (agent_has_written(LOOP, 0), LOOP),
        (agent_has_written(ASKED, 0), PAUSED),
        # Giving the chat back ends a pause now; one that is over stays over.
        (given_back(PAUSED, NOW), Hold(paused_until=NOW)),
        (given_back(LOOP, NOW), Hold(paused_until=NOW)),
        (given_back(OVERDUE, NOW), Hold(paused_until=EARLIER)),
        (given_back(FREE, NOW), FREE),
        # A talk with a machine pauses for a while, within a longer pause.
        (stopped_loop(FREE, NOW), Hold(paused_until=NOW, loop_until=NOW)),
        (stopped_loop(PAUSED, NOW), Hold(paused_until=LATER, loop_until=NOW)),
        (seen_to(PAUSED), PAUSED),
        (seen_to(OVERDUE), Hold(paused_until=EARLIER)),
        (customer_notified(ASKED, NOW), replace(ASKED, overdue_at=NOW)),
        # Of two chats of one person the longer pause and the request count.
        (joined(FREE, ASKED), ASKED),
        (joined(ASKED, FREE), ASKED),
        (joined(LOOP, PAUSED), LOOP),
        (joined(PAUSED, LOOP), PAUSED),
    ],
)
def test_which_pauses_keep_the_bot_silent(before: Hold, after: Hold) -> None:
    assert before == after


# -- the end of a turn -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "outcome", "reason", "dies"),
    [
        ([], ANSWERED, "", True),
        ([Part(SENT)], ANSWERED, "", False),
        ([Part(DROPPED)], ANSWERED, "", True),
        ([Part(FAILED, "refused")], DEAD, "refused", True),
        ([Part(FAILED, "a"), Part(FAILED, "b")], DEAD, "b", True),
        ([Part(FAILED, "refused"), Part(DROPPED)], DEAD, "refused", True),
        ([Part(FAILED, "refused"), Part(SENT)], ANSWERED, "refused", False),
        ([Part(FAILED, "refused"), Part(PENDING)], ANSWERED, "refused", False),
        ([Part(UNKNOWN)], ANSWERED, "", False),
    ],
)
def test_a_turn_ends_as_its_parts_did(
    parts: list[Part], outcome: Outcome, reason: str, *, dies: bool
) -> None:
    assert outcome_of(parts) == (outcome, reason)
    assert dies_afterwards(ANSWERED, parts) is dies
    assert not dies_afterwards(EXPIRED, parts)


@pytest.mark.parametrize("outcome", [ANSWERED, IGNORED, EXPIRED, DEAD])
def test_the_messages_of_a_turn_get_its_outcome_and_those_of_an_agent_keep_theirs(
    outcome: Outcome,
) -> None:
    asked = OpenMessage(IN_TURN, to_note=True)
    closed = OpenMessage(HANDED_OFF, AGENT_WROTE, to_note=True)
    assert after_turn(asked, outcome, "why", in_thread=True) == OpenMessage(
        outcome, "why", to_note=True
    )
    assert after_turn(closed, outcome, "why", in_thread=True) == closed


def test_the_messages_of_a_turn_that_is_handed_off_wait_for_a_person() -> None:
    left = after_turn(OpenMessage(IN_TURN), HANDED_OFF, BUDGET, in_thread=False)
    assert left == OpenMessage(WITH_AGENT, BUDGET, to_note=True)


# -- delivery updates ------------------------------------------------------------------------------

TAKEN = Send(state=SENT, status="", created_at=EARLIER)


def update(status: str, *, at: float = 0, error: str = "") -> StatusUpdate:
    return StatusUpdate(message_id="w-1", status=status, at=at, error=error)


@pytest.mark.parametrize("told", RANKS)
@pytest.mark.parametrize("known", ["", *RANKS])
def test_an_update_only_advances_the_state(known: str, told: str) -> None:
    send = replace(TAKEN, status=known, state=FAILED if known == "failed" else SENT)
    after = after_update(send, update(told), at=NOW, resend_since=0)
    if told == "failed":
        says_something = known != "failed" and RANKS.get(known, -1) < RANKS["delivered"]
    else:
        says_something = RANKS[told] > RANKS.get(known, -1)
    assert (after is not None) is says_something
    if after is not None and told != "failed":
        assert after.status == told
        assert (after.arrived_at, after.seen_at) == (
            NOW if RANKS[told] >= RANKS["delivered"] else None,
            NOW if RANKS[told] > RANKS["delivered"] else None,
        )


@pytest.mark.parametrize(
    ("send", "since", "after"),
    [
        (TAKEN, 0, Updated(state=PENDING, status="", error=UNDELIVERED, keeps_id=False)),
        (TAKEN, EARLIER, Updated(state=PENDING, status="", error=UNDELIVERED, keeps_id=False)),
        (TAKEN, NOW, Updated(state=FAILED, status="failed", error=UNDELIVERED, turn="given up")),
        (
            replace(TAKEN, failed_before=True),
            0,
            Updated(state=FAILED, status="failed", error=UNDELIVERED, turn="given up"),
        ),
        (
            replace(TAKEN, kept_out=True),
            0,
            Updated(state=FAILED, status="failed", error=UNDELIVERED, turn="given up"),
        ),
    ],
)
def test_a_failed_send_is_repeated_once_unless_it_is_old_or_an_agent_came(
    send: Send, since: float, after: Updated
) -> None:
    assert after_update(send, update("failed"), at=NOW, resend_since=since) == after


def test_a_send_that_arrived_after_it_was_given_up_reopens_its_turn() -> None:
    given_up = Send(state=FAILED, status="failed", created_at=EARLIER, failed_before=True)
    assert after_update(given_up, update("read"), at=NOW, resend_since=0) == Updated(
        state=SENT, status="read", error="", arrived_at=NOW, seen_at=NOW, turn="reopened"
    )
    sent = after_update(given_up, update("sent"), at=NOW, resend_since=0)
    assert sent == Updated(state=FAILED, status="sent")


def test_an_attempt_that_failed_and_arrives_is_not_repeated() -> None:
    assert after_late_update(update("sent"), at=NOW) is None
    assert after_late_update(update("delivered"), at=NOW) == Updated(
        state=SENT, status="delivered", error="", arrived_at=NOW
    )


def test_updates_that_waited_are_applied_from_the_furthest_on() -> None:
    waited = [update("failed"), update("sent"), update("read"), update("delivered")]
    assert [u.status for u in by_progress(waited)] == ["read", "delivered", "sent", "failed"]


@pytest.mark.parametrize(("at", "moment"), [(0, NOW), (EARLIER, EARLIER), (LATER, NOW)])
def test_whatsapps_clock_counts_unless_it_is_ahead(at: float, moment: float) -> None:
    assert moment_of(update("read", at=at), NOW) == moment


# -- echoes ----------------------------------------------------------------------------------------


def own(source: str, content: Text | Media | None = None) -> Message:
    return Message(
        id="a-1",
        key=LAURA,
        kind="text",
        content=content or Text(body="Hola"),
        from_me=True,
        source=source,
    )


@pytest.mark.parametrize(
    ("message", "by_agent"),
    [
        (own("mobile"), True),
        (own("web"), True),
        (own(""), True),
        (own("unknown"), True),
        (own("unknown", Media(medium="image")), True),
        (own("unknown", Text(body="")), False),
        (own("api"), False),
        (own("business_api"), False),
        (own("system"), False),
    ],
)
def test_sources_that_count_as_an_agent(message: Message, *, by_agent: bool) -> None:
    reason, agent = own_message(message, is_echo=False)
    assert (agent, not reason) == (by_agent, by_agent)
    assert own_message(message, is_echo=True) == (ECHO, False)


HELLO: Likeness = ("text", "Hola")
BYE: Likeness = ("text", "Chao")


def test_an_echo_settles_the_first_send_with_the_same_text() -> None:
    in_flight = [InFlight(1, BYE), InFlight(2, HELLO), InFlight(3, HELLO)]
    assert settled_by(HELLO, in_flight) == 2
    assert settled_by(("text", "x"), in_flight) is None


@pytest.mark.parametrize(("source", "may"), [("api", True), ("", True), ("mobile", False)])
def test_a_message_typed_by_a_person_is_no_echo(source: str, *, may: bool) -> None:
    assert may_echo(own(source), HELLO) is may


# -- edits and deletions ---------------------------------------------------------------------------

STORED = Changeable(
    message=Message(id="m-1", key=LAURA, kind="text", content=Text(body="uno")),
    state=RECEIVED,
    reason="",
    to_note=False,
    turn_state="",
    is_closed=False,
)
EDIT, DELETION = Edit(target="m-1", body="dos"), Deletion(target="m-1")


@pytest.mark.parametrize(
    ("state", "turn_state", "wakes", "noted"),
    [
        (RECEIVED, "", True, False),
        (IN_TURN, TURN_OPEN, True, False),
        (IN_TURN, DELIVERING, False, True),
        (WITH_AGENT, "", False, True),
        (ANSWERED, TURN_DONE, False, True),
        (HANDED_OFF, TURN_DONE, False, True),
        (IGNORED, "", False, False),
        (EXPIRED, TURN_DONE, False, False),
        (DEAD, TURN_DONE, False, False),
    ],
)
def test_a_change_wakes_the_chat_or_is_noted_in_the_thread(
    state: str, turn_state: str, *, wakes: bool, noted: bool
) -> None:
    before = replace(STORED, state=state, turn_state=turn_state)
    for change in (EDIT, DELETION):
        after = after_change(before, change, by_author=True, now=NOW)
        assert after is not None
        assert (after.wakes_chat, bool(after.note)) == (wakes, noted)
        unnoted = replace(before, to_note=True)
        told = after_change(unnoted, change, by_author=True, now=NOW)
        assert told is not None
        assert not told.note


def test_an_edit_replaces_the_words_and_keeps_the_earlier_ones() -> None:
    after = after_change(STORED, EDIT, by_author=True, now=NOW)
    assert after is not None
    assert after.message.content == Text(body="dos")
    assert after.earlier == ({"words": "uno", "until": NOW},)
    assert (after.state, after.is_deleted) == (RECEIVED, False)


def test_of_many_earlier_wordings_the_first_and_the_last_are_kept() -> None:
    earlier = tuple({"words": str(n), "until": 0.0} for n in range(EARLIER_KEPT))
    after = after_change(replace(STORED, earlier=earlier), EDIT, by_author=True, now=NOW)
    assert after is not None
    words = [one["words"] for one in after.earlier]
    assert words == ["0", *(str(n) for n in range(2, EARLIER_KEPT)), "uno"]


def test_a_long_earlier_wording_is_cut() -> None:
    long = Text(body="x" * (EARLIER_CHARACTERS + 1))
    message = Message(id="m-1", key=LAURA, kind="text", content=long)
    after = after_change(replace(STORED, message=message), EDIT, by_author=True, now=NOW)
    assert after is not None
    assert after.earlier[0]["words"] == "x" * EARLIER_CHARACTERS + "…"


@pytest.mark.parametrize(
    ("state", "becomes", "reason"),
    [
        (RECEIVED, IGNORED, DELETED),
        (WITH_AGENT, IGNORED, DELETED),
        (IN_TURN, IN_TURN, ""),
        (ANSWERED, ANSWERED, ""),
    ],
)
def test_a_deleted_message_that_waits_needs_no_answer(
    state: str, becomes: str, reason: str
) -> None:
    before = replace(STORED, state=state, turn_state=TURN_OPEN)
    after = after_change(before, DELETION, by_author=True, now=NOW)
    assert after is not None
    assert (after.state, after.reason, after.is_deleted) == (becomes, reason, True)
    assert (after.to_note, after.forget_words) == (False, becomes == IGNORED)


@pytest.mark.parametrize(
    ("before", "change", "by_author"),
    [
        (STORED, EDIT, False),
        (STORED, DELETION, False),
        (replace(STORED, is_closed=True), DELETION, True),
        (STORED, Edit(target="m-1", body="uno"), True),
    ],
)
def test_some_changes_change_nothing(
    before: Changeable, change: Edit | Deletion, *, by_author: bool
) -> None:
    assert after_change(before, change, by_author=by_author, now=NOW) is None


def test_a_message_that_disappeared_is_changed_only_while_it_is_needed() -> None:
    gone = Message(id="m-1", key=LAURA, kind="text", content=Text(body="uno"), ephemeral=True)
    for state, changes in ((RECEIVED, True), (WITH_AGENT, True), (ANSWERED, False)):
        before = replace(STORED, message=gone, state=state)
        after = after_change(before, EDIT, by_author=True, now=NOW)
        assert (after is not None) is changes
        assert after is None or after.earlier == ()
