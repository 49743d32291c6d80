"""What a day has used up, for an operator: what `recado budget` shows and resets."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.audit import Actor
from daemon.store.audit import write_audit


@dataclass(frozen=True, slots=True)
class Spending:
    """What one chat has used up in a day; an empty chat stands for all. Cost in millionths."""

    channel: str
    chat: str
    tokens: int
    micros: int
    counted_tokens: int
    counted_micros: int
    """What counts for the chat's limits: all of it, unless an operator has reset it."""
    told: bool
    """True if a call was refused because the budget was spent."""


def newest_day(connection: sqlite3.Connection) -> str:
    """The last day on which anything was used up; empty if there is none."""
    row = connection.execute("SELECT MAX(day) FROM usage_days").fetchone()
    return str(row[0] or "")


def spending_of(connection: sqlite3.Connection, day: str) -> tuple[Spending, ...]:
    """What a day has used up: all together first, then the chats, the greatest use first."""
    rows = connection.execute(
        "SELECT channel, chat, tokens, micros, MAX(0, tokens - pardoned_tokens),"
        " MAX(0, micros - pardoned_micros), told FROM usage_days WHERE day = ?"
        " ORDER BY chat != '', micros DESC, tokens DESC, chat",
        (day,),
    )
    return tuple(
        Spending(channel, chat, tokens, micros, counted_tokens, counted_micros, bool(told))
        for channel, chat, tokens, micros, counted_tokens, counted_micros, told in rows
    )


def pardon(
    connection: sqlite3.Connection, day: str, names: Sequence[str], *, by: Actor, now: float
) -> int:
    """Let a person begin the day anew, inside the caller's transaction; gives the chats concerned.

    ``names``: the person's chat ids. What was used up stays in the total of the day.
    """
    done = connection.execute(
        "UPDATE usage_days SET pardoned_tokens = tokens, pardoned_micros = micros, told = 0"
        " WHERE day = ? AND chat IN (SELECT value FROM json_each(?))",
        (day, json.dumps(names)),
    )
    if done.rowcount:
        write_audit(connection, by, "budget reset", names[0], after=f"new on {day}", now=now)
    return done.rowcount
