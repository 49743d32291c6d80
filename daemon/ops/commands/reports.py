"""`recado audit` and `recado budget`: what operators did, and what the model has cost."""

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.domain.audit_chain import AuditRow, Head, Verified
from daemon.domain.limits import MICROS, day_of
from daemon.domain.redaction import mask_numbers
from daemon.ledger.admin.cli_queries import Spending, newest_days, pardon, spending_of
from daemon.ledger.admin.person import names_of
from daemon.ledger.audit import audit_rows, verify_audit
from daemon.ops.commands.place import (
    AS_JSON,
    REVEAL,
    CommandFailure,
    NotDone,
    Place,
    known_chat,
    listing_group,
    note,
    os_actor,
    print_json,
    takes_place,
)
from daemon.settings.chats import BudgetSettings

# -- audit ----------------------------------------------------------------------------------------

AUDIT_EXAMPLE = """\b
Example:
  recado audit --since 7d --action reveal
  recado audit --verify && recado audit --verify --json | jq -r .head >> elsewhere.txt
"""

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.command(name="audit", epilog=AUDIT_EXAMPLE)
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
@AS_JSON
@REVEAL
@takes_place
def audit_command(
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
    in the middle or at the end. Somebody who can write to the store can make a new chain: only a
    head that was kept elsewhere and is given as --known shows that. What names a customer is
    erased with the customer; the row stays, and the chain remains valid.
    """
    if known and not verify:
        raise click.UsageError("--known goes with --verify")
    with place.reading() as connection:
        if verify:
            verified = verify_audit(connection, known=_head(known) if known else None)
            _print_verified(verified, as_json=as_json)
            return
        if reveal:
            note(place, "reveal", after="audit")
        found = audit_rows(connection, since=since_of(since, place), action=action, actor=actor)
        _print(found, place, as_json=as_json, reveal=reveal)


def _print_verified(verified: Verified, *, as_json: bool) -> None:
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
        print_json(row)
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
        print_json(rows)
        return
    for row in found:
        when = datetime.fromtimestamp(row.at, place.zone or UTC).isoformat(" ", "seconds")
        subject = "(erased)" if row.salt is None else shown(row.subject)
        change = " -> ".join(shown(part) for part in (row.before, row.after) if part)
        parts = (when, row.actor.name or "-", row.actor.address, row.action, subject, change)
        click.echo("  ".join(part for part in parts if part))


def since_of(text: str, place: Place, *, option: str = "--since") -> float:
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
        raise CommandFailure(
            f"{option} {text}: give 30m, 24h, 7d, or a date like 2026-01-31"
        ) from None


def _head(text: str) -> Head:
    found = HEAD.fullmatch(text)
    if found is None:
        raise CommandFailure("--known: give ID:HASH, as --verify prints it")
    return Head(id=int(found[1]), hash=found[2])


# -- budget ---------------------------------------------------------------------------------------

BUDGET_EXAMPLE = """\b
Example:
  recado budget --chat 573001234567
  recado budget reset 573001234567
"""


@click.option("--chat", help="Only this number or chat id, and the total.")
@AS_JSON
@REVEAL
@takes_place
def _show(place: Place, *, chat: str | None, as_json: bool, reveal: bool) -> None:
    """Show what the model has used today, by contact and number, and the limits of each number.

    Calls in progress count at their estimate. With --data-dir the limits are not known, and the
    last day with any use is shown.
    """
    with place.reading() as connection:
        days = _days(place) or newest_days(connection)
        spent = spending_of(connection, days)
        if chat is not None:
            names = {"", *names_of(connection, known_chat(chat))}
            spent = tuple(entry for entry in spent if entry.chat in names)
    if reveal:
        day = max(days.values(), default="")
        note(place, "reveal", after=f"budget of {day}, {len(spent)} rows")
    rows = [_row(entry, reveal=reveal) for entry in spent if entry.chat]
    used = {entry.channel: entry for entry in spent if not entry.chat}
    totals = {number: used.get(number, Spending(number, *UNUSED)) for number in days}
    budgets = {name: number.budget for name, number in place.settings.items()}
    report = _report(days, totals, rows, budgets)
    if as_json:
        print_json(report)
    else:
        click.echo("\n".join(_page(report)))


budget_command = listing_group("budget", _show, epilog=BUDGET_EXAMPLE)


@budget_command.command(name="reset")
@click.argument("chat")
@takes_place
def reset_command(place: Place, *, chat: str) -> None:
    """Reset what a contact has used today; the total of the day stays as it is.

    CHAT is a phone number with its country code, or a chat id. The next message is answered again.
    When the total is used up, raise the limits in the configuration.
    """
    with place.writing() as connection:
        days = _days(place) or newest_days(connection)
        names = names_of(connection, known_chat(chat))
        reset = pardon(connection, days, names, by=os_actor(), now=time.time())
    if not reset:
        raise NotDone(f"this contact has used nothing on {max(days.values(), default='any day')}")
    click.echo(f"reset for {', '.join(reset)}")


UNUSED = ("", 0, 0, 0, 0, 0, 0)
"""The usage of an unused number."""


def _days(place: Place) -> dict[str, str]:
    """Today by number, in its time zone; empty if the configuration was not read."""
    return {
        name: day_of(time.time(), ZoneInfo(number.timezone))
        for name, number in place.settings.items()
    }


def _row(entry: Spending, *, reveal: bool) -> dict[str, Any]:
    return {
        "chat": entry.chat if reveal else mask_numbers(entry.chat),
        "channel": entry.channel,
        "tokens": entry.tokens,
        "cost": entry.micros / MICROS,
        "gateway_cost": entry.gateway_micros / MICROS,
        "counted_tokens": entry.counted_tokens,
        "counted_cost": entry.counted_micros / MICROS,
        "spent": bool(entry.notified),
    }


def _limits(budget: BudgetSettings) -> dict[str, float]:
    names = ("contact_tokens", "contact_cost", "total_tokens", "total_cost")
    return {name: getattr(budget, name) for name in names}


def _report(
    days: Mapping[str, str],
    totals: Mapping[str, Spending],
    rows: list[dict[str, Any]],
    budgets: Mapping[str, BudgetSettings],
) -> dict[str, Any]:
    """The object of ``--json``. ``currency`` and ``limits`` are those of the only number."""
    only = next(iter(budgets.values())) if len(budgets) == 1 else None
    return {
        "day": max(days.values(), default=""),
        "currency": only.currency if only else None,
        "limits": _limits(only) if only else None,
        "total": {
            "tokens": sum(one.tokens for one in totals.values()),
            "cost": sum(one.micros for one in totals.values()) / MICROS,
            "gateway_cost": sum(one.gateway_micros for one in totals.values()) / MICROS,
            "spent": any(one.notified for one in totals.values()),
        },
        "numbers": {
            number: {
                **_row(one, reveal=False),
                "day": days[number],
                "currency": budgets[number].currency if number in budgets else None,
                "limits": _limits(budgets[number]) if number in budgets else None,
            }
            for number, one in totals.items()
        },
        "contacts": rows,
    }


def _page(report: Mapping[str, Any]) -> list[str]:
    """The same, to be read."""
    numbers = report["numbers"]
    several = len(numbers) > 1
    lines = [f"day {', '.join(sorted({one['day'] for one in numbers.values()})) or '-'}"]
    for number, one in numbers.items():
        of_number = f" of {number}" if several else ""
        if one["limits"]:
            values = one["limits"].items()
            limits = ", ".join(f"{name} {value or 'none'}" for name, value in values)
            lines.append(f"limits{of_number}: {limits}")
        lines.append(_line(f"total{of_number}", one, one["currency"]))
    for row in report["contacts"]:
        whose = f"{row['chat']} of {row['channel']}" if several else row["chat"]
        line = _line(whose, row, numbers.get(row["channel"], {}).get("currency"))
        if (row["counted_tokens"], row["counted_cost"]) != (row["tokens"], row["cost"]):
            line += f"  ({row['counted_tokens']} tokens since the reset)"
        lines.append(line)
    return lines


def _line(whose: str, row: Mapping[str, Any], currency: str | None) -> str:
    cost = f"{row['cost']:.4f} {currency or ''}".rstrip()
    charged = f"  + {row['gateway_cost']:.4f} for messages" if row["gateway_cost"] else ""
    spent = "  budget spent" if row["spent"] else ""
    return f"{whose}  {row['tokens']} tokens  {cost}{charged}{spent}"
