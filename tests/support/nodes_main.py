"""Long runs of the nodes' faults: ``python -m support.nodes_main --faults 300``, in ``tests/``.

Progress goes to stderr; the last line, on stdout, has the figures as JSON. Exit status 1 if any
promise was broken.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path

import click
import trio

from support.crash import report
from support.nodes import FAULTS, Nodes, stall_at, suffer

NAMED = {fault.__name__.replace(" ", "-"): fault for fault in FAULTS}


class ThreeNodes(Nodes):
    """Three nodes instead of two."""

    count = 3


@click.command()
@click.option("--faults", "count", default=30)
@click.option("--seed", default=1)
@click.option("--three", is_flag=True, help="Three nodes instead of two.")
@click.option("--last-look", is_flag=True, help="Only stalls after the last look at the lease.")
@click.argument("names", nargs=-1, type=click.Choice(sorted(NAMED)))
def main(count: int, seed: int, names: tuple[str, ...], *, three: bool, last_look: bool) -> None:
    """Let faults happen to nodes, chosen at random (or of NAMES), and judge the result."""
    os.environ["TEST_STORE"] = "postgres"
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    pool = [NAMED[name] for name in names] or list(FAULTS)
    faults = [rng.choice(pool) for _ in range(count)]
    if last_look:
        faults = [stall_at("after the last look")] * count
    folder = Path(tempfile.mkdtemp(prefix="recado-nodes-"))
    kind = ThreeNodes if three else Nodes

    async def run() -> None:
        nodes, found = await suffer(folder, faults, seed=seed, kind=kind, tell=_tell)
        figures = {"faults": dict(nodes.done), "failovers": sorted(nodes.failovers)}
        sys.stdout.write(json.dumps({**figures, **nodes.figures(), "broken": len(found)}) + "\n")
        if found:
            _tell(report(nodes, found, f"seed {seed}"))
            sys.exit(1)

    trio.run(run)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
