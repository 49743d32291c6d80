"""`recado backup`: a copy of the store while the daemon runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from daemon.ledger.admin.backup import Backup, Files, back_up, back_up_events, back_up_sent
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import Failure, NotDone, Place, note, takes_place

EXAMPLE = """\b
Example:
  recado backup /var/backups/recado-$(date +%F).db --with-files
"""


@click.command(name="backup", epilog=EXAMPLE)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--with-files",
    is_flag=True,
    help="Copy large events into FILE.events, and voice notes and files that were sent or wait to"
    " be into FILE.audio.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as JSON.")
@takes_place
def command(place: Place, *, file: Path, force: bool, with_files: bool, as_json: bool) -> None:
    """Copy the store into FILE while the daemon runs.

    The copy is of one moment, checked, on the disk when the command ends, and readable for its
    owner alone. To go back to it, stop the daemon and put it in place of recado.db (FILE.events in
    place of the events folder, FILE.audio in place of the audio folder); remove recado.db-wal and
    recado.db-shm if they are there.
    """
    target = file.absolute()
    folders = [target.with_name(f"{target.name}.{folder}") for folder in ("events", "audio")]
    taken = [path for path in (target, *folders) if path.exists()]
    if taken and not force:
        raise Failure(f"{taken[0]} is there already; --force replaces it")
    with open_cli_connection(place.data_dir) as connection:
        if target.exists() and target.samefile(place.data_dir / "recado.db"):
            raise Failure(f"{target} is the store itself")
        note(place.data_dir, "backup", str(target))
        backup = back_up(connection, target)
    files = _copy(target, place) if with_files else None
    if as_json:
        click.echo(json.dumps(_row(target, backup, files), ensure_ascii=False))
    else:
        click.echo(f"{target}: {backup.size} bytes, sound")
        if files is not None:
            click.echo(f"{target}.events: {files.events.copied} large events")
            click.echo(f"{target}.audio: {files.sent.copied} voice notes and files")
    for line in _left_out(place, backup, files):
        click.echo(f"not included: {line}", err=True)
    if files is not None and files.events.missing:
        raise NotDone(f"{files.events.missing} large events could not be found")
    if files is not None and files.sent.missing:
        raise NotDone(f"{files.sent.missing} files that are to be sent could not be found")


class _Copied(NamedTuple):
    events: Files
    sent: Files


def _copy(target: Path, place: Place) -> _Copied:
    return _Copied(back_up_events(target, place.events), back_up_sent(target, place.audio))


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
    """What lies beside the store and is not in the copy."""
    if backup.media:
        yield f"{backup.media} files that people sent in {place.media}; copy the folder as well"
    if backup.files and files is None:
        yield f"{backup.files} large events in {place.events}; --with-files copies them too"
    if backup.sent and files is None:
        yield f"{backup.sent} files that are to be sent in {place.audio}; --with-files copies them"
