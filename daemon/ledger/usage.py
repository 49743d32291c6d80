"""Usage: what the model has used up, by day and chat, so that a budget is never overdrawn.

A call is reserved in the write that starts it, so that of two chats only one gets what is left, and
settled in the write that records its answer. A reservation that a crash leaves behind belongs to a
run that still runs: it is settled or replaced when the run goes on, and goes when the run ends. A
round that is known already is not asked again and so not charged again. What a call that failed or
was cancelled has cost is not known and not charged.
"""

from daemon.domain.limits import Budget, Charge, Refusal, Use, refusal
from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart, Run, Turn
from daemon.ledger.drivers.port import Connection
from daemon.ledger.outbox import queue_notice
from daemon.ledger.people import canonical
from daemon.ledger.role import Role, query, transaction

ALL = ("", "")
"""Channel and chat of the row that sums up a day."""

_LEFT = "MAX(0, tokens - pardoned_tokens), MAX(0, micros - pardoned_micros)"
"""What a row counts for, after what an operator has pardoned."""


class UsageBook(Role):
    """What has been used up. Any task may read it; a chat's task notes its own stop."""

    @query
    def total(self, connection: Connection, day: str) -> Use:
        """What all chats together have used up and reserved in a day."""
        return _used(connection, day, ALL)

    @query
    def was_alerted(self, connection: Connection, day: str) -> bool:
        """True if the total of a day was spent, and a customer was not answered for that."""
        told = connection.execute(
            "SELECT 1 FROM usage_days WHERE day = ? AND channel = ? AND chat = ? AND told = 1",
            (day, *ALL),
        )
        return told.fetchone() is not None

    @query
    def refusal(
        self, connection: Connection, key: ChatKey, wanted: Charge, budget: Budget
    ) -> Refusal:
        """Whose budget does not allow a call that belongs to no run, such as a summary."""
        return refusal(
            budget,
            contact=_used(connection, wanted.day, key),
            total=_used(connection, wanted.day, ALL),
            wanted=wanted.use,
        )

    @transaction
    def charge(self, connection: Connection, key: ChatKey, charge: Charge) -> None:
        """Add what a call that belongs to no run has used up to the sums of its day."""
        _add(connection, key, charge)

    @transaction
    def take(self, connection: Connection, key: ChatKey, wanted: Charge, budget: Budget) -> Refusal:
        """Add a call that belongs to no run, unless a budget does not allow it: says whose."""
        chat = canonical(connection, key)
        refused = refusal(
            budget,
            contact=_used(connection, wanted.day, chat),
            total=_used(connection, wanted.day, ALL),
            wanted=wanted.use,
        )
        if not refused:
            _add(connection, chat, wanted)
        return refused

    @transaction
    def stop(
        self, connection: Connection, turn: Turn, part: NewPart, *, day: str, now: float
    ) -> bool:
        """Queue the polite words that the day's budget is spent, once a day; False if said."""
        if not _tell(connection, day, turn.key):
            return False
        return queue_notice(connection, turn.key, part, now=now)

    @transaction
    def alert(self, connection: Connection, day: str) -> bool:
        """Whether the operator is to be told that the total is spent: True once a day."""
        return _tell(connection, day, ALL)


def reserve(
    connection: Connection,
    run: Run,
    number: int,
    wanted: Charge,
    budget: Budget,
    *,
    now: float,
) -> Refusal:
    """Set aside what a call is expected to use up, inside the caller's transaction.

    Says whose budget does not allow it; then nothing is set aside. An earlier reservation of the
    same round is replaced.
    """
    release(connection, run.id, number)
    used = dict.fromkeys(("contact", "total"), Use())
    rows = connection.execute(
        f"SELECT 'contact', {_LEFT} FROM turns JOIN usage_days USING (channel, chat)"  # noqa: S608 - constants
        " WHERE turns.id = ?1 AND day = ?2"
        f" UNION ALL SELECT 'total', {_LEFT} FROM usage_days"
        " WHERE day = ?2 AND channel = ?3 AND chat = ?4",
        (run.turn_id, wanted.day, *ALL),
    )
    for whose, tokens, micros in rows:
        used[whose] = Use(tokens, micros)
    refused = refusal(budget, contact=used["contact"], total=used["total"], wanted=wanted.use)
    if not refused:
        _insert(connection, run, number, wanted, "reserved", now)
    return refused


def settle(connection: Connection, run: Run, number: int, charge: Charge, *, now: float) -> None:
    """Put the real use of a call in the place of its reservation, on the day it was made."""
    settled = connection.execute(
        "UPDATE usage SET state = 'settled', tokens = ?, micros = ?, at = ?"
        " WHERE run_id = ? AND round = ? AND state = 'reserved'",
        (charge.use.tokens, charge.use.micros, now, run.id, number),
    )
    if not settled.rowcount:
        _insert(connection, run, number, charge, "settled", now)


def release(connection: Connection, run_id: int, number: int) -> None:
    """Give back what was set aside for a call that has no answer."""
    connection.execute(
        "DELETE FROM usage WHERE run_id = ? AND round = ? AND state = 'reserved'", (run_id, number)
    )


def _insert(
    connection: Connection, run: Run, number: int, charge: Charge, state: str, now: float
) -> None:
    connection.execute(
        "INSERT INTO usage (run_id, round, day, state, tokens, micros, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run.id, number, charge.day, state, charge.use.tokens, charge.use.micros, now),
    )


def _add(connection: Connection, key: ChatKey, charge: Charge) -> None:
    """Add to the sums of a day; taking back what was added may be negative.

    Of a person who was forgotten while the call was made, only the sum of all is changed.
    """
    use = charge.use
    connection.executemany(
        "INSERT INTO usage_days (day, channel, chat, tokens, micros)"
        " SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?3 = ''"
        " OR EXISTS (SELECT 1 FROM chats WHERE channel = ?2 AND chat = ?3)"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET"
        " tokens = tokens + excluded.tokens, micros = micros + excluded.micros",
        [(charge.day, *row, use.tokens, use.micros) for row in (canonical(connection, key), ALL)],
    )


def _used(connection: Connection, day: str, key: tuple[str, str]) -> Use:
    row = connection.execute(
        f"SELECT {_LEFT} FROM usage_days WHERE day = ? AND channel = ? AND chat = ?",  # noqa: S608 - constants
        (day, *key),
    ).fetchone()
    return Use(*row) if row else Use()


def _tell(connection: Connection, day: str, key: tuple[str, str]) -> bool:
    """Note that a budget's end has been told; False if it had been."""
    told = connection.execute(
        "INSERT INTO usage_days (day, channel, chat, told) VALUES (?, ?, ?, 1)"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET told = 1 WHERE told = 0",
        (day, *key),
    )
    return told.rowcount > 0
