"""`recado account`: who may sign in to the dashboard by name."""

import sys
import time

import click

from daemon.domain.accounts import Account, account_name, password_fault
from daemon.domain.roles import ACCESS_ROLES, AccessRole
from daemon.ledger.accounts import add_account, all_accounts, disable_account, set_password
from daemon.observability.lines import iso_utc
from daemon.ops.commands.place import (
    AS_JSON,
    CommandFailure,
    NotDone,
    Place,
    os_actor,
    print_json,
    takes_place,
)
from daemon.ops.passwords import hashed

EXAMPLE = """\b
Example:
  recado account add María --role agent
  pass show recado/maria | recado account password María
  recado account list
  recado account disable María
"""


@click.group(name="account", epilog=EXAMPLE)
def account_command() -> None:
    """Add, list and disable the accounts of the dashboard, and set their passwords.

    An agent answers customers; an operator also runs Recado; read looks only. A password is asked
    for at a terminal, else it is the first line of the standard input.
    """


@account_command.command(name="add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in ACCESS_ROLES]),
    default="agent",
    show_default=True,
    help="What the account may do.",
)
@click.option(
    "--email",
    default="",
    metavar="ADDRESS",
    help="Sign in with the OpenID Connect provider that verifies it; no password is asked for.",
)
@takes_place
def add(place: Place, *, name: str, role: str, email: str) -> None:
    """Add an account, with a new password or with the address that a provider verifies."""
    try:
        name = account_name(name)
    except ValueError as error:
        raise CommandFailure(str(error)) from error
    password = "" if email else hashed(_new_password())
    by, now = os_actor(), time.time()
    with place.writing() as connection:
        added = add_account(
            connection, name, AccessRole(role), password, by=by, now=now, email=email
        )
    if added is None:
        raise NotDone(f"there is an account {name} already, or one with that address")
    click.echo(f"{name} may sign in: {role}")


@account_command.command(name="list")
@AS_JSON
@takes_place
def list_accounts(place: Place, *, as_json: bool) -> None:
    """List the accounts: name, role, when it last signed in."""
    with place.reading() as connection:
        accounts = all_accounts(connection)
    if as_json:
        print_json([_row(account) for account in accounts])
        return
    for account in accounts:
        seen = f"last sign-in {iso_utc(account.seen_at)}" if account.seen_at else "never signed in"
        state = "  disabled" if account.disabled_at else ""
        click.echo(f"{account.name}  {account.role}  {seen}{state}")
    if not accounts:
        click.echo("there are no accounts; the admin token signs in", err=True)


@account_command.command(name="password")
@click.argument("name")
@takes_place
def password_of(place: Place, *, name: str) -> None:
    """Replace an account's password; its browsers have to sign in again."""
    password = hashed(_new_password())
    with place.writing() as connection:
        known = set_password(connection, name, password, by=os_actor(), now=time.time())
    if not known:
        raise NotDone(f"there is no account {name}")
    click.echo(f"{name} has a new password")


@account_command.command(name="disable")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Enable it again.")
@takes_place
def disable(place: Place, *, name: str, undo: bool) -> None:
    """Disable an account and end its sessions; what it did keeps its name."""
    with place.writing() as connection:
        changed = disable_account(connection, name, by=os_actor(), now=time.time(), undo=undo)
    if not changed:
        raise NotDone(f"no {'disabled' if undo else 'enabled'} account is called {name}")
    click.echo(f"{name} is {'enabled' if undo else 'disabled'}")


def _new_password() -> str:
    if sys.stdin.isatty():
        password = str(click.prompt("New password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if fault := password_fault(password):
        raise CommandFailure(fault)
    return password


def _row(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "role": account.role,
        "language": account.language,
        "timezone": account.zone,
        "lastSignIn": iso_utc(account.seen_at) if account.seen_at else None,
        "disabled": account.disabled_at is not None,
    }
