"""What a chat's task must notice while it works: news, a human agent, the stop of the daemon.

The registry and the webhook handler tell it, synchronously; the chat's task asks, waits, and is
interrupted. Nothing here is durable: after a crash the same is read from the store.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import trio

from daemon.conversation.turn.run_progress import Progress
from daemon.domain.records import Arrival
from daemon.domain.transitions.handover import AN_AGENT, LOOP
from daemon.domain.window import Window, WindowRules, after_message, after_presence, closes_at

MAX_SUPERSEDED = 2
"""Runs of one turn that may be thrown away because the customer went on writing."""

Interruption = Literal["news", "takeover", "released"]


class Stopping(Exception):
    """The daemon stops: the task leaves the work as the store has it."""


class TakenOver(Exception):
    """A human agent has the chat: what is not said yet is not said."""


class ChatSignals:
    """The signals of one chat. All methods but the waiting ones may be called by any task."""

    def __init__(
        self,
        rules: WindowRules,
        *,
        pause_seconds: float,
        agent_seconds: float,
        stopping: Callable[[], bool],
        now: Callable[[], float],
        never_paused: bool = False,
    ) -> None:
        """``never_paused``: the chat is the agents' own, in which nobody is stepped aside for."""
        self.window: Window | None = None
        self.agent_until: float | None = None
        """When the words of an agent count as complete, on trio's clock."""
        self.paused_until = 0.0
        """Unix seconds."""
        self.loop_until = 0.0
        """Until when the chat is paused because it is a talk with a machine, Unix seconds."""
        self.waits = False
        """Something is to be done when the pause ends: a message goes back to the bot, say."""
        self.notes = False
        """The thread is to be told of what a person has closed, or left waiting."""
        self.look = False
        """Somebody has left work in the store for this chat."""
        self.news = False
        """A customer's message, or a change to one, has come since the turn was made."""
        self.working = False
        """True while the chat's task brings a turn to its outcome."""
        self.came_late = False
        """News came that the answer under way could not take in."""
        self.operator_actions = False
        """True while an agent's own words are being sent: those no pause holds up."""
        self._rules = rules
        self._pause_seconds = pause_seconds
        self._agent_seconds = agent_seconds
        self._stopping = stopping
        self._now = now
        self._never_paused = never_paused
        self._wake = trio.Event()
        self._looks_at: float | None = None
        """While the task waits for the window to close: when it looks whether that is now."""
        self._run: tuple[trio.CancelScope, Progress, int] | None = None
        self._send: trio.CancelScope | None = None
        """Around the request of a send."""
        self._resting = 0
        """Waits under way that an operator may cut short."""
        self._let_go = False
        """An operator has cut one short."""
        self.interruption: Interruption | None = None

    # -- being told --------------------------------------------------------------------------

    def config_replaced(self, rules: WindowRules, *, pause_seconds: float) -> None:
        """Other rules hold from now on, for a window that is open too."""
        self._rules = rules
        self._pause_seconds = pause_seconds
        self.wake()

    def arrived(self, arrival: Arrival) -> None:
        """Something was stored for this chat."""
        age = max(0.0, self._now() - arrival.received_at)
        at = trio.current_time() - age
        if arrival.what == "held":
            self.waits = True
        elif arrival.what == "agent":
            self.notes = True
            self.agent_until = at + self._agent_seconds
            if self._pause_seconds:
                self.loop_until = 0.0
                until = arrival.received_at + self._pause_seconds
                self.paused_until = max(self.paused_until, until)
                self._interrupt("takeover")
        else:
            self.news = True
            joins = self._interrupt("news")
            if arrival.what == "message":
                self.window = after_message(self.window, arrival.kind, at, self._rules)
                self.came_late = self.came_late or (self.working and not joins)
                self._wake_if_sooner()
                return
        self.wake()

    def presence(self, status: str) -> None:
        """The contact types, records, or has stopped."""
        self.window = after_presence(self.window, status, trio.current_time(), self._rules)
        self._wake_if_sooner()

    def pause(self, until: float) -> None:
        """An operator pauses the bot here until a time (Unix seconds); a past one resumes it."""
        self.paused_until = until
        self.loop_until = 0.0
        if self.is_paused:
            self._interrupt("takeover")
        self.wake()

    def stop_loop(self, until: float) -> None:
        """The chat is a talk with a machine: nothing is answered until a time (Unix seconds)."""
        self.paused_until = max(self.paused_until, until)
        self.loop_until = until

    def release(self) -> bool:
        """Begin anew what the task is at: its run, its send, its wait before another try.

        A send whose request is cut has an unknown outcome, and is looked for before it is made
        again. False if there is nothing to cut.
        """
        found = self._interrupt("released")
        if self._send is not None:
            self._send.cancel()
            found = True
        if self._resting:
            self._let_go = found = True
            self.wake()
        return found

    def left_work(self) -> None:
        """There is work in the store that nobody has told of: a notice, a replayed message."""
        self.look = True
        self.wake()

    def wake(self) -> None:
        """Let the task look at its signals."""
        self._wake.set()

    def _wake_if_sooner(self) -> None:
        """Let the task look at its window, unless it looks in time by itself.

        Most messages of a burst only put off its end.
        """
        window, looks_at = self.window, self._looks_at
        if window is None or looks_at is None or closes_at(window, self._rules) < looks_at:
            self.wake()

    def _interrupt(self, why: Interruption) -> bool:
        """Cancel the run under way, if it may be for this reason; False if it goes on."""
        if self._run is None:
            return False
        scope, progress, superseded = self._run
        if why == "news" and (progress.effects or superseded >= MAX_SUPERSEDED):
            return False
        self.interruption = why
        scope.cancel()
        return True

    # -- asking and waiting: the chat's own task -----------------------------------------------

    @property
    def is_paused(self) -> bool:
        """True while a human agent has the chat."""
        return self._now() < self.paused_until and not self._never_paused

    @property
    def in_loop(self) -> bool:
        """True while the chat is paused because it is a talk with a machine."""
        return self.is_paused and self._now() < self.loop_until

    @property
    def pause_reason(self) -> str:
        """Why the chat is paused, as the ledger has it."""
        return LOOP if self.in_loop else AN_AGENT

    @property
    def pause_ends_in(self) -> float:
        """Seconds to the end of the pause; 0 if there is none."""
        return max(0.0, self.paused_until - self._now()) if self.is_paused else 0.0

    def check(self) -> None:
        """Raise Stopping or TakenOver if the work must not go on."""
        self.stop_if_asked()
        if self.is_paused and not self.operator_actions:
            raise TakenOver

    def stop_if_asked(self) -> None:
        """Raise Stopping if the daemon stops."""
        if self._stopping():
            raise Stopping

    def watch(self, scope: trio.CancelScope, progress: Progress, *, superseded: int) -> None:
        """From now on signals may cancel the run in ``scope``; earlier ones do so at once."""
        self.interruption = None
        self._run = (scope, progress, superseded)
        if self.is_paused:
            self._interrupt("takeover")
        elif self.news:
            self._interrupt("news")

    def unwatch(self) -> None:
        """The run is over: signals wait for the next look."""
        self._run = None

    @property
    def is_running(self) -> bool:
        """True while a run is under way."""
        return self._run is not None

    @contextmanager
    def sending(self) -> Iterator[trio.CancelScope]:
        """Make the request of a send in this block; `release` cuts it."""
        with trio.CancelScope() as scope:
            self._send = scope
            try:
                yield scope
            finally:
                self._send = None

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until released. Raises Stopping or TakenOver as soon as one is so."""
        with self._rest_of(seconds) as left:
            while True:
                self.check()
                if left() <= 0:
                    return
                await self.woken(left())

    async def rest_until_news(self, seconds: float) -> None:
        """Wait so long, or until there is news, a takeover or a release. Raises Stopping."""
        with self._rest_of(seconds) as left:
            while not (self.news or self.is_paused):
                self.stop_if_asked()
                if left() <= 0:
                    return
                await self.woken(left())

    @contextmanager
    def _rest_of(self, seconds: float) -> Iterator[Callable[[], float]]:
        """Count a wait as one that `release` cuts short; gives what is left of it, in seconds."""
        deadline = trio.current_time() + seconds
        self._resting += 1
        try:
            yield lambda: 0.0 if self._let_go else deadline - trio.current_time()
        finally:
            self._resting -= 1
            self._let_go = self._let_go and self._resting > 0

    async def rest_until_quiet(self) -> None:
        """Wait until the customer has finished writing, or an agent takes over.

        Returns at once if no window is open. Raises Stopping.
        """
        while self.window is not None and not self.is_paused:
            self.stop_if_asked()
            left = closes_at(self.window, self._rules) - trio.current_time()
            if left <= 0:
                return
            await self.woken(left)

    async def woken(self, seconds: float) -> bool:
        """Wait for a signal at most so long; False if none came."""
        with trio.move_on_after(seconds) as scope:
            await self._wake.wait()
        self._wake = trio.Event()
        return not scope.cancelled_caught

    async def woken_in_window(self, seconds: float) -> bool:
        """Wait like `woken`, but not for messages and presences that only put off the close."""
        self._looks_at = trio.current_time() + seconds
        try:
            return await self.woken(seconds)
        finally:
            self._looks_at = None

    async def unless_called_off(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something else than a signal; cancelled if the daemon stops or a pause begins.

        Other signals do not cut the wait short: they are still there when it ends.
        """
        async with trio.open_nursery() as nursery:

            async def call_off() -> None:
                while not (self._stopping() or self.is_paused):
                    await self._wake.wait()
                    self._wake = trio.Event()
                nursery.cancel_scope.cancel()

            nursery.start_soon(call_off, name="watch for a call off")
            await wait()
            nursery.cancel_scope.cancel()
