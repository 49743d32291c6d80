"""The state of each chat: its task knows best, then the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import DEAD, FAILED, WITH_AGENT
from daemon.ledger.drivers.port import Connection
from daemon.ledger.handover import WaitingChat, waiting_chats
from daemon.ledger.messages import IN_CHAT, UNANSWERED, in_chat
from daemon.ledger.outbox import OPEN_ROWS
from daemon.ledger.people import FORGOTTEN
from daemon.ledger.turns import ACTIVE

PAUSED_SINCE = "paused_until > 0 AND paused_until > ?"
"""The condition of chats that are paused beyond a moment, as its index has it."""

STATES = ("failed", WITH_AGENT, "paused", "writing", "waiting", "thinking", "sending", "idle")
"""The states of a chat. ``writing``: its window is open; ``waiting``: for its turn; ``with_agent``:
the customer waits for a person."""


@dataclass(frozen=True, slots=True)
class Live:
    """The state of a chat's task, from memory."""

    state: str
    since: float
    queued: int = 0
    turn: str = ""


@dataclass(slots=True)
class OpenWork:
    """All unsettled work in the ledger, by chat."""

    unanswered: dict[ChatKey, tuple[int, float]]
    """How many messages have no outcome, and when the first of them came."""
    waiting: dict[ChatKey, WaitingChat]
    """The chats that wait for a person."""
    turns: set[ChatKey]
    sends: set[ChatKey]
    dead: set[ChatKey]


def state_of(
    key: ChatKey, open_work: OpenWork, live: Mapping[ChatKey, Live], *, is_paused: bool
) -> str:
    """The state of a chat: its task knows best, then the ledger."""
    doing = live[key].state if key in live else "idle"
    is_kept_out = doing == "paused" or (is_paused and doing == "writing")  # an agent's words
    if doing != "idle" and not is_kept_out:
        return doing
    if key in open_work.waiting:
        return WITH_AGENT
    if is_paused or is_kept_out:
        return "paused"
    if key in open_work.sends:
        return "sending"
    if key in open_work.turns:
        return "thinking"
    if key in open_work.unanswered:
        return "waiting"
    return "failed" if key in open_work.dead else "idle"


def open_work_of(connection: Connection, key: ChatKey | None = None) -> OpenWork:
    """All unsettled work, of one chat or of all; there is little of it at any time."""
    only, values = ("", ()) if key is None else (" AND channel = ? AND chat = ?", tuple(key))
    waiting = {w.key: w for w in waiting_chats(connection, key)}
    of_chat, its = ("", ()) if key is None else (f" AND {IN_CHAT}", in_chat(key))
    for_bot = connection.execute(
        "SELECT channel, chat, COUNT(*), MIN(received_at) FROM messages"
        f" WHERE {UNANSWERED} AND from_me = 0{of_chat} GROUP BY channel, chat",
        its,
    )
    unanswered = {w.key: (w.messages, w.since) for w in waiting.values() if w.messages}
    for channel, chat, count, at in for_bot:
        more, since = unanswered.get(ChatKey(channel, chat), (0, at))
        unanswered[ChatKey(channel, chat)] = (count + more, min(at, since))
    return OpenWork(
        unanswered=unanswered,
        waiting=waiting,
        turns=_keys(
            connection,
            f"SELECT channel, chat FROM turns WHERE {ACTIVE}{only}",
            values,
        ),
        sends=_keys(
            connection,
            f"SELECT DISTINCT channel, chat FROM outbox WHERE {OPEN_ROWS}{only}",
            values,
        ),
        dead=_keys(connection, _DEAD_TURNS + only, values)
        | _keys(connection, _FAILED_SENDS + only, values),
    )


_DEAD_TURNS = (
    f"SELECT channel, chat FROM turns d WHERE outcome = '{DEAD}' AND NOT EXISTS"
    " (SELECT 1 FROM turns t WHERE t.channel || '/' || t.chat = d.channel || '/' || d.chat"
    " AND t.id > d.id)"
)
_FAILED_SENDS = (
    f"SELECT channel, chat FROM outbox f WHERE state = '{FAILED}' AND NOT EXISTS"
    " (SELECT 1 FROM outbox o WHERE o.channel = f.channel AND o.chat = f.chat AND o.id > f.id)"
)
"""A failure counts as long as nothing came after it."""


def _keys(connection: Connection, query: str, values: tuple[object, ...]) -> set[ChatKey]:
    return {ChatKey(*row) for row in connection.execute(query, values)}


def states_of(
    connection: Connection, open_work: OpenWork, live: Mapping[ChatKey, Live], now: float
) -> dict[ChatKey, str]:
    """The states of all chats that are not idle."""
    paused = _keys(connection, f"SELECT channel, chat FROM chats WHERE {PAUSED_SINCE}", (now,))
    busy = {key for key, doing in live.items() if doing.state != "idle"}
    known = paused | busy | set(open_work.unanswered) | open_work.turns
    known |= open_work.sends | open_work.dead | set(open_work.waiting)
    states = {key: state_of(key, open_work, live, is_paused=key in paused) for key in known}
    return {key: state for key, state in states.items() if not key.chat.startswith(FORGOTTEN)}


def count_states(states: Mapping[ChatKey, str], number: str) -> JsonObject:
    """The number of chats in each state but ``idle``; of one number, or (empty) of all."""
    counts = dict.fromkeys(STATES[:-1], 0)
    for key, state in states.items():
        if state in counts and number in {"", key.number}:
            counts[state] += 1
    return counts
