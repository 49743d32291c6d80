"""``make fuzz``: each target has an equal share of the time.

The last line, on stdout, has the figures as JSON. Exit status 1 if there is a finding.
"""

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType

import click

from fuzz.edge import fuzz_edge
from fuzz.finding import Finding, Target

TARGETS: Mapping[str, Target] = MappingProxyType({"edge": fuzz_edge})
SHOWN_BYTES = 2_000


@click.command()
@click.option("--seconds", default=600.0, help="for all targets together")
@click.option("--seed", default=1)
@click.option("--only", type=click.Choice(sorted(TARGETS)), help="one target alone")
def main(seconds: float, seed: int, only: str | None) -> None:
    """Give the daemon input that nobody means, and look at what becomes of it."""
    names = [only] if only else sorted(TARGETS)
    figures: dict[str, object] = {"seed": seed}
    found = 0
    for name in names:
        report = TARGETS[name](seed, seconds / len(names))
        figures[name] = {"cases": report.cases, "findings": len(report.findings)}
        found += len(report.findings)
        for finding in report.findings:
            _tell(name, finding)
    click.echo(json.dumps(figures))
    sys.exit(1 if found else 0)


def _tell(name: str, finding: Finding) -> None:
    click.echo(f"{name}: {finding.what} (case {finding.case})", err=True)
    click.echo(f"  {finding.data[:SHOWN_BYTES]!r}", err=True)
    if finding.detail:
        click.echo(f"  {finding.detail}", err=True)


if __name__ == "__main__":
    main()
