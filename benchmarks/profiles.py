"""Where the daemon's CPU time goes: by thread, by what it is for, and by package."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contenders import HERE
from figures import table
from subject import Outside, Recado, outside_world, recado, written

GROUPS = {
    "HTTP to others": (
        "daemon/system",
        "httpx",
        "httpcore",
        "h11",
        "anyio",
        "sniffio",
        "idna",
        "certifi",
        "httpx2",
    ),
    "model's SDK": ("openai", "pydantic", "pydantic_core", "distro", "jiter"),
    "web server": ("daemon/http", "hypercorn", "httptools", "wsproto", "h2", "hpack"),
    "event loop": ("trio", "outcome", "attr", "sortedcontainers", "attrs"),
    "store": ("daemon/ledger", "daemon/domain/records"),
    "log and figures": ("daemon/observability", "structlog", "prometheus_client", "opentelemetry"),
}
"""Packages that do one thing together. Others, most of all the daemon's own, are shown alone."""
THREADS = {
    "main": "main thread: the event loop and all tasks",
    "writer": "the store's writer thread",
    "workers": "worker threads: the store's readers, files",
}
WORKS = {"webhooks": "webhooks of a group", "turns": "turns, 30 a second"}
LEAST_SHARE = 0.02
TURNS_A_SECOND, HOOKS_A_SECOND = 30, 1000

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Profile both kinds of work, each on a daemon of its own."""
    seconds = 2 if quick else 15
    never = {"RECADO_BUFFER__WINDOW_SECONDS": "3600", "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600"}
    at_once = {"RECADO_BUFFER__WINDOW_SECONDS": "0.5"}

    def take_in(outside: Outside, seconds: float) -> float:
        # In short rushes, so that the simulator does not fall behind by more than one.
        for _ in range(int(seconds * 10)):
            outside("probe", path="/hook", seconds=0.1, rate=HOOKS_A_SECOND)
        return int(seconds * 10) * 0.1 * HOOKS_A_SECOND

    def answer(outside: Outside, seconds: float) -> float:
        amount = int(seconds * TURNS_A_SECOND)
        outside("burst", amount=amount, rate=TURNS_A_SECOND, patience=60)
        return amount

    return {
        "webhooks": _profile(folder / "take in", never, take_in, seconds),
        "turns": _profile(folder / "answer", at_once, answer, seconds),
    }


def _profile(
    folder: Path,
    settings: Mapping[str, str],
    work: Callable[[Outside, float], float],
    seconds: float,
) -> Found:
    folder.mkdir()
    output = folder / "profile.json"
    program = (str(HERE / "profiled_daemon.py"), str(output))
    with outside_world() as outside, recado(folder, outside, settings, program) as subject:
        work(outside, 2)  # what is imported and compiled late is not what work costs
        _signal(subject)
        amount = work(outside, seconds)
        _signal(subject)
        found: Found = json.loads(written(output))
        subject.stop()
    return {**found, "amount": amount}


def _signal(subject: Recado) -> None:
    subject.process.send_signal(signal.SIGUSR2)


def text(found: Found) -> str:
    """The section of the page."""
    kinds = "\n".join(f"- *{name}*: {', '.join(group)}." for name, group in GROUPS.items())
    samples = ", ".join(f"{_samples(each):,} of {name}" for name, each in found.items())
    apart = ", ".join(f"{1000 * _apart(each):.1f} ms" for each in found.values())
    return f"""## Profile: where the daemon's CPU time goes

| thread | {" | ".join(WORKS[name] for name in found)} |
{_rule(found)}
{_rows({name: _threads(each) for name, each in found.items()})}

| work of the main thread | {" | ".join(WORKS[name] for name in found)} |
{_rule(found)}
{_rows({name: _inclusive(each) for name, each in found.items()})}

| active package in the main thread | {" | ".join(WORKS[name] for name in found)} |
{_rule(found)}
{_rows({name: _packages(each) for name, each in found.items()})}

- All shares refer to the CPU time of the whole process, so those of the last two tables add up to
  the main thread's.
- The kernel counts the time of the threads. The main thread's work is sampled
  (`benchmarks/profiled_daemon.py`) by CPU time, at the kernel's timer rate ({samples}; one per
  {apart}).
- *Work* is the outermost part of the daemon on the stack, with everything that it calls: storing
  and logging a webhook belong to its intake. *The turn itself* is the work of chats without calls,
  storing and logging.
- *Package* is the innermost one; time in the standard library and in C counts for the calling
  package. So a call in which `trio` waits or wakes up belongs to the event loop.
{kinds}
"""


def _rule(found: Found) -> str:
    return f"| --- |{' ---: |' * len(found)}"


def _rows(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Lines of a table: the names with more than a little, and what is left of 1 or of the rest."""
    names = sorted(
        {name for each in shares.values() for name, share in each.items() if share > LEAST_SHARE},
        key=lambda name: -max(each.get(name, 0) for each in shares.values()),
    )
    lines = {name: [each.get(name, 0) for each in shares.values()] for name in names}
    rest = [sum(each.values()) - sum(each.get(n, 0) for n in names) for each in shares.values()]
    if max(rest) >= LEAST_SHARE / 4:
        lines["all the rest"] = rest
    whole = table(["", *shares], [[n, *(f"{s:.0%}" for s in each)] for n, each in lines.items()])
    return whole.partition("\n")[2].partition("\n")[2]


def largest(found: Found, work: str, amount: int = 4) -> str:
    """Name what takes most of the time, and its share: other threads, and the main one's work."""
    threads = {n: share for n, share in _threads(found[work]).items() if n != THREADS["main"]}
    every = {**threads, **_inclusive(found[work])}
    shares = sorted(every.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in shares[:amount])


def main_share(found: Found, work: str) -> float:
    """The part of the CPU time that is the main thread's: one core at most can do that."""
    return _threads(found[work])[THREADS["main"]]


def _threads(found: Found) -> dict[str, float]:
    total = sum(found["threads"].values()) or 1
    return {shown: found["threads"][name] / total for name, shown in THREADS.items()}


def _inclusive(found: Found) -> dict[str, float]:
    return _of_main(found, found["purposes"])


def _packages(found: Found) -> dict[str, float]:
    group_of = {package: name for name, group in GROUPS.items() for package in group}
    counts: dict[str, float] = {}
    for package, count in found["packages"].items():
        name = group_of.get(package, package)
        counts[name] = counts.get(name, 0) + count
    return _of_main(found, counts)


def _of_main(found: Found, counts: Mapping[str, float]) -> dict[str, float]:
    """Samples of the main thread as shares of all time."""
    part = _threads(found)[THREADS["main"]] / (sum(counts.values()) or 1)
    return {name: count * part for name, count in counts.items()}


def _samples(found: Found) -> int:
    return int(sum(found["packages"].values()))


def _apart(found: Found) -> float:
    """CPU seconds of the main thread for each sample of it."""
    return float(found["threads"]["main"] / (_samples(found) or 1))
