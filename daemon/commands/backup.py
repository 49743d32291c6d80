"""`recado backup`: a copy of the store while the daemon runs."""

from pathlib import Path

import click

from daemon.commands.place import Failure, NotDone, Place, takes_place
from daemon.store.operator.backup import back_up, back_up_files
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
@takes_place
def command(place: Place, *, file: Path, force: bool, with_files: bool) -> None:
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
    click.echo(f"{target}: {backup.size} bytes, sound")
    if backup.media:
        click.echo(
            f"not included: {backup.media} files that people sent in {place.media}; copy the folder"
            " to keep them",
            err=True,
        )
    if not with_files:
        if backup.files:
            click.echo(
                f"not included: {backup.files} large events in {place.events}; --with-files"
                " copies them too",
                err=True,
            )
        return
    files = back_up_files(target, place.events)
    click.echo(f"{target}.events: {files.files} large events")
    if files.missing:
        raise NotDone(f"{files.missing} large events could not be found")
