"""Where the daemon's CPU time goes, by package: as it takes webhooks in, and as it answers."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contenders import HERE
from figures import table
from subject import Outside, Recado, outside_world, recado

GROUPS = {
    "HTTP to others": ("httpx", "httpcore", "h11", "anyio", "sniffio", "idna", "certifi"),
    "model's SDK": ("openai", "pydantic", "pydantic_core", "distro", "jiter"),
    "web server": ("daemon/web", "hypercorn", "httptools", "wsproto", "h2", "hpack"),
    "event loop": ("trio", "outcome", "attr", "sortedcontainers", "attrs"),
    "store": ("daemon/store", "daemon/ledger"),
    "log and figures": ("daemon/observe", "structlog", "prometheus_client", "opentelemetry"),
}
"""Packages that do one thing together. Others, most of all the daemon's own, are shown alone."""
LEAST_SHARE = 0.02

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Profile both kinds of work, each on a daemon of its own."""
    amount = 500 if quick else 3000
    seconds = 2 if quick else 4
    never = {"RECADO_BUFFER__WINDOW_SECONDS": "3600", "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600"}
    at_once = {"RECADO_BUFFER__WINDOW_SECONDS": "0.5"}

    def take_in(outside: Outside) -> None:
        for _ in range(amount // 100):
            outside("probe", path="/hook", seconds=0.1, rate=1000)

    def answer(outside: Outside) -> None:
        outside("burst", amount=30 * seconds, rate=30, patience=30)

    return {
        "webhooks": _profile(folder / "take in", never, take_in),
        "turns": _profile(folder / "answer", at_once, answer),
    }


def _profile(
    folder: Path, settings: Mapping[str, str], work: Callable[[Outside], None]
) -> dict[str, int]:
    folder.mkdir()
    output = folder / "profile.json"
    program = (str(HERE / "profiled_daemon.py"), str(output))
    with outside_world() as outside, recado(folder, outside, settings, program) as subject:
        work(outside)  # what is imported and compiled late is not what work costs
        _begin_anew(subject)
        work(outside)
        subject.stop()
    counts: dict[str, int] = json.loads(output.read_text())
    return counts


def _begin_anew(subject: Recado) -> None:
    subject.process.send_signal(signal.SIGUSR2)


def text(found: Found) -> str:
    """The section of the page."""
    shares = {name: _shares(counts) for name, counts in found.items()}
    names = sorted(
        {name for each in shares.values() for name, share in each.items() if share > LEAST_SHARE},
        key=lambda name: -max(each.get(name, 0) for each in shares.values()),
    )
    rows = [
        [name, *(f"{each.get(name, 0):.0%}" for each in shares.values())]
        for name in [*names, *(["all the rest"] if names else [])]
    ]
    if rows:
        rest = (1 - sum(each.get(name, 0) for name in names) for each in shares.values())
        rows[-1] = ["all the rest", *(f"{share:.0%}" for share in rest)]
    kinds = "\n".join(f"- *{name}*: {', '.join(group)}." for name, group in GROUPS.items())
    samples = ", ".join(f"{sum(counts.values()):,} of {name}" for name, counts in found.items())
    return f"""## Profile: where the daemon's CPU time goes

{table(["", "webhooks of a group", "turns, 30 a second"], rows)}

- A sampler in the daemon (`benchmarks/profiled_daemon.py`) looks each 5 ms of CPU time which
  package is at work ({samples} samples); time in the standard library and in C counts for the
  package that called it. So a call that `trio` waits in, or wakes up for, is the loop's.
{kinds}
"""


def largest(found: Found, work: str, amount: int = 4) -> str:
    """Name the packages with most of the time, and their shares."""
    shares = sorted(_shares(found[work]).items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in shares[:amount])


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    group_of = {package: name for name, group in GROUPS.items() for package in group}
    total = sum(counts.values()) or 1
    shares: dict[str, float] = {}
    for package, count in counts.items():
        name = group_of.get(package, package)
        shares[name] = shares.get(name, 0) + count / total
    return shares
