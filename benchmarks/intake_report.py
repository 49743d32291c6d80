"""The figures of intake as a table and as a section of the page: measurements in, text out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from contenders import (
    EXPRESS,
    EXPRESS_EACH,
    EXPRESS_TOGETHER,
    FASTAPI_DURABLE,
    RECADO_CHATS,
    RECADO_IGNORED,
)
from load import BODY_BYTES, Load

T = TypeVar("T")

DISK = "SQLite, group commit alone"
GOALS = {1: 0.6, 16: 1.0, 64: 1.0}
"""Of Express's answers a second, by the number of connections."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One server, at one number of connections, in one round."""

    name: str
    round: int
    connections: int
    load: Load
    server_cpu: float = 0
    """CPU seconds of the server, warm-up included."""
    others: float = 0
    """Cores that neither the server nor the generator used."""


def table(measurements: Sequence[Measurement]) -> str:
    """All servers, and Recado beside Express."""
    return f"{rows(measurements)}\n\n{ratios(measurements)}"


def rows(measurements: Sequence[Measurement]) -> str:
    """All servers, a row each: medians over the rounds."""
    counts = _in_order(m.connections for m in measurements)
    heads = [head for n in counts for head in (f"{n}: per s", "p50 ms", "p99 ms", "CPU µs")]
    lines = [_row(["server", *heads]), _row(["---", *["---:"] * len(heads)])]
    for name in _in_order(m.name for m in measurements):
        cells = [name]
        for count in counts:
            chosen = [m for m in measurements if (m.name, m.connections) == (name, count)]
            cells += [
                f"{_median(chosen, lambda m: m.load.per_second):,.0f}",
                f"{_median(chosen, lambda m: m.load.p50 * 1000):.2f}",
                f"{_median(chosen, lambda m: m.load.p99 * 1000):.2f}",
                _cpu(chosen),
            ]
        lines.append(_row(cells))
    return "\n".join(lines)


def ratios(measurements: Sequence[Measurement]) -> str:
    """Recado beside Express: the ratio of each round, its median, least and greatest."""
    counts = _in_order(m.connections for m in measurements)
    lines = [
        _row(["Recado / Express", *(f"{n} connection{'s'[: n > 1]}" for n in counts)]),
        _row(["---", *["---:"] * len(counts)]),
    ]
    for name in (RECADO_IGNORED, RECADO_CHATS):
        cells = [name]
        for count in counts:
            each = _ratios(measurements, name, count)
            if not each:
                return "Express could not be installed here, so there is no ratio."
            cells.append(f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})")
        lines.append(_row(cells))
    return "\n".join(lines)


def text(found: dict[str, Any]) -> str:
    """The section of the page."""
    measurements = measurements_of(found)
    flushes, seconds, chats = found["flushes"], found["seconds"], found["chats"]
    rounds = len(_in_order(m.round for m in measurements))
    others = [m.others for m in measurements if m.server_cpu]
    generator = max(
        m.load.cpu_seconds / seconds
        for m in measurements
        if m.name in {RECADO_IGNORED, RECADO_CHATS, EXPRESS}
    )
    return f"""## Intake: webhooks answered per second

The rate at which `/hook` accepts messages when each is durable before its 200. The same run
measures servers that **store nothing**: Express 5 with `express.json`, as in the system that
Recado replaces, and others that show the limits of the language and of the disk.

{table(measurements)}

The goals are {", ".join(f"{goal:.1f} at {many}" for many, goal in GOALS.items())} connections, for
the slower row.

- Every request is a different text message of {BODY_BYTES} bytes, posted over keep-alive
  connections by a generator in a separate process; each connection sends its next request after
  the response to the last one. Everything runs on 127.0.0.1.
- *CPU* is the server's CPU time per request, in microseconds, kernel included. It depends least on
  other load on the machine.
- Both of Recado's rows are the whole daemon, with its log written to a file and a bearer secret
  required. *Ignored* are messages of groups, which are stored but not answered. *Gathered* are
  messages
  in {chats} chats, whose windows stay open during the measurement. At the end each store had
  exactly as many messages as were answered with 200.
- *{FASTAPI_DURABLE}* and *{EXPRESS_EACH}* are the same work in the plain way: event and message
  in one transaction of SQLite for each webhook, with the settings of Recado's store.
  *{EXPRESS_TOGETHER}* commits together what has come in one pass of Node's event loop.
- *{DISK}* is a single writer with the settings of Recado's store, which commits one row per
  connection together. No HTTP, no parsing, one table.
- *Fixed answers* come from a server that reads nothing and always returns the same: the
  generator's limit. With Recado and Express the generator used at most {generator:.0%} of a core.

Measured in {rounds} rounds of {seconds:g} s for each cell. In each round the servers take turns,
in every other round in reverse order. The table shows the medians over the rounds; ratios are
computed within each round, with minimum and maximum in brackets.

Noise: other processes took {median(others):.2f}
cores (median of all measurements), {max(others):.2f} at most.

The disk did {median(flushes):,.0f} flushes a second (4 KiB appended, then `fdatasync`), between
{min(flushes):,.0f} and {max(flushes):,.0f} in single rounds.
{slow_text(found)}"""


