"""Runs: each call of the model and of a tool is recorded, so that none is paid for twice.

After a crash a run goes on from its record: a round whose response is known is not asked again, a
response that the server still has is fetched, a tool call that ended is not repeated.

A response that the model server keeps for us has a row from the moment it has an id until its
answer is known or the server has dropped it. What an earlier process left is an orphan.
"""

import hashlib
from dataclasses import replace

import msgspec

from daemon.domain.limits import NO_LIMITS, Budget, Charge, Refusal
from daemon.domain.messages import FunctionCall, ModelResponse
from daemon.domain.records import RecordedCall, RecordedRound, Run, Turn
from daemon.domain.states import COMPLETED, FAILED, FINISHED, RUNNING, STARTED
from daemon.domain.versions import Version
from daemon.ledger import usage
from daemon.ledger.drivers.port import Connection, Role, query, transaction, writing

MOST_AT_ONCE = 500
"""Orphans that one start cancels; the next start cancels more."""


def note(connection: Connection, response_id: str, *, now: float) -> None:
    """The server keeps this; inside the caller's transaction."""
    connection.execute(
        "INSERT INTO kept_responses (response_id, noted_at) VALUES (?, ?)"
        " ON CONFLICT (response_id) DO UPDATE SET noted_at = excluded.noted_at",
        (response_id, now),
    )


def forget(connection: Connection, response_id: str) -> None:
    """The server keeps it no more; inside the caller's transaction."""
    connection.execute("DELETE FROM kept_responses WHERE response_id = ?", (response_id,))


class Orphans(Role):
    """Responses left by earlier processes at the model server. Only recovery calls it."""

    @query
    def left(self, connection: Connection, *, before: float) -> tuple[str, ...]:
        """Responses noted before this time, Unix seconds, that no running run will fetch."""
        rows = connection.execute(
            "SELECT response_id FROM kept_responses k WHERE noted_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM responses p JOIN runs r ON r.id = p.run_id"
            f" WHERE r.state = '{RUNNING}' AND p.state != '{COMPLETED}'"
            " AND p.response_id = k.response_id) ORDER BY noted_at LIMIT ?",
            (before, MOST_AT_ONCE),
        )
        return tuple(response_id for (response_id,) in rows)

    noted = writing(note)

    released = writing(forget)


_json = msgspec.json.Encoder()
_read_response = msgspec.json.Decoder(ModelResponse)


def call_key(turn_id: int, call: FunctionCall) -> str:
    """The idempotency key of a tool call: turn, tool and arguments, however they are spaced."""
    try:
        arguments = msgspec.json.format(call.arguments, indent=-1)
        arguments = msgspec.json.encode(
            msgspec.json.decode(arguments), order="deterministic"
        ).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        arguments = call.arguments
    name = f"{turn_id}\0{call.name}\0{arguments}"
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _begin(connection: Connection, turn: Turn, now: float) -> Run:
    """The running run of a turn with all that is known of it, or a new one."""
    begun = connection.execute(
        "INSERT INTO runs (turn_id, started_at) SELECT ?, ? WHERE NOT EXISTS"
        f" (SELECT 1 FROM runs WHERE turn_id = ? AND state = '{RUNNING}') RETURNING id",
        (turn.id, now, turn.id),
    ).fetchone()
    if begun is not None:
        return Run(id=begun[0], turn_id=turn.id, calls=_calls(connection, turn.id))
    (run_id,) = connection.execute(
        f"SELECT id FROM runs WHERE turn_id = ? AND state = '{RUNNING}'", (turn.id,)
    ).fetchone()
    return Run(
        id=run_id,
        turn_id=turn.id,
        rounds=_rounds(connection, run_id),
        calls=_calls(connection, turn.id),
    )


