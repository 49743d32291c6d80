"""`recado templates`: messages that Meta has approved, sent when nothing else may be."""

import time
from pathlib import Path
from random import SystemRandom

import click
import msgspec
import trio

from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart
from daemon.domain.rendering.templates import Template, chosen, template_part
from daemon.errors import GatewayError, SettingsError
from daemon.gateway.kinds import gateway_of
from daemon.ledger.drivers.port import Connection
from daemon.ledger.templates import replace_templates, templates_of
from daemon.ops.commands.messages import ANYWAY, WAIT, Order, send
from daemon.ops.commands.place import (
    AS_JSON,
    CONFIG,
    NUMBER,
    CommandFailure,
    NotDone,
    Place,
    failures,
    place_of,
    print_json,
    read_settings,
    takes_place,
)
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of

LANGUAGE = click.option("--language", default="", metavar="CODE", help="As Meta has it: es, en_US.")

EXAMPLE = """\b
Example:
  recado templates sync && recado templates list
  recado templates show seguimos_aqui
  recado templates send 573001234567 seguimos_aqui -p 1=Laura --wait 30
"""


@click.group(name="templates", epilog=EXAMPLE)
def templates_command() -> None:
    """List, read and send the templates of a number of the Cloud API.

    A day after a customer's last message Meta delivers only these. The daemon keeps their list up
    to date where cloud.business_account_id is set.
    """


@templates_command.command(name="list")
@NUMBER
@AS_JSON
@takes_place
def list_templates(place: Place, *, number: str | None, as_json: bool) -> None:
    """List what is known of the templates: name, language, category, status, parameters."""
    with place.reading() as connection:
        found = templates_of(connection, place.number(number))
    if as_json:
        print_json([_row(template) for template in found])
        return
    for template in found:
        parameters = ", ".join(template.parameters) or "no parameters"
        click.echo(
            f"{template.name}  {template.language}  {template.category}  {template.status}"
            f"  {parameters}"
        )
    if not found:
        click.echo("no templates are known: recado templates sync asks for them", err=True)


@templates_command.command(name="show")
@click.argument("name")
@LANGUAGE
@NUMBER
@AS_JSON
@takes_place
def show(place: Place, *, name: str, language: str, number: str | None, as_json: bool) -> None:
    """Show a template: what the customer reads, and its parameters."""
    with place.reading() as connection:
        template = _chosen(place, connection, place.number(number), name, language)
    if as_json:
        print_json(_row(template))
        return
    click.echo(f"{template.name}  {template.language}  {template.category}  {template.status}")
    click.echo(f"parameters: {', '.join(template.parameters) or 'none'}")
    click.echo(f"\n{template.words({})}")


@templates_command.command(name="sync")
@CONFIG
@NUMBER
@AS_JSON
def sync(config: Path | None, *, number: str | None, as_json: bool) -> None:
    """Ask Meta for the templates now, and keep them; a running daemon does so every hour."""
    whole = read_settings(config)
    place = place_of(whole)
    name = place.number(number)
    settings = numbers_of(whole)[name]
    if settings.gateway != "cloud" or not settings.cloud.business_account_id:
        raise CommandFailure("cloud.business_account_id: must be set")
    found = trio.run(_ask, settings)
    with failures(), place.writing() as connection:
        changed = replace_templates(connection, name, found, now=time.time())
    if as_json:
        print_json({"templates": len(found), "changed": changed})
    else:
        click.echo(f"{len(found)} templates{'' if changed else ', as before'}")


@templates_command.command(name="send")
@click.argument("chat")
@click.argument("name")
@click.option(
    "-p", "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="One for each."
)
@LANGUAGE
@WAIT
@ANYWAY
@NUMBER
@AS_JSON
@takes_place
def send_template(
    place: Place,
    *,
    chat: str,
    name: str,
    given: tuple[str, ...],
    language: str,
    wait: float,
    anyway: bool,
    number: str | None,
    as_json: bool,
) -> None:
    """Send a template to a chat, through the daemon's outbox; as recado send, at any time."""
    pairs = [text.partition("=") for text in given]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("a parameter is written NAME=VALUE")
    values = {key.strip(): value for key, _, value in pairs}

    def make(connection: Connection, key: ChatKey) -> NewPart:
        template = _chosen(place, connection, key.number, name, language)
        try:
            return template_part(template, values)
        except ValueError as error:
            raise CommandFailure(str(error)) from error

    order = Order(chat=chat, number=number, wait=wait, anyway=anyway, as_json=as_json)
    send(place, order, make)


def _chosen(
    place: Place, connection: Connection, number: str, name: str, language: str
) -> Template:
    known = templates_of(connection, number)
    ours = place.settings[number].language if number in place.settings else ""
    try:
        return chosen(known, name, language=language, ours=ours)
    except ValueError as error:
        raise CommandFailure(str(error)) from error


async def _ask(settings: Settings) -> tuple[Template, ...]:
    opening = gateway_of(settings).open(
        settings, rng=SystemRandom(), now=time.time, observe=None, tls=None
    )
    try:
        async with opening as gateway:
            return await gateway.list_templates()
    except SettingsError as error:
        raise CommandFailure(str(error)) from error
    except GatewayError as error:
        raise NotDone(str(error)) from error


def _row(template: Template) -> dict[str, object]:
    return {**msgspec.to_builtins(template), "parameters": list(template.parameters)}
