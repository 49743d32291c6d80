"""`recado backup`, `export`, `forget`: copies of the store, and the data of one person."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import click
import trio

from daemon.errors import FilesUnavailable, StoreInUse
from daemon.files.port import FileStore
from daemon.ledger.admin.backup import (
    Backup,
    Files,
    back_up,
    back_up_events,
    back_up_key,
    back_up_sent,
)
from daemon.ledger.admin.person import held_of, names_of
from daemon.ledger.drivers.port import CliConnection
from daemon.ledger.drivers.sqlite.opening import LOCK_FILE, owned
from daemon.ledger.drivers.sqlite.opening import open_cli_connection as open_sqlite
from daemon.ledger.files import files_to_delete, forget_deleted
from daemon.ledger.forget.forget import slices
from daemon.ledger.forget.jobs import Forgotten, ask, done_as, progress_of
from daemon.ledger.people import FORGOTTEN, KEY_FILE
from daemon.ops.commands.place import (
    AS_JSON,
    CommandFailure,
    NotDone,
    Place,
    known_chat,
    note,
    os_actor,
    print_json,
    takes_place,
)
from daemon.ops.commands.progress import shown

LOOK_SECONDS = 0.1
REST_SECONDS = 0.002
"""Between two slices without a daemon; one that starts tries for a second to get the store."""

# -- backup ---------------------------------------------------------------------------------------

BACKUP_EXAMPLE = """\b
Example:
  recado backup /var/backups/recado-$(date +%F).db --with-files
"""


@click.command(name="backup", epilog=BACKUP_EXAMPLE)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--with-files",
    is_flag=True,
    help="Also copy large events into FILE.events, and voice notes and files that were sent or will"
    " be into FILE.audio.",
)
@AS_JSON
@takes_place
def backup_command(
    place: Place, *, file: Path, force: bool, with_files: bool, as_json: bool
) -> None:
    """Copy the store into FILE, and the key of contacts' hashes into FILE.key.

    The daemon may run. The copy is of one moment, checked, on the disk when the command ends, and
    readable for its owner alone. To restore it, stop the daemon and put it in place of recado.db,
    and FILE.key in place of contact.key (FILE.events in place of the events folder, FILE.audio in
    place of the audio folder); remove recado.db-wal and recado.db-shm if they are there.
    """
    if place.url:
        raise CommandFailure("the store is PostgreSQL: pg_dump, or its own backup, copies it")
    target = file.absolute()
    beside = [target.with_name(f"{target.name}.{folder}") for folder in ("events", "audio", "key")]
    taken = [path for path in (target, *beside) if path.exists()]
    if taken and not force:
        raise CommandFailure(f"{taken[0]} is there already; --force replaces it")
    with open_sqlite(place.data_dir) as connection:
        if target.exists() and target.samefile(place.data_dir / "recado.db"):
            raise CommandFailure(f"{target} is the store itself")
        note(place, "backup", str(target))
        with shown("store") as progress:
            backup = back_up(connection, target, progress)
    has_key = back_up_key(target, place.data_dir / KEY_FILE)
    files = _copy(target, place) if with_files else None
    if as_json:
        click.echo(json.dumps(_row(target, backup, files), ensure_ascii=False))
    else:
        click.echo(f"{target}: {backup.size} bytes, sound")
        if has_key:
            click.echo(f"{target}.key: the key of contacts' hashes")
        if files is not None:
            click.echo(f"{target}.events: {files.events.copied} large events")
            click.echo(f"{target}.audio: {files.sent.copied} voice notes and files")
    for line in _left_out(place, backup, files):
        click.echo(f"not included: {line}", err=True)
    if files is not None and files.events.missing:
        raise NotDone(f"{files.events.missing} large events could not be found")
    if files is not None and files.sent.missing:
        raise NotDone(f"{files.sent.missing} files to be sent could not be found")


class _Copied(NamedTuple):
    events: Files
    sent: Files


def _copy(target: Path, place: Place) -> _Copied:
    with shown("large events") as progress:
        events = back_up_events(target, place.events, progress)
    with shown("files") as progress:
        return _Copied(events, back_up_sent(target, place.audio, progress))


def _row(target: Path, backup: Backup, files: _Copied | None) -> dict[str, object]:
    return {
        "file": str(target),
        "bytes": backup.size,
        "large_events": backup.files,
        "large_events_copied": files.events.copied if files else 0,
        "sent_files_copied": files.sent.copied if files else 0,
        "media_not_copied": backup.media,
    }


def _left_out(place: Place, backup: Backup, files: _Copied | None) -> Iterator[str]:
    if backup.media:
        yield f"{backup.media} files that people sent in {place.media}; copy the folder as well"
    if backup.files and files is None:
        yield f"{backup.files} large events in {place.events}; --with-files copies them too"
    if backup.sent and files is None:
        yield f"{backup.sent} files to be sent in {place.audio}; --with-files copies them"


# -- export ---------------------------------------------------------------------------------------

EXPORT_EXAMPLE = """\b
Example:
  recado export 573001234567 > laura.json