def _start_round(
    connection: Connection,
    run: Run,
    number: int,
    *,
    wanted: Charge | None = None,
    budget: Budget = NO_LIMITS,
    now: float,
) -> Refusal:
    """The model is about to be asked, which is expected to use up ``wanted``.

    Says whose budget does not allow it; then it has not started and must not be asked.
    """
    refused: Refusal = ""
    if wanted is not None:
        refused = usage.reserve(connection, run, number, wanted, budget, now=now)
    if refused:
        return refused
    connection.execute(
        "INSERT INTO responses (run_id, round, started_at) VALUES (?, ?, ?)"
        " ON CONFLICT (run_id, round) DO UPDATE SET state = ?, response_id = '',"
        " calls = responses.calls + 1, started_at = excluded.started_at, ended_at = NULL",
        (run.id, number, now, STARTED),
    )
    return ""


class Runs(Role):
    """The record of runs. Only the task of a turn's chat, and its children, may change it."""

    begin = writing(_begin)

    @transaction
    def start(
        self,
        connection: Connection,
        turn: Turn,
        *,
        attempt: int,
        version: Version | None = None,
        instructions: str = "",
        wanted: Charge | None = None,
        budget: Budget = NO_LIMITS,
        now: float,
    ) -> tuple[Run, Refusal]:
        """Begin or go on with the run of a turn, for the ``attempt``-th time at least.

        If the model has not been asked yet, its first round is started as by `round_started`, in
        the same write; also says whose budget does not allow that. ``version``: what the answer is
        made with, with these ``instructions``.
        """
        _note_attempt(connection, turn.id, attempt, version, instructions, now=now)
        run = _begin(connection, turn, now)
        if run.rounds:
            return run, ""
        refused = _start_round(connection, run, 0, wanted=wanted, budget=budget, now=now)
        return replace(run, is_asked=not refused), refused

    round_started = writing(_start_round)

    @transaction
    def round_named(
        self, connection: Connection, run: Run, number: int, response_id: str, *, now: float
    ) -> None:
        """The server has taken the request and will keep the answer under this id."""
        connection.execute(
            "UPDATE responses SET response_id = ? WHERE run_id = ? AND round = ?",
            (response_id, run.id, number),
        )
        note(connection, response_id, now=now)

    @transaction
    def round_completed(
        self,
        connection: Connection,
        run: Run,
        number: int,
        response: ModelResponse,
        *,
        charge: Charge | None = None,
        waits: bool = False,
        now: float,
    ) -> None:
        """The model has answered, which has used up ``charge``.

        ``waits``: the server goes on with this response when it gets the outputs of its calls.
        """
        completed = connection.execute(
            "UPDATE responses SET state = ?, response_id = ?, response = ?,"
            " error = '', ended_at = ? WHERE run_id = ? AND round = ? AND state != ?",
            (
                *(COMPLETED, response.id, _json.encode(response).decode(), now),
                *(run.id, number, COMPLETED),
            ),
        )
        if charge is not None and completed.rowcount:
            usage.settle(connection, run, number, charge, now=now)
        if waits:
            note(connection, response.id, now=now)
        elif response.id:
            forget(connection, response.id)

    @transaction
    def round_failed(
        self, connection: Connection, run: Run, number: int, error: str, *, lost: bool, now: float
    ) -> None:
        """The call did not succeed. ``lost``: the server will not have its answer later either.

        Its reservation is released, unless its answer may still be fetched.
        """
        row = connection.execute(
            "UPDATE responses SET state = ?, error = ?, ended_at = ?,"
            " response_id = CASE WHEN ? = 1 THEN '' ELSE response_id END"
            " WHERE run_id = ? AND round = ? RETURNING response_id",
            (FAILED, error, now, int(lost), run.id, number),
        ).fetchone()
        if row is None or not row[0]:
            usage.release(connection, run.id, number)

    @transaction
    def abandon_response(self, connection: Connection, turn_id: int, *, now: float) -> str:
        """The response that the server may be working on for a turn, if there is one.

        It counts as lost from here on: the caller cancels it at the server.
        """
        row = connection.execute(
            "SELECT p.run_id, p.round, p.response_id FROM responses p"
            " JOIN runs r ON r.id = p.run_id WHERE r.turn_id = ? AND r.state = ?"
            " AND p.state != ? AND p.response_id != ''",
            (turn_id, RUNNING, COMPLETED),
        ).fetchone()
        if row is None:
            return ""
        run_id, number, response_id = row
        connection.execute(
            "UPDATE responses SET state = ?, response_id = '', error = 'abandoned',"
            " ended_at = ? WHERE run_id = ? AND round = ?",
            (FAILED, now, run_id, number),
        )
        usage.release(connection, run_id, number)
        return str(response_id)

    @transaction
    def call_started(
        self,
        connection: Connection,
        run: Run,
        number: int,
        call: FunctionCall,
        *,
        effects: bool,
        now: float,
    ) -> int:
        """A tool is about to be called; gives the number of its row.

        One that was to be called before, and of which nobody knows whether it was, keeps its row.
        """
        known = connection.execute(
            "SELECT id FROM tool_calls WHERE run_id = ? AND round = ? AND call_id = ?"
            " AND state = ?",
            (run.id, number, call.call_id, STARTED),
        ).fetchone()
        if known:
            return int(known[0])
        row = connection.execute(
            "INSERT INTO tool_calls (turn_id, run_id, round, call_id, tool, arguments,"
            " effects, key, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                run.turn_id,
                run.id,
                number,
                call.call_id,
                call.name,
                call.arguments,
                int(effects),
                call_key(run.turn_id, call),
                now,
            ),
        ).fetchone()
        return int(row[0])

    @transaction
    def call_ended(
        self, connection: Connection, row_id: int, output: str, *, failed: bool, now: float
    ) -> None:
        """A tool call has ended, with this output for the model."""
        connection.execute(
            "UPDATE tool_calls SET state = ?, output = ?, ended_at = ? WHERE id = ?",
            (FAILED if failed else FINISHED, output, now, row_id),
        )


