"""Count what the hot paths execute and allocate, and compare it with benchmarks/limits.toml.

Counted are the interpreter's instructions (``sys.settrace`` with events for each), the most memory
that is allocated at once, and the steps of SQLite's virtual machine. They are the same whatever
else the machine does, and on every machine with the same Python; a time or a hardware counter is
not. Callgrind is exact too, but not everywhere, depends on how Python was built, and takes minutes.
Instructions do not see what C code does; where that is much, memory and SQLite's steps do. A whole
turn and a whole webhook are counted in a daemon of its own (`whole_work.py`), trio included.

Usage: python benchmarks/bench_check.py [--write]. Exit status 1 if a limit is passed.
"""

import argparse
import gc
import os
import sqlite3
import sys
import tomllib
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from types import FrameType
from typing import Any

from contenders import HERE
from hot_paths import hot_paths
from whole_work import whole_turn, whole_webhook

LIMITS = HERE / "limits.toml"
TOLERANCE = 0.25
SMALL = {
    "instructions": 40,
    "library instructions": 2000,
    "trio instructions": 2000,
    "thread instructions": 500,
    "bytes": 600,
    "sqlite steps": 20,
    "writes": 3,
}
"""Differences up to this do not count: a fourth of very little is nothing."""
EVERYWHERE = ("sqlite steps", "writes")
"""What is the same with every Python."""
STORING = ("accept call", "turn's ledger")
TRIO = f"{os.sep}trio{os.sep}"
WARM_UPS = 5
"""What is imported, compiled and remembered at the first call is not the cost of the next."""


def counted(path: Callable[[], object]) -> dict[str, int]:
    """The cost of one call of a path."""
    for _ in range(WARM_UPS):
        path()
    gc.collect()
    gc.disable()
    try:
        return {"instructions": _instructions(path), "bytes": _peak_bytes(path)}
    finally:
        gc.enable()


def _instructions(path: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if event == "call":
            if TRIO in frame.f_code.co_filename:
                return None  # the loop that is begun for one call is no part of its cost
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        path()
    finally:
        sys.settrace(before)
    return count


def _peak_bytes(path: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        path()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _sqlite_steps(connection: sqlite3.Connection, path: Callable[[], object]) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(step, 1)
    try:
        path()
    finally:
        connection.set_progress_handler(None, 1)
    return steps


def measured() -> dict[str, dict[str, int]]:
    """Everything, by the names of the paths."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        found = {name: counted(path) for name, path in hot_paths(connection).items()}
        others = hot_paths(connection, seed=2)
        for name in STORING:
            found[name]["sqlite steps"] = _sqlite_steps(connection, others[name])
    found["whole webhook"] = whole_webhook()
    found["whole turn"] = whole_turn()
    return found


def main() -> int:
    """Count; write the limits or compare with them."""
    parser = argparse.ArgumentParser(description="Hold the hot paths to their cost.")
    parser.add_argument("--write", action="store_true", help="make what is counted now the limit")
    chosen = parser.parse_args()
    found = measured()
    version = ".".join(map(str, sys.version_info[:2]))
    if chosen.write:
        LIMITS.write_text(_as_toml(found, version), "utf-8")
        return 0
    limits = tomllib.loads(LIMITS.read_text("utf-8"))
    comparable = limits["python"] == version
    if not comparable:
        print(f"instructions are not compared: limits are of Python {limits['python']}")
    passed = False
    for path, costs in found.items():
        for unit, cost in costs.items():
            limit = limits["paths"].get(path, {}).get(unit)
            if limit is None or (unit not in EVERYWHERE and not comparable):
                verdict = "no limit"
            else:
                verdict = _verdict(cost, limit, SMALL[unit])
            passed = passed or verdict == "TOO MUCH"
            print(f"{path:16} {unit:20} {cost:9,}  usual {limit or 0:9,}  {verdict}")
    if passed:
        print("A hot path costs more than it did. If that is wanted: bench_check.py --write")
    return 1 if passed else 0


def _verdict(cost: int, limit: int, small: int) -> str:
    if cost > limit + max(small, limit * TOLERANCE):
        return "TOO MUCH"
    if cost < limit - max(small, limit * TOLERANCE):
        return "less: the limit may come down"
    return "as ever"


def _as_toml(found: dict[str, dict[str, int]], version: str) -> str:
    lines = [
        "# What the hot paths cost; written by benchmarks/bench_check.py --write.",
        f"# `make bench-check` fails at {TOLERANCE:.0%} more.",
        f'python = "{version}"',
    ]
    for path, costs in found.items():
        lines += ["", f'[paths."{path}"]', *(f'"{unit}" = {cost}' for unit, cost in costs.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
