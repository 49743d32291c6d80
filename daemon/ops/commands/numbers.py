"""`recado numbers`: our numbers, how each is, and who waits."""

import time
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom

import click
import trio

from daemon.errors import GatewayError, SettingsError, StoreError
from daemon.gateway.kinds import gateway_of
from daemon.ledger.admin.cli_queries import unanswered
from daemon.ledger.nodes import owners
from daemon.ops.commands.place import AS_JSON, CONFIG, place_of, print_json, read_settings
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of

AT_ONCE = 10
"""Gateways that are asked at the same time."""

PATIENCE_SECONDS = 10.0
"""For the answer of one."""

EXAMPLE = """\b
Example:
  recado numbers
  recado numbers --offline --json
"""


@click.command(name="numbers", epilog=EXAMPLE)
@CONFIG
@click.option("--offline", is_flag=True, help="Do not ask the gateways how the numbers are.")
@AS_JSON
def numbers_command(config: Path | None, *, offline: bool, as_json: bool) -> None:
    """List our numbers: name, gateway, state, and in how many chats a customer waits.

    The gateway says the state: ok, connecting, needs_qr, stopped … Of several nodes, the one that
    has the number is shown. Exit status 1 if a number is not ok.
    """
    settings = read_settings(config)
    numbers = numbers_of(settings)
    states = {} if offline else trio.run(_states, numbers)
    waiting, nodes = _waiting(settings), _nodes(settings)
    rows = [
        {
            "name": name,
            "gateway": number.gateway,
            "state": states.get(name, ""),
            "waiting": waiting.get(name, 0) if waiting is not None else None,
            **({"node": nodes.get(name, "")} if nodes else {}),
        }
        for name, number in numbers.items()
    ]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            state = f"  {row['state']}" if row["state"] else ""
            chats = "no store yet" if waiting is None else f"{row['waiting']} waiting"
            node = f"  {row['node'] or 'no node'}" if nodes else ""
            click.echo(f"{row['name']}  {row['gateway']}{state}  {chats}{node}")
    if any(state != "ok" for state in states.values()):
        raise SystemExit(1)


def _waiting(settings: Settings) -> dict[str, int] | None:
    """In how many chats of each number a customer waits; None if there is no store to read."""
    try:
        with place_of(settings).reading() as connection:
            chats = {(one.number, one.chat) for one in unanswered(connection)}
    except StoreError:
        return None
    return {name: sum(number == name for number, _ in chats) for name, _ in chats}


def _nodes(settings: Settings) -> dict[str, str]:
    """The node that has each number; nothing where one process has all of them."""
    if settings.store.url is None:
        return {}
    try:
        with place_of(settings).reading() as connection:
            return owners(connection)
    except StoreError:
        return {}


async def _states(numbers: Mapping[str, Settings]) -> dict[str, str]:
    """The state of each number by its gateway, or the reason why there is none."""
    states: dict[str, str] = {}
    places = trio.CapacityLimiter(AT_ONCE)

    async def ask(name: str, settings: Settings) -> None:
        async with places:
            states[name] = await _state(settings)

    async with trio.open_nursery() as nursery:
        for name, settings in numbers.items():
            nursery.start_soon(ask, name, settings, name=f"state of {name}")
    return states


async def _state(settings: Settings) -> str:
    opening = gateway_of(settings).open(
        settings, rng=SystemRandom(), now=time.time, observe=None, tls=None
    )
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            async with opening as gateway:
                return (await gateway.health()).condition
    except trio.TooSlowError:
        return "no answer"
    except (GatewayError, SettingsError) as error:
        return str(error)
