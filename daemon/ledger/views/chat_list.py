"""The list of conversations: contact, last message, and the state of each."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.ids import is_group
from daemon.domain.labels import names_in
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import ESCALATED
from daemon.ledger.drivers.port import Connection, marks
from daemon.ledger.handover import WaitingChat
from daemon.ledger.labels import HAS_LABEL, like_label
from daemon.ledger.people import REMEMBERED
from daemon.ledger.search import Sought, chats_with, escaped
from daemon.ledger.views.bubbles import last_bubble
from daemon.ledger.views.chat_states import (
    Live,
    OpenWork,
    count_states,
    open_work_of,
    state_of,
    states_of,
)

CHATS_FOUND = 500
"""Messages with the words, the newest, whose chats a list has; as many of a time."""

MESSAGES_OF_TIME = 20_000
"""The newest messages of a time, and the newest of our own, whose chats a list has."""

MOST_CHATS = 5_000
"""Of a label, an account or a person, in whose messages words are looked for."""

MOST_LOOKED_UP = 500
"""Chats of one state that are looked up one by one."""

_CHATS = (
    "SELECT channel, chat, ref, name, contact_name, first_seen_at, last_activity_at,"
    " paused_until, loop_until, escalated_at, overdue_at, opted_out_at,"
    " customer_wrote_at, assigned_to,"
    " (SELECT a.name FROM accounts a WHERE a.id = assigned_to), unread_at, labels FROM chats"
)


def list_chats(
    connection: Connection, wanted: ChatQuery, live: Mapping[ChatKey, Live], *, now: float
) -> JsonObject:
    """One page of the chats, the busiest lately first; ``states`` counts those that are not idle.

    ``next`` is what to ask for the next page with; None at the end.
    """
    open_work = open_work_of(connection)
    states = states_of(connection, open_work, live, now)
    page: list[JsonObject] = []
    following = None
    for row in _rows(connection, wanted, states):
        entry = _entry(row, open_work, live, now)
        if wanted.state and entry["state"] != wanted.state:
            continue
        if len(page) == wanted.limit:
            following = (page[-1]["at"], page[-1]["ref"])
            break
        page.append(entry)
    for entry in page:
        entry["last"] = last_bubble(connection, _key(entry))
        _add_escalation(connection, entry)
    if wanted.state == WITH_AGENT:
        page.sort(key=_place_in_queue)
    return {
        "chats": page,
        "next": following,
        "states": count_states(states, wanted.number),
        "unread": _count(connection, "unread_at > 0", ()),
        "mine": 0
        if wanted.account is None
        else _count(connection, "assigned_to = ?", (wanted.account,)),
    }


def one_chat(
    connection: Connection, key: ChatKey, live: Mapping[ChatKey, Live], *, now: float
) -> JsonObject | None:
    """One entry of the list; None if there is no such chat."""
    row = connection.execute(f"{_CHATS} WHERE channel = ? AND chat = ?", key).fetchone()
    if row is None:
        return None
    entry = _entry(row, open_work_of(connection, key), live, now)
    entry["last"] = last_bubble(connection, key)
    _add_escalation(connection, entry)
    return entry


def key_of(connection: Connection, ref: str) -> ChatKey | None:
    """The chat with this public name; None if there is none."""
    row = connection.execute(
        "SELECT channel, chat FROM chats WHERE ref = ? AND ref != ''", (ref,)
    ).fetchone()
    return ChatKey(*row) if row else None


# -- the rows ------------------------------------------------------------------------------------


def _rows(
    connection: Connection, wanted: ChatQuery, states: Mapping[ChatKey, str]
) -> Iterator[tuple[object, ...]]:
    conditions, values = _conditions(wanted)
    keys: list[ChatKey] | None = None
    if wanted.state not in {"", "idle"}:
        keys = [key for key, state in states.items() if state == wanted.state]
    if wanted.since or wanted.until:
        found = ["/".join(key) for key in _chats_of_time(connection, wanted)]
        conditions.append(f"channel || '/' || chat IN ({marks(found)})")
        values += found
    elif wanted.query:
        sought = Sought(words=wanted.query if wanted.words else "", limit=CHATS_FOUND)
        found = ["/".join(key) for key in chats_with(connection, sought)]
        like, of_like = _is_called(wanted.query)
        conditions.append(f"({like} OR channel || '/' || chat IN ({marks(found)}))")
        values += [*of_like, *found]
    if wanted.before:
        conditions.append("(last_activity_at, ref) < (?, ?)")
        values += wanted.before
    where = " AND ".join(conditions)
    if keys is None or len(keys) > MOST_LOOKED_UP:
        return connection.execute(
            f"{_CHATS} WHERE {where} ORDER BY last_activity_at DESC, ref DESC", values
        )
    chosen = [
        row
        for key in keys
        for row in connection.execute(
            f"{_CHATS} WHERE {where} AND channel = ? AND chat = ?", (*values, *key)
        )
    ]
    return iter(sorted(chosen, key=lambda row: (row[6], row[2]), reverse=True))


def chats_of(
    connection: Connection, wanted: ChatQuery, states: Mapping[ChatKey, str]
) -> frozenset[ChatKey] | None:
    """The chats that fit a filter, whatever is said in them; None if all do.

    ``states`` is needed if the filter has a state; chats that are ``idle`` are in none of these.
    """
    of_state = wanted.state not in {"", "idle"}
    keys = {key for key, state in states.items() if state == wanted.state} if of_state else None
    conditions, values = _conditions(replace(wanted, number=""))
    if len(conditions) > 1:
        where = " AND ".join(conditions)
        rows = connection.execute(
            f"SELECT channel, chat FROM chats WHERE {where} ORDER BY last_activity_at DESC LIMIT ?",
            (*values, MOST_CHATS),
        )
        found = {ChatKey(*row) for row in rows}
        keys = found if keys is None else keys & found
    return None if keys is None else frozenset(keys)


def _conditions(wanted: ChatQuery) -> tuple[list[str], list[object]]:
    """What a chat has to be, whatever is said in it; the first is of all."""
    conditions, values = [REMEMBERED], list[object]()
    if wanted.mine is not None:
        conditions.append("assigned_to = ?")
        values.append(wanted.mine)
    if wanted.unread:
        conditions.append("unread_at > 0")
    if wanted.person:
        like, of_like = _is_called(wanted.person)
        conditions.append(f"({like})")
        values += of_like
    if wanted.label:
        conditions.append(HAS_LABEL)
        values.append(like_label(wanted.label))
    if wanted.number:
        conditions.append("channel = ?")
        values.append(wanted.number)
    return conditions, values


def _is_called(query: str) -> tuple[str, list[object]]:
    """The condition of chats with this in their name or number, and its values."""
    like = f"%{escaped(query)}%"
    condition = (
        "lower(name) LIKE lower(?) ESCAPE '\\' OR lower(contact_name) LIKE lower(?) ESCAPE '\\'"
        " OR chat LIKE ? ESCAPE '\\'"
    )
    return condition, [like, like, f"%{_digits(query)}%"]


def _chats_of_time(connection: Connection, wanted: ChatQuery) -> list[ChatKey]:
    """The chats with a message of a time, and with these words if there are any."""
    since, until = wanted.since, wanted.until
    if wanted.query:
        sought = Sought(words=wanted.query, since=since, until=until, limit=CHATS_FOUND)
        return chats_with(connection, sought)
    came = rows_between(connection, PLACE_OF_MESSAGES, since, until)
    went = rows_between(connection, PLACE_OF_SENDS, since, until)
    rows = connection.execute(
        "SELECT channel, chat FROM (SELECT channel, chat FROM messages"
        " WHERE seq BETWEEN :came AND :last_came ORDER BY seq DESC LIMIT :most) newest"
        " UNION SELECT channel, chat FROM (SELECT channel, chat FROM outbox"
        " WHERE id BETWEEN :went AND :last_went ORDER BY id DESC LIMIT :most) newest"
        " LIMIT :chats",
        {
            "most": MESSAGES_OF_TIME,
            "chats": CHATS_FOUND,
            "came": came[0],
            "last_came": came[1],
            "went": went[0],
            "last_went": went[1],
        },
    )
    return [ChatKey(*row) for row in rows]


PLACE_OF_MESSAGES = (
    "SELECT seq, received_at FROM messages WHERE seq >= ? ORDER BY seq LIMIT 1",
    "SELECT COALESCE(MAX(seq), 0) FROM messages",
)
PLACE_OF_SENDS = (
    "SELECT id, created_at FROM outbox WHERE id >= ? ORDER BY id LIMIT 1",
    "SELECT COALESCE(MAX(id), 0) FROM outbox",
)
"""The first row from a number on, with its time; and the last number."""


def rows_between(
    connection: Connection, place: tuple[str, str], since: float, until: float
) -> tuple[int, int]:
    """The first and last number of the rows of a time, found by halving: both grow together."""
    (last,) = connection.execute(place[1]).fetchone()

    def first_from(moment: float) -> int:
        low, high = 0, int(last) + 1
        while low < high:
            middle = (low + high) // 2
            row = connection.execute(place[0], (middle,)).fetchone()
            if row is None or row[1] >= moment:
                high = middle
            else:
                low = int(row[0]) + 1
        return low

    return first_from(since) if since else 0, first_from(until) - 1 if until else int(last)


def _digits(query: str) -> str:
    """A number as people write it, without what they put between the digits; an id as it is."""
    if any(map(str.isalpha, query)):
        return escaped(query)
    bare = "".join(letter for letter in query if letter not in " +-().")
    return escaped(bare or query)


def _key(entry: JsonObject) -> ChatKey:
    return ChatKey(entry["channel"], entry["chat"])


def _entry(
    row: tuple[object, ...], open_work: OpenWork, live: Mapping[ChatKey, Live], now: float
) -> JsonObject:
    channel, chat, ref, name, contact_name, first_seen_at, at, paused_until, loop_until = row[:9]
    key = ChatKey(str(channel), str(chat))
    unanswered, first_at = open_work.unanswered.get(key, (0, 0.0))
    paused = float(str(paused_until))
    entry: JsonObject = {
        "ref": ref,
        "channel": channel,
        "chat": chat,
        "group": is_group(key.chat),
        "name": contact_name or name if not is_group(key.chat) else name,
        "at": at,
        "first_seen_at": first_seen_at,
        "unanswered": unanswered,
        "unanswered_since": first_at,
        "assigned_to": row[13],
        "assignee": row[14] or "",
        "unread": float(str(row[15])) > 0,
        "labels": names_in(str(row[16])),
        "waiting": _waiting(open_work.waiting.get(key), is_overdue=bool(row[10])),
        "paused_until": paused if paused > now else 0.0,
        "loop": float(str(loop_until)) > now,
        "opted_out_at": row[11],
        "customer_wrote_at": row[12],
        "state": state_of(key, open_work, live, is_paused=paused > now),
        "since": 0.0,
        "turn": "",
    }
    if (doing := live.get(key)) is not None and entry["state"] == doing.state:
        entry |= {"since": doing.since, "turn": doing.turn, "queued": doing.queued}
    return entry


def _waiting(waiting: WaitingChat | None, *, is_overdue: bool) -> JsonObject | None:
    """The wait for a person in a chat; None if there is none."""
    if waiting is None:
        return None
    return {
        "since": waiting.since,
        "messages": waiting.messages,
        "reason": waiting.reason,
        "is_overdue": is_overdue,
        **dict.fromkeys(("words", "summary", "urgency"), ""),
    }


def _add_escalation(connection: Connection, entry: JsonObject) -> None:
    """Add to a wait that the model began why it did, in its words, and how urgent it is."""
    waiting = entry["waiting"]
    if waiting is None or waiting["reason"] != ESCALATED:
        return
    row = connection.execute(
        "SELECT e.reason, e.summary, e.urgency FROM turns t JOIN escalations e ON e.turn_id = t.id"
        " WHERE t.channel || '/' || t.chat = ? ORDER BY t.id DESC LIMIT 1",
        (f"{entry['channel']}/{entry['chat']}",),
    ).fetchone()
    if row is not None:
        waiting |= {"words": row[0], "summary": row[1], "urgency": row[2]}


def _place_in_queue(entry: JsonObject) -> tuple[bool, float]:
    """Urgent ones first, then who has waited longest."""
    waiting = entry["waiting"] or {}
    return waiting.get("urgency") != "high", waiting.get("since", 0.0)


def _count(connection: Connection, condition: str, values: tuple[object, ...]) -> int:
    (count,) = connection.execute(
        f"SELECT COUNT(*) FROM chats WHERE {condition}", values
    ).fetchone()
    return int(count)
