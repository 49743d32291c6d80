"""`recado deliveries`: outgoing webhooks that wait or were given up."""

import time

import click

from daemon.domain.redaction import mask_numbers
from daemon.ledger.webhook_deliveries import (
    dead_deliveries,
    endpoint_counts,
    replay_deliveries,
)
from daemon.ops.commands.place import AS_JSON, NotDone, Place, os_actor, print_json, takes_place

EXAMPLE = """\b
Example:
  recado deliveries show
  recado deliveries replay 4711 4712
  recado deliveries replay --endpoint crm
"""


@click.group(name="deliveries", epilog=EXAMPLE)
def deliveries_command() -> None:
    """Show or repeat outgoing webhooks: what [[webhooks]] of the configuration sends."""


@deliveries_command.command(name="show")
@AS_JSON
@takes_place
def show(place: Place, *, as_json: bool) -> None:
    """Show how much waits for each endpoint, and the newest deliveries that were given up.

    Exit status 1 if there are any of these. Payloads are not shown.
    """
    with place.reading() as connection:
        counts, dead = endpoint_counts(connection), dead_deliveries(connection)
    for one in dead:
        key = one.pop("key")
        one |= {"number": key.number, "chat": mask_numbers(key.chat)}
    if as_json:
        endpoints = [{"endpoint": name, **found._asdict()} for name, found in counts.items()]
        print_json({"endpoints": endpoints, "dead": dead})
    else:
        for name, found in counts.items():
            since = f", since {place.moment(found.oldest_at)}" if found.pending else ""
            click.echo(f"{name}  {found.pending} waiting{since}, {found.dead} given up")
        for one in dead:
            about = f"  {one['chat']}" if one["chat"] else ""
            tries = f"{one['tries']} attempt{'' if one['tries'] == 1 else 's'}"
            click.echo(
                f"{one['id']}  {place.moment(one['created_at'])}  {one['endpoint']}"
                f"  {one['event']}{about}  {tries}: {one['error']}"
            )
    if dead:
        raise SystemExit(1)


@deliveries_command.command(name="replay")
@click.argument("ids", metavar="[ID]...", type=click.IntRange(1, 2**62), nargs=-1)
@click.option("--endpoint", default="", help="All that were given up of this endpoint.")
@click.option("--all", "every", is_flag=True, help="All that were given up.")
@AS_JSON
@takes_place
def replay(
    place: Place, *, ids: tuple[int, ...], endpoint: str, every: bool, as_json: bool
) -> None:
    """Deliver again what was given up; the running daemon does it within seconds.

    A receiver that had one of them already knows it by its webhook-id.
    """
    if bool(ids) + bool(endpoint) + every != 1:
        raise click.UsageError("name deliveries, or give --endpoint or --all")
    which = "*" if every else endpoint
    with place.writing() as connection:
        done = replay_deliveries(connection, ids, endpoint=which, by=os_actor(), now=time.time())
    if as_json:
        print_json({"put_back": done})
    else:
        click.echo(f"{done} to be delivered again")
    if not done:
        raise NotDone("nothing of that was given up")
