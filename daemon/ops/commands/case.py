"""`recado case`: a stored conversation as a case for `recado rehearse`."""

from pathlib import Path

import click

from daemon.conversation.config_loader import toolbox_of
from daemon.domain.messages import ChatKey
from daemon.ledger.recordings import recordings_until
from daemon.ledger.views.traces import trace_of_message
from daemon.ops.commands.place import (
    CONFIG,
    CommandFailure,
    failures,
    note,
    place_of,
    read_settings,
)
from daemon.ops.rehearsal.writing import as_case
from daemon.settings.numbers import numbers_of
from daemon.tools import builtin_tools

EXAMPLE = """\b
Example:
  recado case 3EB0C767D09712345678 > my-cases/late-checkout.toml
"""


@click.command(name="case", epilog=EXAMPLE)
@click.argument("message_id")
@click.option("--turns", default=5, type=click.IntRange(1, 50), help="Turns, up to the message's.")
@click.option("--name", default="", help="Name of the case; the message's id if not given.")
@CONFIG
def case_command(config: Path | None, *, message_id: str, turns: int, name: str) -> None:
    """Print a stored conversation as a case, for `recado rehearse`.

    MESSAGE_ID is WhatsApp's id, of a received message or of one that Recado sent. The customer's
    name is replaced by another, and so are numbers and addresses of persons; read it before you
    pass it on, as people name others too. What was answered stands in comments: say what must hold.
    """
    settings = read_settings(config)
    place = place_of(settings)
    with failures(), place.reading() as connection:
        trace = trace_of_message(connection, message_id)
        if trace is None or trace.turn is None:
            raise CommandFailure(f"no turn with message {message_id} is known")
        key = ChatKey(trace.channel, trace.chat)
        found = recordings_until(connection, key, trace.turn["request_id"], most=turns)
    if not any(one.says for one in found):
        raise CommandFailure("nothing of it is text that was answered")
    with failures():
        number = numbers_of(settings).get(key.number, settings)
        own = [tool.name for tool in toolbox_of(number).all_tools if tool not in builtin_tools.ALL]
        note(place, "reveal", message_id, after="case")
    click.echo(as_case(found, name or message_id, own), nl=False)
