"""Measure everything and write the page: docs/performance.md with its plots.

What was measured is kept in benchmarks/.build/results.json, so that one section can be measured
again by itself and the page is still whole.

Usage: python benchmarks/run.py [--quick] [--only intake,turns] [--page-only] [--page FILE]
"""

import argparse
import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import bodies
import contacts
import goals
import grow
import intake
import intake_report
import lifecycle
import profiles
import scale
import soak
import turns
from contenders import BUILD, HERE, end_in_order
from machine import describe

RESULTS = BUILD / "results.json"
FIXED = ("|", "#", "!", "<")
"""What lines of Markdown begin with that must stay as they are."""
PAGE = HERE.parent / "docs" / "performance.md"


class Section(NamedTuple):
    """One part of the page: how it is measured, and told."""

    measure: Callable[..., dict[str, Any]]
    text: Callable[[dict[str, Any]], str]


SECTIONS = {
    "intake": Section(intake.measure, intake_report.text),
    "bodies": Section(bodies.measure, bodies.text),
    "turns": Section(turns.measure, turns.text),
    "scale": Section(scale.measure, scale.text),
    "lifecycle": Section(lifecycle.measure, lifecycle.text),
    "profiles": Section(profiles.measure, profiles.text),
}


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(description="Measure Recado; write docs/performance.md.")
    parser.add_argument("--quick", action="store_true", help="a first look, in a minute and a half")
    parser.add_argument("--only", metavar="NAMES", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help="written instead")
    chosen = parser.parse_args()
    names = chosen.only.split(",") if chosen.only else list(SECTIONS)
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}")
    end_in_order()
    BUILD.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    began = time.perf_counter()
    for name in [] if chosen.page_only else names:
        results[name] = _measured(name, quick=chosen.quick)
        RESULTS.write_text(json.dumps(results))
    if not chosen.page_only:
        print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
    _write(chosen.page, results)


def _measured(name: str, *, quick: bool) -> dict[str, Any]:
    print(f"{name} …", file=sys.stderr)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        found = SECTIONS[name].measure(quick=quick, folder=Path(folder))
    seconds = time.perf_counter() - began
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    today = datetime.now(UTC).date().isoformat()
    return {"found": found, "quick": quick, "on": today, "machine": describe()}


def _write(path: Path, results: dict[str, Any]) -> None:
    known = {name: results[name]["found"] for name in SECTIONS if name in results}
    parts = [_head(results), goals.text(known)]
    parts += [SECTIONS[name].text(found) for name, found in known.items()]
    if passed := contacts.known():
        parts.append(contacts.text(passed))
    if grown := grow.known():
        parts.append(grow.text(grown))
    if soaked := soak.known():
        parts.append(soak.text(soaked))
    parts.append(_foot())
    images = path.parent / "performance"
    images.mkdir(exist_ok=True)
    for name, drawn in scale.plots(known["scale"]).items() if "scale" in known else ():
        (images / name).write_text(drawn, "utf-8")
    path.write_text("\n".join(_reflowed(part) for part in parts), "utf-8")
    print(f"written: {path}", file=sys.stderr)


def _reflowed(text: str) -> str:
    """Fill lines anew, since figures are longer or shorter than the names of their variables."""
    blocks: list[list[str]] = []
    for line in text.strip().splitlines():
        before = blocks[-1][0] if blocks else ""
        if not line or not before or before.startswith(FIXED) or line.startswith((*FIXED, "- ")):
            blocks.append([line])
        else:
            blocks[-1].append(line.strip())
    return "".join(f"{_filled(block)}\n" for block in blocks)


def _filled(block: list[str]) -> str:
    if block[0].startswith(FIXED):
        return block[0]
    return textwrap.fill(
        " ".join(block),
        width=100,
        subsequent_indent="  " if block[0].startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _head(results: dict[str, Any]) -> str:
    machines = dict.fromkeys(one["machine"] for one in results.values())
    quick = [name for name in SECTIONS if name in results and results[name]["quick"]]
    warning = f"\n\nOnly a quick look was taken at: {', '.join(quick)}.\n" if quick else ""
    days = sorted({one["on"] for one in results.values()})
    on = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "never"
    return f"""# Performance

<!-- Written by benchmarks/run.py: make bench. -->

Measured on {on}, everything on one machine over 127.0.0.1:
{"; ".join(machines)}.{warning}
"""


def _foot() -> str:
    return """## Repeating the measurements

`make bench` measures everything and writes this page (a quarter of an hour; Express needs Node
with npm). `.venv/bin/python benchmarks/run.py --quick` is a first look, `--only turns` measures
one section again. `benchmarks/contacts.py` is the section on contacts, `make soak`
(`SOAK_MINUTES=60`) the last one. `make bench-check` counts what the hot paths, a whole webhook
and a whole turn execute, trio included, independent of other load on the machine, and compares it
with `benchmarks/limits.toml`; [a record](decisions/0038-a-usual-webhook-has-a-short-way.md) has
these counts before and after each step. `make bench-grow` is the section on growth (a
quarter of an hour), `make bench-forget` its long work in a store of some hundred megabytes.
`benchmarks/first_paint.py` measures the dashboard in Chromium.
`benchmarks/many_numbers.py` measures a process with 1,000 numbers, which has 200 MB
([numbers](numbers.md#how-many)).
"""


if __name__ == "__main__":
    main()
