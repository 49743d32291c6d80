"""`recado backup`: a copy of the store while the daemon runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from daemon.commands.place import Failure, NotDone, Place, takes_place
from daemon.store.operator.backup import Backup, back_up, back_up_files
from daemon.store.operator.door import open_beside_daemon

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
    help="Copy large events, which lie in files of their own, into FILE.events as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as JSON.")
@takes_place
def command(place: Place, *, file: Path, force: bool, with_files: bool, as_json: bool) -> None:
    """Copy the store into FILE while the daemon runs.

    The copy is of one moment, checked, on the disk when the command ends, and readable for its
    owner alone. To go back to it, stop the daemon and put it in place of recado.db (and FILE.events
    in place of the events folder); remove recado.db-wal and recado.db-shm if they are there.
    """
    target = file.absolute()
    taken = [path for path in (target, target.with_name(f"{target.name}.events")) if path.exists()]
    if taken and not force:
        raise Failure(f"{taken[0]} is there already; --force replaces it")
    with open_beside_daemon(place.data_dir) as connection:
        if target.exists() and target.samefile(place.data_dir / "recado.db"):
            raise Failure(f"{target} is the store itself")
        backup = back_up(connection, target)
    files = back_up_files(target, place.events) if with_files else None
    if as_json:
        click.echo(json.dumps(_row(target, backup, files), ensure_ascii=False))
    else:
        click.echo(f"{target}: {backup.size} bytes, sound")
        if files is not None:
            click.echo(f"{target}.events: {files.files} large events")
    for line in _left_out(place, backup, files):
        click.echo(f"not included: {line}", err=True)
    if files is not None and files.missing:
        raise NotDone(f"{files.missing} large events could not be found")


def _row(target: Path, backup: Backup, files: Backup | None) -> dict[str, object]:
    return {
        "file": str(target),
        "bytes": backup.size,
        "large_events": backup.files,
        "large_events_copied": files.files if files else 0,
        "media_not_copied": backup.media,
    }


def _left_out(place: Place, backup: Backup, files: Backup | None) -> Iterator[str]:
    """What lies beside the store and is not in the copy."""
    if backup.media:
        yield f"{backup.media} files that people sent in {place.media}; copy the folder as well"
    if backup.files and files is None:
        yield f"{backup.files} large events in {place.events}; --with-files copies them too"
