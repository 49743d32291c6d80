"""`recado export`: everything held of one person."""

import json

import click

from daemon.ledger.admin.person import held_of, names_of
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import Failure, Place, known_chat, note, takes_place

EXAMPLE = """\b
Example:
  recado export 573001234567 > laura.json
"""


@click.command(name="export", epilog=EXAMPLE)
@click.argument("chat")
@takes_place
def command(place: Place, *, chat: str) -> None:
    """Print everything held of one person as one JSON document.

    CHAT is a phone number with its country code, or a chat id; other ids under which WhatsApp
    shows the same person are included, on all channels. Nothing is masked: keep the output as you
    keep the store. Times are Unix seconds (UTC).
    """
    with open_cli_connection(place.data_dir, read_only=True) as connection:
        # One snapshot for all tables.
        connection.execute("BEGIN")
        held = held_of(connection, names_of(connection, known_chat(chat)))
        connection.execute("ROLLBACK")
    if not any(rows for table, rows in held.items() if table not in {"chat", "also_known_as"}):
        raise Failure(f"nothing is held of {chat}")
    note(place.data_dir, "export", held["chat"])
    click.echo(json.dumps(held, ensure_ascii=False, indent=2))
