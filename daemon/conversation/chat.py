"""The task of one chat: its lock, its queue, and its memory of what the customer is doing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Literal

import trio

from daemon.conversation.delivery import Delivery
from daemon.conversation.deps import Dependencies
from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.conversation.turn.limits import stop_loop
from daemon.conversation.turn.outcome import ended
from daemon.conversation.turn.turn import TurnWork
from daemon.domain.consent import wish_of
from daemon.domain.limits import MINUTE_SECONDS, free_at, turns_of_a_loop
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.prompt.media_text import BurstFiles
from daemon.domain.prompt.message_text import agent_items, burst_item, kept
from daemon.domain.records import NewPart, OutboxRow, StoredMessage, Turn, TurnEnd
from daemon.domain.texts import Texts
from daemon.domain.window import Window, closes_at
from daemon.ledger.chats import ChatSnapshot
from daemon.observability.events import NEW_CONVERSATION, NOBODY_CAME, TAKEOVER
from daemon.observability.logs import about
from daemon.observability.tracing import exemplar, stage

# What a human agent handles: told to the model, so that it knows when it takes over again.


async def note_what_an_agent_handles(
    key: ChatKey, signals: ChatSignals, deps: Dependencies
) -> None:
    """Put an agent's words into the thread, and the customer's that the agent answers.

    What waits for the agent is told when that is over. A customer who wants no unasked messages
    has said so to the agent: it is kept, and the confirmation is the agent's. Called by the task
    of the chat.
    """
    store, threads = deps.store, deps.store.threads
    theirs = await store.inbox.waiting(key, from_me=True)
    waiting_too = not signals.is_paused
    customers = await store.handovers.to_note(key, waiting_too=waiting_too)
    now, said = deps.now(), [stored.message for stored in customers]
    seen = await deps.attachments.known(said)
    items = _conversation(theirs, customers, seen, deps.texts)
    if items:
        await threads.note_waiting(
            key,
            [stored.seq for stored in theirs],
            items,
            state="ignored",
            reason="agent",
            noted=[stored.seq for stored in customers],
            choice=wish_of(said, deps.rules.consent, opted_out=True).choice,
            now=now,
        )
    if theirs:
        deps.log.info("MANUAL_SYNC_SUCCESS", symbol="👥", messages=len(theirs))


def _conversation(
    theirs: tuple[StoredMessage, ...],
    customers: tuple[StoredMessage, ...],
    seen: BurstFiles,
    texts: Texts,
) -> list[JsonObject]:
    """Both sides' words in the order they were written."""
    items: list[JsonObject] = []
    side: list[StoredMessage] = []
    everything = kept(sorted((*theirs, *customers), key=lambda stored: stored.seq))
    for number, stored in enumerate(everything):
        side.append(stored)
        last = number + 1 == len(everything)
        if last or everything[number + 1].message.from_me != stored.message.from_me:
            items += (
                agent_items(side, texts) if stored.message.from_me else [burst_item(side, seen)]
            )
            side = []
    return items


Doing = Literal["idle", "gathering", "waiting", "thinking", "sending", "paused", "loop"]
"""``waiting``: for a place among the runs. ``loop``: paused, since it is a talk with a machine."""


