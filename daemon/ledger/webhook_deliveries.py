"""Deliveries of outgoing webhooks: which endpoint is still to get what, and what was given up.

`daemon.ledger.announcements` adds the rows.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from daemon.domain.announcements import EndpointCounts, NumberChanged
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey, JsonObject, NumberCondition
from daemon.domain.states import DEAD, PENDING, SENT
from daemon.ledger.announcements import announce
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import (
    Connection,
    Role,
    keyed,
    marks,
    query,
    reading,
    transaction,
    writing,
)

NOT_CONFIGURED = "its endpoint or its number is not configured any more"

IS_PENDING = f"state = '{PENDING}'"
"""The condition of the index ``webhooks_pending``."""

IS_DEAD = f"state = '{DEAD}'"
"""The condition of the index ``webhooks_dead``."""

DROPPED_AT_ONCE = 500
"""Old rows in one write: some milliseconds."""

SHOWN = 100
"""Dead deliveries that are listed; the counts say how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What one endpoint wants."""

    endpoint: str
    events: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    """Empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One body for one endpoint."""

    id: int
    webhook_id: str
    event: str
    key: ChatKey
    """``chat`` is empty if it is about a number."""
    payload: str
    tries: int


def endpoint_counts(connection: Connection) -> dict[str, EndpointCounts]:
    """What waits and what was given up, by endpoint."""
    pending = connection.execute(
        "SELECT endpoint, COUNT(*), MIN(created_at) FROM webhook_deliveries"
        f" WHERE {IS_PENDING} GROUP BY endpoint"
    )
    waiting = {endpoint: (count, oldest) for endpoint, count, oldest in pending}
    ended = connection.execute(
        # The column itself would have SQLite read all deliveries, in the order of their endpoints.
        "SELECT endpoint || '' AS name, COUNT(*) FROM webhook_deliveries"
        f" WHERE {IS_DEAD} GROUP BY name"
    )
    dead = dict(ended.fetchall())
    return {
        name: EndpointCounts(
            pending=waiting.get(name, (0, 0))[0],
            oldest_at=waiting.get(name, (0, 0))[1],
            dead=dead.get(name, 0),
        )
        for name in sorted({*waiting, *dead})
    }


def replay_deliveries(
    connection: Connection, ids: Sequence[int], *, endpoint: str = "", by: Actor, now: float
) -> int:
    """Deliver again what was given up: these rows, or all of an endpoint (``*``: of all).

    Inside the caller's transaction. Gives how many; the receiver knows them by the same id.
    """
    which = "(endpoint = ? OR ? = '*')" if endpoint else f"id IN ({marks(ids)})"
    values = (endpoint, endpoint) if endpoint else tuple(ids)
    done = connection.execute(
        "UPDATE webhook_deliveries SET state = ?, tries = 0, next_at = 0, ended_at = NULL"
        f" WHERE {IS_DEAD} AND {which}",
        (PENDING, *values),
    ).rowcount
    if done:
        write_audit(connection, by, "webhook replay", after=f"{done} deliveries", now=now)
    return done


class WebhookDeliveries(Role):
    """Deliveries. The task of an endpoint settles its own; any task may read."""

    @transaction
    def subscribe(
        self,
        connection: Connection,
        wanted: Sequence[Subscription],
        *,
        numbers: Sequence[str],
        now: float,
    ) -> int:
        """Store what the configured endpoints want; what happens from now on is for these alone.

        What still waits for an endpoint that is not among them is given up, and so is what is about
        a number that is not among ``numbers`` (if there are some); gives how many.
        """
        connection.execute("DELETE FROM webhook_subscriptions")
        connection.executemany(
            "INSERT INTO webhook_subscriptions (event, number, endpoint) VALUES (?, ?, ?)",
            [
                (event, number, one.endpoint)
                for one in wanted
                for event in one.events
                for number in one.numbers or ("",)
            ],
        )
        names = ["", *(one.endpoint for one in wanted)]
        return connection.execute(
            "UPDATE webhook_deliveries SET state = ?, error = ?, ended_at = ?"
            # NOT IN a list of nothing is never true.
            f" WHERE {IS_PENDING} AND (endpoint NOT IN ({marks(names)})"
            f" OR channel NOT IN ({marks(numbers)}))",
            (DEAD, NOT_CONFIGURED, now, *names, *numbers),
        ).rowcount

    @query
    def due(
        self,
        connection: Connection,
        endpoint: str,
        numbers: Collection[str],
        *,
        now: float,
        limit: int,
        longest_wait: float = math.inf,
    ) -> tuple[WebhookDelivery, ...]:
        """What an endpoint is to get now about these numbers, the oldest first.

        A clock that was ahead has planned what is more than ``longest_wait`` seconds away.
        """
        names = [*numbers]
        rows = connection.execute(
            "SELECT id, webhook_id, event, channel, chat, payload, tries FROM webhook_deliveries"
            f" WHERE {IS_PENDING} AND endpoint = ? AND (next_at <= ? OR next_at > ?)"
            f" AND channel IN ({marks(names)}) ORDER BY id LIMIT ?",
            (endpoint, now, now + longest_wait, *names, limit),
        )
        return tuple(WebhookDelivery(**row) for row in keyed(rows))

    @transaction
    def delivered(self, connection: Connection, delivery: WebhookDelivery, *, now: float) -> None:
        """The endpoint has it; its payload is not kept."""
        connection.execute(
            "UPDATE webhook_deliveries SET state = ?, payload = '', tries = ?, error = '',"
            f" ended_at = ? WHERE id = ? AND {IS_PENDING}",
            (SENT, delivery.tries + 1, now, delivery.id),
        )

    @transaction
    def failed(
        self,
        connection: Connection,
        delivery: WebhookDelivery,
        error: str,
        *,
        again_at: float,
        now: float,
    ) -> None:
        """An attempt has failed; the next one is at ``again_at``, 0 if there is none."""
        connection.execute(
            "UPDATE webhook_deliveries SET state = ?, tries = ?, error = ?, next_at = ?,"
            f" ended_at = ? WHERE id = ? AND {IS_PENDING}",
            (
                *(PENDING if again_at else DEAD, delivery.tries + 1, error, again_at),
                *(None if again_at else now, delivery.id),
            ),
        )

    @transaction
    def number_changed(
        self,
        connection: Connection,
        number: str,
        state: NumberCondition,
        detail: str,
        *,
        now: float,
    ) -> None:
        """Announce that our number is in another state: the ledger knows nothing else of it."""
        changed = NumberChanged(state=state, detail=detail)
        announce(connection, ChatKey(number, ""), changed, state, now, now=now)

    counts = reading(endpoint_counts)

    @transaction
    def drop_old(self, connection: Connection, *, before: float) -> int:
        """Delete some deliveries that ended and were stored before a time; gives how many."""
        return connection.execute(
            "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries"
            f" WHERE created_at < ? AND state != '{PENDING}' LIMIT ?)",
            (before, DROPPED_AT_ONCE),
        ).rowcount

    replay = writing(replay_deliveries)


def dead_deliveries(connection: Connection, *, limit: int = SHOWN) -> list[JsonObject]:
    """What was given up, the newest first; without payloads."""
    return keyed(
        connection.execute(
            "SELECT id, endpoint, event, channel, chat, tries, error, created_at, ended_at AS at"
            f" FROM webhook_deliveries WHERE {IS_DEAD} ORDER BY id DESC LIMIT ?",
            (limit,),
        )
    )
