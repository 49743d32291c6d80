"""`recado nodes`: the nodes that share the ledger, and which one works."""

import dataclasses

import click

from daemon.ledger.nodes import nodes, waiting_calls
from daemon.ops.commands.place import AS_JSON, CommandFailure, Place, print_json, takes_place

SILENT_SECONDS = 30.0
"""A node that was not seen for longer is silent: it was killed, or is cut off."""

EXAMPLE = """\b
Example:
  recado nodes
  recado nodes --json
"""


@click.command(name="nodes", epilog=EXAMPLE)
@AS_JSON
@takes_place
def nodes_command(place: Place, *, as_json: bool) -> None:
    """List the nodes of this ledger: state, when each was seen, and what is left of its lease.

    Exit status 1 if no node is at work.
    """
    if not place.url:
        raise CommandFailure("store.url is not set: one process has the store")
    with place.reading() as connection:
        now = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0]
        found, waiting = nodes(connection, float(now)), waiting_calls(connection)
    if as_json:
        print_json({"nodes": [dataclasses.asdict(one) for one in found], "waiting_calls": waiting})
    else:
        for one in found:
            silent = one.silent_seconds > SILENT_SECONDS
            parts = [
                one.name,
                "silent" if silent else one.state,
                f"seen {one.silent_seconds:.0f} s ago",
            ]
            if one.lease_seconds is not None:
                parts.append(f"lease {one.lease_seconds:.0f} s, epoch {one.epoch}")
            click.echo("  ".join([*parts, one.version]))
        click.echo(f"{waiting} webhook calls wait")
    if not any((one.lease_seconds or 0) > 0 for one in found):
        raise SystemExit(1)
