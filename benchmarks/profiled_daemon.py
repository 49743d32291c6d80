"""The daemon with a sampler in it: which threads its CPU time goes to, and what the main one does.

Each millisecond of CPU time of the process, or as often as the kernel looks (each tick, 4 ms for
most), a signal looks where the main thread is, if it was that one that computed. A sample counts
for the package of the innermost frame that is not of the standard library, and for what the work
is done for: the outermost frame of a part of the program that is told in `PURPOSES`. How much of
the time each thread has had is not sampled: the kernel counts it.

Usage: python profiled_daemon.py FILE run. At the first SIGUSR2 it begins anew, without the start;
at the second what was found is written to the file.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from daemon.__main__ import main

INTERVAL = 0.001
HOME = Path(__file__).parent.parent / "daemon"
PURPOSES = {
    "daemon/http": "webhooks in",
    "hypercorn": "webhooks in",
    "daemon/gateway/whapi": "calls to Whapi",
    "daemon/assistant": "the model's call",
    "daemon/ledger": "handing over to the store",
    "daemon/observability": "log and figures",
    "daemon/ops/live_log": "log and figures",
    "daemon/sampling": "log and figures",
    "daemon/tools": "tools",
    "daemon/media": "files",
    "daemon/conversation": "the turn itself",
}
"""What the parts are for. One that stands further outside counts: what is logged or stored while a
webhook is answered is the webhook's. What a chat does by itself is what is left of it."""
NOBODY = "event loop and housekeeping"
INNER = ("daemon/ledger", "daemon/conversation")
"""Count only if no other part is on the stack, the first one first: what follows from a webhook is
called where the store's thread gives it back, and each turn is within the second."""
CACHE = "_thread_cache"
"""The file of trio in which its worker threads wait for work, and below which they do it."""


class Sampler:
    """Counts where the main thread is, and the CPU time of each kind of threads."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._packages: Counter[str] = Counter()
        self._purposes: Counter[str] = Counter()
        self._places: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self._last = (time.thread_time(), time.process_time())

    def look(self, _number: int, frame: FrameType | None) -> None:
        """Take one sample; runs in the main thread, as signal handlers do."""
        now = (time.thread_time(), time.process_time())
        main_spent, spent = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        if main_spent < spent / 2:
            return
        places = [self._place(each) for each in _outwards(frame)]
        self._packages[next(filter(None, places), "Python itself")] += 1
        found = [place for place in reversed(places) if place in PURPOSES]
        inner = next((place for place in INNER if place in found), "")
        outermost = next((place for place in found if place not in INNER), inner)
        self._purposes[PURPOSES.get(outermost, NOBODY)] += 1

    def begin_or_tell(self, _number: int, _frame: FrameType | None) -> None:
        """Begin anew; at the second signal, write what was found since."""
        threads = _cpu_seconds()
        if not self._began:
            self._began = threads
            self._packages.clear()
            self._purposes.clear()
            return
        spent = {name: threads[name] - self._began[name] for name in threads}
        found = {"packages": self._packages, "purposes": self._purposes, "threads": spent}
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.rename(self._output)

    def _place(self, frame: FrameType) -> str:
        """The package of a frame; empty for one of the standard library or this file."""
        file = frame.f_code.co_filename
        place = self._places.get(file)
        if place is None:
            place = self._places[file] = package_of(Path(file))
        return place


def _cpu_seconds() -> dict[str, float]:
    """CPU time so far by kind of thread: the main one, those of their own, trio's workers."""
    main_one = threading.main_thread().ident
    alone = 0.0
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - made for debuggers
        cached = any(CACHE in each.f_code.co_filename for each in _outwards(frame))
        if ident != main_one and not cached:
            alone += time.clock_gettime(time.pthread_getcpuclockid(ident))
    spent = time.thread_time()
    return {"main": spent, "writer": alone, "workers": time.process_time() - spent - alone}


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def package_of(path: Path) -> str:
    """The package of a file, ``daemon/`` and a part of it for our own; empty for others."""
    if path.is_relative_to(HOME):
        return f"daemon/{path.relative_to(HOME).with_suffix('').parts[0]}"
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    return ""


def run(output: Path, arguments: list[str]) -> None:
    """Run the daemon to its end."""
    sampler = Sampler(output)
    signal.signal(signal.SIGPROF, sampler.look)
    signal.signal(signal.SIGUSR2, sampler.begin_or_tell)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    sys.argv = ["recado", *arguments]
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
