"""``make fuzz``: each target has an equal share of the time.

The last line, on stdout, has the figures as JSON. Exit status 1 if there is a finding; its input is
then in ``dist/fuzz``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import click

from fuzz.edge import fuzz_edge
from fuzz.finding import Finding, Target
from fuzz.parsers import PARSERS
from fuzz.texts import TEXTS

TARGETS: Mapping[str, Target] = MappingProxyType({"edge": fuzz_edge, **PARSERS, **TEXTS})
SHOWN_BYTES = 2_000
KEPT_IN = Path("dist/fuzz")


@click.command()
@click.option("--minutes", default=10.0, help="for all targets together")
@click.option("--seed", default=1)
@click.option("--only", type=click.Choice(sorted(TARGETS)), help="one target alone")
def main(minutes: float, seed: int, only: str | None) -> None:
    """Give the daemon input that nobody means, and look at what becomes of it."""
    names = [only] if only else sorted(TARGETS)
    figures: dict[str, object] = {"seed": seed}
    found = 0
    for name in names:
        report = TARGETS[name](seed, minutes * 60 / len(names))
        figures[name] = {"cases": report.cases, "findings": len(report.findings)}
        found += len(report.findings)
        for finding in report.findings:
            _tell(name, seed, finding)
    click.echo(json.dumps(figures))
    sys.exit(1 if found else 0)


def _tell(name: str, seed: int, finding: Finding) -> None:
    KEPT_IN.mkdir(parents=True, exist_ok=True)
    kept = KEPT_IN / f"{name}-{seed}-{finding.case}"
    kept.write_bytes(finding.data)
    click.echo(f"{name}: {finding.what} (seed {seed}, case {finding.case}, {kept})", err=True)
    click.echo(f"  {finding.data[:SHOWN_BYTES]!r}", err=True)
    if finding.detail:
        click.echo(f"  {finding.detail}", err=True)


if __name__ == "__main__":
    main()
