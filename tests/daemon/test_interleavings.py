"""Anything in any order: a simple model of what two customers must see, against the daemon."""

import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.model_script import call, say
from support.place import cli_connection
from support.plain import NO_TLS
from support.rows import rows, select, states_of
from support.scenes import PAUSE_MINUTES, PEDRO, found, open_scene, outbox
from support.stage import LAURA, Stage

from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import AGENT_WROTE, AN_AGENT, DONE, ESCALATED
from daemon.ledger.admin.cli_queries import unanswered
from daemon.sandbox.model_generation import ModelCall

CHATS = (LAURA, PEDRO)
PAUSE_SECONDS = PAUSE_MINUTES * 60
OPEN = {"received", "in_turn"}
HAND_OVER = call(
    "escalate_to_human", '{"reason": "lo pide", "summary": "una factura", "urgency": "low"}'
)

in_a_chat = st.sampled_from(CHATS)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["says", "says", "says", "types", "stops"]), in_a_chat),
        st.tuples(st.sampled_from(["agent", "agent", "edits", "deletes", "repeats"]), in_a_chat),
        st.tuples(st.sampled_from(["pause", "resume", "done", "pause_ends"]), in_a_chat),
        st.tuples(
            st.sampled_from(["answer", "crash", "restart", "window", "escalates"]), st.just("")
        ),
    ),
    min_size=3,
    max_size=14,
)


