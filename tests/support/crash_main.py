"""Long runs of the crash harness, for ``make crash N=1000 SEED=1``.

First a kill at every visit of every named point, then N kills at random. Progress goes to stderr;
the last line, on stdout, has the figures as JSON. Exit status 1 if any promise was broken; the
data of a broken round are kept, those of the others removed.
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import trio

from support.crash import GatewayKind
from support.crash_runs import (
    TWICE_KILLED,
    Outcome,
    count_points,
    every_point,
    kill_at_points,
    kill_at_random,
)

ROUND = 100
"""Kills on one store with one seed: few enough to replay a violation and to read its ledger."""


@click.command()
@click.option("--kills", default=1000, help="at random, besides those at each point")
@click.option("--seed", default=1)
@click.option("--points/--no-points", default=True, help="also kill at every named point")
@click.option("--gateway", "kind", type=click.Choice(["whapi", "cloud"]), default="whapi")
def main(kills: int, seed: int, *, points: bool, kind: GatewayKind) -> None:
    """Kill the daemon repeatedly, and judge the result."""
    folder = Path(tempfile.mkdtemp(prefix="recado-crash-"))
    totals: Counter[str] = Counter()
    for name, outcome in _rounds(folder, kills, seed, points=points, kind=kind):
        totals.update(outcome.figures)
        _tell(f"{name}: {json.dumps(outcome.figures)}")
        for missed in outcome.missed:
            _tell(f"not reached: {missed}")
        if outcome.faults:
            _tell(outcome.story)
        else:
            shutil.rmtree(folder / name)
    totals.pop("start_seconds_median", None)
    sys.stdout.write(json.dumps(dict(totals)) + "\n")
    sys.exit(1 if totals["faults"] else 0)


def _rounds(
    folder: Path, kills: int, seed: int, *, points: bool, kind: GatewayKind
) -> Iterator[tuple[str, Outcome]]:
    """Each round as it ends, by the name of its folder."""
    if points:
        yield "points", trio.run(_at_points, folder / "points", seed, kind)
    for number, begun in enumerate(range(0, kills, ROUND)):
        name = f"random-{seed + number}"
        count = min(ROUND, kills - begun)
        yield name, trio.run(_at_random, count, folder / name, seed + number, kind)


async def _at_points(folder: Path, seed: int, kind: GatewayKind) -> Outcome:
    counted = await count_points(folder / "counting", seed=seed, kind=kind)
    # Recovery from a kill looks the chat up only where messages are listed.
    chains = [*every_point(counted), *(TWICE_KILLED if kind == "whapi" else ())]
    return await kill_at_points(chains, folder / "killing", seed=seed, kind=kind, tell=_tell)


async def _at_random(kills: int, folder: Path, seed: int, kind: GatewayKind) -> Outcome:
    return await kill_at_random(kills, folder, seed=seed, kind=kind, tell=_tell)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
