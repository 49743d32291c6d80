"""`recado nodes`: the nodes that share the ledger, and which numbers each of them has."""

import dataclasses
from collections import Counter

import click

from daemon.ledger.nodes import NodeState, owners, running_nodes, waiting_calls
from daemon.ops.commands.place import AS_JSON, CommandFailure, Place, print_json, takes_place

EXAMPLE = """\b
Example:
  recado nodes
  recado nodes --json
"""


@click.command(name="nodes", epilog=EXAMPLE)
@AS_JSON
@takes_place
def nodes_command(place: Place, *, as_json: bool) -> None:
    """List the nodes of this ledger: lease, numbers, and webhook calls that wait for them.

    Exit status 1 if a number has no node.
    """
    if not place.url:
        raise CommandFailure("store.url is not set: one process has the store")
    with place.reading() as connection:
        now = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0]
        found, waiting = running_nodes(connection, float(now)), waiting_calls(connection)
        living = {number for one in found if one.lease_seconds > 0 for number in one.numbers}
        free = [number for number in owners(connection) if number not in living]
    if as_json:
        shown = [dataclasses.asdict(one) for one in found]
        print_json({"nodes": shown, "waiting_calls": waiting, "without_node": free})
    else:
        alike = Counter(one.name for one in found)
        for one in found:
            click.echo(_line(one, waiting, is_alone=alike[one.name] == 1))
        for number in free:
            click.echo(f"{number}: no node has it; {waiting.get(number, 0)} calls wait")
    if free or not found:
        raise SystemExit(1)


def _line(one: NodeState, waiting: dict[str, int], *, is_alone: bool) -> str:
    """A node; its process tells it from another one of the same name."""
    lease = f"lease {one.lease_seconds:.0f} s" if one.lease_seconds > 0 else "silent"
    count = len(one.numbers)
    calls = sum(waiting.get(number, 0) for number in one.numbers)
    return "  ".join(
        [
            one.name if is_alone else f"{one.name} ({one.process})",
            lease,
            f"{count} number{'' if count == 1 else 's'}: {', '.join(one.numbers) or 'none'}",
            f"{calls} calls wait",
            *(["leads"] if one.leads else []),
            *([_clock(one.clock_ahead)] if one.clock_ahead else []),
            one.version,
        ]
    )


def _clock(ahead: int) -> str:
    """How wrong a node's clock is."""
    return f"its clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the database's"
