"""`recado done`: what waits for a person in a chat counts as handled."""

import json
import time

import click

from daemon.ledger.admin.person import names_of
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ledger.operator_actions import done_by_hand
from daemon.ops.commands.place import NotDone, Place, known_chat, os_actor, takes_place

EXAMPLE = """\b
Example:
  recado unanswered
  recado done 573001234567
"""


@click.command(name="done", epilog=EXAMPLE)
@click.argument("chat")
@click.option("--json", "as_json", is_flag=True, help="Print how many, as JSON.")
@takes_place
def command(place: Place, *, chat: str, as_json: bool) -> None:
    """Count what waits for a person in a chat as handled: by a call, say, or needing no answer.

    CHAT is a phone number with its country code, or a chat id; on all channels. The bot never
    answers what is closed so. If it keeps out of the chat it goes on to, as long as it was to.
    """
    now, by = time.time(), os_actor()
    with open_cli_connection(place.data_dir) as connection, transaction(connection):
        names = names_of(connection, known_chat(chat))
        done = [done_by_hand(connection, name, by=by, now=now) for name in names]
    chats = sum(len(keys) for keys, _ in done)
    messages = sum(closed for _, closed in done)
    if not chats:
        raise NotDone("there is no such chat")
    if as_json:
        click.echo(json.dumps({"chats": chats, "messages": messages}))
    else:
        click.echo(f"{messages} message{'' if messages == 1 else 's'} closed")