"""


@click.command(name="export", epilog=EXPORT_EXAMPLE)
@click.argument("chat")
@takes_place
def export_command(place: Place, *, chat: str) -> None:
    """Print everything held of one person as one JSON document.

    CHAT is a phone number with its country code, or a chat id; other ids under which WhatsApp
    shows the same person are included, on all channels. Nothing is masked: protect the output like
    the store. Times are Unix seconds (UTC).
    """
    with place.reading() as connection, shown("tables") as progress:
        held = held_of(connection, names_of(connection, known_chat(chat)), progress)
    if not any(rows for table, rows in held.items() if table not in {"chat", "also_known_as"}):
        raise CommandFailure(f"nothing is held of {chat}")
    note(place, "export", held["chat"])
    print_json(held)


# -- forget ---------------------------------------------------------------------------------------

FORGET_EXAMPLE = """\b
Example:
  recado export 573001234567 > laura.json
  recado forget 573001234567
"""


@click.command(name="forget", epilog=FORGET_EXAMPLE)
@click.argument("chat")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the running daemon; it continues afterwards.",
)
@AS_JSON
@takes_place
def forget_command(place: Place, *, chat: str, yes: bool, wait: float, as_json: bool) -> None:
    """Erase one person from every table and file, for good.

    CHAT is a phone number with its country code, or a chat id; other ids under which WhatsApp shows
    the same person are erased with it, on all channels. Texts, names, ids and raw events are
    deleted and their bytes overwritten. Counts stay, under a random name. A turn in progress is
    ended. A running daemon does it, in slices beside its work; else this command. After a crash
    the next start of the daemon continues.

    Backups, logs and what the gateway, WhatsApp and the model's provider keep are not touched.
    """
    name = known_chat(chat)
    if name.startswith(FORGOTTEN):
        raise CommandFailure(f"{name} is forgotten already")
    if not yes:
        question = f"Erase everything held of {name}? This cannot be undone"
        click.confirm(question, abort=True, err=as_json)
    with place.opened() as connection:
        with connection.transaction():
            forgotten = ask(connection, names_of(connection, name), by=os_actor(), now=time.time())
        with shown("stages") as progress:

            def look() -> Forgotten | None:
                progress(*progress_of(connection, forgotten))
                return done_as(connection, forgotten)

            done = trio.run(
                _done,
                look,
                lambda: slices(connection, forgotten, place.data_dir, now=time.time()),
                None if place.url else place.data_dir / LOCK_FILE,
                wait,
            )
        if done is None:
            raise NotDone(f"{name} is not forgotten yet; the daemon continues")
        if not place.url:
            _delete_files(connection, place.file_store())
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(f"forgotten, now called {done.name}: {done.summary()}")


def _delete_files(connection: CliConnection, files: FileStore) -> None:
    """Delete in the object store what was forgotten; a daemon that runs may be faster."""
    while True:
        with connection.transaction():
            pending = files_to_delete(connection)
        if not pending:
            return
        try:
            for folder in {folder for folder, _ in pending}:
                names = [name for of, name in pending if of == folder]
                trio.run(files.delete, folder, names)
        except FilesUnavailable as error:
            raise NotDone(
                f"{error}; the daemon deletes the files when it is there again"
            ) from error
        with connection.transaction():
            forget_deleted(connection, pending)


async def _done(
    look: Callable[[], Forgotten | None],
    slices: Callable[[], Iterator[None]],
    lock: Path | None,
    seconds: float,
) -> Forgotten | None:
    """Wait for the daemon, or do its work if none runs; None if it takes longer.

    The store is locked for a slice at a time, so a daemon that starts can take it and continue.
    Without ``lock``, the work is the daemon's alone.
    """
    left = slices()
    with trio.move_on_after(seconds):
        while (done := look()) is None:
            if lock is None:
                await trio.sleep(LOOK_SECONDS)
                continue
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
