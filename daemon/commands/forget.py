"""`recado forget`: one person, erased."""

import json
import time
from dataclasses import asdict

import click

from daemon.commands.place import Failure, Place, known_chat, os_actor, takes_place
from daemon.store.operator.door import open_beside_daemon
from daemon.store.operator.forgetting import PREFIX, forget
from daemon.store.operator.person import names_of

EXAMPLE = """\b
Example:
  recado export 573001234567 > laura.json
  recado forget 573001234567
"""


@click.command(name="forget", epilog=EXAMPLE)
@click.argument("chat")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was erased, in numbers, as JSON.")
@takes_place
def command(place: Place, *, chat: str, yes: bool, as_json: bool) -> None:
    """Erase one person from every table and file, for good.

    CHAT is a phone number with its country code, or a chat id; other ids under which WhatsApp shows
    the same person go with it, on all channels. Texts, names, ids and raw events go, and their
    bytes are overwritten. What is counted stays, under a name that leads nowhere. A turn under way
    is ended. The daemon may go on running; its writes wait while the file is written anew.

    Backups, logs and what Whapi, WhatsApp and the model's provider keep are not touched.
    """
    name = known_chat(chat)
    if name.startswith(PREFIX):
        raise Failure(f"{name} is forgotten already")
    if not yes:
        question = f"Erase everything held of {name}? This cannot be undone"
        click.confirm(question, abort=True, err=as_json)
    with open_beside_daemon(place.data_dir) as connection:
        names = names_of(connection, name)
        done = forget(connection, names, place.events, by=os_actor(), now=time.time())
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(f"forgotten, now called {done.name}: {done.summary()}")
