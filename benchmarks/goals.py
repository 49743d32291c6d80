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
from figures import mb, ms, table

IDLE_GOAL, BUSY_GOAL = 0.025, 0.25
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

Loss, restarts without refusals, and the stop's hard limit are goals too, which no time shows: they
are held by `make crash` and the tests ([reliability](reliability.md)).
"""


def _intake(found: Found) -> list[Goal]:
    ratio = intake_report.goal_ratio(found["intake"]) if "intake" in found else 0
    if not ratio:
        return [Goal("intake", "≥ 1.0 of Express", "", None)]
    why = (
        "Express stores nothing, and parses in C. SQLite alone commits"
        f" {intake_report.disk_factor(found['intake']):.0f} times as many rows on this disk."
        f" Of Recado's CPU time are{_most(found, 'webhooks')}. Beyond what one interpreter"
        " can do it would take several processes in front of one writer."
    )
    return [
        Goal(
            "intake, 16 connections, slower of both rows",
            "≥ 1.0 of Express, which stores nothing",
            f"{ratio:.2f}",
            ratio >= 1,
            why,
        )
    ]


def _most(found: Found, work: str) -> str:
    """Where most of the CPU time goes, as part of a sentence; nothing if it was not measured."""
    if "profiles" not in found:
        return ": not profiled here"
    return f": {profiles.largest(found['profiles'], work)} (profile below)"


def _bodies(found: Found) -> list[Goal]:
    if "bodies" not in found:
        return [Goal("beside a body of 50 MB", "≤ 100 ms", "", None)]
    delay = bodies.worst_delay(found["bodies"])
    why = (
        "generator, the worker thread that reads the body, and the event loop share the machine's"
        " cores; what of it is the loop's own, `large_body.py` shows."
    )
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
        return [Goal("turn overhead", "p99 ≤ 25 ms idle, ≤ 250 ms at 200 a second", "", None)]
    data = found["turns"]
    idle = turns.overhead(data, "Recado", 1, 0.99)
    busy = turns.overhead(data, "Recado", 200, 0.99)
    cpu = turns.cpu_ms(data, 50)
    served = turns.served_rate(data, 200)
    return [
        Goal(
            "turn overhead, p99, one chat a second",
            f"≤ {IDLE_GOAL * 1000:.0f} ms",
            f"{ms(idle)} ms",
            idle <= IDLE_GOAL,
            "it is the CPU time of a turn (the table's last column), and the fsync of each step"
            " in its ledger, one after the other.",
        ),
        Goal(
            "turn overhead, p99, 200 chats a second",
            f"≤ {BUSY_GOAL * 1000:.0f} ms",
            f"{ms(busy)} ms",
            busy <= BUSY_GOAL,
            f"a turn takes {cpu:.1f} ms of CPU, the webhooks of echo and status included,"
            f" so one core is full at {1000 / max(cpu, 0.001):.0f} turns a second;"
            f" {served:.0f} were reached. 200 a second needs less than 5 ms a turn. Of that time"
            f" are{_most(found, 'turns')}.",
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
        goals.append(Goal(name, goal, f"{mb(cell['rss'])} MB", reached))
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
        _within(f"start with {data['threads']:,} threads to READY", start, lifecycle.START_GOAL),
        _within("longest stop, idle", idle, lifecycle.IDLE_STOP_GOAL),
        _within("longest stop, runs hanging", loaded, lifecycle.STOP_GOAL),
        Goal(
            f"{recovery['orphans']:,} orphaned turns",
            "all answered, none twice",
            f"after {recovery['seconds']:.1f} s" if not lost else f"{lost} are not",
            not lost,
        ),
    ]


def _within(measure: str, seconds: float, goal: float) -> Goal:
    # What is shown is what is judged.
    shown = math.floor(seconds * 100 + 0.5) / 100
    return Goal(measure, f"≤ {goal:g} s", f"{shown:.2f} s", shown <= goal)
