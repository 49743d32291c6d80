"""`recado budget`: what the model has used up today, and a contact's fresh start."""

import json
import time
from functools import wraps
from typing import Any

import click

from daemon.domain.limits import MICROS, day_of
from daemon.domain.redaction import mask_numbers
from daemon.ledger.admin.cli_queries import Spending, newest_day, pardon, spending_of
from daemon.ledger.admin.person import names_of
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands.place import NotDone, Place, known_chat, note, os_actor, takes_place
from daemon.settings.chats import BudgetSettings

EXAMPLE = """\b
Example:
  recado budget --chat 573001234567
  recado budget reset 573001234567
"""


@click.option("--chat", help="Only this number or chat id, and the total.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--reveal", is_flag=True, help="Show whole phone numbers.")
@takes_place
def _show(place: Place, *, chat: str | None, as_json: bool, reveal: bool) -> None:
    """Show what the model has used up today, by contact and in all, and the limits.

    Calls under way count at their estimate. With --data-dir the limits are not known, and the last
    day with any use is shown.
    """
    with open_cli_connection(place.data_dir, read_only=True) as connection:
        day = _day(place) or newest_day(connection)
        spent = spending_of(connection, day)
        if chat is not None:
            names = {"", *names_of(connection, known_chat(chat))}
            spent = tuple(entry for entry in spent if entry.chat in names)
    if reveal:
        note(place.data_dir, "reveal", after=f"budget of {day}, {len(spent)} rows")
    rows = [_row(entry, reveal=reveal) for entry in spent if entry.chat]
    total = next(
        (entry for entry in spent if not entry.chat), Spending(*("", "", 0, 0, 0, 0, False))
    )
    limits = place.budget
    if as_json:
        shown = {
            "day": day,
            "currency": limits.currency if limits else None,
            "limits": _limits(limits) if limits else None,
            "total": {"tokens": total.tokens, "cost": total.micros / MICROS, "spent": total.told},
            "contacts": rows,
        }
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_page(day, total, rows, limits)))


@click.group(name="budget", invoke_without_command=True, epilog=EXAMPLE)
@wraps(_show)
def command(**options: Any) -> None:  # noqa: D103 - its help is that of `_show`
    if click.get_current_context().invoked_subcommand is None:
        _show(**options)


@command.command(name="reset")
@click.argument("chat")
@takes_place
def reset(place: Place, *, chat: str) -> None:
    """Let a contact begin the day anew; the total of the day stays as it is.

    CHAT is a phone number with its country code, or a chat id. The next message is answered again.
    To go on after the total is spent, raise the limits in the configuration.
    """
    with open_cli_connection(place.data_dir) as connection:
        day = _day(place) or newest_day(connection)
        with transaction(connection):
            names = names_of(connection, known_chat(chat))
            done = pardon(connection, day, names, by=os_actor(), now=time.time())
    if not done:
        raise NotDone(f"nothing was used up by this contact on {day or 'any day'}")
    click.echo(f"reset for {day}")


def _day(place: Place) -> str:
    """Today in the configured time zone; empty if that is not known."""
    return day_of(time.time(), place.zone) if place.zone else ""


def _row(entry: Spending, *, reveal: bool) -> dict[str, Any]:
    return {
        "chat": entry.chat if reveal else mask_numbers(entry.chat),
        "channel": entry.channel,
        "tokens": entry.tokens,
        "cost": entry.micros / MICROS,
        "counted_tokens": entry.counted_tokens,
        "counted_cost": entry.counted_micros / MICROS,
        "spent": entry.told,
    }


def _limits(budget: BudgetSettings) -> dict[str, float]:
    names = ("contact_tokens", "contact_cost", "total_tokens", "total_cost")
    return {name: getattr(budget, name) for name in names}


def _page(
    day: str, total: Spending, rows: list[dict[str, Any]], budget: BudgetSettings | None
) -> list[str]:
    currency = budget.currency if budget else ""
    lines = [f"day {day or '-'}"]
    if budget:
        limits = [f"{name} {value or 'none'}" for name, value in _limits(budget).items()]
        lines.append(f"limits: {', '.join(limits)}")
    spent = "  budget spent" if total.told else ""
    lines.append(f"total  {total.tokens} tokens  {total.micros / MICROS:.4f} {currency}{spent}")
    for row in rows:
        spent = "  budget spent" if row["spent"] else ""
        if (row["counted_tokens"], row["counted_cost"]) != (row["tokens"], row["cost"]):
            spent += f"  ({row['counted_tokens']} tokens since the reset)"
        cost = f"{row['cost']:.4f} {currency}"
        lines.append(f"{row['chat']}  {row['tokens']} tokens  {cost}{spent}")
    return [line.rstrip() for line in lines]
