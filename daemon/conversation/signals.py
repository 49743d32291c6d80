"""Signals to a chat's task while it works: news, a human agent, the stop of the daemon.

The registry and the webhook handler report events, synchronously; the chat's task asks, waits, and
is interrupted. Only this object changes its flags. Nothing here is durable: after a crash the same
is read from the store.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import trio

from daemon.domain.records import Arrival
from daemon.domain.transitions.handover import AN_AGENT, LOOP
from daemon.domain.window import Window, WindowRules, after_message, after_presence, closes_at

Interruption = Literal["news", "takeover", "released"]


class Stopping(Exception):
    """The daemon stops: the task leaves the work as the store has it."""


class TakenOver(Exception):
    """A human agent has the chat: unsent messages are not sent."""


class ChatSignals:
    """The signals of one chat. All methods but the waiting ones may be called by any task.

    Pauses are in Unix seconds, everything else on trio's clock.
    """

    def __init__(
        self,
        rules: WindowRules,
        *,
        pause_seconds: float,
        agent_seconds: float,
        stopping: Callable[[], bool],
        now: Callable[[], float],
        clock: Callable[[], float] = trio.current_time,
        never_paused: bool = False,
    ) -> None:
        """``never_paused``: the chat is the agents' own, in which no pause holds."""
        self._rules = rules
        self._pause_seconds = pause_seconds
        self._agent_seconds = agent_seconds
        self._stopping = stopping
        self._now = now
        self._clock = clock
        self._never_paused = never_paused

        self._window: Window | None = None
        self._agent_until: float | None = None
        self._paused_until = 0.0
        self._loop_until = 0.0
        self._waits = False
        self._notes = False
        self._look = False
        self._news = False
        self._working = False
        self._came_late = False
        self._sends_for_operator = False

        self._wake = trio.Event()
        self._looks_at: float | None = None
        """When a task that waits for the window to close looks at it by itself."""
        self._window_closes_at: Callable[[Window], float] = self._quiet_at
        self._run: tuple[Callable[[], None], Callable[[], bool]] | None = None
        """The function that cancels the run under way, and whether news may."""
        self._send: trio.CancelScope | None = None
        """Around the request of a send."""
        self._resting = 0
        """Waits under way that an operator may cut short."""
        self._is_released = False
        """An operator has cut one short."""
        self._interruption: Interruption | None = None

    # -- events from outside -------------------------------------------------------------------

    def config_replaced(self, rules: WindowRules, *, pause_seconds: float) -> None:
        """Other rules hold from now on, for a window that is open too."""
        self._rules = rules
        self._pause_seconds = pause_seconds
        self.wake()

    def arrived(self, arrival: Arrival) -> None:
        """Something was stored for this chat."""
        age = max(0.0, self._now() - arrival.received_at)
        at = self._clock() - age
        if arrival.what == "held":
            self._waits = True
        elif arrival.what == "agent":
            self._notes = True
            self._agent_until = at + self._agent_seconds
            if self._pause_seconds:
                self._loop_until = 0.0
                self.pause_known(arrival.received_at + self._pause_seconds)
                self._interrupt("takeover")
        else:
            self._news = True
            joins = self._interrupt("news")
            if arrival.what == "message":
                self._window = after_message(self._window, arrival.kind, at, self._rules)
                self._came_late = self._came_late or (self._working and not joins)
                self._wake_if_sooner()
                return
        self.wake()

    def presence(self, status: str) -> None:
        """The contact types, records, or has stopped."""
        self._window = after_presence(self._window, status, self._clock(), self._rules)
        self._wake_if_sooner()

    def paused(self, until: float) -> None:
        """An operator pauses the bot here until a time; a past one resumes it."""
        self._paused_until = until
        self._loop_until = 0.0
        if self.is_paused:
            self._interrupt("takeover")
        self.wake()

    def released(self) -> bool:
        """An operator has the task begin again: its run, its send, its wait before another try.

        A send whose request is cut has an unknown outcome, and is looked for before it is made
        again. False if there is nothing to cut.
        """
        found = self._interrupt("released")
        if self._send is not None:
            self._send.cancel()
            found = True
        if self._resting:
            self._is_released = found = True
            self.wake()
        return found

    def work_stored(self) -> None:
        """There is work in the store that no event reported: a notice, a replayed message."""
        self._look = True
        self.wake()

    def wake(self) -> None:
        """Let the task look at its signals."""
        self._wake.set()

    def _wake_if_sooner(self) -> None:
        """Wake the task for its window, unless it looks in time by itself.

        Most messages of a burst only put off its end.
        """
        window, looks_at = self._window, self._looks_at
        if window is None or looks_at is None or self._window_closes_at(window) < looks_at:
            self.wake()

    def _quiet_at(self, window: Window) -> float:
        return closes_at(window, self._rules)

    def _interrupt(self, why: Interruption) -> bool:
        """Cancel the run under way, if it may be for this reason; False if it goes on."""
        if self._run is None:
            return False
        cancel, news_may_cancel = self._run
        if why == "news" and not news_may_cancel():
            return False
        self._interruption = why
        cancel()
        return True

    # -- events of the chat's own task -----------------------------------------------------------

    def store_read_begun(self) -> None:
        """The task reads from the store what `work_stored` was about."""
        self._look = False

    def work_found(self, *, waits: bool, notes: bool) -> None:
        """The store has messages that wait for the end of the pause, or notes for the thread."""
        self._waits = self._waits or waits
        self._notes = self._notes or notes

    def pause_known(self, until: float) -> None:
        """The store has the chat paused until a time, at least."""
        self._paused_until = max(self._paused_until, until)

    def loop_known(self, until: float) -> None:
        """The chat is a talk with a machine: nothing is answered until a time."""
        self.pause_known(until)
        self._loop_until = max(self._loop_until, until)

    def pause_ended(self) -> None:
        """Note the end of the pause: its messages are the bot's again and are to be noted."""
        self._waits, self._notes = False, True

    def notes_begun(self) -> bool:
        """The task puts what a person wrote and closed into the thread; False: there is nothing."""
        if not self._notes:
            return False
        self._notes, self._agent_until = False, None
        return True

    def window_closed(self) -> None:
        """The burst is complete."""
        self._window = None

    def window_due(self, messages: int) -> None:
        """Messages have waited long enough: a window that closes now, unless one is open."""
        if self._window is None:
            now = self._clock()
            self._window = Window(opened_at=now, quiet_until=now, messages=messages)

    def left_to_agent(self) -> None:
        """A burst is not answered but left to the agent."""
        self._came_late = False

    def turn_opened(self) -> bool:
        """A turn takes what has come; True if some of it came too late for the last answer."""
        came_late, self._came_late, self._news = self._came_late, False, False
        return came_late

    def turn_joined(self) -> None:
        """The turn under way has taken in the news too."""
        self._window, self._came_late, self._news = None, False, False

    def turn_ended(self, *, paused_until: float, handed_off: bool) -> None:
        """The turn has its outcome; with it a pause may have begun."""
        self.pause_known(paused_until)
        if paused_until or handed_off:
            self._waits = self._notes = True

    @contextmanager
    def working(self) -> Iterator[None]:
        """The task brings a turn to its outcome in this block."""
        self._working = True
        try:
            yield
        finally:
            self._working = False

    @contextmanager
    def sending_row(self, *, for_operator: bool) -> Iterator[None]:
        """Send one message in this block; no pause holds up an operator's own message."""
        self._sends_for_operator = for_operator
        try:
            yield
        finally:
            self._sends_for_operator = False

    @contextmanager
    def running(
        self, cancel: Callable[[], None], *, news_may_cancel: Callable[[], bool]
    ) -> Iterator[None]:
        """Let signals ``cancel`` the run in this block; earlier ones do so at once."""
        self._interruption = None
        self._run = (cancel, news_may_cancel)
        if self.is_paused:
            self._interrupt("takeover")
        elif self._news:
            self._interrupt("news")
        try:
            yield
        finally:
            self._run = None

    @contextmanager
    def sending(self) -> Iterator[trio.CancelScope]:
        """Make the request of a send in this block; `released` cuts it."""
        with trio.CancelScope() as scope:
            self._send = scope
            try:
                yield scope
            finally:
                self._send = None

    # -- asking ----------------------------------------------------------------------------------

    @property
    def window(self) -> Window | None:
        """The burst that is being gathered."""
        return self._window

    @property
    def is_gathering(self) -> bool:
        """True while a burst of the customer or of an agent is being gathered."""
        return self._window is not None or self._agent_until is not None

    @property
    def agent_has_finished(self) -> bool:
        """True unless an agent's words are still being gathered."""
        return self._agent_until is None or self._agent_until <= self._clock()

    def next_due(self, window_closes_at: Callable[[Window], float]) -> float | None:
        """When there is something to take up; None if nothing is known of."""
        self._window_closes_at = window_closes_at
        now = self._clock()
        if self._look or (self.is_paused and self._window is not None):
            return now
        ends = [now + self.pause_ends_in] if self._waits else []
        if self._window is not None:
            ends.append(window_closes_at(self._window))
        if self._agent_until is not None:
            ends.append(self._agent_until)
        elif self._notes:
            ends.append(now)
        return min(ends, default=None)

    @property
    def paused_until(self) -> float:
        """When the pause ends or ended; 0 if there was none."""
        return self._paused_until

    @property
    def waits(self) -> bool:
        """True if something is to be done when the pause ends."""
        return self._waits

    @property
    def must_read_store(self) -> bool:
        """True if there is work in the store that no event reported."""
        return self._look

    @property
    def news(self) -> bool:
        """True if a customer's message, or a change to one, came after the turn was opened."""
        return self._news

    @property
    def is_working(self) -> bool:
        """True while the chat's task brings a turn to its outcome."""
        return self._working

    @property
    def is_running(self) -> bool:
        """True while a run is under way."""
        return self._run is not None

    @property
    def interruption(self) -> Interruption | None:
        """Why the last run was cancelled; None if no signal did it."""
        return self._interruption

    @property
    def is_paused(self) -> bool:
        """True while a human agent has the chat."""
        return self._now() < self._paused_until and not self._never_paused

    @property
    def in_loop(self) -> bool:
        """True while the chat is paused because it is a talk with a machine."""
        return self.is_paused and self._now() < self._loop_until

    @property
    def pause_reason(self) -> str:
        """Why the chat is paused, as the ledger has it."""
        return LOOP if self.in_loop else AN_AGENT

    @property
    def pause_ends_in(self) -> float:
        """Seconds to the end of the pause; 0 if there is none."""
        return max(0.0, self._paused_until - self._now()) if self.is_paused else 0.0

    def check(self) -> None:
        """Raise Stopping or TakenOver if the work must not go on."""
        self.stop_if_asked()
        if self.is_paused and not self._sends_for_operator:
            raise TakenOver

    def stop_if_asked(self) -> None:
        """Raise Stopping if the daemon stops."""
        if self._stopping():
            raise Stopping

    # -- waiting: the chat's own task -----------------------------------------------------------

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until released. Raises Stopping or TakenOver as soon as either holds."""
        with self._rest_of(seconds) as left:
            while True:
                self.check()
                if left() <= 0:
                    return
                await self.woken(left())

    async def rest_until_news(self, seconds: float) -> None:
        """Wait so long, or until there is news, a takeover or a release. Raises Stopping."""
        with self._rest_of(seconds) as left:
            while not (self._news or self.is_paused):
                self.stop_if_asked()
                if left() <= 0:
                    return
                await self.woken(left())

    @contextmanager
    def _rest_of(self, seconds: float) -> Iterator[Callable[[], float]]:
        """Let `released` cut a wait short in this block; gives the seconds that are left of it."""
        deadline = self._clock() + seconds
        self._resting += 1
        try:
            yield lambda: 0.0 if self._is_released else deadline - self._clock()
        finally:
            self._resting -= 1
            self._is_released = self._is_released and self._resting > 0

    async def rest_until_quiet(self) -> None:
        """Wait until the customer has finished writing, or an agent takes over.

        Returns at once if no window is open. Raises Stopping.
        """
        while self._window is not None and not self.is_paused:
            self.stop_if_asked()
            left = closes_at(self._window, self._rules) - self._clock()
            if left <= 0:
                return
            await self.woken(left)

    async def woken(self, seconds: float) -> bool:
        """Wait for a signal at most so long; False if none came."""
        if self._wake.is_set():
            await trio.lowlevel.checkpoint_if_cancelled()
            self._wake = trio.Event()
            return True
        with trio.move_on_after(seconds) as scope:
            await self._wake.wait()
        self._wake = trio.Event()
        return not scope.cancelled_caught

    async def woken_in_window(self, until: float) -> bool:
        """Wait like `woken`, but not for messages and presences that only put off the close."""
        self._looks_at = until
        try:
            return await self.woken(until - self._clock())
        finally:
            self._looks_at = None

    async def unless_interrupted(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something else than a signal; cancelled if the daemon stops or a pause begins.

        Other signals do not cut the wait short: they are still there when it ends.
        """
        async with trio.open_nursery() as nursery:

            async def cancel_wait() -> None:
                while not (self._stopping() or self.is_paused):
                    await self._wake.wait()
                    self._wake = trio.Event()
                nursery.cancel_scope.cancel()

            nursery.start_soon(cancel_wait, name="watch for a call off")
            await wait()
            nursery.cancel_scope.cancel()
