"""All chats at work: a task for each chat that has something to do, and none for the others."""

import heapq
import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import trio

from daemon.conversation.chat import Chat, Doing
from daemon.conversation.presence import ContactSetup, mark_read
from daemon.conversation.services import ChatServices
from daemon.conversation.signals import ChatSignals
from daemon.conversation.turn.candidate import MOST_TRIALS, Trial, try_candidate
from daemon.conversation.turn.history import shorten_thread
from daemon.domain.limits import delay
from daemon.domain.messages import ChatKey, Presence
from daemon.domain.records import Arrival, NewPart
from daemon.errors import store_fault
from daemon.observability.events import RECORDING, TYPING, UNEXPECTED_ERROR
from daemon.observability.logs import about


class Pauses:
    """Wakes chats without a task when their pauses end. Owned by the registry of the chats.

    Nothing here is durable: at the start each chat with something waiting looks into the store, and
    the sweep finds what a clock that was set has delayed.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` gives Unix seconds."""
        self._now = now
        self._ends: list[tuple[float, ChatKey]] = []
        self._sooner = trio.Event()

    def note(self, key: ChatKey, until: float) -> None:
        """Wake a chat at a time (Unix seconds); any task may call it. A chat may be noted twice."""
        if not self._ends or until < self._ends[0][0]:
            self._sooner.set()
        heapq.heappush(self._ends, (until, key))

    async def run(self, wake: Callable[[ChatKey], None]) -> None:
        """Wake each chat when its time has come. Runs until cancelled."""
        while True:
            self._sooner = trio.Event()
            now = self._now()
            while self._ends and self._ends[0][0] <= now:
                wake(heapq.heappop(self._ends)[1])
            left = self._ends[0][0] - now if self._ends else math.inf
            with trio.move_on_after(left):
                await self._sooner.wait()


MAX_CRASHES = 3
"""A turn that crashes its task so often is given up; the chat's later messages go on."""

CRASH_BASE_SECONDS = 1.0
CRASH_CAP_SECONDS = 30.0


LEAVE_SECONDS = 5.0
"""How long a chat's task may take to end by itself; a send under way ends within it."""

PRESENCES = MappingProxyType({"typing": TYPING, "recording": RECORDING})
"""The presences that are logged; the others have no meaning for the conversation."""

BUSY: frozenset[Doing] = frozenset({"gathering", "waiting", "thinking", "sending"})


@dataclass(frozen=True, slots=True)
class ChatState:
    """The state of one chat's task, for people to look at."""

    key: ChatKey
    doing: Doing
    since: float
    queued: int
    """Messages that wait for the next turn."""
    request_id: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """The number of chats in each state."""

    chats: int
    windows: int
    runs: int
    working: int


