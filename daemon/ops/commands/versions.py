"""`recado versions`: what answers were made with, since when, and what came of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click

from daemon.domain.versions import PARTS, SHOWN_DIGITS, VersionUse, changed_parts
from daemon.ledger.versions import version_uses
from daemon.ops.commands.place import AS_JSON, CommandFailure, Place, print_json, takes_place

EXAMPLE = """\b
Example:
  recado versions
  recado versions show 3f2a91c0
"""


@AS_JSON
@takes_place
def _list(place: Place, *, as_json: bool) -> None:
    """List the versions of what answers are made with, newest first.

    A version is the hash of instructions, tools, validators, documents and model. Each line has its
    first and last turn, how many turns there were, how many were answered without a person and how
    many went to one, and the parts that differ from the version before. Old turns are deleted with
    their conversations, and are not counted any more.
    """
    with place.reading() as connection:
        uses = version_uses(connection)
    if as_json:
        print_json([_row(use, before) for use, before in _newest_first(uses)])
        return
    for use, before in _newest_first(uses):
        changed = ", ".join(changed_parts(before.version if before else None, use.version))
        done = use.results
        click.echo(
            f"{use.digest[:SHOWN_DIGITS]}  {use.version.model_name}"
            f"  {_moment(use.first_at, place)} to {_moment(done.last_at, place)}"
            f"  turns {done.turns}, answered {done.answered}, to a person {done.handed_over}"
            + (f"  changed: {changed}" if changed else "")
        )
    if not uses:
        click.echo("no turn has been answered yet", err=True)


@click.group(name="versions", invoke_without_command=True, epilog=EXAMPLE)
@wraps(_list)
def versions_command(**options: Any) -> None:  # noqa: D103 - its help is that of `_list`
    if click.get_current_context().invoked_subcommand is None:
        _list(**options)


@versions_command.command(name="show")
@click.argument("version")
@AS_JSON
@takes_place
def show_command(place: Place, *, version: str, as_json: bool) -> None:
    """Show a version: the hashes of its parts, and the instructions as they were.

    VERSION is its name, or the beginning of it.
    """
    with place.reading() as connection:
        uses = version_uses(connection)
    found = [pair for pair in _newest_first(uses) if pair[0].digest.startswith(version)]
    if len(found) != 1:
        what = "no version is" if not found else "several versions are"
        raise CommandFailure(f"{what} called {version}: recado versions lists them")
    ((use, before),) = found
    if as_json:
        print_json({**_row(use, before), "text": use.text})
        return
    click.echo(f"version {use.digest}  {use.version.model_name}")
    for name in PARTS:
        click.echo(f"{name:<13} {getattr(use.version, name) or '-'}")
    click.echo(f"\n{use.text}")


def _newest_first(uses: Sequence[VersionUse]) -> list[tuple[VersionUse, VersionUse | None]]:
    """Each version with the one before it."""
    return list(zip(uses, [None, *uses], strict=False))[::-1]


def _row(use: VersionUse, before: VersionUse | None) -> dict[str, object]:
    return {
        "version": use.digest,
        "model": use.version.model_name,
        "parts": {name: getattr(use.version, name) for name in PARTS},
        "changed": changed_parts(before.version if before else None, use.version),
        "first_at": use.first_at,
        "last_at": use.results.last_at or None,
        "turns": use.results.turns,
        "answered": use.results.answered,
        "handed_over": use.results.handed_over,
    }


def _moment(at: float, place: Place) -> str:
    return f"{datetime.fromtimestamp(at, place.zone or UTC):%Y-%m-%d %H:%M}" if at else "-"
