"""`recado token`: the tokens of the REST API."""

import re
import time
from dataclasses import asdict

import click

from daemon.domain.roles import ACCESS_ROLES, AccessRole
from daemon.ledger.tokens import api_tokens, create_token, new_token, revoke_token
from daemon.ops.commands.place import (
    AS_JSON,
    CommandFailure,
    NotDone,
    Place,
    os_actor,
    print_json,
    takes_place,
)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}", re.ASCII)
ADMIN = "admin"
"""The name that the audit has for web.admin_token."""

EXAMPLE = """\b
Example:
  recado token create crm --role agent
  recado token list
  recado token revoke crm
"""


@click.group(name="token", epilog=EXAMPLE)
def token_command() -> None:
    """Create, list and revoke tokens of the REST API."""


@token_command.command(name="create")
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in ACCESS_ROLES]),
    help="read: looks; agent: also serves customers; operator: everything.",
)
@AS_JSON
@takes_place
def create(place: Place, *, name: str, role: str, as_json: bool) -> None:
    """Create a token and print it, once: the ledger keeps only its hash.

    NAME says whose it is, in the audit too: small letters, digits, and . _ - between them. It
    counts at once, also for the running daemon.
    """
    if not NAME.fullmatch(name) or name == ADMIN:
        raise CommandFailure(f"{name}: take small letters, digits and . _ -, and not {ADMIN}")
    token = new_token()
    with place.writing() as connection:
        done = create_token(
            connection, name, AccessRole(role), token, by=os_actor(), now=time.time()
        )
    if not done:
        raise CommandFailure(f"there is a token {name} already: revoke it, or take another name")
    if as_json:
        print_json({"name": name, "role": role, "token": token})
        return
    click.echo(token)
    click.echo("It is shown this once. Send it as Authorization: Bearer <token>.", err=True)


@token_command.command(name="list")
@AS_JSON
@takes_place
def list_command(place: Place, *, as_json: bool) -> None:
    """List the tokens: name, role, when each was created, and when it was used last."""
    with place.reading() as connection:
        found = api_tokens(connection)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        used = f"used {place.moment(one.used_at)}" if one.used_at else "never used"
        click.echo(f"{one.name}  {one.role}  created {place.moment(one.created_at)}  {used}")
    click.echo(f"{len(found)} {'token' if len(found) == 1 else 'tokens'}")


@token_command.command(name="revoke")
@click.argument("name")
@takes_place
def revoke(place: Place, *, name: str) -> None:
    """Revoke the token NAME; the next request with it is refused.

    Exit status 1 if there is no such token.
    """
    with place.writing() as connection:
        done = revoke_token(connection, name, by=os_actor(), now=time.time())
    if not done:
        raise NotDone(f"there is no token {name}")
    click.echo(f"{name} is revoked")
