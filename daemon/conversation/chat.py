"""The task of one chat: its lock, its queue, and its memory of what the customer is doing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import Literal

import trio

from daemon.conversation.delivery import Delivery
from daemon.conversation.services import ChatServices
from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.conversation.turn.candidate import Trial
from daemon.conversation.turn.history import note_agent_messages
from daemon.conversation.turn.outcome import ended, stop_loop
from daemon.conversation.turn.turn import TurnWork
from daemon.domain.limits import MINUTE_SECONDS, free_at, turns_of_a_loop
from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart, OutboxRow, Turn, TurnEnd
from daemon.domain.window import Window, closes_at
from daemon.ledger.chats import ChatSnapshot
from daemon.observability.events import NEW_CONVERSATION, NO_AGENT_WROTE, TAKEOVER
from daemon.observability.logs import about
from daemon.observability.tracing import exemplar, stage

Doing = Literal["idle", "gathering", "waiting", "thinking", "sending", "paused", "loop"]
"""``waiting``: for a place among the runs. ``loop``: paused, since it is a talk with a machine."""


class Chat:
    """One conversation at work. Only the registry makes one and runs it."""

    def __init__(
        self,
        key: ChatKey,
        services: ChatServices,
        signals: ChatSignals,
        *,
        shorten: Callable[[ChatKey, int], None],
        try_candidate: Callable[[Trial], None],
        mark_read: Callable[[ChatKey, list[str]], None],
        wake_at: Callable[[ChatKey, float], None],
    ) -> None:
        """``shorten`` begins to bring the thread into a budget of tokens, and returns at once.

        So does ``try_candidate``, which lets a candidate answer too, without sending it.

        So does ``mark_read``, which shows the customer that some messages were read. ``wake_at``
        has the chat woken at a time (Unix seconds), if it has no task then.
        """
        self.key = key
        self.signals = signals
        self.doing: Doing = "idle"
        self.since = services.telemetry.now()
        """When `doing` became what it is, Unix seconds."""
        self.request_id = ""
        """The turn under way, by the name it has in the log."""
        self.scope = trio.CancelScope()
        """For its registry, which cancels the task with it."""
        self.left = trio.Event()
        """Set when the task has ended."""
        self._taken: list[float] = []
        """When the last turns were taken up, oldest first, on trio's clock: as many as the brakes
        look at."""
        self._flooded = False
        """True while the window is held open because of the chat's pace."""
        self._is_new = False
        """True until the first turn of a conversation that the model knows nothing of."""
        self._services = services
        self._config = services.config
        self._store = services.store
        self._telemetry = services.telemetry
        self._delivery = Delivery(key, services, signals)
        self._shorten = shorten
        self._try_candidate = try_candidate
        self._mark_read = mark_read
        self._wake_at = wake_at

    async def run(self) -> None:
        """Work until there has been nothing to do for the idle time, or the daemon stops.

        May be cancelled at any checkpoint; whatever it was doing is found in the store by the
        next task of this chat.
        """
        snapshot = await self._read_snapshot()
        try:
            if snapshot.turn is not None:
                await self._work(snapshot.turn)
                await self._deliver_pending()
            elif snapshot.to_send:
                await self._deliver_pending(snapshot.to_send)
            while await self._gather():
                if self.signals.must_read_store:
                    await self._read_store()
                else:
                    await self._handle_gathered()
        except Stopping:
            return

    def _now_doing(self, doing: Doing, request_id: str = "") -> None:
        self.doing = doing
        self.since = self._telemetry.now()
        self.request_id = request_id

    # -- gathering -----------------------------------------------------------------------------

    async def _gather(self) -> bool:
        """Wait until a burst is complete; False after so long without anything."""
        signals = self.signals
        while True:
            due = signals.next_due(self._closes_at)
            gathers = signals.is_gathering
            self._now_doing("gathering" if gathers else self._at_rest())
            left = inf if due is None else due - trio.current_time()
            if left <= 0:
                return True
            if due is not None and gathers:
                await signals.woken_in_window(due)
                signals.stop_if_asked()
                continue
            idle_seconds = self._config.rules.idle_seconds
            signalled = await signals.woken(min(left, idle_seconds))
            signals.stop_if_asked()
            if not signalled and idle_seconds < left:
                if signals.waits:
                    self._wake_at(self.key, signals.paused_until)
                return False

    def _at_rest(self) -> Doing:
        if self.signals.in_loop:
            return "loop"
        return "paused" if self.signals.is_paused else "idle"

    def _closes_at(self, window: Window) -> float:
        """When the burst is to be answered: when it is complete, and the chat's pace allows it."""
        rules = self._config.rules
        closes = closes_at(window, rules.window)
        free = free_at(self._taken, rules.brakes.turns_per_minute)
        if self.signals.is_paused or free <= closes:
            return closes
        if not self._flooded:
            self._flooded = True
            self._telemetry.metrics.brakes.labels("flood").inc()
            self._telemetry.log.warning("too many turns, answered later")
        return free

    async def _read_snapshot(self) -> ChatSnapshot:
        """Take up where the last task of this chat has left it: its pauses, its pace, its work."""
        signals, brakes = self.signals, self._config.rules.brakes
        longest = max(MINUTE_SECONDS, brakes.loop_seconds, brakes.repeat_seconds)
        since = self._telemetry.now() - longest
        snapshot = await self._store.snapshots.of(self.key, since=since)
        signals.pause_known(snapshot.chat.paused_until)
        signals.loop_known(snapshot.chat.loop_until)
        signals.work_found(waits=snapshot.waits, notes=snapshot.notes)
        self._is_new = not snapshot.chat.context_at
        wall, now = self._telemetry.now(), trio.current_time()
        ages = [wall - (exchange.sent_from or wall) for exchange in snapshot.exchanges]
        self._taken = [now - age for age in ages]
        return snapshot

    async def _handle_gathered(self) -> None:
        """Deal with what has been gathered: an agent's words, and the customer's."""
        signals = self.signals
        window = self._closed_window()
        if signals.is_paused:
            signals.left_to_agent()
            if window is not None:
                await self._hold()
            if signals.agent_has_finished:
                await self._note()
            return
        await self._end_pause()
        await self._note()
        window = window or self._closed_window()
        if window is None:
            return
        if await self._delivery.resume():
            await self._deliver_pending()
        quotes = signals.turn_opened()
        turn = await self._store.turns.open(
            self.key,
            request_id=f"turn_{self._telemetry.random.getrandbits(48):012x}",
            limit=self._config.rules.window.max_messages,
            quotes=quotes,
            now=self._telemetry.now(),
        )
        if turn is None:
            return
        self._flooded = False
        if self._is_new:
            self._is_new = False
            self._telemetry.log.event(NEW_CONVERSATION, name=turn.contact_name)
        brakes = self._config.rules.brakes
        enough = max(1, brakes.turns_per_minute, turns_of_a_loop(brakes))
        self._taken = [*self._taken, trio.current_time()][-enough:]
        left_over = window.messages - len(turn.messages)
        await self._work(turn)
        if left_over > 0:
            self.signals.window_due(left_over)

    async def _hold(self) -> None:
        """Leave to the agent what came before the pause and waits for the bot."""
        if await self._store.handovers.hold(self.key, now=self._telemetry.now()):
            self.signals.work_found(waits=True, notes=False)

    async def _note(self) -> None:
        """Note an agent's messages, and those they answered, in the thread."""
        if self.signals.notes_begun():
            waiting_too = not self.signals.is_paused
            await note_agent_messages(self.key, self._services, waiting_too=waiting_too)

    async def _end_pause(self) -> None:
        """Take back from the agent what waits for the bot, if the pause is over."""
        signals, telemetry = self.signals, self._telemetry
        if not signals.waits:
            return
        notice = NewPart(self._config.texts.overdue)
        end = await self._store.handovers.end_pause(self.key, notice, now=telemetry.now())
        if end.paused_until > telemetry.now():
            signals.pause_known(end.paused_until)
            return
        signals.pause_ended()
        if end.notice:
            telemetry.log.event(NO_AGENT_WROTE, chat=self.key)
            await self._deliver_pending()
        if end.given_back:
            signals.window_due(end.given_back)

    def _closed_window(self) -> Window | None:
        """Take the window away if it has closed, or if an agent answers in the bot's place."""
        signals = self.signals
        window, now = signals.window, trio.current_time()
        if window is None:
            return None
        if self._closes_at(window) > now and not signals.is_paused:
            return None
        signals.window_closed()
        self._telemetry.metrics.window.observe(now - window.opened_at)
        return window

    async def _read_store(self) -> None:
        """Find work that came by another way than a webhook: a notice, a replayed message."""
        self.signals.store_read_begun()
        await self._deliver_pending()
        waits, notes = await self._store.handovers.signals(self.key)
        self.signals.work_found(waits=waits, notes=notes)
        waiting = await self._store.inbox.waiting(self.key, from_me=False)
        if waiting:
            self.signals.window_due(len(waiting))

    # -- answering -----------------------------------------------------------------------------

    async def _work(self, turn: Turn) -> None:
        """Bring a turn to its outcome."""
        with self.signals.working():
            with about(turn=turn.request_id), self._telemetry.traces.follow(turn):
                end = await self._answer_and_deliver(turn)
            end = end or await self._store.turns.end(turn)
            if end.leaves_files:
                await self._services.attachments.delete_withdrawn(turn)
            self.signals.turn_ended(
                paused_until=end.paused_until, handed_off=end.outcome == "handed_off"
            )

    async def _answer_and_deliver(self, turn: Turn) -> TurnEnd | None:
        """Bring a turn to its outcome; gives it, unless the store alone knows."""
        started, telemetry = trio.current_time(), self._telemetry
        budget, fits, to_send = self._config.rules.history_tokens, False, None
        trial: Trial | None = None
        if turn.state == "open":
            self._now_doing("thinking", turn.request_id)
            # In the first turns of a talk there is no loop to be looked for in the store.
            enough = turns_of_a_loop(self._config.rules.brakes)
            if not turn.attempts and len(self._taken) + 1 >= enough:
                await stop_loop(turn, self.signals, self._services)
            work = TurnWork(
                turn,
                replace(self._services, config=self._config.pinned(self.key)),
                self.signals,
                deliver=self._deliver_pending,
                waiting=self._waits,
                mark_read=partial(self._mark_read, self.key),
            )
            answered = await work.answer()
            budget, fits, trial = work.history_budget, work.thread_fits, work.trial
            if answered is None:
                await self._deliver_pending()
                return None
            turn, to_send = answered.turn, answered.to_send
        self._now_doing("sending", turn.request_id)
        stage("delivery")
        try:
            if turn.taken_over:
                raise TakenOver  # noqa: TRY301 - as the delivery does when it sees the pause
            end = await self._delivery.deliver(to_send, finishes=turn)
        except TakenOver:
            await self._delivery.leave_to_agent(turn)
            telemetry.log.event(TAKEOVER, name=turn.contact_name)
            ended(turn, "handed_off", telemetry)
            return None
        end = end or await self._store.turns.finish(turn, now=telemetry.now())
        telemetry.metrics.turn.observe(trio.current_time() - started, exemplar())
        ended(turn, end.outcome, telemetry)
        if end.outcome == "handed_off":  # the customer may be told by a template
            await self._deliver_pending()
        if not fits:
            self._shorten(self.key, budget)
        if trial is not None:
            self._try_candidate(trial)
        return end

    def _waits(self, waiting: bool) -> None:  # noqa: FBT001 - the only argument
        self._now_doing("waiting" if waiting else "thinking", self.request_id)

    async def _deliver_pending(self, rows: Sequence[OutboxRow] | None = None) -> None:
        """Send what is in the outbox without belonging to a turn: notices and apologies.

        ``rows``: that, if it has been read already.
        """
        try:
            await self._delivery.deliver(rows)
        except TakenOver:
            await self._store.outbox.drop(self.key, "an agent has the chat")
            with suppress(TakenOver):  # messages of the dashboard are sent
                await self._delivery.deliver()
