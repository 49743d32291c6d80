"""`recado unanswered`: the chats in which somebody waits for an answer."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime

import click

from daemon.domain.redaction import mask_numbers
from daemon.ledger.admin.cli_queries import Unanswered, unanswered
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import Place, note, takes_place

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
    """List the chats in which a customer waits, the longest wait first, and for whom.

    For the bot; for a person of the business, who has the chat or was asked for; or for an
    operator, where no answer was possible or it could not be delivered: `recado replay --dead` has
    that answered anew. `recado done CHAT` closes what waits for a person.

    Exit status 1 if there are any, so that a script may ask. `recado explain` tells the life of
    each.
    """
    now = time.time()
    with open_cli_connection(place.data_dir, read_only=True) as connection:
        found = [chat for chat in unanswered(connection) if now - chat.since >= older_than]
    if reveal:
        note(place.data_dir, "reveal", after=f"unanswered, {len(found)} rows")
    shown = mask_numbers if not reveal else str
    if as_json:
        rows = [asdict(chat) | {"chat": shown(chat.chat)} for chat in found]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for chat in found:
            click.echo(_line(chat, shown(chat.chat), place, now))
        click.echo(f"{len(found)} {'chat waits' if len(found) == 1 else 'chats wait'}")
    if found:
        raise SystemExit(1)


def _line(chat: Unanswered, name: str, place: Place, now: float) -> str:
    since = datetime.fromtimestamp(chat.since, place.zone or UTC)
    parts = [
        name,
        f"waits for {'an' if chat.waits_for == 'operator' else 'the'} {chat.waits_for}"
        if chat.waits_for != "person"
        else "waits for a person",
        f"since {since:%Y-%m-%d %H:%M:%S%z}, {now - chat.since:,.0f} s",
        chat.why,
    ]
    if chat.messages:
        many = f"{chat.messages} message{'' if chat.messages == 1 else 's'}"
        parts.append(f"{many}, the first {chat.message_id}")
    return "  ".join(parts)
