"""The ledger against a plain model of it, in any order of events that Hypothesis can think of.

No message is ever lost, each has exactly one state, a chat has at most one living turn, and what is
to be said is said in order; restarts in between change nothing but sends under way.
"""

import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

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
from support.ledgers import LAURA, PEDRO, accept, message, select, store_in

from daemon.handover import WITH_AGENT
from daemon.ledger import NewPart, Outcome, Turn
from daemon.model import ChatKey, Deletion, Edit, Origin
from daemon.store.store import Store

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


@dataclass
class Burst:
    """The living turn of a chat as the model has it."""

    turn: Turn
    names: list[str]
    delivering: bool = False


@dataclass
class Send:
    """One outbox row as the model has it."""

    key: ChatKey
    turn_id: int
    state: str = "pending"


@dataclass
class Model:
    """What the store should hold."""

    sheets: dict[str, Sheet] = field(default_factory=dict)
    bursts: dict[ChatKey, Burst] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    early: dict[str, Edit | Deletion] = field(default_factory=dict)

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
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), name="store run")
        self._thread.start()
        assert self._ready.wait(20)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._end = trio.Event()
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._open()
            self._ready.set()
            await self._end.wait()

    async def _open(self) -> None:
        self._store = await self._stack.enter_async_context(store_in(self._folder))

    async def _reopen(self) -> None:
        await self._stack.aclose()
        await self._open()

    def do(self, verb: Callable[[Store], Awaitable[T]]) -> T:
        return trio.from_thread.run(verb, self._store, trio_token=self._token)

    def reopen(self) -> None:
        trio.from_thread.run(self._reopen, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join(20)


class LedgerMachine(RuleBasedStateMachine):
    """Everything that may happen to two chats."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = OpenStore(Path(self.folder.name))
        self.model = Model()
        self.clock = 100.0

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
        accepted = self.store.do(lambda store: accept(store, *calls, now=self.now()))
        new = [name for name in dict.fromkeys(names) if name not in self.model.sheets]
        for name in new:
            self.model.sheets[name] = Sheet(name, key, f"words of {name}")
            early = self.model.early.pop(name, None)
            if early is not None:
                self.model.change(early)
        assert (accepted.stored, accepted.duplicates) == (len(new), len(names) - len(new))

    @rule(number=NAMES, key=CHATS, words=st.sampled_from(["otra", "cosa"]))
    def an_edit_arrives(self, number: int, key: ChatKey, words: str) -> None:
        origin = Origin(chat=key.chat)
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
        fates = [send.state for send in self.model.sends if send.turn_id == burst.turn.id]
        if OPEN_SENDS & set(fates):
            return
        turn = burst.turn
        outcome = self.store.do(lambda store: store.turns.finish(turn, now=self.now())).outcome
        assert outcome == ("dead" if "failed" in fates and "sent" not in fates else "answered")
        self._end(key, outcome)

    @precondition(lambda self: self.model.bursts)
    @rule(key=CHATS, outcome=OUTCOMES)
    def a_turn_is_closed(self, key: ChatKey, outcome: Outcome) -> None:
        burst = self.model.bursts.get(key)
        if burst is None:
            return
        turn = burst.turn
        self.store.do(lambda store: store.turns.close(turn, outcome, now=self.now()))
        for send in self.model.sends:
            if send.turn_id == turn.id and send.state in {"pending", "unknown"}:
                send.state = "dropped"
        self._end(key, outcome)

    def _end(self, key: ChatKey, outcome: Outcome) -> None:
        for name in self.model.bursts.pop(key).names:
            sheet = self.model.sheets[name]
            left = "ignored" if sheet.deleted else WITH_AGENT
            sheet.state = left if outcome == "handed_off" else outcome

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
        rows = self._select(
            "SELECT id, state, deleted_at IS NOT NULL, json_extract(message, '$.content.body')"
            " FROM messages ORDER BY seq"
        )
        assert rows == [
            (sheet.name, sheet.state, sheet.deleted, sheet.words)
            for sheet in self.model.sheets.values()
        ]

    @invariant()
    def a_chat_has_at_most_one_living_turn(self) -> None:
        if not hasattr(self, "store"):
            return
        living = self._select("SELECT id, channel, chat, state FROM turns WHERE state != 'done'")
        assert sorted(living) == sorted(
            (burst.turn.id, *key, "delivering" if burst.delivering else "open")
            for key, burst in self.model.bursts.items()
        )

    @invariant()
    def every_send_is_where_it_belongs(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self._select("SELECT turn_id, state FROM outbox ORDER BY id")
        assert rows == [(send.turn_id, send.state) for send in self.model.sends]

    def _select(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store.do(lambda store: select(store, sql))


OPEN_SENDS = {"pending", "sending", "unknown"}

TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
