"""Traces: all that the ledger has about a message or a turn, as `recado explain` prints it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from daemon.domain.knowledge.reply import SEARCH_TOOL, PassageSource, sources_in
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import RECEIVED, SENT
from daemon.ledger.audit import audit_of
from daemon.ledger.drivers.port import Connection, marks, named
from daemon.ledger.views.bubbles import NEWEST

_MESSAGE = (
    "SELECT id, channel, chat, event_id, kind, from_me, message, sent_at, received_at, state,"
    " reason, turn_id, duplicates, edited_at, deleted_at, (SELECT a.received_at FROM messages a"
    " WHERE a.channel || '/' || a.chat = messages.channel || '/' || messages.chat"
    " AND a.seq > messages.seq AND a.from_me = 1"
    f" AND (a.state = '{RECEIVED}' OR a.reason = 'agent')"
    " ORDER BY a.seq LIMIT 1) AS agent_wrote_at FROM messages"
)
_OUTBOX = (
    "SELECT id, channel, chat, turn_id, kind, body, payload, quoted, state, message_id, attempts,"
    " error, status, created_at, attempted_at, sent_at, delivered_at, read_at,"
    " charged_as, charged_micros FROM outbox"
)


_WHO_HAS_THE_CHAT = frozenset({"pause", "resume", "done"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTrace:
    """Everything the ledger has about a message and its turn. Rows are objects, times Unix seconds.

    Nothing is masked here.
    """

    message_id: str
    """The requested id: of an inbound message, or of one that Recado sent."""
    channel: str
    chat: str
    events: list[JsonObject] = field(default_factory=list)
    """The webhook calls that brought the messages; ``body_kept`` says if retention left it."""
    messages: list[JsonObject] = field(default_factory=list)
    """The message and the others of its turn, in order; ``content`` is what it says."""
    turn: JsonObject | None = None
    runs: list[JsonObject] = field(default_factory=list)
    """Each with its model calls (``responses``)."""
    tool_calls: list[JsonObject] = field(default_factory=list)
    outbox: list[JsonObject] = field(default_factory=list)
    audit: list[JsonObject] = field(default_factory=list)
    opted_out_at: float = 0
    """Since when the contact wants no unasked messages, Unix seconds; 0 for never."""
    candidate: JsonObject | None = None
    """What a candidate would have answered."""
    stages: list[JsonObject] = field(default_factory=list)
    """Of the turn, as they began; empty if retention or a crash has taken them."""


def trace_of_message(connection: Connection, message_id: str) -> MessageTrace | None:
    """Read the trace of a message, in or out, by its WhatsApp id; None if it is unknown."""
    sent = _first(
        connection,
        f"{_OUTBOX} WHERE message_id = ? OR id IN (SELECT outbox_id FROM send_failures"
        " WHERE message_id = ?) ORDER BY id DESC LIMIT 1",
        (message_id, message_id),
    )
    came = _first(connection, f"{_MESSAGE} WHERE id = ? ORDER BY seq DESC LIMIT 1", (message_id,))
    known = sent or came
    if not message_id or known is None:
        return None
    turn_id = known["turn_id"]
    if turn_id is None:
        return MessageTrace(
            message_id=message_id,
            channel=known["channel"],
            chat=known["chat"],
            events=_events(connection, [] if came is None else [came["event_id"]]),
            messages=[] if came is None else [_message(came)],
            outbox=[] if sent is None else [_send(connection, sent)],
            audit=_audit(connection, [] if came is None else [came]),
            opted_out_at=_opted_out_at(connection, known["channel"], known["chat"]),
        )
    return trace_of_turn(connection, turn_id, message_id=message_id)


def trace_of_turn(connection: Connection, turn_id: int, *, message_id: str = "") -> MessageTrace:
    """Read the trace of a turn that exists; ``message_id`` is the message that was asked for."""
    (turn,) = _all(
        connection,
        "SELECT turns.*, digest AS version, model_name AS model FROM turns"
        " LEFT JOIN versions ON versions.id = version_id WHERE turns.id = ?",
        (turn_id,),
    )
    del turn["version_id"]
    rows = _all(connection, f"{_MESSAGE} WHERE turn_id = ? ORDER BY seq", (turn_id,))
    messages = [_message(row) for row in rows]
    outbox = _all(connection, f"{_OUTBOX} WHERE turn_id = ? ORDER BY id", (turn_id,))
    return MessageTrace(
        message_id=message_id,
        channel=turn["channel"],
        chat=turn["chat"],
        events=_events(connection, [message["event_id"] for message in messages]),
        messages=messages,
        turn=turn,
        runs=_runs(connection, turn_id),
        tool_calls=_tool_calls(connection, turn_id),
        outbox=[_send(connection, row) for row in outbox],
        audit=_audit(connection, rows),
        opted_out_at=_opted_out_at(connection, turn["channel"], turn["chat"]),
        candidate=_first(
            connection,
            "SELECT a.text, a.tools, a.micros, a.seconds, a.at, v.digest AS version,"
            " v.model_name AS model FROM candidate_answers a"
            " JOIN versions v ON v.id = a.version_id WHERE a.turn_id = ?",
            (turn_id,),
        ),
        stages=_all(
            connection,
            "SELECT stage, at, detail FROM stages WHERE turn_id = ? ORDER BY id",
            (turn_id,),
        ),
    )


def _opted_out_at(connection: Connection, channel: str, chat: str) -> float:
    row = connection.execute(
        "SELECT opted_out_at FROM chats WHERE channel = ? AND chat = ?", (channel, chat)
    ).fetchone()
    return float(row[0]) if row else 0.0


def _send(connection: Connection, row: JsonObject) -> JsonObject:
    """A row of the outbox, with the attempts at it that WhatsApp could not deliver."""
    failures = _all(
        connection,
        "SELECT message_id, error, failed_at FROM send_failures WHERE outbox_id = ?"
        " ORDER BY failed_at",
        (row["id"],),
    )
    return {**row, "failures": failures}


def _message(row: JsonObject) -> JsonObject:
    entry = dict(row)
    message = json.loads(entry.pop("message"))
    return {
        **entry,
        "from_me": bool(row["from_me"]),
        "author_name": message.get("author_name", ""),
        "content": message["content"],
    }


def _events(connection: Connection, ids: list[int]) -> list[JsonObject]:
    rows = _all(
        connection,
        "SELECT id, received_at, channel, event, CASE WHEN body IS NOT NULL OR body_file != ''"
        f" THEN 1 ELSE 0 END AS body_kept, unreadable FROM events WHERE id IN ({marks(ids)})"
        " ORDER BY id",
        ids,
    )
    return [{**row, "body_kept": bool(row["body_kept"])} for row in rows]


def _runs(connection: Connection, turn_id: int) -> list[JsonObject]:
    runs = []
    for row in _all(connection, "SELECT * FROM runs WHERE turn_id = ? ORDER BY id", (turn_id,)):
        responses = _all(
            connection,
            "SELECT round, response_id, state, response, error, calls, validation, note,"
            " started_at, ended_at FROM responses WHERE run_id = ? ORDER BY round",
            (row["id"],),
        )
        runs.append({**row, "responses": [_response(response) for response in responses]})
    return runs


def _response(row: JsonObject) -> JsonObject:
    entry = dict(row)
    answer = json.loads(entry.pop("response") or "{}")
    entry["seconds"] = _seconds(row)
    entry["usage"] = answer.get("usage", {})
    entry["validation"] = json.loads(entry["validation"] or "[]")
    entry["asked_again"] = bool(entry.pop("note"))
    entry["incomplete"] = answer.get("incomplete", "")
    return entry


def _tool_calls(connection: Connection, turn_id: int) -> list[JsonObject]:
    rows = _all(
        connection,
        "SELECT id, run_id, round, tool, arguments, effects, state, output, started_at, ended_at"
        " FROM tool_calls WHERE turn_id = ? ORDER BY id",
        (turn_id,),
    )
    return [
        {
            **row,
            "effects": bool(row["effects"]),
            "seconds": _seconds(row),
            "sources": [asdict(source) for source in _sources(row)],
        }
        for row in rows
    ]


def _sources(call: JsonObject) -> list[PassageSource]:
    """Where the passages stand that a search has given the model."""
    return sources_in(call["output"]) if call["tool"] == SEARCH_TOOL else []


def _seconds(row: JsonObject) -> float | None:
    """The duration of a call; None if its end is unknown."""
    ended: float | None = row["ended_at"]
    return None if ended is None else round(ended - row["started_at"], 6)


def _audit(connection: Connection, messages: list[JsonObject]) -> list[JsonObject]:
    """Operators' actions on these messages, and since then on the pause of their chat."""
    if not messages:
        return []
    since, chat = messages[0]["received_at"], messages[0]["chat"]
    return [
        row.shown()
        for row in audit_of(connection, [*(message["id"] for message in messages), chat])
        if row.subject != chat or (row.action in _WHO_HAS_THE_CHAT and row.at >= since)
    ]


