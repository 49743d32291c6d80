"""The flags of a chat's signals as a state machine: events in any order, against their history."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.domain.messages import ChatKey
from daemon.domain.records import Arrival
from daemon.domain.transitions.handover import AN_AGENT, LOOP
from daemon.domain.window import WindowRules

KEY = ChatKey("CHAN-1", "573001234567@s.whatsapp.net")
RULES = WindowRules(
    text_seconds=5,
    voice_seconds=8,
    typing_seconds=10,
    stop_seconds=1,
    max_wait_seconds=60,
    max_messages=50,
)
PAUSE_SECONDS = 60
AGENT_SECONDS = 5


class Signals(RuleBasedStateMachine):
    """Events in any order; what is expected is read from the list of those that came."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.stops = False
        self.signals = ChatSignals(
            RULES,
            pause_seconds=PAUSE_SECONDS,
            agent_seconds=AGENT_SECONDS,
            stopping=lambda: self.stops,
            now=lambda: self.time,
            clock=lambda: self.time,
        )
        self.history: list[str] = []
        self.paused_until = 0.0
        self.loop_until = 0.0
        self.agent_until: float | None = None
        self.cancelled = False
        self.work: Any = None
        self.run: Any = None
        self.has_effects = False
        self.late = False

    def came(self, *events: str, since: tuple[str, ...]) -> bool:
        """Whether one of some events came after the last of some others."""
        for event in reversed(self.history):
            if event in events:
                return True
            if event in since:
                return False
        return False

    # -- events --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 4.0, 6.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds

    @rule(what=st.sampled_from(["message", "change", "held"]))
    def customer_writes(self, what: Any) -> None:
        cuts = self.run is not None and not self.has_effects and what != "held"
        if what == "message" and self.work is not None and not cuts:
            self.late = True
        self.signals.arrived(Arrival(KEY, what, received_at=self.time))
        self.history.append(what)
        if cuts:
            self.expect_cut("news")

    @rule()
    def agent_writes(self) -> None:
        self.signals.arrived(Arrival(KEY, "agent", received_at=self.time))
        self.history.append("agent")
        self.agent_until = self.time + AGENT_SECONDS
        self.paused_until = max(self.paused_until, self.time + PAUSE_SECONDS)
        self.loop_until = 0.0
        if self.run is not None:
            self.expect_cut("takeover")

    @rule(seconds=st.sampled_from([0.0, 30.0]))
    def operator_pauses(self, seconds: float) -> None:
        self.signals.paused(self.time + seconds)
        self.paused_until, self.loop_until = self.time + seconds, 0.0
        if self.run is not None and seconds:
            self.expect_cut("takeover")

    @rule(seconds=st.sampled_from([10.0, 100.0]))
    def loop_is_found(self, seconds: float) -> None:
        self.signals.loop_known(self.time + seconds)
        self.paused_until = max(self.paused_until, self.time + seconds)
        self.loop_until = max(self.loop_until, self.time + seconds)

    @rule()
    def work_is_stored(self) -> None:
        self.signals.work_stored()
        self.history.append("work stored")

    # -- the task ------------------------------------------------------------------------------

    @rule()
    def task_looks(self) -> None:
        self.signals.store_read_begun()
        self.history.append("look begun")

    @rule()
    def task_notes(self) -> None:
        due = self.came("agent", "pause ended", "handed off", since=("notes begun",))
        assert self.signals.notes_begun() == due
        if due:
            self.agent_until = None
        self.history.append("notes begun")

    @rule()
    def pause_ends(self) -> None:
        self.signals.pause_ended()
        self.history.append("pause ended")

    @rule()
    def window_closes(self) -> None:
        self.signals.window_closed()
        self.history.append("window closed")

    @rule(count=st.integers(1, 3))
    def messages_are_due(self, count: int) -> None:
        before = self.signals.window
        self.signals.window_due(count)
        assert self.signals.window is not None
        assert before in {None, self.signals.window}
        self.history.append("window due")

    @rule()
    def turn_opens(self) -> None:
        assert self.signals.turn_opened() == self.late
        self.late = False
        self.history.append("turn opened")

    @rule()
    def burst_is_left_to_the_agent(self) -> None:
        self.signals.left_to_agent()
        self.late = False

    @precondition(lambda self: self.run is None)
    @rule()
    def turn_takes_in_the_news(self) -> None:
        self.signals.turn_joined()
        self.late = False
        self.history.append("turn joined")

    @rule(pause=st.sampled_from([0.0, 20.0]), handed_off=st.booleans())
    def turn_ends(self, pause: float, handed_off: bool) -> None:  # noqa: FBT001 - drawn
        until = self.time + pause if pause else 0.0
        self.signals.turn_ended(paused_until=until, handed_off=handed_off)
        self.paused_until = max(self.paused_until, until)
        if pause or handed_off:
            self.history.append("handed off")

    @precondition(lambda self: self.run is None)
    @rule(effects=st.booleans())
    def run_begins(self, effects: bool) -> None:  # noqa: FBT001 - drawn
        self.has_effects, self.cancelled = effects, False
        self.run = self.signals.running(self.cancel, news_may_cancel=lambda: not self.has_effects)
        self.run.__enter__()
        if self.signals.is_paused:
            self.expect_cut("takeover")
        elif self.signals.news and not effects:
            self.expect_cut("news")
        else:
            assert not self.cancelled
            assert self.signals.interruption is None

    @precondition(lambda self: self.run is not None)
    @rule()
    def run_has_an_effect(self) -> None:
        self.has_effects = True

    @precondition(lambda self: self.run is not None)
    @rule()
    def run_ends(self) -> None:
        self.run.__exit__(None, None, None)
        self.run = None

    @precondition(lambda self: self.work is None)
    @rule()
    def work_begins(self) -> None:
        self.work = self.signals.working()
        self.work.__enter__()

    @precondition(lambda self: self.work is not None)
    @rule()
    def work_ends(self) -> None:
        self.work.__exit__(None, None, None)
        self.work = None

    @rule()
    def operator_releases(self) -> None:
        assert self.signals.released() == (self.run is not None)
        if self.run is not None:
            self.expect_cut("released")

    def cancel(self) -> None:
        self.cancelled = True

    def expect_cut(self, why: str) -> None:
        assert self.cancelled
        assert self.signals.interruption == why

    # -- what holds after each -----------------------------------------------------------------

    @invariant()
    def pauses_are_the_latest_that_is_known(self) -> None:
        signals = self.signals
        assert signals.paused_until == self.paused_until
        assert signals.is_paused == (self.time < self.paused_until)
        assert signals.in_loop == (signals.is_paused and self.time < self.loop_until)
        assert signals.pause_reason == (LOOP if signals.in_loop else AN_AGENT)

    @invariant()
    def nothing_goes_on_in_a_pause_but_an_operators_words(self) -> None:
        if not self.signals.is_paused:
            self.signals.check()
            return
        with pytest.raises(TakenOver):
            self.signals.check()
        with self.signals.sending_row(for_operator=True):
            self.signals.check()

    @invariant()
    def the_stop_goes_before_all(self) -> None:
        self.stops = True
        with pytest.raises(Stopping), self.signals.sending_row(for_operator=True):
            self.signals.check()
        self.stops = False

    @invariant()
    def flags_follow_from_the_events(self) -> None:
        signals = self.signals
        assert signals.news == self.came("message", "change", since=("turn opened", "turn joined"))
        assert signals.waits == self.came("held", "handed off", since=("pause ended",))
        assert signals.is_working == (self.work is not None)
        assert signals.is_running == (self.run is not None)
        assert signals.must_read_store == self.came("work stored", since=("look begun",))
        assert (signals.window is not None) == self.came(
            "message", "window due", since=("window closed", "turn joined")
        )
        assert signals.is_gathering == (signals.window is not None or self.agent_until is not None)
        assert signals.agent_has_finished == (
            self.agent_until is None or self.agent_until <= self.time
        )

    @invariant()
    def something_is_due_if_there_is_something_to_do(self) -> None:
        signals = self.signals
        due = signals.next_due(lambda window: window.quiet_until)
        notes = self.came("agent", "pause ended", "handed off", since=("notes begun",))
        known = signals.must_read_store or signals.waits or signals.is_gathering or notes
        assert (due is not None) == known
        if signals.must_read_store or (signals.is_paused and signals.window is not None):
            assert due == self.time


TestSignals = Signals.TestCase
TestSignals.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_only_messages_while_a_turn_is_worked_on_come_late() -> None:
    signals = ChatSignals(
        RULES,
        pause_seconds=0,
        agent_seconds=5,
        stopping=bool,
        now=lambda: 0.0,
        clock=lambda: 0.0,
    )
    signals.arrived(Arrival(KEY, "message"))
    assert not signals.turn_opened()
    with signals.working():
        signals.arrived(Arrival(KEY, "message"))
    assert signals.turn_opened()
    assert not signals.turn_opened()
    with signals.working(), signals.running(lambda: None, news_may_cancel=lambda: True):
        signals.arrived(Arrival(KEY, "message"))
    assert not signals.turn_opened()


def test_no_flag_can_be_set_from_outside() -> None:
    public = [name for name in vars(ChatSignals) if not name.startswith("_")]
    writable = [
        name
        for name in public
        if isinstance(value := vars(ChatSignals)[name], property) and value.fset is not None
    ]
    signals = ChatSignals(RULES, pause_seconds=0, agent_seconds=5, stopping=bool, now=lambda: 0.0)
    assert writable == []
    assert [name for name in vars(signals) if not name.startswith("_")] == []
