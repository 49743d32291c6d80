"""All chats at work: a task for each chat that has something to do, and none for the others."""

from dataclasses import dataclass

import trio

from daemon.backoff import delay
from daemon.chats.attention import Attention
from daemon.chats.chat import Chat, Doing
from daemon.chats.dependencies import Dependencies
from daemon.chats.presence import Subscriptions
from daemon.chats.shortening import shorten_thread
from daemon.errors import StoreError, WhapiError
from daemon.ledger import Arrival, NewPart
from daemon.model import ChatKey, Presence

MAX_CRASHES = 3
"""A turn that crashes its task so often is given up; the chat's later messages go on."""

CRASH_BASE_SECONDS = 1.0
CRASH_CAP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ChatState:
    """What one chat is doing, for people to look at."""

    key: ChatKey
    doing: Doing
    since: float
    queued: int
    """Messages that wait for the next turn."""
    request_id: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many chats do what."""

    chats: int
    windows: int
    runs: int
    working: int


class ChatRegistry:
    """Starts a chat's task when there is work for it and forgets it when it leaves.

    The verbs that are not `run` return at once and may be called by any task; before `run` has
    started and after `stop` they do nothing, because the store keeps what they are about.
    """

    def __init__(self, needs: Dependencies) -> None:
        self._needs = needs
        self._chats: dict[ChatKey, Chat] = {}
        self._nursery: trio.Nursery | None = None
        self._stopping = False
        self._idle = trio.Event()
        self._idle.set()
        self._subscriptions = Subscriptions()
        self._shortening: set[ChatKey] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of all chats. Runs until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    # -- being told --------------------------------------------------------------------------

    def poke(self, arrival: Arrival) -> None:
        """Something new is in the store for a chat."""
        chat = self._chat(arrival.key)
        if chat is not None:
            chat.attention.arrived(arrival)

    def wake(self, key: ChatKey) -> None:
        """Let a chat look into the store for work left behind."""
        chat = self._chat(key)
        if chat is not None:
            chat.attention.left_work()

    def nudge(self, key: ChatKey) -> None:
        """Something that a chat may be waiting for is in the store; this alone starts no task."""
        chat = self._chats.get(key)
        if chat is not None:
            chat.attention.wake()

    def presence(self, presence: Presence) -> None:
        """A contact types, records or stops; this alone never starts a task."""
        chat = self._chats.get(presence.key)
        if chat is not None:
            chat.attention.presence(presence.status)

    def pause(self, key: ChatKey, until: float) -> None:
        """An operator has paused or resumed the bot on a chat; the store has it already."""
        chat = self._chats.get(key)
        if chat is not None:
            chat.attention.pause(until)

    def release_all(self) -> int:
        """Cancel the runs under way; they begin again by themselves. Gives how many."""
        return sum(chat.attention.release() for chat in self._chats.values())

    def stop(self) -> None:
        """Take up no more turns. Windows are dropped: their messages are in the store."""
        self._stopping = True
        for chat in self._chats.values():
            chat.attention.wake()

    # -- asking --------------------------------------------------------------------------------

    async def wait_idle(self) -> None:
        """Wait until no chat has a task."""
        await self._idle.wait()

    def is_busy(self, key: ChatKey) -> bool:
        """True while a chat gathers or answers; what is in the store for it is in good hands."""
        chat = self._chats.get(key)
        return chat is not None and chat.doing in {"gathering", "waiting", "thinking", "sending"}

    def statistics(self) -> Statistics:
        """Count the chats by what they do."""
        chats = self._chats.values()
        return Statistics(
            chats=len(chats),
            windows=sum(chat.attention.window is not None for chat in chats),
            runs=sum(chat.attention.is_running for chat in chats),
            working=sum(chat.attention.working for chat in chats),
        )

    def states(self) -> list[ChatState]:
        """What each chat with a task is doing."""
        return [
            ChatState(
                key=chat.key,
                doing=chat.doing,
                since=chat.since,
                queued=chat.attention.window.messages if chat.attention.window else 0,
                request_id=chat.request_id,
            )
            for chat in self._chats.values()
        ]

    # -- the tasks -----------------------------------------------------------------------------

    def _chat(self, key: ChatKey) -> Chat | None:
        """The chat's task, started if it has none."""
        known = self._chats.get(key)
        if known is not None or self._nursery is None or self._stopping:
            return known
        attention = Attention(
            self._needs.rules.window,
            pause_seconds=self._needs.rules.pause_seconds,
            agent_seconds=self._needs.rules.agent_seconds,
            stopping=lambda: self._stopping,
            now=self._needs.now,
            never_paused=key.chat == self._needs.rules.escalation.chat,
        )
        chat = self._chats[key] = Chat(key, self._needs, attention, shorten=self._shorten)
        if self._idle.is_set():
            self._idle = trio.Event()
        self._nursery.start_soon(self._supervise, chat, name=f"chat {key.chat}")
        if self._subscriptions.is_due(key):
            self._nursery.start_soon(self._meet, key, name=f"meeting {key.chat}")
        return chat

    async def _supervise(self, chat: Chat) -> None:
        """Run a chat's task; a crash is recorded, counted and stays in this chat.

        Ends when the chat has nothing to do. The removal at the end has no checkpoint between the
        chat's last look at its signals and itself, so no signal is lost.
        """
        crashes = 0
        try:
            while True:
                try:
                    await chat.run()
                except Exception:
                    crashes += 1
                    self._needs.metrics.chat_crashes.inc()
                    self._needs.log.exception("chat crashed", symbol="💥", chat=chat.key.chat)
                else:
                    return
                if not await self._after_crash(chat, crashes):
                    return
        finally:
            del self._chats[chat.key]
            if not self._chats:
                self._idle.set()

    async def _after_crash(self, chat: Chat, crashes: int) -> bool:
        """Wait before the next try; give the turn up after too many. False: leave it alone."""
        needs = self._needs
        wait = delay(
            crashes - 1,
            base_seconds=CRASH_BASE_SECONDS,
            cap_seconds=CRASH_CAP_SECONDS,
            fraction=needs.random.random(),
        )
        with trio.move_on_after(wait):
            while not self._stopping:
                await chat.attention.woken(wait)
        if self._stopping:
            return False
        if crashes % MAX_CRASHES:
            return True
        try:
            turn = await needs.store.turns.living(chat.key)
            if turn is not None and turn.state == "open":
                now = needs.now()
                await needs.store.turns.apologise(turn, NewPart(needs.texts.apology), now=now)
                await needs.store.turns.close(turn, "dead", reason="it crashed its task", now=now)
        except Exception:
            needs.log.exception("turn could not be given up", chat=chat.key.chat)
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
            await shorten_thread(key, budget, self._needs)
        except Exception:
            self._needs.log.exception("thread not shortened", symbol="💥", chat=key.chat)
        finally:
            self._shortening.discard(key)

    async def _meet(self, key: ChatKey) -> None:
        """Ask to be told when a contact types, and by which other id WhatsApp knows it.

        Both are courtesies of Whapi: without them the window is a little less clever, and a person
        may be met a second time under the other id. Ends when both have been asked.
        """
        contact, _, kind = key.chat.partition("@")
        gateway, log = self._needs.gateway, self._needs.log
        try:
            await gateway.subscribe_presence(contact if kind == "s.whatsapp.net" else key.chat)
            lid = await gateway.find_lid(contact) if kind == "s.whatsapp.net" else ""
            if lid and await self._needs.store.identities.join(ChatKey(key.channel, lid), key.chat):
                log.info("two ids of one person joined", chat=key.chat)
        except WhapiError as error:
            self._subscriptions.forget(key)
            log.debug("contact not met", chat=key.chat, error=str(error))
        except StoreError as error:
            log.warning("ids of one person not joined", chat=key.chat, error=str(error))
