"""Anything in any order: a simple model of what two customers must see, against the daemon."""

import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.rows import fates, read_rows
from support.scenes import PAUSE_MINUTES, PEDRO, found, open_scene, outbox
from support.stage import LAURA, Stage

from daemon.sandbox.model_generation import ModelCall

CHATS = (LAURA, PEDRO)
PAUSE_SECONDS = PAUSE_MINUTES * 60
OPEN = {"received", "in_turn"}

in_a_chat = st.sampled_from(CHATS)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["says", "says", "says", "types", "stops"]), in_a_chat),
        st.tuples(st.sampled_from(["agent", "edits", "repeats"]), in_a_chat),
        st.tuples(st.sampled_from(["answer", "crash", "restart", "window"]), st.just("")),
    ),
    min_size=3,
    max_size=14,
)


@dataclass
class World:
    """What has happened so far, as the people on the phones know it."""

    stage: Stage
    count: int = 0
    written: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Ids of each chat's messages."""
    words: dict[str, str] = field(default_factory=dict)
    """The newest words of each message."""
    agent_wrote: dict[str, list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """When an agent's message was acknowledged, and what the chat's customer had got by then."""

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
        await self.stage.gateway.agent_says(chat, "atiendo yo", deliver="acknowledged")
        self.agent_wrote[chat].append((self.stage.world.now(), len(self.stage.gateway.sent(chat))))

    async def edits(self, chat: str) -> None:
        """The customer changes the last message."""
        if self.written[chat]:
            self.count += 1
            message_id, text = self.written[chat][-1], f"mensaje-{self.count:03}"
            await self.stage.gateway.customer_edits(message_id, text, deliver="acknowledged")

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


def check(world: World) -> None:
    """The simple model: one outcome a message, one answer a turn, silence in a pause."""
    stage = world.stage
    data = stage.settings.data_dir
    every = [message_id for chat in CHATS for message_id in world.written[chat]]
    state = {m: s for m, (s, _) in fates(data).items() if m in world.words}
    assert sorted(state) == sorted(every), "a message is missing"
    assert set(state.values()) <= {"answered", "handed_off"}

    # Said is what was decided, once each, and nothing else.
    for chat in CHATS:
        rows = read_rows(
            data,
            "SELECT state, body FROM outbox WHERE chat = ? ORDER BY id",
            f"{chat}@s.whatsapp.net",
        )
        assert [body for state, body in rows if state == "sent"] == stage.said(chat)
    assert {state for state, _ in outbox(stage)} <= {"sent", "dropped"}

    # Each answered message belongs to one turn, and that turn said its answer once.
    turns = read_rows(
        data,
        "SELECT t.id, t.outcome, COUNT(o.id) FROM turns t LEFT JOIN outbox o"
        " ON o.turn_id = t.id AND o.state = 'sent' GROUP BY t.id",
    )
    assert all(outcome for _, outcome, _ in turns)
    assert all(said == 1 for _, outcome, said in turns if outcome == "answered")
    assert all(said <= 1 for _, _, said in turns)
    in_turns = dict(read_rows(data, "SELECT id, turn_id FROM messages WHERE from_me = 0"))
    assert all(in_turns[m] is not None for m, how in state.items() if how == "answered")

    # The model has answered for each of them, unless it was edited after its answer.
    by_words = answered_by(stage)
    for message_id, how in state.items():
        if how == "answered":
            assert by_words[world.words[message_id]] or edited(world, message_id)

    # After an agent's message at most the send that was under way, until the pause is over.
    for chat, wrote in world.agent_wrote.items():
        for at, already in wrote:
            later = stage.gateway.sent(chat)[already:]
            in_pause = [sent for sent in later if sent.at < at + PAUSE_SECONDS - 0.05]
            assert len(in_pause) <= 1
            assert all(sent.at < at + 0.3 for sent in in_pause)


def edited(world: World, message_id: str) -> bool:
    """True if the customer changed the message."""
    rows = read_rows(
        world.stage.settings.data_dir, "SELECT edited_at FROM messages WHERE id = ?", message_id
    )
    return rows[0][0] is not None


async def play(story: list[tuple[str, str]]) -> None:
    """Play one story on a stage of its own, let it come to its end, and judge it."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_scene(
            Path(folder),
            takeover={"pause_minutes": PAUSE_MINUTES},
            buffer={"window_seconds": 0.05, "typing_seconds": 0.1, "max_wait_seconds": 0.3},
            recovery={"delay_seconds": 0.01},
        ) as stage:
            world = World(stage)
            for name, chat in story:
                await getattr(world, name)(chat)
            await found(
                lambda: {state for state, _ in fates(stage.settings.data_dir).values()},
                lambda states: not states & OPEN,
            )
            await stage.quiet()
            check(world)


@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps)
def test_whatever_happens_each_message_is_answered_or_handed_off_once(
    story: list[tuple[str, str]],
) -> None:
    """Messages, typing, agents, edits, redeliveries, crashes and restarts in random order."""
    trio.run(play, story, strict_exception_groups=True)
