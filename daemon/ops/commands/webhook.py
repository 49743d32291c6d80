"""`recado webhook`: the address to which Whapi sends events."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import trio

from daemon.domain.messages import JsonObject
from daemon.errors import GatewayError, SettingsError, StoreError
from daemon.gateway.whapi.client import WhapiClient
from daemon.gateway.whapi.kind import (
    carries,
    events_of,
    open_number,
    same_address,
    webhook_faults,
    webhooks,
    with_webhook,
)
from daemon.ledger.drivers.sqlite.opening import STORE_FILE
from daemon.ops.commands.place import (
    AS_JSON,
    CONFIG,
    NUMBER,
    CommandFailure,
    NotDone,
    note,
    number_settings,
    place_of,
    print_json,
)
from daemon.settings import Settings

Answer = TypeVar("Answer")

EXAMPLE = """\b
Example:
  recado webhook show
  recado webhook set --url https://bot.example.com/hook
"""


@click.group(name="webhook", epilog=EXAMPLE)
def webhook_command() -> None:
    """Read or set the webhook of the Whapi channel."""


@webhook_command.command(name="show")
@CONFIG
@NUMBER
@AS_JSON
def show(config: Path | None, *, number: str | None, as_json: bool) -> None:
    """Show the channel's webhooks, and what is wrong with them; status 1 if something is.

    The values of headers are secrets and are not shown.
    """
    settings = number_settings(config, number)
    found = trio.run(_ask, settings, WhapiClient.get_settings)
    secrets = _secrets(settings)
    rows = [_row(entry, secrets) for entry in webhooks(found)]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            click.echo(f"{row['url']}  mode {row['mode']}  headers {row['headers']}")
            click.echo(f"  events: {', '.join(row['events'])}")
    faults = webhook_faults(found, settings.web.webhook_url, secrets)
    for level, text in faults:
        click.echo(f"{level}: {text}", err=True)
    if any(level == "error" for level, _ in faults):
        raise SystemExit(1)


@webhook_command.command(name="set")
@CONFIG
@click.option("--url", help="Public address of /hook; else web.webhook_url.")
@click.option(
    "--mode",
    type=click.Choice(["body", "path", "method"]),
    default="body",
    show_default=True,
    help="How Whapi names the event; Recado takes all three.",
)
@NUMBER
@AS_JSON
def set_webhook(
    config: Path | None, *, url: str | None, mode: str, number: str | None, as_json: bool
) -> None:
    """Let Whapi send to this daemon: address, events, and the Authorization header.

    The header carries web.webhook_secret, the first one if there are two. A webhook with the same
    address is changed; other webhooks, and all other settings of the channel, stay as they are.
    """
    settings = number_settings(config, number)
    url = url or settings.web.webhook_url
    if not url.startswith(("http://", "https://")):
        raise CommandFailure("no address: give --url https://…/hook, or set web.webhook_url")
    secret = next(iter(_secrets(settings)), "")

    async def change(whapi: WhapiClient) -> tuple[bool, int]:
        entries, found = with_webhook(await whapi.get_settings(), url, mode=mode, secret=secret)
        await whapi.change_settings({"webhooks": entries})
        kept = webhooks(await whapi.get_settings())
        if not any(same_address(str(entry.get("url")), url) for entry in kept):
            raise NotDone("Whapi took the change but does not show it")
        return found, len(kept)

    found, count = trio.run(_ask, settings, change)
    done = "changed" if found else "added"
    _note(settings, url, found=found)
    if as_json:
        row = {"done": done, "url": url, "carries_secret": bool(secret), "webhooks": count}
        print_json(row)
    else:
        click.echo(f"{done} {url}")
    if not secret:
        click.echo("web.webhook_secret is not set: anybody may post to /hook", err=True)


def _note(settings: Settings, url: str, *, found: bool) -> None:
    """Write the change into the audit, if there is a store yet; the channel is set either way."""
    if not settings.store.url and not (settings.data_dir / STORE_FILE).is_file():
        return
    before, after = ("set", "changed") if found else ("", "added")
    try:
        note(place_of(settings), "webhook set", url, before=before, after=after)
    except StoreError as error:
        click.echo(f"not noted in the audit: {error}", err=True)


async def _ask(settings: Settings, ask: Callable[[WhapiClient], Awaitable[Answer]]) -> Answer:
    if settings.gateway != "whapi":
        raise CommandFailure(
            "only of Whapi: the webhook of a number of the Cloud API is set in Meta's app dashboard"
        )
    try:
        async with open_number(settings) as whapi:
            return await ask(whapi)
    except SettingsError as error:
        raise CommandFailure(str(error)) from error
    except GatewayError as error:
        raise NotDone(str(error)) from error


def _secrets(settings: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in settings.web.webhook_secret]


def _row(entry: JsonObject, secrets: list[str]) -> JsonObject:
    return {
        "url": str(entry.get("url")),
        "mode": str(entry.get("mode", "body")),
        "headers": sorted(entry.get("headers") or {}),
        "carries_secret": bool(secrets) and carries(entry, secrets),
        "events": events_of(entry),
    }
