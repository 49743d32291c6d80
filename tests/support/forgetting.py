"""Erasing a person at once, in a store that no daemon has."""

from collections.abc import Sequence
from pathlib import Path

from daemon.domain.audit_chain import Actor
from daemon.ledger.drivers.port import CliConnection
from daemon.ledger.forget.forget import slices
from daemon.ledger.forget.jobs import Forgotten, ask, done_as


def forget(
    connection: CliConnection, names: Sequence[str], data_dir: Path, *, by: Actor, now: float
) -> Forgotten:
    """Erase the person with these chat ids, as `recado forget` does without a daemon."""
    with connection.transaction():
        name = ask(connection, names, by=by, now=now)
    carry_out(connection, name, data_dir, now=now)
    done = done_as(connection, name)
    assert done is not None
    return done


def carry_out(connection: CliConnection, name: str, data_dir: Path, *, now: float) -> None:
    """Do what was asked for, from where it was left; see `forget`."""
    for _ in slices(connection, name, data_dir, now=now):
        pass
