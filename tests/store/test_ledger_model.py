"""The ledger against a plain model of it, in any order of events that Hypothesis can think of.

No message is ever lost, each has exactly one state, a chat has at most one living turn, and what is
to be said is said in order; restarts in between change nothing but sends under way. Nobody waits
unseen: what a person has not answered is with the bot, or is listed as waiting for a person.
"""

import json
import tempfile
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.ledgers import LAURA, OPERATOR, PEDRO, accept, message, own_message
from support.place import store_in
from support.rows import rows, select

from daemon.domain.messages import ChangeOrigin, ChatKey, Deletion, Edit
from daemon.domain.records import NewPart, Turn
from daemon.domain.states import WITH_AGENT, Outcome
from daemon.domain.transitions.handover import AN_AGENT, ESCALATED
from daemon.ledger.ledger import Store

T = TypeVar("T")

CHATS = st.sampled_from([LAURA, PEDRO])
NAMES = st.integers(0, 11)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(
    ["answered", "ignored", "handed_off", "expired", "dead"]
)


@dataclass
class Sheet:
    """One message as the model has it."""

    name: str
    key: ChatKey
    words: str
    state: str = "received"
    deleted: bool = False
    why: str = ""
    """Why it waits for a person."""
    place: int = 0
    """In the order of intake, with the agents' messages."""


@dataclass
class Burst:
    """The living turn of a chat as the model has it."""

    turn: Turn
    names: list[str]
    delivering: bool = False
    escalated: bool = False


@dataclass
class Send:
    """One outbox row as the model has it."""

    key: ChatKey
    turn_id: int | None
    state: str = "pending"


@dataclass
class Room:
    """Who has a chat, as the model has it. Times are Unix seconds, 0 for never."""

    paused_until: float = 0
    escalated_at: float = 0
    overdue_at: float = 0
    agent_place: int = 0
    """Of the last message of an agent, in the order of intake."""

    def why(self, now: float) -> str:
        """Why a message waits for a person now; empty if it does not."""
        if now >= self.paused_until:
            return ""
        return ESCALATED if self.escalated_at and not self.overdue_at else AN_AGENT


@dataclass
class Model:
    """What the store should hold."""

    sheets: dict[str, Sheet] = field(default_factory=dict)
    bursts: dict[ChatKey, Burst] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    early: dict[str, Edit | Deletion] = field(default_factory=dict)
    rooms: dict[ChatKey, Room] = field(default_factory=lambda: defaultdict(Room))
    places: int = 0
    """How many messages have been taken in."""

    def place(self) -> int:
        """The place of the next message in the order of intake."""
        self.places += 1
        return self.places

    def close(self, key: ChatKey, states: set[str]) -> None:
        """A person has seen to the messages of a chat that are in one of these states."""
        for sheet in self.sheets.values():
            if sheet.key == key and sheet.state in states:
                sheet.state = "handed_off"
        self.rooms[key].escalated_at = self.rooms[key].overdue_at = 0

    def give_back(self, key: ChatKey, reasons: set[str]) -> None:
        """The bot is to answer what waits for a person for one of these reasons."""
        for sheet in self.sheets.values():
            if sheet.key == key and sheet.state == WITH_AGENT and sheet.why in reasons:
                sheet.state = "received"

    def hold(self, key: ChatKey, now: float) -> None:
        """What waits for the bot in a paused chat waits for a person from now on."""
        why = self.rooms[key].why(now)
        for sheet in self.waiting(key) if why else ():
            sheet.state, sheet.why = WITH_AGENT, why

    def waiting(self, key: ChatKey) -> list[Sheet]:
        return [s for s in self.sheets.values() if s.key == key and s.state == "received"]

    def change(self, change: Edit | Deletion) -> None:
        sheet = self.sheets.get(change.target)
        if sheet is None:
            if not isinstance(self.early.get(change.target), Deletion):
                self.early[change.target] = change
        elif sheet.deleted:
            pass
        elif isinstance(change, Edit):
            sheet.words = change.body
        else:
            sheet.deleted = True
            sheet.state = "ignored" if sheet.state in {"received", WITH_AGENT} else sheet.state