class Chat:
    """One conversation at work. Only the registry makes one and runs it."""

    def __init__(
        self,
        key: ChatKey,
        deps: Dependencies,
        signals: ChatSignals,
        *,
        shorten: Callable[[ChatKey, int], None],
        mark_read: Callable[[ChatKey, list[str]], None],
        wake_at: Callable[[ChatKey, float], None],
    ) -> None:
        """``shorten`` begins to bring the thread into a budget of tokens, and returns at once.

        So does ``mark_read``, which shows the customer that some messages were read. ``wake_at``
        has the chat woken at a time (Unix seconds), if it has no task then.
        """
        self.key = key
        self.signals = signals
        self.doing: Doing = "idle"
        self.since = deps.now()
        """When `doing` became what it is, Unix seconds."""
        self.request_id = ""
        """The turn under way, by the name it has in the log."""
        self._taken: list[float] = []
        """When the last turns were taken up, oldest first, on trio's clock: as many as the brakes
        look at."""
        self._flooded = False
        """True while the window is held open because of the chat's pace."""
        self._is_new = False
        """True until the first turn of a conversation that the model knows nothing of."""
        self.scope = trio.CancelScope()
        """For its registry, which cancels the task with it."""
        self.left = trio.Event()
        """Set when the task has ended."""
        self._deps = deps
        self._delivery = Delivery(key, deps, signals)
        self._shorten = shorten
        self._mark_read = mark_read
        self._wake_at = wake_at

    async def run(self) -> None:
        """Work until there has been nothing to do for the idle time, or the daemon stops.

        May be cancelled at any checkpoint; whatever it was doing is found in the store by the
        next task of this chat.
        """
        snapshot = await self._look_back()
        try:
            if snapshot.turn is not None:
                await self._work(snapshot.turn)
                await self._say_what_waits()
            elif snapshot.to_say:
                await self._say_what_waits(snapshot.to_say)
            while await self._gather():
                if self.signals.look:
                    await self._look_into_store()
                else:
                    await self._take_up()
        except Stopping:
            return

    def _now_doing(self, doing: Doing, request_id: str = "") -> None:
        self.doing = doing
        self.since = self._deps.now()
        self.request_id = request_id

    # -- gathering -----------------------------------------------------------------------------

    async def _gather(self) -> bool:
        """Wait until a burst is complete; False after so long without anything."""
        signals = self.signals
        while True:
            due = self._next_due()
            gathers = signals.window is not None or signals.agent_until is not None
            self._now_doing("gathering" if gathers else self._at_rest())
            left = inf if due is None else due - trio.current_time()
            if left <= 0:
                return True
            idle_seconds = inf if gathers else self._deps.rules.idle_seconds
            wait = signals.woken_in_window if gathers else signals.woken
            signalled = await wait(min(left, idle_seconds))
            signals.stop_if_asked()
            if not signalled and idle_seconds < left:
                if signals.waits:
                    self._wake_at(self.key, signals.paused_until)
                return False

    def _next_due(self) -> float | None:
        """When there is something to take up, on trio's clock; None if nothing is known of."""
        signals, now = self.signals, trio.current_time()
        if signals.look or (signals.is_paused and signals.window is not None):
            return now
        ends = [now + signals.pause_ends_in] if signals.waits else []
        if signals.window is not None:
            ends.append(self._closes_at(signals.window))
        if signals.agent_until is not None:
            ends.append(signals.agent_until)
        elif signals.notes:
            ends.append(now)
        return min(ends, default=None)

    def _at_rest(self) -> Doing:
        if self.signals.in_loop:
            return "loop"
        return "paused" if self.signals.is_paused else "idle"

    def _closes_at(self, window: Window) -> float:
        """When the burst is to be answered: when it is complete, and the chat's pace allows it."""
        closes = closes_at(window, self._deps.rules.window)
        free = free_at(self._taken, self._deps.rules.brakes.turns_per_minute)
        if self.signals.is_paused or free <= closes:
            return closes
        if not self._flooded:
            self._flooded = True
            self._deps.metrics.brakes.labels("flood").inc()
            self._deps.log.warning("too many turns, answered later")
        return free

    async def _look_back(self) -> ChatSnapshot:
        """Take up where the last task of this chat has left it: its pauses, its pace, its work."""
        deps, signals = self._deps, self.signals
        brakes = deps.rules.brakes
        longest = max(MINUTE_SECONDS, brakes.loop_seconds, brakes.repeat_seconds)
        snapshot = await deps.store.snapshots.of(self.key, since=deps.now() - longest)
        signals.paused_until = max(signals.paused_until, snapshot.chat.paused_until)
        signals.loop_until = max(signals.loop_until, snapshot.chat.loop_until)
        signals.waits = signals.waits or snapshot.waits
        signals.notes = signals.notes or snapshot.notes
        self._is_new = not snapshot.chat.context_at
        wall, now = deps.now(), trio.current_time()
        ages = [wall - (exchange.said_from or wall) for exchange in snapshot.exchanges]
        self._taken = [now - age for age in ages]
        return snapshot

    async def _take_up(self) -> None:
        """Deal with what has been gathered: an agent's words, and the customer's."""
        signals = self.signals
        window = self._closed_window()
        if signals.is_paused:
            signals.came_late = False
            if window is not None:
                await self._hold()
            if signals.agent_until is None or signals.agent_until <= trio.current_time():
                await self._note()
            return
        await self._end_pause()
        await self._note()
        window = window or self._closed_window()
        if window is None:
            return
        quotes, signals.came_late, signals.news = signals.came_late, False, False
        turn = await self._deps.store.turns.open(
            self.key,
            request_id=f"turn_{self._deps.random.getrandbits(48):012x}",
            limit=self._deps.rules.window.max_messages,
            quotes=quotes,
            now=self._deps.now(),
        )
        if turn is None:
            return
        self._flooded = False
        if self._is_new:
            self._is_new = False
            self._deps.log.event(NEW_CONVERSATION, name=turn.contact_name)
        brakes = self._deps.rules.brakes
        enough = max(1, brakes.turns_per_minute, turns_of_a_loop(brakes))
        self._taken = [*self._taken, trio.current_time()][-enough:]
        left_over = window.messages - len(turn.messages)
        await self._work(turn)
        if left_over > 0:
            self._answer_without_wait(left_over)

    async def _hold(self) -> None:
        """Leave to the agent what came before the pause and waits for the bot."""
        if await self._deps.store.handovers.hold(self.key, now=self._deps.now()):
            self.signals.waits = True

    async def _note(self) -> None:
        """Tell the thread what an agent has said and answered, if there is anything."""
        signals = self.signals
        if not signals.notes:
            return
        signals.notes, signals.agent_until = False, None
        await note_what_an_agent_handles(self.key, signals, self._deps)

    async def _end_pause(self) -> None:
        """Take back from the agent what waits for the bot, if the pause is over."""
        signals, deps = self.signals, self._deps
        if not signals.waits:
            return
        notice = NewPart(deps.texts.overdue)
        end = await deps.store.handovers.end_pause(self.key, notice, now=deps.now())
        if end.paused_until > deps.now():
            signals.paused_until = end.paused_until
            return
        signals.waits, signals.notes = False, True
        if end.notice:
            deps.log.event(NOBODY_CAME, chat=self.key)
            await self._say_what_waits()
        if end.given_back:
            self._answer_without_wait(end.given_back)

    def _closed_window(self) -> Window | None:
        """Take the window away if it has closed, or if an agent answers in the bot's place."""
        signals = self.signals
        window, now = signals.window, trio.current_time()
        if window is None:
            return None
        if self._closes_at(window) > now and not signals.is_paused:
            return None
        signals.window = None
        self._deps.metrics.window.observe(now - window.opened_at)
        return window

    async def _look_into_store(self) -> None:
        """Find work that came by another way than a webhook: a notice, a replayed message."""
        self.signals.look = False
        await self._say_what_waits()
        waits, notes = await self._deps.store.handovers.signals(self.key)
        self.signals.waits = self.signals.waits or waits
        self.signals.notes = self.signals.notes or notes
        waiting = await self._deps.store.inbox.waiting(self.key, from_me=False)
        if waiting:
            self._answer_without_wait(len(waiting))

    def _answer_without_wait(self, count: int) -> None:
        """Messages whose wait is over are answered next, unless the customer is writing again."""
        now = trio.current_time()
        if self.signals.window is None:
            self.signals.window = Window(opened_at=now, quiet_until=now, messages=count)

    # -- answering -----------------------------------------------------------------------------

    async def _work(self, turn: Turn) -> None:
        """Bring a turn to its outcome."""
        self.signals.working = True
        try:
            with about(turn=turn.request_id), self._deps.traces.follow(turn):
                end = await self._answer_and_deliver(turn)
            end = end or await self._deps.store.turns.end(turn)
            if end.leaves_files:
                await self._deps.attachments.let_go(turn)
            self.signals.paused_until = max(self.signals.paused_until, end.paused_until)
            if end.paused_until or end.outcome == "handed_off":
                self.signals.waits = self.signals.notes = True
        finally:
            self.signals.working = False

    async def _answer_and_deliver(self, turn: Turn) -> TurnEnd | None:
        """Bring a turn to its outcome; gives it, unless the store alone knows."""
        deps = self._deps
        started = trio.current_time()
        budget, fits, to_say = deps.rules.history_tokens, False, None
        if turn.state == "open":
            self._now_doing("thinking", turn.request_id)
            # In the first turns of a talk there is no loop to be looked for in the store.
            if not turn.attempts and len(self._taken) + 1 >= turns_of_a_loop(deps.rules.brakes):
                await stop_loop(turn, self.signals, deps, deps.log)
            work = TurnWork(
                turn,
                deps.pinned(),
                self.signals,
                deps.log,
                say=self._say_what_waits,
                waiting=self._waits,
                mark_read=partial(self._mark_read, self.key),
            )
            answered = await work.answer()
            budget, fits = work.prompt_builder.history_budget, work.thread_fits
            if answered is None:
                await self._say_what_waits()
                return None
            turn, to_say = answered.turn, answered.to_say
        self._now_doing("sending", turn.request_id)
        stage("delivery")
        try:
            if turn.taken_over:
                raise TakenOver  # noqa: TRY301 - as the delivery does when it sees the pause
            end = await self._delivery.deliver(to_say, finishes=turn)
        except TakenOver:
            await self._delivery.leave_to_agent(turn)
            deps.log.event(TAKEOVER, name=turn.contact_name)
            ended(turn, "handed_off", deps)
            return None
        end = end or await deps.store.turns.finish(turn, now=deps.now())
        deps.metrics.turn.observe(trio.current_time() - started, exemplar())
        ended(turn, end.outcome, deps)
        if not fits:
            self._shorten(self.key, budget)
        return end

    def _waits(self, waiting: bool) -> None:  # noqa: FBT001 - the only argument
        self._now_doing("waiting" if waiting else "thinking", self.request_id)

    async def _say_what_waits(self, rows: Sequence[OutboxRow] | None = None) -> None:
        """Send what is in the outbox without belonging to a turn: notices and apologies.

        ``rows``: that, if it has been read already.
        """
        try:
            await self._delivery.deliver(rows)
        except TakenOver:
            await self._deps.store.outbox.drop(self.key, "an agent has the chat")
            with suppress(TakenOver):  # what the agent has written in the dashboard is said
                await self._delivery.deliver()
