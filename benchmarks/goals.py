"""The goals, and what was measured of each: the table at the top of the page."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import bodies
import intake_report
import lifecycle
import profiles
import scale
import turns
from contenders import EXPRESS, FIXED
from figures import mb, middle, ms, table

IDLE_GOAL, BUSY_GOAL = 0.015, 0.25
MAIN_GOAL_MS = 4.5
Found = Mapping[str, dict[str, Any]]


class Goal(NamedTuple):
    """One line of the table; ``reached`` is None where nothing was measured."""

    measure: str
    goal: str
    measured: str
    reached: bool | None
    why: str = ""
    """What it would take, shown only if it was not reached."""


def text(found: Found) -> str:
    """The table, and a line for each goal that was not reached."""
    goals = [*_intake(found), *_bodies(found), *_turns(found), *_scale(found), *_lifecycle(found)]
    words = {True: "reached", False: "**not reached**", None: "not measured"}
    rows = [[one.measure, one.goal, one.measured or "-", words[one.reached]] for one in goals]
    reasons = "\n".join(
        f"- *{one.measure}*: {one.why}" for one in goals if one.reached is False and one.why
    )
    return f"""## Goals

{table(["", "goal", "measured", ""], rows)}

{reasons}

Goals without a time (no loss, restarts that reject no request, the hard limit of a stop) are
checked by `make crash` and the tests ([reliability](reliability.md)).
"""


def _intake(found: Found) -> list[Goal]:
    data = found.get("intake", {})
    ratios = {many: intake_report.slower_ratio(data, many) for many in intake_report.GOALS}
    if not all(ratios.values()):
        return [Goal("intake", "≥ 1.0 of Express", "", None)]
    return [
        Goal(
            f"intake, {many} connection{'s' if many > 1 else ''}, slower of both rows",
            f"≥ {goal} of Express, which stores nothing",
            f"{ratios[many]:.2f}",
            ratios[many] >= goal,
            _why_together(found, many) if many > 1 else _why_alone(data, goal),
        )
        for many, goal in intake_report.GOALS.items()
    ]


def _why_together(found: Found, many: int) -> str:
    data = found["intake"]
    cpu = intake_report.cpu_seconds(data, many)
    return (
        f"a webhook takes {cpu * 1e6:.0f} µs of Recado's CPU time; Express answers one per"
        f" {1e6 / intake_report.rate(data, EXPRESS, many):.0f} µs.{_spent(found, 'webhooks', cpu)}"
    )


def _why_alone(data: dict[str, Any], goal: float) -> str:
    """With one connection each part of a webhook waits for the one before it."""
    left = 1e6 / (goal * intake_report.rate(data, EXPRESS, 1))
    flush, client = (
        1e6 / intake_report.rate(data, name, 1) for name in (intake_report.DISK, FIXED)
    )
    return (
        f"the goal leaves {left:.0f} µs for a webhook. SQLite alone takes {flush:.0f} of them to"
        f" commit one row, and the generator and 127.0.0.1 {client:.0f}, one after the other. In"
        f" the other {left - flush - client:.0f} a webhook would have to be read, decoded, judged"
        " and put into three tables with their indexes ([record"
        " 38](decisions/0038-a-usual-webhook-has-a-short-way.md))."
    )


def _spent(found: Found, work: str, cpu: float) -> str:
    """Where the CPU time goes, and how much a second can be done; nothing if not profiled.

    ``cpu`` is the seconds that one piece of work takes; 0: the limit does not matter.
    """
    if "profiles" not in found:
        return ""
    data = found["profiles"]
    most = f" The largest parts: {profiles.largest(data, work)} (profile below)."
    if not cpu:
        return most
    share = profiles.main_share(data, work)
    return (
        f"{most} {share:.0%} is the main thread's, which can use one core: it saturates at"
        f" {1 / (share * cpu):,.0f} a second, independent of the other threads."
    )


def _bodies(found: Found) -> list[Goal]:
    if "bodies" not in found:
        return [Goal("beside a body of 50 MB", "≤ 100 ms", "", None)]
    delay = bodies.worst_delay(found["bodies"])
    alone = bodies.worst_delay(found["bodies"], 0)
    why = f"without a large body beside it the longest was {ms(alone)} ms."
    return [
        Goal(
            "longest wait of another call beside a body of 50 MB",
            f"≤ {bodies.GOAL_SECONDS * 1000:.0f} ms",
            f"{ms(delay)} ms",
            delay <= bodies.GOAL_SECONDS,
            why,
        )
    ]


def _turns(found: Found) -> list[Goal]:
    if "turns" not in found:
        return [Goal("turn overhead", "p99 ≤ 15 ms idle, ≤ 250 ms at 200 a second", "", None)]
    data = found["turns"]
    idle = turns.overhead(data, "Recado", 1, 0.99)
    busy = turns.overhead(data, "Recado", 200, 0.99)
    cpu = turns.cpu_ms(data, 200)
    served, main = turns.served_rate(data, 200), turns.main_ms(data, 200)
    return [
        Goal(
            "turn overhead, p99, one chat a second",
            f"≤ {IDLE_GOAL * 1000:.0f} ms",
            f"{ms(idle)} ms",
            idle <= IDLE_GOAL,
            f"the median is {ms(turns.overhead(data, 'Recado', 1, 0.5))} ms; a turn takes"
            f" {turns.cpu_ms(data, 1):.1f} ms of CPU time at this rate.{_spent(found, 'turns', 0)}",
        ),
        Goal(
            "turn overhead, p99, 200 chats a second",
            f"≤ {BUSY_GOAL * 1000:.0f} ms",
            f"{ms(busy)} ms",
            busy <= BUSY_GOAL,
            f"{served:.0f} turns a second were completed; each takes {cpu:.1f} ms of CPU time,"
            f" including the webhooks of echo and status.{_spent(found, 'turns', cpu / 1000)}",
        ),
        Goal(
            "CPU time of the main thread for a turn, 200 chats a second",
            f"≤ {MAIN_GOAL_MS:g} ms",
            f"{main:.1f} ms" if main else "",
            main <= MAIN_GOAL_MS if main else None,
        ),
    ]


def _scale(found: Found) -> list[Goal]:
    data = found.get("scale", {"cells": []})
    goals = []
    for kind, size in (("open windows", 10_000), ("streaming runs", 1_000)):
        cell = scale.cell_of(data, kind, size)
        name, goal = f"memory with {size:,} {kind}", f"< {mb(scale.MEMORY_GOAL)} MB"
        if cell is None:
            goals.append(Goal(name, goal, "", None))
            continue
        reached = cell["rss"] < scale.MEMORY_GOAL
        each = scale.bytes_each(data, kind) / 1000
        why = f"{kind} take {each:,.1f} kB each on top of what is always there."
        goals.append(Goal(name, goal, f"{mb(cell['rss'])} MB", reached, why))
    return goals


def _lifecycle(found: Found) -> list[Goal]:
    if "lifecycle" not in found:
        return [Goal("start and stop", "≤ 1.5 s, ≤ 5 s", "", None)]
    data = found["lifecycle"]
    start = lifecycle.start_seconds(data)
    idle = max(*data["stops"]["empty"], *data["stops"]["full"])
    loaded = max(data["loaded"])
    recovery = data["recovery"]
    lost = recovery["unanswered"] + recovery["twice"]
    return [
        _within(
            f"start with {data['threads']:,} threads to READY",
            start,
            lifecycle.START_GOAL,
            f"with an empty store it takes {middle(data['starts']['empty']):.2f} s.",
        ),
        _within("longest stop, idle", idle, lifecycle.IDLE_STOP_GOAL),
        _within("longest stop, runs hanging", loaded, lifecycle.STOP_GOAL),
        Goal(
            f"{recovery['orphans']:,} orphaned turns",
            "all answered, none twice",
            f"after {recovery['seconds']:.1f} s" if not lost else f"{lost} are not",
            not lost,
        ),
    ]


def _within(measure: str, seconds: float, goal: float, why: str = "") -> Goal:
    # What is shown is what is judged.
    shown = math.floor(seconds * 100 + 0.5) / 100
    return Goal(measure, f"≤ {goal:g} s", f"{shown:.2f} s", shown <= goal, why)
