"""`recado unanswered`: the messages that have no outcome yet."""

import json
import time
from dataclasses import asdict

import click

from daemon.commands.place import Place, note, takes_place
from daemon.observe.redaction import mask_numbers
from daemon.store.operator.door import open_beside_daemon
from daemon.store.operator.unanswered import unanswered

EXAMPLE = """\b
Example:
  recado unanswered
  recado unanswered --older-than 600 && echo all is well
"""


@click.command(name="unanswered", epilog=EXAMPLE)
@click.option("--older-than", default=0.0, metavar="SECONDS", help="Leave younger ones out.")
@click.option("--json", "as_json", is_flag=True, help="Print them as a JSON list.")
@click.option("--reveal", is_flag=True, help="Show phone numbers.")
@takes_place
def command(place: Place, *, older_than: float, as_json: bool, reveal: bool) -> None:
    """List the customers' messages that have no outcome yet, the oldest first.

    Also those whose answer WhatsApp could not deliver, not even at a second try: dead letters,
    which `recado replay --dead` has answered anew.

    Exit status 1 if there are any, so that a script may ask. `recado explain` tells the life of
    each.
    """
    now = time.time()
    with open_beside_daemon(place.data_dir, read_only=True) as connection:
        found = [m for m in unanswered(connection) if now - m.received_at >= older_than]
    shown = mask_numbers if not reveal else str
    if reveal:
        note(place.data_dir, "reveal", after=f"unanswered, {len(found)} messages")
    if as_json:
        rows = [asdict(message) | {"chat": shown(message.chat)} for message in found]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for message in found:
            click.echo(
                f"{message.message_id}  {shown(message.chat)}  {message.state}"
                f"  {now - message.received_at:,.0f} s old, {message.attempts} attempts"
            )
        click.echo(f"{len(found)} without an outcome")
    if found:
        raise SystemExit(1)