_TURNS = f"""
    SELECT id, request_id AS turn, state, outcome, reason, attempts, superseded, opened_at,
        concluded_at, closed_at,
        (SELECT COUNT(*) FROM messages WHERE turn_id = turns.id) AS messages,
        (SELECT MIN(received_at) FROM messages WHERE turn_id = turns.id) AS began_at,
        (SELECT COUNT(*) FROM tool_calls WHERE turn_id = turns.id) AS tools,
        (SELECT COUNT(*) FROM outbox WHERE turn_id = turns.id AND state = '{SENT}') AS sent,
        (SELECT COALESCE(SUM(tokens), 0) FROM usage JOIN runs ON runs.id = run_id
            WHERE runs.turn_id = turns.id) AS tokens
    FROM turns
"""


def turns_of(
    connection: Connection, key: ChatKey, *, before: int = NEWEST, limit: int
) -> list[JsonObject]:
    """The last turns of a chat, newest first, with their outcome and cost."""
    return _all(
        connection,
        f"{_TURNS} WHERE channel || '/' || chat = ? AND id < ? ORDER BY id DESC LIMIT ?",
        ("/".join(key), before, limit),
    )


def chat_of_turn(connection: Connection, request_id: str) -> ChatKey | None:
    """The chat of a turn, by the name the turn has in the log; None if there is none."""
    row = connection.execute(
        "SELECT channel, chat FROM turns WHERE request_id = ? ORDER BY id DESC LIMIT 1",
        (request_id,),
    ).fetchone()
    return ChatKey(*row) if row else None


def trace_by_name(connection: Connection, request_id: str) -> MessageTrace | None:
    """Everything the ledger has about a turn, each round of its runs with its ``charge``."""
    row = connection.execute(
        "SELECT id FROM turns WHERE request_id = ? ORDER BY id DESC LIMIT 1", (request_id,)
    ).fetchone()
    if row is None:
        return None
    trace = trace_of_turn(connection, int(row[0]))
    for run in trace.runs:
        charges = _all(
            connection,
            "SELECT round, tokens, micros, state FROM usage WHERE run_id = ? ORDER BY id",
            (run["id"],),
        )
        by_round = {charge["round"]: charge for charge in charges}
        for response in run["responses"]:
            response["charge"] = by_round.get(response["round"])
    return trace


def _all(connection: Connection, sql: str, values: Sequence[object]) -> list[JsonObject]:
    return named(connection.execute(sql, values))


def _first(connection: Connection, sql: str, values: Sequence[object]) -> JsonObject | None:
    return next(iter(_all(connection, sql, values)), None)
