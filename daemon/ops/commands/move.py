"""`recado move-store`: the ledger goes from SQLite to PostgreSQL, or back."""

from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click

from daemon.domain.progress import Progress
from daemon.ledger.admin.connection import postgres_driver
from daemon.ledger.admin.move import MovedTable, move
from daemon.ledger.drivers.sqlite.moving import sqlite_source, sqlite_target
from daemon.ledger.people import KEY_FILE, contact_key
from daemon.ops.commands.place import (
    AS_JSON,
    CommandFailure,
    Place,
    print_json,
    takes_place,
)
from daemon.ops.commands.progress import shown

MOVE_EXAMPLE = """\b
Example:
  recado move-store postgresql://recado@db.example/recado
  recado move-store sqlite:/var/lib/recado
"""


@click.command(name="move-store", epilog=MOVE_EXAMPLE)
@click.argument("url")
@AS_JSON
@takes_place
def move_store_command(place: Place, *, url: str, as_json: bool) -> None:
    """Copy the store into another database, and prove that nothing is missing.

    URL is postgresql://… : the store of the data folder goes there; or sqlite:FOLDER : the store of
    store.url goes into that folder. No daemon may run on either, and the target must be empty.
    Each table is counted and hashed on both sides. The target gets all or nothing, so the command
    can be repeated. The source stays as it is; files of messages are not touched.
    """
    if urlsplit(url).scheme in {"postgres", "postgresql"}:
        with shown("rows") as progress:
            moved = _to_postgres(place, url, progress)
        after = f"set store.url, and keep {place.data_dir}: its files belong to the store"
    else:
        folder = _folder_of(url)
        with shown("rows") as progress:
            moved = _to_sqlite(place, folder, progress)
        after = f"unset store.url, and set data_dir to {folder}; what people sent stays where it is"
    if as_json:
        print_json({"tables": [asdict(table) for table in moved]})
        return
    for table in moved:
        marked = f"  {table.changed} rows with marked characters" if table.changed else ""
        click.echo(f"{table.name}  {table.rows} rows  {table.digest[:16]}{marked}")
    rows = sum(table.rows for table in moved)
    click.echo(f"{len(moved)} tables, {rows} rows: counts and hashes are the same on both sides")
    click.echo(f"next: {after}")


def _to_postgres(place: Place, url: str, progress: Progress) -> list[MovedTable]:
    with (
        sqlite_source(place.data_dir) as source,
        postgres_driver("moving").postgres_target(url) as target,
    ):
        moved = move(source, target, events=place.events, into_rows=True, progress=progress)
        target.keep_key(KEY_FILE, contact_key(place.data_dir))
    return moved


def _to_sqlite(place: Place, folder: Path, progress: Progress) -> list[MovedTable]:
    if not place.url:
        raise CommandFailure("store.url is not set: it names the database that is moved")
    with (
        postgres_driver("moving").postgres_source(place.url) as source,
        sqlite_target(folder) as target,
    ):
        # Without the key, who has opted out would not be known any more.
        key = source.key(KEY_FILE) or contact_key(place.data_dir)
        if contact_key(folder, key) != key:
            raise CommandFailure(f"{folder / KEY_FILE} is another key than that of the store")
        return move(source, target, events=place.events, into_rows=False, progress=progress)


def _folder_of(url: str) -> Path:
    kind, _, folder = url.partition(":")
    if kind != "sqlite" or not folder:
        raise CommandFailure("give postgresql://… or sqlite:FOLDER")
    return Path(folder.removeprefix("//")).absolute()
