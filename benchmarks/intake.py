"""Measure how many webhooks a second are answered, Recado's durably, beside the alternatives.

One run on one machine: in each round every server is measured for a moment at each number of
connections, one after the other, so that what else the machine does falls on all of them. Ratios
are taken within a round, and of all figures the median over the rounds is shown.
"""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from contenders import (
    DURABLE,
    HERE,
    Contender,
    Server,
    all_contenders,
    install,
    running,
    slow_disk,
    stored_messages,
)
from disk import GroupCommits, flushes_per_second, group_commits
from intake_report import DISK, Measurement
from load import CHATS, Load
from machine import busy_seconds

CONNECTIONS = (1, 16, 64)
SLOW_MILLISECONDS = 10
"""A flush of a disk that is busy with something else, or of a network's."""
SLOW_ROUNDS, SLOW_SECONDS = 2, 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: float
    """For one server at one number of connections, warm-up included."""
    warm_up: float
    """For each server before the first round: what is imported, compiled or subscribed late."""


USUAL = Plan(rounds=4, seconds=1, warm_up=1)
QUICK = Plan(rounds=2, seconds=0.4, warm_up=0.5)


class Bench:
    """The servers under test, all running, each idle while another is measured."""

    def __init__(self, servers: list[Server], commits: GroupCommits | None, folder: Path) -> None:
        self._servers = servers
        self._commits = commits
        self._folder = folder
        self._seeds = itertools.count(1)
        self.answered: Counter[str] = Counter()
        """Requests that each server has answered with 200, warm-ups included."""
        self.measurements: list[Measurement] = []
        self.flushes: list[float] = []

    def warm_up(self, seconds: float) -> None:
        """Let every server do its work once."""
        for server in self._servers:
            self._drive(server, 16, seconds)

    def round(self, number: int, seconds: float) -> None:
        """Measure everything once; every other round in the reverse order."""
        self.flushes.append(flushes_per_second(self._folder, seconds / 4))
        for connections in CONNECTIONS:
            servers = self._servers if number % 2 == 0 else self._servers[::-1]
            for server in servers:
                self._measure(number, server, connections, seconds)
            if self._commits is not None:
                load = self._commits.run(connections, seconds / 2)
                self.measurements.append(Measurement(DISK, number, connections, load))

    def _measure(self, number: int, server: Server, connections: int, seconds: float) -> None:
        started, busy, cpu = time.perf_counter(), busy_seconds(), server.cpu_seconds()
        load = self._drive(server, connections, seconds)
        spent = server.cpu_seconds() - cpu
        others = busy_seconds() - busy - spent - load.cpu_seconds
        self.measurements.append(
            Measurement(
                server.contender.name,
                number,
                connections,
                load,
                server_cpu=spent,
                others=max(0.0, others / (time.perf_counter() - started)),
            )
        )

    def _drive(self, server: Server, connections: int, seconds: float) -> Load:
        """Run the generator as a process of its own. Raises RuntimeError if it fails."""
        command = [sys.executable, "-E", "-S", str(HERE / "load.py"), str(server.port)]
        command += [str(connections), str(seconds), "--kind", server.contender.kind]
        command += ["--seed", str(next(self._seeds))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{server.contender.name}: {done.stderr.strip()}")
        load = Load(**json.loads(done.stdout))
        self.answered[server.contender.name] += load.total
        return load


def measure(*, quick: bool, folder: Path) -> dict[str, Any]:
    """Run the whole benchmark. Raises RuntimeError if a server fails or lost what it answered."""
    plan = QUICK if quick else USUAL
    missing = install()
    contenders = [one for one in all_contenders() if one.name not in missing]
    with group_commits(folder) as commits:
        bench = _measured(contenders, commits, folder, plan)
    slow = None
    if (preloaded := slow_disk(SLOW_MILLISECONDS)) is not None:
        own = folder / "slow"
        own.mkdir()
        durable = [one for one in contenders if one.name in DURABLE]
        few = replace(plan, rounds=min(plan.rounds, SLOW_ROUNDS), seconds=SLOW_SECONDS)
        slow = _measured(durable, None, own, few, preloaded)
    return {
        "measurements": [asdict(one) for one in bench.measurements],
        "slow": [asdict(one) for one in slow.measurements] if slow else [],
        "slow milliseconds": SLOW_MILLISECONDS,
        "flushes": bench.flushes,
        "seconds": plan.seconds,
        "chats": CHATS,
    }


def _measured(
    contenders: list[Contender],
    commits: GroupCommits | None,
    folder: Path,
    plan: Plan,
    more: Mapping[str, str] | None = None,
) -> Bench:
    """Measure servers in turn, and check that Recado has stored what it answered.

    ``more``: environment variables of the servers. Raises RuntimeError if they lost any.
    """
    with ExitStack() as stack:
        servers = []
        for contender in contenders:
            own = folder / contender.name
            own.mkdir()
            servers.append(stack.enter_context(running(contender, own, more)))
        bench = Bench(servers, commits, folder)
        bench.warm_up(plan.warm_up)
        for number in range(plan.rounds):
            print(f"  round {number + 1} of {plan.rounds}", file=sys.stderr)
            bench.round(number, plan.seconds)
    for contender in contenders:
        if contender.environ is not None:
            stored = stored_messages(folder / contender.name)
            answered = bench.answered[contender.name]
            if stored != answered:
                raise RuntimeError(f"{contender.name}: {answered} answered, {stored} stored")
    return bench
