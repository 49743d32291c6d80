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

from support.node_faults import ALONE, FAULTS, POOLS, STEPS, stall_at, suffer
from support.nodes import Nodes, PairedNodes, ProxiedNodes, SplitNodes, ThreeNodes

NAMED = {
    fault.__name__.replace(" ", "-"): fault
    for pool in (FAULTS, ALONE, *POOLS.values())
    for fault in pool
}


KINDS: dict[str, type[Nodes]] = {
    "two": Nodes,
    "three": ThreeNodes,
    "proxied": ProxiedNodes,
    "split": SplitNodes,
    "paired": PairedNodes,
}


@click.command()
@click.option("--faults", "count", default=30)
@click.option("--seed", default=1)
@click.option("--kind", type=click.Choice(sorted(KINDS)), default="two", help="Of which nodes.")
@click.option("--per-second", default=4.0, help="How many messages customers write.")
@click.option("--last-look", is_flag=True, help="Only stalls after the last look at the lease.")
@click.option("--stall", default=0.0, help="Only stalls around a send, of as many seconds.")
@click.argument("names", nargs=-1, type=click.Choice(sorted(NAMED)))
def main(
    count: int,
    seed: int,
    kind: str,
    per_second: float,
    names: tuple[str, ...],
    *,
    last_look: bool,
    stall: float,
) -> None:
    """Let faults happen to nodes, chosen at random (or of NAMES), and judge the result."""
    os.environ["TEST_STORE"] = "postgres"
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    made = KINDS[kind]
    pool = [NAMED[name] for name in names] or list(POOLS.get(made, FAULTS))
    faults = [rng.choice(pool) for _ in range(count)]
    if stall:
        faults = [stall_at(point, stall) for point in rng.choices(STEPS, k=count)]
    if last_look:
        faults = [stall_at("after the last look")] * count
    folder = Path(tempfile.mkdtemp(prefix="recado-nodes-"))

    async def run() -> None:
        figures, found = await suffer(
            folder, faults, seed=seed, kind=made, per_second=per_second, tell=_tell
        )
        sys.stdout.write(json.dumps({**figures, "broken": len(found)}) + "\n")
        if found:
            sys.exit(1)

    trio.run(run)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
