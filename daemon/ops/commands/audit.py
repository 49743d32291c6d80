"""`recado audit`: who did what, and whether the chain of it is whole."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import click

from daemon.domain.audit_chain import AuditRow, Head, Verified
from daemon.domain.redaction import mask_numbers
from daemon.ledger.audit import audit_rows, verify_audit
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import Failure, Place, note, takes_place

EXAMPLE = """\b
Example:
  recado audit --since 7d --action reveal
  recado audit --verify && recado audit --verify --json | jq -r .head >> elsewhere.txt
"""

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.command(name="audit", epilog=EXAMPLE)
@click.option("--since", default="", help="From then on: 30m, 24h, 7d, or a date like 2026-01-31.")
@click.option("--action", default="", help="Only this action: forget, reveal, login failed …")
@click.option("--actor", default="", help="Only actors with this in their name: maria, token …")
@click.option("--verify", is_flag=True, help="Check the chain; status 1 with its first broken row.")
@click.option(
    "--known",
    default="",
    metavar="ID:HASH",
    help="With --verify: a head that an earlier --verify has shown; it must still be in the chain.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--reveal", is_flag=True, help="Show whole phone numbers.")
@takes_place
def command(
    place: Place,
    *,
    since: str,
    action: str,
    actor: str,
    verify: bool,
    known: str,
    as_json: bool,
    reveal: bool,
) -> None:
    """List what operators have done: time, actor, address, action, subject, before and after.

    Each row carries the hash of the one before. --verify checks them all, and that none is missing
    in the middle or at the end. Somebody who may write the store can make a whole new chain: only
    a head that was kept elsewhere and is given as --known shows that. What tells of a customer is
    erased with the customer; the row stays, and the chain holds.
    """
    if known and not verify:
        raise click.UsageError("--known goes with --verify")
    with open_cli_connection(place.data_dir, read_only=True) as connection:
        if verify:
            # Rows and head of one moment.
            connection.execute("BEGIN")
            verified = verify_audit(connection, known=_head(known) if known else None)
            connection.execute("ROLLBACK")
            _say(verified, as_json=as_json)
            return
        if reveal:
            note(place.data_dir, "reveal", after="audit")
        found = audit_rows(connection, since=_since(since, place), action=action, actor=actor)
        _print(found, place, as_json=as_json, reveal=reveal)


def _say(verified: Verified, *, as_json: bool) -> None:
    shown = f"{verified.head.id}:{verified.head.hash}"
    if as_json:
        row = {
            "sound": not verified.fault,
            "rows": verified.rows,
            "erased": verified.erased,
            "broken": verified.broken or None,
            "fault": verified.fault,
            "head": shown,
        }
        click.echo(json.dumps(row, indent=2))
    elif verified.fault:
        click.echo(f"row {verified.broken}: {verified.fault}")
    else:
        click.echo(f"sound: {verified.rows} rows, of {verified.erased} the subject is erased")
        click.echo(f"head {shown}")
    if verified.fault:
        raise SystemExit(1)


def _print(found: Iterable[AuditRow], place: Place, *, as_json: bool, reveal: bool) -> None:
    shown = str if reveal else mask_numbers
    if as_json:
        rows = [
            {name: shown(v) if isinstance(v, str) else v for name, v in row.shown().items()}
            for row in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in found:
        when = datetime.fromtimestamp(row.at, place.zone or UTC).isoformat(" ", "seconds")
        subject = "(erased)" if row.salt is None else shown(row.subject)
        change = " -> ".join(shown(part) for part in (row.before, row.after) if part)
        parts = (when, row.actor.name or "-", row.actor.address, row.action, subject, change)
        click.echo("  ".join(part for part in parts if part))


def _since(text: str, place: Place) -> float:
    """The time that an option names, in Unix seconds; 0 without one."""
    if not text:
        return 0
    zone = place.zone or UTC
    try:
        if text[-1] in UNITS:
            ago = timedelta(**{UNITS[text[-1]]: float(text[:-1])})
            return (datetime.now(zone) - ago).timestamp()
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise Failure(f"--since {text}: give 30m, 24h, 7d, or a date like 2026-01-31") from None


def _head(text: str) -> Head:
    found = HEAD.fullmatch(text)
    if found is None:
        raise Failure("--known: give ID:HASH, as --verify prints it")
    return Head(id=int(found[1]), hash=found[2])