def slow_text(found: dict[str, Any]) -> str:
    """What stores a webhook, on a disk that is slow to flush; empty if it was not measured."""
    measurements = measurements_of(found, "slow")
    if not measurements:
        return ""
    return f"""
### On a slow disk

The same, where each flush of the disk takes {found["slow milliseconds"]} ms longer
(`benchmarks/slow_fsync.c`), for the servers that store a webhook before its 200.

{rows(measurements)}
"""


def measurements_of(found: dict[str, Any], which: str = "measurements") -> list[Measurement]:
    """The measurements as they were before they were put into a file."""
    return [Measurement(**{**one, "load": Load(**one["load"])}) for one in found.get(which, ())]


def slower_ratio(found: dict[str, Any], connections: int) -> float:
    """Recado's rate beside Express's at so many connections, of the slower row; 0: unknown."""
    measurements = measurements_of(found)
    each = [
        median(each_round)
        for name in (RECADO_IGNORED, RECADO_CHATS)
        if (each_round := _ratios(measurements, name, connections))
    ]
    return min(each, default=0)


def rate(found: dict[str, Any], name: str, connections: int) -> float:
    """Answers, or rows of a disk, a second: the median over the rounds; 0: not measured."""
    wanted = (name, connections)
    measured = [m for m in measurements_of(found) if (m.name, m.connections) == wanted]
    return median(m.load.per_second for m in measured) if measured else 0


def cpu_seconds(found: dict[str, Any], connections: int) -> float:
    """CPU time of a webhook at so many connections, of Recado's row with more of it."""
    return max(
        median(
            m.server_cpu / m.load.total
            for m in measurements_of(found)
            if (m.name, m.connections) == (name, connections)
        )
        for name in (RECADO_IGNORED, RECADO_CHATS)
    )


def _ratios(measurements: Sequence[Measurement], name: str, connections: int) -> list[float]:
    """A server's rate beside Express's, round by round; empty without Express."""
    rates = {
        (m.name, m.round): m.load.per_second for m in measurements if m.connections == connections
    }
    rounds = _in_order(m.round for m in measurements)
    if (EXPRESS, rounds[0]) not in rates:
        return []
    return [rates[name, number] / rates[EXPRESS, number] for number in rounds]


def _cpu(chosen: Sequence[Measurement]) -> str:
    known = [m for m in chosen if m.server_cpu]
    if not known:
        return ""
    return f"{_median(known, lambda m: m.server_cpu / m.load.total * 1e6):.0f}"


def _median(chosen: Sequence[Measurement], figure: Callable[[Measurement], float]) -> float:
    return median(figure(measurement) for measurement in chosen)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_order(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
