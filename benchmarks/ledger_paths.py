"""The hot paths through the store, each as a call that can be counted."""

import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from itertools import count, islice
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

from load import requests

from daemon.domain.eligibility import Policy, verdict
from daemon.domain.messages import ChatKey, ModelResponse, Webhook
from daemon.domain.records import Accepted, NewPart
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ledger.intake import Inbox
from daemon.ledger.outbox import Outbox
from daemon.ledger.references import Judging
from daemon.ledger.runs import Runs
from daemon.ledger.turns import Turns

NOW = 1_763_890_000.0
KEY = ChatKey("MANTIS-M72HC", "573001234567@s.whatsapp.net")
CALLS = 40
"""Webhook calls that a path may take one after the other."""
REPLY = "\n\n".join(
    f"Opción {n}: habitación doble con desayuno, vista al jardín, $ {n}80.000 la noche. "
    "Se puede cancelar sin costo hasta dos días antes.\n- wifi\n- parqueadero\n- piscina"
    for n in range(1, 6)
)

Path = Callable[[], object]
T = TypeVar("T")


def bodies_of(seed: int) -> Iterator[bytes]:
    """Usual webhook calls, each with another message."""
    return (request.partition(b"\r\n\r\n")[2] for request in requests("chat", seed))


class DirectDatabase:
    """The store's door without its threads: what is asked for is done at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def write(self, verb: Callable[[sqlite3.Connection], T]) -> T:
        """Do it in a transaction of its own."""
        self._connection.execute("BEGIN IMMEDIATE")
        result = verb(self._connection)
        self._connection.execute("COMMIT")
        return result

    async def read(self, verb: Callable[[sqlite3.Connection], T]) -> T:
        """Do it."""
        return verb(self._connection)


def accept_path(connection: sqlite3.Connection, bodies: Iterator[bytes]) -> Path:
    """Storing a webhook call, with its judgement."""
    inbox = Inbox(cast("SqliteDatabase", DirectDatabase(connection)), FilePath())
    # Read before they are wanted: only the storing is to be counted.
    ready = _read_before(bodies)
    return lambda: _at_once(_accepted(inbox, *next(ready)))


def ledger_path(connection: sqlite3.Connection, bodies: Iterator[bytes]) -> Path:
    """All that is written of a turn of one round and one part, and read for it from the ledger."""
    database = cast("SqliteDatabase", DirectDatabase(connection))
    inbox, turns = Inbox(database, FilePath()), Turns(database)
    runs, outbox = Runs(database), Outbox(database)
    ready = _read_before(bodies)
    numbers = count()
    response = ModelResponse(id="resp_1", items=(said(REPLY),))

    async def live() -> None:
        webhook, body = next(ready)
        await _accepted(inbox, webhook, body)
        (message,) = webhook.messages
        name = f"turn_{next(numbers)}"
        turn = await turns.open(message.key, request_id=name, limit=50, quotes=False, now=NOW)
        assert turn is not None
        run, _ = await runs.start(turn, attempt=1, now=NOW)
        await runs.round_named(run, 0, "resp_1", now=NOW)
        await runs.round_completed(run, 0, response, now=NOW)
        items = (said("Hola", "user"), *response.items)
        concluded = await turns.conclude(turn, items=items, parts=[NewPart(REPLY)], now=NOW)
        (row,) = concluded.to_send
        await outbox.sending(row, now=NOW)
        await outbox.sent(row, f"sent-{name}", finishes=concluded.turn, now=NOW)

    return lambda: _at_once(live())


def _accepted(inbox: Inbox, webhook: Webhook, body: bytes) -> Coroutine[Any, Any, Accepted]:
    policy = Policy()
    judging = Judging(
        verdict=lambda known: verdict(known, policy), own_ids=frozenset(), mentions=True
    )
    return inbox.accept(webhook, body, verdicts=judging, now=NOW, pause_until=NOW + 60)


def _read_before(bodies: Iterator[bytes]) -> Iterator[tuple[Webhook, bytes]]:
    return iter([(parse_webhook(body), body) for body in islice(bodies, CALLS)])


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waits for something")


def said(text: str, role: str = "assistant") -> dict[str, Any]:
    """An item of a thread."""
    kind = "input_text" if role == "user" else "output_text"
    return {"role": role, "content": [{"type": kind, "text": text}]}
