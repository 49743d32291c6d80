"""`recado forget`: one person, erased."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
import trio

from daemon.errors import StoreInUse
from daemon.ledger.admin.person import names_of
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import LOCK_FILE, open_cli_connection, owned
from daemon.ledger.forget.forget import slices
from daemon.ledger.forget.jobs import PREFIX, Forgotten, ask, done_as
from daemon.ops.commands.place import Failure, NotDone, Place, known_chat, os_actor, takes_place

LOOK_SECONDS = 0.1
REST_SECONDS = 0.002
"""Between two slices without a daemon; one that starts tries for a second to get the store."""

EXAMPLE = """\b
Example:
  recado export 573001234567 > laura.json
  recado forget 573001234567
"""


@click.command(name="forget", epilog=EXAMPLE)
@click.argument("chat")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for the running daemon to do it; it goes on afterwards.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was erased, in numbers, as JSON.")
@takes_place
def command(place: Place, *, chat: str, yes: bool, wait: float, as_json: bool) -> None:
    """Erase one person from every table and file, for good.

    CHAT is a phone number with its country code, or a chat id; other ids under which WhatsApp shows
    the same person go with it, on all channels. Texts, names, ids and raw events go, and their
    bytes are overwritten. What is counted stays, under a name that leads nowhere. A turn under way
    is ended. A running daemon does it, in slices beside its work; else this command. What a crash
    cuts short is gone on with at the daemon's next start.

    Backups, logs and what the gateway, WhatsApp and the model's provider keep are not touched.
    """
    name = known_chat(chat)
    if name.startswith(PREFIX):
        raise Failure(f"{name} is forgotten already")
    if not yes:
        question = f"Erase everything held of {name}? This cannot be undone"
        click.confirm(question, abort=True, err=as_json)
    with open_cli_connection(place.data_dir) as connection:
        with transaction(connection):
            forgotten = ask(connection, names_of(connection, name), by=os_actor(), now=time.time())
        done = trio.run(
            _done,
            lambda: done_as(connection, forgotten),
            lambda: slices(connection, forgotten, place.data_dir, now=time.time()),
            place.data_dir / LOCK_FILE,
            wait,
        )
    if done is None:
        raise NotDone(f"{name} is not forgotten yet; the daemon goes on with it")
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(f"forgotten, now called {done.name}: {done.summary()}")


async def _done(
    look: Callable[[], Forgotten | None],
    slices: Callable[[], Iterator[None]],
    lock: Path,
    seconds: float,
) -> Forgotten | None:
    """Wait for the daemon to do it, or do it in its place if there is none; None if it lasts.

    The store is held for a slice at a time: a daemon that starts meanwhile takes it, and goes on.
    """
    left = slices()
    with trio.move_on_after(seconds):
        while (done := look()) is None:
            try:
                with owned(lock):
                    next(left, None)
            except StoreInUse:
                left = slices()
                await trio.sleep(LOOK_SECONDS)
            else:
                await trio.sleep(REST_SECONDS)
        return done
    return look()
