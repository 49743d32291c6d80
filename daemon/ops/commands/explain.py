"""`recado explain`: the life of one message."""

import json
from dataclasses import asdict

import click

from daemon.domain.redaction import Redactor
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ledger.views.traces import life_of
from daemon.ops.commands.place import Failure, Place, note, takes_place
from daemon.ops.commands.timeline import timeline, without_words

EXAMPLE = """\b
Example:
  recado explain 3EB0C767D09712345678
  recado explain 3EB0C767D09712345678 --json | jq .turn
"""


@click.command(name="explain", epilog=EXAMPLE)
@click.argument("message_id")
@click.option("--json", "as_json", is_flag=True, help="Print the rows of the ledger as JSON.")
@click.option("--reveal", is_flag=True, help="Show phone numbers and what was written.")
@takes_place
def command(place: Place, *, message_id: str, as_json: bool, reveal: bool) -> None:
    """Tell the life of one message: arrival, turn, model and tool calls, sends.

    MESSAGE_ID is WhatsApp's id, of a message that came in or of one that Recado sent; both tell of
    the same turn. Offsets count from the arrival of the message (of the turn's first one for a
    message that Recado sent). Phone numbers are shortened and texts left out unless --reveal is
    given.
    """
    with open_cli_connection(place.data_dir, read_only=True) as connection:
        life = life_of(connection, message_id)
    if life is None:
        raise Failure(f"no message {message_id} is known")
    if reveal:
        note(place.data_dir, "reveal", message_id, after="explain")
    else:
        life = without_words(life)
    if as_json:
        rows = asdict(life) if reveal else Redactor().value(asdict(life))
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        click.echo(timeline(life, zone=place.zone, reveal=reveal))