@dataclass
class Environment:
    """What has happened so far, as the people on the phones know it."""

    stage: Stage
    count: int = 0
    written: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Ids of each chat's messages."""
    words: dict[str, str] = field(default_factory=dict)
    """The newest words of each message."""
    deleted: set[str] = field(default_factory=set)
    agent_wrote: dict[str, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """When an agent began to write, and what the customer had got when that was acknowledged."""
    resumed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When a chat was given back to the bot by hand."""

    async def says(self, chat: str) -> None:
        """A customer writes something never written before."""
        self.count += 1
        text = f"mensaje-{self.count:03}"
        message_id = await self.stage.gateway.customer_says(chat, text, deliver="acknowledged")
        self.written[chat].append(message_id)
        self.words[message_id] = text

    async def types(self, chat: str) -> None:
        """A customer is seen typing."""
        await self.stage.gateway.customer_types(chat)

    async def stops(self, chat: str) -> None:
        """A customer stops typing."""
        await self.stage.gateway.customer_stops(chat)

    async def agent(self, chat: str) -> None:
        """A human of the business writes in the chat."""
        began = self.stage.environment.now()
        await self.stage.gateway.agent_says(chat, "atiendo yo", deliver="acknowledged")
        self.agent_wrote[chat].append((began, len(self.stage.gateway.sent(chat))))

    async def edits(self, chat: str) -> None:
        """The customer changes the last message."""
        if self.written[chat]:
            self.count += 1
            message_id, text = self.written[chat][-1], f"mensaje-{self.count:03}"
            await self.stage.gateway.customer_edits(message_id, text, deliver="acknowledged")

    async def deletes(self, chat: str) -> None:
        """The customer takes the last message back."""
        if self.written[chat]:
            message_id = self.written[chat][-1]
            await self.stage.gateway.customer_deletes(message_id, deliver="acknowledged")
            self.deleted.add(message_id)

    async def pause(self, chat: str) -> None:
        """A person takes the chat without writing in it."""
        await self._by_hand("pause", chat, minutes=PAUSE_MINUTES)

    async def resume(self, chat: str) -> None:
        """A person gives the chat back to the bot."""
        self.resumed[chat].append(self.stage.environment.now())
        await self._by_hand("resume", chat)

    async def done(self, chat: str) -> None:
        """A person says that what waits for a person is handled."""
        await self._by_hand("done", chat)

    async def _by_hand(self, verb: str, chat: str, **fields: object) -> None:
        async with httpx.AsyncClient(verify=NO_TLS, base_url=self.stage.url, timeout=30) as client:
            answer = await client.post(f"/takeover/{verb}", json={"chat": chat, **fields})
        assert answer.status_code in {200, 404}

    async def pause_ends(self, chat: str) -> None:
        """Time goes by until nobody keeps the bot out of the chat."""
        await found(
            lambda: paused_until(self.stage, chat), lambda at: at < self.stage.environment.now()
        )

    async def escalates(self, _chat: str) -> None:
        """The model asks for a person when it is next asked itself."""
        self.stage.model.script(HAND_OVER, say("ya le escriben"))

    async def repeats(self, chat: str) -> None:
        """The gateway tells again of the last message."""
        if self.written[chat]:
            await self.stage.gateway.redeliver(self.written[chat][-1], deliver="acknowledged")

    async def answer(self, _chat: str) -> None:
        """Time goes by until something more was said, if anything is to be said."""
        sends = len(self.stage.gateway.ledger.sends)
        with trio.move_on_after(0.2):
            await self.stage.gateway.wait_for(lambda: len(self.stage.gateway.ledger.sends) > sends)

    async def window(self, _chat: str) -> None:
        """Time goes by until the model is asked, if it is to be."""
        calls = len(self.stage.model.calls)
        with trio.move_on_after(0.1):
            await self.stage.model.wait_requests(calls + 1)

    async def crash(self, _chat: str) -> None:
        """The daemon dies where it stands, and comes back."""
        await self.stage.crash()
        await self.stage.start()

    async def restart(self, _chat: str) -> None:
        """The daemon is stopped and started."""
        await self.stage.stop()
        await self.stage.start()


def answered_by(stage: Stage) -> dict[str, list[ModelCall]]:
    """The finished calls of the model by the words of each message that they were to answer."""
    by_words: dict[str, list[ModelCall]] = defaultdict(list)
    for asked in stage.model.calls:
        if asked.outcome == "finished":
            for line in str(asked.items[-1].get("content")).split("\n"):
                by_words[line].append(asked)
    return by_words


def check(environment: Environment) -> None:
    """The simple model: one outcome a message, one answer a turn, silence in a pause.

    Or no outcome, but then a person is waited for, and that is seen.
    """
    stage = environment.stage
    data = stage.settings.data_dir
    every = [message_id for chat in CHATS for message_id in environment.written[chat]]
    state = {m: s for m, (s, _) in states_of(data).items() if m in environment.words}
    assert sorted(state) == sorted(every), "a message is missing"
    assert set(state.values()) <= {"answered", "handed_off", WITH_AGENT, "ignored"}
    assert {m for m, how in state.items() if how == "ignored"} <= environment.deleted
    check_handovers(stage)

    # Said is what was decided, once each, and nothing else.
    for chat in CHATS:
        sends = select(
            data, "outbox", "state, body", where={"chat": f"{chat}@s.whatsapp.net"}, order="id"
        )
        assert [body for state, body in sends if state == "sent"] == stage.received(chat)
    assert {state for state, _ in outbox(stage)} <= {"sent", "dropped"}

    # Each answered message belongs to one turn, and that turn said its answer once.
    said = Counter(turn for (turn,) in select(data, "outbox", "turn_id", where={"state": "sent"}))
    turns = select(data, "turns", "id, outcome")
    assert all(outcome for _, outcome in turns)
    assert all(said[turn] == 1 for turn, outcome in turns if outcome == "answered")
    assert all(said[turn] <= 1 for turn, _ in turns)
    in_turns = dict(select(data, "messages", "id, turn_id", where={"from_me": 0}))
    assert all(in_turns[m] is not None for m, how in state.items() if how == "answered")

    # The model has answered for each of them, unless it was edited or deleted before its answer.
    by_words = answered_by(stage)
    for message_id, how in state.items():
        if how == "answered":
            changed = message_id in environment.deleted or edited(environment, message_id)
            assert by_words[environment.words[message_id]] or changed

    # After an agent's message at most the send that was under way, until the pause is over or
    # somebody has given the chat back.
    for chat, wrote in environment.agent_wrote.items():
        for at, already in wrote:
            later = stage.gateway.sent(chat)[already:]
            over = min(t for t in (*environment.resumed[chat], at + PAUSE_SECONDS) if t > at)
            assert len([sent for sent in later if sent.at < over]) <= 1


def follows(later: dict[str, Any], earlier: dict[str, Any]) -> bool:
    """True if one message came after the other in its chat."""
    return bool(later["chat"] == earlier["chat"] and later["seq"] > earlier["seq"])


def check_handovers(stage: Stage) -> None:
    """Closed by a person is what a person has closed, and what waits for one is listed."""
    data = stage.settings.data_dir
    for state, reason in states_of(data).values():
        assert state != "handed_off" or reason in {AGENT_WROTE, DONE}
        assert state != WITH_AGENT or reason == ESCALATED  # all pauses are over
    by_agents = rows(data, "messages", where={"from_me": 1, "reason": "agent"})
    closed = rows(data, "messages", where={"reason": AGENT_WROTE})
    assert [one["id"] for one in closed if not any(follows(a, one) for a in by_agents)] == []
    opened = dict(select(data, "turns", "id, opened_at"))
    assert [
        one["id"]
        for one in rows(data, "messages", where={"state": "answered", "turn_id !=": None})
        for a in by_agents
        if follows(a, one) and a["received_at"] < opened[one["turn_id"]]
    ] == []
    with cli_connection(data, read_only=True) as connection:
        listed = {chat.chat: chat for chat in unanswered(connection)}
    waiting = Counter(
        chat for (chat,) in select(data, "messages", "chat", where={"state": WITH_AGENT})
    )
    for chat, count in waiting.items():
        assert (listed[chat].waits_for, listed[chat].messages) == ("person", count)
    noted = select(data, "messages", "id", where={"to_note": 1})
    assert noted == [], "the thread lacks what a person has handled"


def paused_until(stage: Stage, chat: str) -> float:
    """Until when the bot keeps out of a chat, Unix seconds; 0 for one that nobody knows."""
    rows = select(
        stage.settings.data_dir, "chats", "paused_until", where={"chat": f"{chat}@s.whatsapp.net"}
    )
    return float(rows[0][0]) if rows else 0.0


def edited(environment: Environment, message_id: str) -> bool:
    """True if the customer changed the message."""
    rows = select(
        environment.stage.settings.data_dir, "messages", "edited_at", where={"id": message_id}
    )
    return rows[0][0] is not None


async def play(story: list[tuple[str, str]]) -> None:
    """Play one story on a stage of its own, let it come to its end, and judge it."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_scene(
            Path(folder),
            takeover={"pause_minutes": PAUSE_MINUTES},
            escalation={"pause_minutes": PAUSE_MINUTES},
            buffer={"window_seconds": 0.05, "typing_seconds": 0.1, "max_wait_seconds": 0.3},
            recovery={"delay_seconds": 0.01},
        ) as stage:
            environment = Environment(stage)
            for name, chat in story:
                await getattr(environment, name)(chat)
            for chat in CHATS:
                await environment.pause_ends(chat)
            await found(
                lambda: set(states_of(stage.settings.data_dir).values()),
                lambda all_fates: all(
                    state not in OPEN and (state, reason) != (WITH_AGENT, AN_AGENT)
                    for state, reason in all_fates
                ),
            )
            await stage.quiet()
            check(environment)


@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps)
def test_whatever_happens_each_message_is_answered_closed_by_a_person_or_seen_waiting(
    story: list[tuple[str, str]],
) -> None:
    """Messages, agents, takeovers by hand, escalations, edits, crashes ... in random order."""
    trio.run(play, story, strict_exception_groups=True)
