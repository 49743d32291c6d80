"""`recado replay`: stored events and dead messages, put back in."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from daemon.domain.messages import Webhook
from daemon.domain.redaction import mask_numbers
from daemon.errors import MediaDelayed
from daemon.ledger.admin.person import names_of
from daemon.ledger.admin.replay import (
    Replayed,
    StoredEvent,
    replay_dead,
    replay_event,
    stored_event,
)
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import Failure, Place, known_chat, os_actor, takes_place
from daemon.ops.replay import parse_again

EXAMPLE = """\b
Example:
  recado replay 4711 4712
  recado replay --dead --chat 573001234567
"""


@click.command(name="replay", epilog=EXAMPLE)
@click.argument("event_ids", metavar="[EVENT_ID]...", type=int, nargs=-1)
@click.option("--dead", is_flag=True, help="Put back all messages that ended as dead.")
@click.option("--chat", help="With --dead: only those of this chat.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@takes_place
def command(
    place: Place, *, event_ids: tuple[int, ...], dead: bool, chat: str | None, as_json: bool
) -> None:
    """Put stored webhook events, or all dead messages, back in.

    A message that never got its answer (dead, expired, or ignored although it is one to answer)
    waits for one again, and the running daemon takes it up within seconds. Messages that were
    answered or that a person has handled are left alone. What an event said that could not be read
    when it came is read again. Every message put back is noted in the store's audit table, which
    recado explain shows. The number of an event is in recado explain, too.
    """
    if bool(event_ids) == dead:
        raise click.UsageError("name events, or give --dead")
    if chat is not None and not dead:
        raise click.UsageError("--chat goes with --dead")
    now, by = time.time(), os_actor()
    with open_cli_connection(place.data_dir) as connection, transaction(connection):
        if dead:
            chats = names_of(connection, known_chat(chat)) if chat is not None else ()
            replayed = replay_dead(connection, chats, place.policy, by=by, now=now)
        else:
            replayed = []
            for event_id in dict.fromkeys(event_ids):
                event = stored_event(connection, event_id, place.events)
                if event is None:
                    raise Failure(f"there is no event {event_id}; nothing was put back")
                webhook = _read(event, place)
                replayed += replay_event(connection, event, webhook, place.policy, by=by, now=now)
    _print(replayed, as_json=as_json)


def _read(event: StoredEvent, place: Place) -> Webhook | None:
    try:
        webhook, problems = parse_again(event, media=place.media)
    except MediaDelayed as error:
        raise Failure(f"event {event.id}: {error}; nothing was put back") from error
    for problem in problems:
        click.echo(f"event {event.id}: {problem}", err=True)
    return webhook


def _print(replayed: Sequence[Replayed], *, as_json: bool) -> None:
    if as_json:
        rows: list[dict[str, Any]] = [
            asdict(one) | {"chat": mask_numbers(one.chat)} for one in replayed
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for one in replayed:
            done = "put back" if one.done else "left alone"
            click.echo(f"{one.message_id}  {mask_numbers(one.chat)}  {done}: {one.what}")
        put_back = sum(one.done for one in replayed)
        click.echo(f"{put_back} put back, {len(replayed) - put_back} left alone")
