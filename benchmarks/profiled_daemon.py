"""The daemon with a sampler in it: which parts of the program its CPU time goes to.

Each 5 ms of CPU time of the process a signal looks where the main thread is, if that one has been
computing, and counts the package of the innermost frame that is not of the standard library; time
of the other threads, which store, is counted as theirs.

Usage: python profiled_daemon.py FILE run; the counts are in the file when the daemon has ended.
"""

import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from daemon.__main__ import main

INTERVAL = 0.005
ELSEWHERE = "threads of the store, in C for the most part"
HOME = Path(__file__).parent.parent / "daemon"


class Sampler:
    """Counts where the main thread is."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._last = time.thread_time()

    def look(self, _number: int, frame: FrameType | None) -> None:
        """Take one sample; runs in the main thread, as signal handlers do."""
        now = time.thread_time()
        spent, self._last = now - self._last, now
        self.counts[_place(frame) if spent > INTERVAL / 2 else ELSEWHERE] += 1

    def forget(self, _number: int, _frame: FrameType | None) -> None:
        """Begin anew: what was counted so far was the start."""
        self.counts.clear()


def _place(frame: FrameType | None) -> str:
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(HOME):
            parts = path.relative_to(HOME).with_suffix("").parts
            return f"daemon/{parts[0]}"
        if "site-packages" in path.parts:
            return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
        frame = frame.f_back
    return "Python itself"


def run(output: Path, arguments: list[str]) -> None:
    """Run the daemon to its end and write the counts."""
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.look)
    signal.signal(signal.SIGUSR2, sampler.forget)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    sys.argv = ["recado", *arguments]
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_text(json.dumps(sampler.counts))


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