class ChatRegistry:
    """Starts a chat's task when there is work for it and forgets it when it leaves.

    All methods that are not async return at once and may be called by any task. Before `run` has
    started and after `stop` events do nothing: what they are about is in the store.
    """

    def __init__(self, services: ChatServices) -> None:
        self._services = services
        self._chats: dict[ChatKey, Chat] = {}
        self._nursery: trio.Nursery | None = None
        self._stopping = False
        self._idle = trio.Event()
        self._idle.set()
        self._config = services.config
        self._log = services.telemetry.log
        self._now = services.telemetry.now
        self._setup = ContactSetup(services)
        self._subscriptions = self._setup.subscriptions
        self._shortening: set[ChatKey] = set()
        self._trials = 0
        self._pauses = Pauses(self._now)
        self._held: set[ChatKey] = set()
        """Chats whose rows are being erased: no task of theirs is started."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of all chats. Runs until cancelled; may be run again afterwards."""
        self._stopping = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._pauses.run, self.wake, name="pauses")
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    @property
    def is_open(self) -> bool:
        """True while tasks of chats can run."""
        return self._nursery is not None

    # -- events ------------------------------------------------------------------------------

    def poke(self, arrival: Arrival) -> None:
        """Something new is in the store for a chat."""
        chat = self._chat(arrival.key)
        if chat is not None:
            self._set_up_if_due(arrival.key)
            chat.signals.arrived(arrival)

    def wake(self, key: ChatKey) -> None:
        """Let a chat look into the store for work that no event reported."""
        chat = self._chat(key)
        if chat is not None:
            self._set_up_if_due(key)
            chat.signals.work_stored()

    def wake_at(self, key: ChatKey, until: float) -> None:
        """Let a chat look into the store at a time (Unix seconds), such as the end of its pause."""
        self._pauses.note(key, until)

    def nudge(self, key: ChatKey) -> None:
        """Something that a chat may be waiting for is in the store; this alone starts no task."""
        chat = self._chats.get(key)
        if chat is not None:
            chat.signals.wake()

    def presence(self, presence: Presence) -> None:
        """A contact types, records or stops; this alone never starts a task."""
        kind = PRESENCES.get(presence.status)
        if kind is not None:
            self._log.event(kind, chat=presence.key)
        chat = self._chats.get(presence.key)
        if chat is not None and self._config.rules.presence:
            chat.signals.presence(presence.status)

    def config_replaced(self) -> None:
        """The configuration was replaced: the chats at work wait by its rules from now on."""
        rules = self._config.rules
        for chat in self._chats.values():
            chat.signals.config_replaced(rules.window, pause_seconds=rules.pause_seconds)

    def renew_presences(self) -> None:
        """WhatsApp has a new session of ours: subscribe again.

        To the contacts of the chats at work now, one after the other; to the others when they
        write.
        """
        self._subscriptions.forget_all()
        now = trio.current_time()
        due = [key for key in self._chats if self._subscriptions.is_due(key, now)]
        if due and not self._stopping:
            self._start_contact_setup(due, "presences renewed", still_writing=lambda _key: True)

    def prune_presences(self, seconds: float) -> int:
        """Forget the subscriptions to contacts who have not written for so long; gives how many."""
        return self._subscriptions.prune(trio.current_time(), seconds)

    def pause(self, key: ChatKey, until: float) -> None:
        """An operator has paused the bot on a chat; the store has it already."""
        chat = self._chats.get(key)
        if chat is not None:
            chat.signals.paused(until)

    def give_back(self, key: ChatKey, at: float) -> None:
        """A person has given a chat back to the bot at a time (Unix seconds); the store has it."""
        self.pause(key, at)
        self.wake(key)

    def release(self, key: ChatKey) -> bool:
        """Cut short what a chat is at, to begin it again; False if there is nothing to cut."""
        chat = self._chats.get(key)
        return chat is not None and chat.signals.released()

    def release_all(self) -> int:
        """Cut short runs, sends and waits for another try, to begin them again. Gives how many."""
        return sum(chat.signals.released() for chat in self._chats.values())

    def stop(self) -> None:
        """Take up no more turns. Windows are dropped: their messages are in the store."""
        self._stopping = True
        for chat in self._chats.values():
            chat.signals.wake()

    @asynccontextmanager
    async def held(self, keys: Collection[ChatKey]) -> AsyncIterator[None]:
        """End the tasks of some chats, and start none while the block runs.

        What comes meanwhile is stored, and found by the sweep afterwards. A task leaves at its next
        look, or is cancelled after ``LEAVE_SECONDS``. One at a time may hold chats.
        """
        try:
            await self.hold(keys)
            yield
        finally:
            self.let_go()

    async def hold(self, keys: Collection[ChatKey]) -> None:
        """End the tasks of some chats, and start none of them until `let_go`; see `held`."""
        self._held = set(keys)
        for chat in [self._chats[key] for key in keys if key in self._chats]:
            chat.signals.released()
            chat.signals.wake()
            with trio.move_on_after(LEAVE_SECONDS) as patience:
                await chat.left.wait()
            if patience.cancelled_caught:
                chat.scope.cancel()
                await chat.left.wait()

    def let_go(self) -> None:
        """Let tasks start again for the chats that were held."""
        self._held = set()

    # -- asking --------------------------------------------------------------------------------

    async def wait_idle(self) -> None:
        """Wait until no chat has a task."""
        await self._idle.wait()

    async def wait_left(self, key: ChatKey) -> None:
        """Wait until a chat has no task: it has done all that there was to do."""
        while (chat := self._chats.get(key)) is not None:
            await chat.left.wait()

    def is_busy(self, key: ChatKey) -> bool:
        """True while a chat's task gathers or answers: it will take up what is in the store."""
        chat = self._chats.get(key)
        if chat is None:
            return False
        # A task that has just begun gathers, although it has not come to that yet.
        return chat.signals.window is not None or chat.doing in BUSY

    def statistics(self) -> Statistics:
        """Count the chats by what they do."""
        windows = runs = working = 0
        for chat in self._chats.values():
            signals = chat.signals
            windows += signals.window is not None
            runs += signals.is_running
            working += signals.is_working
        return Statistics(chats=len(self._chats), windows=windows, runs=runs, working=working)

    def states(self) -> list[ChatState]:
        """The state of each chat that has a task."""
        return [
            ChatState(
                key=chat.key,
                doing=chat.doing,
                since=chat.since,
                queued=chat.signals.window.messages if chat.signals.window else 0,
                request_id=chat.request_id,
            )
            for chat in self._chats.values()
        ]

    # -- the tasks -----------------------------------------------------------------------------

    def _chat(self, key: ChatKey) -> Chat | None:
        """The chat's task, started if it has none."""
        known = self._chats.get(key)
        if known is not None or self._nursery is None or self._stopping or key in self._held:
            return known
        signals = ChatSignals(
            self._config.rules.window,
            pause_seconds=self._config.rules.pause_seconds,
            agent_seconds=self._config.rules.agent_seconds,
            stopping=lambda: self._stopping or key in self._held,
            now=self._now,
            never_paused=key.chat == self._config.rules.escalation.chat,
        )
        chat = self._chats[key] = Chat(
            key,
            self._services,
            signals,
            shorten=self._shorten,
            try_candidate=self._try_candidate,
            mark_read=self._mark_read,
            wake_at=self.wake_at,
        )
        if self._idle.is_set():
            self._idle = trio.Event()
        self._nursery.start_soon(self._supervise, chat, name=f"chat {key.chat}")
        return chat

    async def _supervise(self, chat: Chat) -> None:
        """Run a chat's task; a crash is recorded, counted and stays in this chat.

        While the store is unavailable nothing can be done, and no turn is given up for it. Ends
        when the chat has nothing to do. The removal at the end has no checkpoint between the chat's
        last look at its signals and itself, so no signal is lost.
        """
        crashes = outages = 0
        try:
            while True:
                try:
                    with about(chat=chat.key), trio.CancelScope() as chat.scope:
                        await chat.run()
                except Exception as error:  # noqa: BLE001 - contained in the chat
                    if fault := store_fault(error):
                        outages += 1
                        self._log.warning("the store is in trouble", error=fault, chat=chat.key)
                        if not await self._wait_for_next_try(chat, outages):
                            return
                        continue
                    crashes += 1
                    self._services.telemetry.metrics.chat_crashes.inc()
                    self._fault("chat crashed", chat.key)
                else:
                    return
                if not await self._after_crash(chat, crashes):
                    return
        finally:
            chat.left.set()
            del self._chats[chat.key]
            if not self._chats:
                self._idle.set()

    def _fault(self, what: str, key: ChatKey) -> None:
        """Log and count the exception that is being handled."""
        self._log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)

    async def _wait_for_next_try(self, chat: Chat, failures: int) -> bool:
        """Wait, the longer the more often it has failed. False: leave the chat alone."""
        wait = delay(
            failures - 1,
            base_seconds=CRASH_BASE_SECONDS,
            cap_seconds=CRASH_CAP_SECONDS,
            fraction=self._services.telemetry.random.random(),
        )
        with trio.move_on_after(wait):
            while not self._stopping and chat.key not in self._held:
                await chat.signals.woken(wait)
        return not self._stopping and chat.key not in self._held

    async def _after_crash(self, chat: Chat, crashes: int) -> bool:
        """Wait before the next try; give the turn up after too many. False: leave it alone."""
        turns = self._services.store.turns
        if not await self._wait_for_next_try(chat, crashes):
            return False
        if crashes % MAX_CRASHES:
            return True
        try:
            turn = await turns.active(chat.key)
            if turn is not None and turn.state == "open":
                now, apology = self._now(), NewPart(self._config.texts.apology)
                await turns.apologise(turn, apology, now=now)
                await turns.close(turn, "dead", reason="it crashed its task", now=now)
        except Exception:  # noqa: BLE001 - contained in the chat
            self._fault("turn could not be given up", chat.key)
            return False
        return True

    def _shorten(self, key: ChatKey, budget: int) -> None:
        """Bring a thread into its budget beside the chat's task, unless that is being done."""
        if self._nursery is None or self._stopping or key in self._shortening:
            return
        self._shortening.add(key)
        self._nursery.start_soon(self._keep_short, key, budget, name=f"thread of {key.chat}")

    async def _keep_short(self, key: ChatKey, budget: int) -> None:
        """Ends when the thread is short enough; the turn after a fault tries again."""
        try:
            await shorten_thread(key, budget, self._services)
        except Exception:  # noqa: BLE001 - contained in the chat
            self._fault("thread not shortened", key)
        finally:
            self._shortening.discard(key)

    def _try_candidate(self, trial: Trial) -> None:
        """Let the candidate answer beside everything else; left out if too many do."""
        busy = self._trials >= MOST_TRIALS or trial.turn.key in self._held
        if self._nursery is None or self._stopping or busy:
            return
        self._trials += 1
        self._nursery.start_soon(
            self._keep_trial, trial, name=f"candidate of {trial.turn.request_id}"
        )

    async def _keep_trial(self, trial: Trial) -> None:
        """Ends when its answer is stored; a fault of it ends nothing else."""
        try:
            await try_candidate(trial, self._services)
        except Exception:  # noqa: BLE001 - contained: it is only a trial
            self._fault("candidate not tried", trial.turn.key)
        finally:
            self._trials -= 1

    def _gathers(self, key: ChatKey) -> bool:
        chat = self._chats.get(key)
        return chat is not None and chat.signals.window is not None

    def _set_up_if_due(self, key: ChatKey) -> None:
        """Set up a contact who writes and is new, or was not asked about when that was due."""
        if not self._stopping and self._subscriptions.is_due(key, trio.current_time()):
            self._start_contact_setup(
                [key], f"contact setup {key.chat}", still_writing=self._gathers
            )

    def _start_contact_setup(
        self, keys: list[ChatKey], name: str, *, still_writing: Callable[[ChatKey], bool]
    ) -> None:
        """Set up contacts beside the tasks of their chats."""
        if self._nursery is not None:
            contact_setup = partial(self._setup.run, keys, still_writing=still_writing)
            self._nursery.start_soon(contact_setup, name=name)

    def _mark_read(self, key: ChatKey, message_ids: list[str]) -> None:
        """Mark messages as read beside the chat's task, which may end before that does."""
        if self._nursery is not None:
            gateway = self._services.number.gateway
            receipts = partial(mark_read, key, message_ids, gateway, self._log)
            self._nursery.start_soon(receipts, name=f"read receipts {key.chat}")