class OpenStore:
    """A store in a trio run of its own thread, so that each step may wait for its verbs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), name="store run")
        self._thread.start()
        assert self._ready.wait(90)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._end = trio.Event()
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._open()
            self._ready.set()
            await self._end.wait()

    async def _open(self) -> None:
        self._store = await self._stack.enter_async_context(store_in(self.folder))

    async def _reopen(self) -> None:
        await self._stack.aclose()
        await self._open()

    def do(self, verb: Callable[[Store], Awaitable[T]]) -> T:
        return trio.from_thread.run(verb, self._store, trio_token=self._token)

    def reopen(self) -> None:
        trio.from_thread.run(self._reopen, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join(90)


class LedgerMachine(RuleBasedStateMachine):
    """Everything that may happen to two chats."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = OpenStore(Path(self.folder.name))
        self.model = Model()
        self.clock = 100.0
        self.closed: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def now(self) -> float:
        self.clock += 1
        return self.clock

    # -- what arrives ------------------------------------------------------------------------

    @rule(numbers=st.lists(NAMES, min_size=1, max_size=3), key=CHATS)
    def messages_arrive(self, numbers: list[int], key: ChatKey) -> None:
        """New ones, repeated ones, and the same one twice in a call."""
        # A name belongs to one chat, as WhatsApp's ids do.
        names = [f"{key.chat[:12]}-{number}" for number in numbers]
        calls = [message(name, f"words of {name}", key=key) for name in names]
        now = self.now()
        accepted = self.store.do(lambda store: accept(store, *calls, now=now))
        new = [name for name in dict.fromkeys(names) if name not in self.model.sheets]
        for name in new:
            place = self.model.place()
            self.model.sheets[name] = Sheet(name, key, f"words of {name}", place=place)
            self.model.hold(key, now)
            early = self.model.early.pop(name, None)
            if early is not None:
                self.model.change(early)
        assert (accepted.stored, accepted.duplicates) == (len(new), len(names) - len(new))

    @rule(number=NAMES, key=CHATS, words=st.sampled_from(["otra", "cosa"]))
    def an_edit_arrives(self, number: int, key: ChatKey, words: str) -> None:
        origin = ChangeOrigin(chat=key.chat)
        edit = Edit(target=f"{key.chat[:12]}-{number}", body=words, origin=origin)
        self.store.do(lambda store: accept(store, edits=(edit,), now=self.now()))
        self.model.change(edit)

    @rule(number=NAMES, key=CHATS)
    def a_deletion_arrives(self, number: int, key: ChatKey) -> None:
        deletion = Deletion(target=f"{key.chat[:12]}-{number}")
        self.store.do(lambda store: accept(store, deletions=(deletion,), now=self.now()))
        self.model.change(deletion)

    # -- what the chat's task does ---------------------------------------------------------------

    @rule(key=CHATS, limit=st.integers(1, 3))
    def a_turn_opens(self, key: ChatKey, limit: int) -> None:
        if key in self.model.bursts:
            return
        turn = self.store.do(
            lambda store: store.turns.open(
                key, request_id="r", limit=limit, quotes=False, now=self.now()
            )
        )
        waiting = self.model.waiting(key)[:limit]
        if not waiting:
            assert turn is None
            return
        assert turn is not None
        assert [m.message.id for m in turn.messages] == [s.name for s in waiting]
        self._claim(key, Burst(turn, []), waiting)

    def _claim(self, key: ChatKey, burst: Burst, waiting: list[Sheet]) -> None:
        for sheet in waiting:
            sheet.state = "in_turn"
            burst.names.append(sheet.name)
        self.model.bursts[key] = burst

    @precondition(lambda self: self.model.bursts)
    @rule(key=CHATS, limit=st.integers(1, 3), counts=st.booleans())
    def more_joins(self, key: ChatKey, limit: int, *, counts: bool) -> None:
        burst = self.model.bursts.get(key)
        if burst is None or burst.delivering:
            return
        turn = burst.turn
        burst.turn = self.store.do(
            lambda store: store.turns.join(turn, limit=limit, counts=counts, now=self.now())
        )
        self._claim(key, burst, self.model.waiting(key)[:limit])
        told = [name for name in burst.names if not self.model.sheets[name].deleted]
        assert [m.message.id for m in burst.turn.messages] == told
        assert [
            m.message.content.body
            for m in burst.turn.messages
            if hasattr(m.message.content, "body")
        ] == [self.model.sheets[name].words for name in told]

    @precondition(lambda self: self.model.bursts)
    @rule(key=CHATS, parts=st.integers(0, 3))
    def the_answer_is_decided(self, key: ChatKey, parts: int) -> None:
        burst = self.model.bursts.get(key)
        if burst is None or burst.delivering:
            return
        turn = burst.turn
        answer = [NewPart(f"part {number}") for number in range(parts)]
        concluded = self.store.do(
            lambda store: store.turns.conclude(turn, items=[], parts=answer, now=self.now())
        )
        burst.turn = concluded.turn
        burst.delivering = True
        self.model.sends += [Send(key, turn.id) for _ in answer]

    @precondition(lambda self: self.model.sends)
    @rule(key=CHATS, fate=st.sampled_from(["sent", "unknown", "pending", "failed", "sending"]))
    def the_next_part_is_sent(self, key: ChatKey, fate: str) -> None:
        """An unknown one is said again; ``sending``: nobody hears how it ended."""
        rows = self.store.do(lambda store: store.outbox.open_rows(key))
        owed = [s for s in self.model.sends if s.key == key and s.state in OPEN_SENDS]
        assert [row.state for row in rows] == [send.state for send in owed]
        if not rows or owed[0].state == "sending":
            return
        row, send = rows[0], owed[0]

        async def attempt(store: Store) -> None:
            await store.outbox.repeat(row)
            await store.outbox.sending(row, now=self.now())
            if fate == "sent":
                await store.outbox.sent(row, f"w-{row.id}-{row.attempts}", now=self.now())
            elif fate == "unknown":
                assert (await store.outbox.unknown(row, "timeout")).state == "unknown"
            elif fate == "pending":
                await store.outbox.pending(row, "429")
            elif fate == "failed":
                await store.outbox.failed(row, "400")

        self.store.do(attempt)
        send.state = fate

    @precondition(lambda self: any(burst.delivering for burst in self.model.bursts.values()))
    @rule(key=CHATS)
    def a_delivered_turn_is_finished(self, key: ChatKey) -> None:
        burst = self.model.bursts.get(key)
        if burst is None or not burst.delivering:
            return
        delivery_updates = [
            send.state for send in self.model.sends if send.turn_id == burst.turn.id
        ]
        if OPEN_SENDS & set(delivery_updates):
            return
        turn, now = burst.turn, self.now()
        outcome = self.store.do(lambda store: store.turns.finish(turn, now=now)).outcome
        assert outcome == (
            "dead"
            if "failed" in delivery_updates and "sent" not in delivery_updates
            else "answered"
        )
        self._end(key, outcome, now)

    @precondition(lambda self: self.model.bursts)
    @rule(key=CHATS, outcome=OUTCOMES)
    def a_turn_is_closed(self, key: ChatKey, outcome: Outcome) -> None:
        burst = self.model.bursts.get(key)
        if burst is None:
            return
        turn, now = burst.turn, self.now()
        why = AN_AGENT if outcome == "handed_off" else ""
        self.store.do(lambda store: store.turns.close(turn, outcome, reason=why, now=now))
        for send in self.model.sends:
            if send.turn_id == turn.id and send.state in {"pending", "unknown"}:
                send.state = "dropped"
        self._end(key, outcome, now)

    def _end(self, key: ChatKey, outcome: Outcome, now: float) -> None:
        burst = self.model.bursts.pop(key)
        for name in burst.names:
            sheet = self.model.sheets[name]
            left = "ignored" if sheet.deleted else WITH_AGENT
            if sheet.state == "in_turn":  # else an agent has answered it
                sheet.state = left if outcome == "handed_off" else outcome
                sheet.why = AN_AGENT
        if burst.escalated:
            room = self.model.rooms[key]
            room.paused_until = max(room.paused_until, now + ESCALATION_SECONDS)
            if room.agent_place < max(self.model.sheets[name].place for name in burst.names):
                room.escalated_at, room.overdue_at = room.escalated_at or now, 0
            self.model.hold(key, now)

    # -- who has the chat --------------------------------------------------------------------

    @rule(key=CHATS, seconds=st.sampled_from([0, 5, 30]))
    def an_agent_writes(self, key: ChatKey, seconds: float) -> None:
        """With 0 seconds the bot goes on beside the agent."""
        place = self.model.place()
        words = own_message(f"agent-{place}", "Ya voy", source="mobile", key=key)
        now = self.now()
        until = now + seconds if seconds else 0
        self.store.do(lambda store: accept(store, words, now=now, pause_until=until))
        self.model.close(key, OPEN if seconds else {WITH_AGENT})
        room = self.model.rooms[key]
        room.paused_until, room.agent_place = max(room.paused_until, until), place

    @rule(key=CHATS)
    def a_person_is_done(self, key: ChatKey) -> None:
        now = self.now()
        self.store.do(lambda store: store.operator_actions.done(key.chat, by=OPERATOR, now=now))
        self.model.close(key, {WITH_AGENT})

    @rule(key=CHATS, seconds=st.sampled_from([5, 30]))
    def a_person_takes_the_chat(self, key: ChatKey, seconds: float) -> None:
        """Without writing in it; the chat's task then leaves to them what waits for the bot."""
        now = self.now()
        until = now + seconds
        known, _ = self.store.do(
            lambda store: store.operator_actions.pause(key.chat, until, by=OPERATOR, now=now)
        )
        if known:
            self.model.rooms[key].paused_until = until
        self.store.do(lambda store: store.handovers.hold(key, now=now))
        self.model.hold(key, now)

    @rule(key=CHATS)
    def a_chat_is_given_back(self, key: ChatKey) -> None:
        now = self.now()
        self.store.do(
            lambda store: store.operator_actions.give_back(key.chat, by=OPERATOR, now=now)
        )
        room = self.model.rooms[key]
        room.paused_until = min(room.paused_until, now)
        room.escalated_at = room.overdue_at = 0
        self.model.give_back(key, {AN_AGENT, ESCALATED})

    @rule(key=CHATS)
    def a_pause_is_looked_at(self, key: ChatKey) -> None:
        """By the chat's task, when it believes that the pause is over."""
        now, room = self.now(), self.model.rooms[key]
        end = self.store.do(
            lambda store: store.handovers.end_pause(key, NewPart("Disculpa"), now=now)
        )
        assert end.notice == (room.why(now) == "" and bool(room.escalated_at > room.overdue_at))
        if room.why(now):
            assert end.paused_until == room.paused_until
            return
        if end.notice:
            room.overdue_at = now
            self.model.sends.append(Send(key, None))
        self.model.give_back(key, {AN_AGENT})

    @rule(seconds=st.sampled_from([10, 100]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock += seconds

    @precondition(lambda self: self.model.bursts)
    @rule(key=CHATS)
    def the_model_asks_for_a_person(self, key: ChatKey) -> None:
        burst = self.model.bursts.get(key)
        if burst is None or burst.escalated:
            return
        turn, now = burst.turn, self.now()
        assert self.store.do(
            lambda store: store.escalations.open(
                turn,
                reason="r",
                summary="s",
                urgency="low",
                pause_seconds=ESCALATION_SECONDS,
                notice=None,
                now=now,
            )
        )
        burst.escalated = True

    @rule()
    def the_daemon_starts_again(self) -> None:
        self.store.reopen()
        for send in self.model.sends:
            if send.state == "sending":
                send.state = "unknown"

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def every_message_is_where_it_belongs(self) -> None:
        if not hasattr(self, "store"):
            return
        stored = rows(self.store.folder, "messages", where={"from_me": 0}, order="seq")
        assert [
            (
                row["id"],
                row["state"],
                row["deleted_at"] is not None,
                json.loads(row["message"])["content"]["body"],
            )
            for row in stored
        ] == [
            (sheet.name, sheet.state, sheet.deleted, sheet.words)
            for sheet in self.model.sheets.values()
        ]

    @invariant()
    def nobody_waits_unseen(self) -> None:
        if not hasattr(self, "store"):
            return
        listed = self.store.do(lambda store: store.handovers.waiting_chats())
        waiting: dict[ChatKey, int] = {
            key: 0 for key, room in self.model.rooms.items() if room.escalated_at
        }
        for sheet in self.model.sheets.values():
            if sheet.state == WITH_AGENT:
                waiting[sheet.key] = waiting.get(sheet.key, 0) + 1
        assert {chat.key: chat.messages for chat in listed} == waiting
        # Whoever waits only for the end of a pause is found when that is over.
        due = self.store.do(lambda store: store.handovers.chats_with_work(now=self.clock))
        for sheet in self.model.sheets.values():
            over = self.model.rooms[sheet.key].paused_until <= self.clock
            if (sheet.state, sheet.why) == (WITH_AGENT, AN_AGENT) and over:
                assert sheet.key in due

    @invariant()
    def what_is_closed_stays_closed(self) -> None:
        if not hasattr(self, "store"):
            return
        for sheet in self.model.sheets.values():
            known = self.closed.setdefault(sheet.name, sheet.state)
            if known in OPEN:
                self.closed[sheet.name] = sheet.state
            else:
                assert sheet.state == known

    @invariant()
    def a_chat_has_at_most_one_living_turn(self) -> None:
        if not hasattr(self, "store"):
            return
        active = select(
            self.store.folder, "turns", "id, channel, chat, state", where={"state !=": "done"}
        )
        assert sorted(active) == sorted(
            (burst.turn.id, *key, "delivering" if burst.delivering else "open")
            for key, burst in self.model.bursts.items()
        )

    @invariant()
    def every_send_is_where_it_belongs(self) -> None:
        if not hasattr(self, "store"):
            return
        sends = select(self.store.folder, "outbox", "turn_id, state", order="id")
        assert sends == [(send.turn_id, send.state) for send in self.model.sends]


OPEN_SENDS = {"pending", "sending", "unknown"}
OPEN = {"received", "in_turn", WITH_AGENT}
ESCALATION_SECONDS = 20.0

TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