def _rounds(connection: Connection, run_id: int) -> tuple[RecordedRound, ...]:
    rows = connection.execute(
        "SELECT round, response_id, response, calls, note FROM responses"
        " WHERE run_id = ? ORDER BY round",
        (run_id,),
    )
    return tuple(
        RecordedRound(
            round=number,
            response_id=response_id,
            response=_read_response.decode(response) if response else None,
            calls=calls,
            note=note,
        )
        for number, response_id, response, calls, note in rows
    )


def _calls(connection: Connection, turn_id: int) -> tuple[RecordedCall, ...]:
    rows = connection.execute(
        "SELECT id, run_id, round, call_id, key, effects, state, output FROM tool_calls"
        " WHERE turn_id = ? ORDER BY id",
        (turn_id,),
    )
    return tuple(
        RecordedCall(
            id=row_id,
            run_id=run_id,
            round=number,
            call_id=call_id,
            key=key,
            effects=bool(effects),
            output=None if state == STARTED else output,
        )
        for row_id, run_id, number, call_id, key, effects, state, output in rows
    )


def _note_attempt(
    connection: Connection,
    turn_id: int,
    attempt: int,
    version: Version | None,
    instructions: str,
    *,
    now: float,
) -> None:
    """Note how often the work on a turn has begun, and with what; in the caller's transaction.

    A version that is known costs no statement of its own.
    """
    digest = version.digest if version else ""
    row = connection.execute(
        "UPDATE turns SET attempts = ?, version_id = (SELECT id FROM versions WHERE digest = ?)"
        " WHERE id = ? AND attempts < ? RETURNING version_id",
        (attempt, digest, turn_id, attempt),
    ).fetchone()
    if version is None or row is None or row[0] is not None:
        return
    connection.execute(
        "UPDATE turns SET version_id = ? WHERE id = ?",
        (keep_version(connection, version, instructions, now=now), turn_id),
    )


def keep_version(connection: Connection, version: Version, instructions: str, *, now: float) -> int:
    """The row of a version, which is made if it is new; in the caller's transaction."""
    connection.execute(
        "INSERT INTO versions (digest, instructions, tools, validators, knowledge, model,"
        " model_name, text, first_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (digest) DO NOTHING",
        (
            version.digest,
            version.instructions,
            version.tools,
            version.validators,
            version.knowledge,
            version.model,
            version.model_name,
            instructions.replace("\0", ""),
            now,
        ),
    )
    (version_id,) = connection.execute(
        "SELECT id FROM versions WHERE digest = ?", (version.digest,)
    ).fetchone()
    return int(version_id)
