"""Usage: what the model has used up, by day and chat, so that a budget is never overdrawn.

A call is reserved in the write that starts it, so that only one of two chats gets what is left, and
settled in the write that records its answer. A reservation that a crash leaves behind belongs to a
run that goes on: it is settled or replaced then, and deleted when the run ends. A round whose
answer is known is neither asked nor charged again. What a failed or cancelled call has cost is not
known and not charged.
"""

from daemon.domain.announcements import BudgetUsedUp
from daemon.domain.limits import Budget, Charge, Refusal, Use, refusal
from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart, Run, Turn
from daemon.domain.states import RESERVED, SETTLED
from daemon.ledger import announcements
from daemon.ledger.drivers.port import Connection, Role, query, transaction, writing
from daemon.ledger.outbox import queue_notice
from daemon.ledger.people import canonical


def all_of(number: str) -> ChatKey:
    """The row that sums up a day of a number: that of no chat."""
    return ChatKey(number, "")


COUNTED = (
    "CASE WHEN tokens > pardoned_tokens THEN tokens - pardoned_tokens ELSE 0 END,"
    " CASE WHEN micros > pardoned_micros THEN micros - pardoned_micros ELSE 0 END"
)
"""The counted part of a row of ``usage_days``, without the part an operator has pardoned."""


def _add(connection: Connection, key: ChatKey, charge: Charge) -> None:
    """Add to the sums of a day; taking back what was added may be negative.

    Of a person who was forgotten while the call was made, only the sum of all is changed.
    """
    use = charge.use
    connection.executemany(
        "INSERT INTO usage_days (day, channel, chat, tokens, micros)"
        " SELECT :day, :channel, :chat, :tokens, :micros WHERE :chat = ''"
        " OR EXISTS (SELECT 1 FROM chats WHERE channel = :channel AND chat = :chat)"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET"
        " tokens = usage_days.tokens + excluded.tokens,"
        " micros = usage_days.micros + excluded.micros",
        [
            {
                "day": charge.day,
                "channel": channel,
                "chat": chat,
                "tokens": use.tokens,
                "micros": use.micros,
            }
            for channel, chat in (canonical(connection, key), all_of(key.number))
        ],
    )


class UsageBook(Role):
    """Usage by day and chat. Any task may read it; a chat's task notes its own stop."""

    @query
    def total(self, connection: Connection, number: str, day: str) -> Use:
        """The usage and reservations of all chats of a number in a day."""
        return _used(connection, day, all_of(number))

    @query
    def was_alerted(self, connection: Connection, number: str, day: str) -> bool:
        """True if the day's total of a number was spent, and a customer was not answered."""
        row = connection.execute(
            "SELECT 1 FROM usage_days WHERE day = ? AND channel = ? AND chat = ? AND notified = 1",
            (day, *all_of(number)),
        )
        return row.fetchone() is not None

    @query
    def refusal(
        self, connection: Connection, key: ChatKey, wanted: Charge, budget: Budget
    ) -> Refusal:
        """The budget that forbids a call outside of runs, such as a summary; empty: none."""
        return refusal(
            budget,
            contact=_used(connection, wanted.day, key),
            total=_used(connection, wanted.day, all_of(key.number)),
            wanted=wanted.use,
        )

    charge = writing(_add)

    @transaction
    def take(self, connection: Connection, key: ChatKey, wanted: Charge, budget: Budget) -> Refusal:
        """Add a call that belongs to no run, unless a budget does not allow it: says whose."""
        chat = canonical(connection, key)
        refused = refusal(
            budget,
            contact=_used(connection, wanted.day, chat),
            total=_used(connection, wanted.day, all_of(key.number)),
            wanted=wanted.use,
        )
        if not refused:
            _add(connection, chat, wanted)
        return refused

    @transaction
    def stop(
        self, connection: Connection, turn: Turn, part: NewPart, *, day: str, now: float
    ) -> bool:
        """Queue the notice that the day's budget is spent; False if it was sent that day."""
        if not _note_alert(connection, day, turn.key, now=now):
            return False
        return queue_notice(connection, turn.key, part, now=now)

    @transaction
    def alert(self, connection: Connection, number: str, day: str, *, now: float) -> bool:
        """Whether to alert the operator that the total is spent: True once a day."""
        return _note_alert(connection, day, all_of(number), now=now)


def reserve(
    connection: Connection,
    run: Run,
    number: int,
    wanted: Charge,
    budget: Budget,
    *,
    now: float,
) -> Refusal:
    """Reserve what a call is expected to use up, inside the caller's transaction.

    Says whose budget does not allow it; then nothing is reserved. It replaces an earlier
    reservation of the same round.
    """
    release(connection, run.id, number)
    used = dict.fromkeys(("contact", "total"), Use())
    rows = connection.execute(
        f"SELECT 'contact', {COUNTED} FROM turns t JOIN usage_days d"
        " ON d.channel = t.channel AND d.chat = t.chat WHERE t.id = ? AND d.day = ?"
        f" UNION ALL SELECT 'total', {COUNTED} FROM turns t JOIN usage_days d"
        " ON d.channel = t.channel AND d.chat = '' WHERE t.id = ? AND d.day = ?",
        (run.turn_id, wanted.day, run.turn_id, wanted.day),
    )
    for whose, tokens, micros in rows:
        used[whose] = Use(tokens, micros)
    refused = refusal(budget, contact=used["contact"], total=used["total"], wanted=wanted.use)
    if not refused:
        _insert(connection, run, number, wanted, RESERVED, now)
    return refused


def settle(connection: Connection, run: Run, number: int, charge: Charge, *, now: float) -> None:
    """Replace a reservation by the real use of its call, on the day it was made."""
    settled = connection.execute(
        "UPDATE usage SET state = ?, tokens = ?, micros = ?, at = ?"
        " WHERE run_id = ? AND round = ? AND state = ?",
        (SETTLED, charge.use.tokens, charge.use.micros, now, run.id, number, RESERVED),
    )
    if not settled.rowcount:
        _insert(connection, run, number, charge, SETTLED, now)


def release(connection: Connection, run_id: int, number: int) -> None:
    """Delete the reservation of a call that has no answer."""
    connection.execute(
        "DELETE FROM usage WHERE run_id = ? AND round = ? AND state = ?",
        (run_id, number, RESERVED),
    )


def _insert(
    connection: Connection, run: Run, number: int, charge: Charge, state: str, now: float
) -> None:
    connection.execute(
        "INSERT INTO usage (run_id, round, day, state, tokens, micros, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run.id, number, charge.day, state, charge.use.tokens, charge.use.micros, now),
    )


def _used(connection: Connection, day: str, key: tuple[str, str]) -> Use:
    row = connection.execute(
        f"SELECT {COUNTED} FROM usage_days WHERE day = ? AND channel = ? AND chat = ?",
        (day, *key),
    ).fetchone()
    return Use(*row) if row else Use()


def _note_alert(connection: Connection, day: str, key: ChatKey, *, now: float) -> bool:
    """Note the notice of a spent budget; False if it was noted before."""
    row = connection.execute(
        "INSERT INTO usage_days (day, channel, chat, notified) VALUES (?, ?, ?, 1)"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET notified = 1"
        " WHERE usage_days.notified = 0",
        (day, *key),
    )
    if not row.rowcount:
        return False
    spent = BudgetUsedUp(day=day, chat=key.chat)
    announcements.announce(connection, key, spent, day, now=now)
    return True
