"""The daemon with a counter in it: how many instructions of Python it executes.

Usage: python counted_daemon.py FILE run. At the first SIGUSR2 it begins to count, at the second the
counts are written to the file: those of the main thread by package, and those of the store's
threads together, as `THREADS`.
"""

import json
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from profiled_daemon import package_of

from daemon.__main__ import main

THREADS = "threads of the store"
COUNTED = ("store writer", "store reader")


class Counting:
    """Counts the instructions of each package from the first signal to the second."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._counts: Counter[str] = Counter()
        self._packages: dict[CodeType, str] = {}
        self._counts_now = False

    def begin_or_tell(self, _number: int, frame: FrameType | None) -> None:
        """Begin; at the second signal, write what was counted since."""
        if not self._counts_now:
            self._counts_now = True
            sys.settrace(self._trace)
            while frame is not None:  # the event loop, which is called no more
                frame.f_trace, frame.f_trace_opcodes, frame.f_trace_lines = self._trace, True, False
                frame = frame.f_back
            return
        sys.settrace(None)
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(self._counts))
        new.rename(self._output)

    def trace_thread(self, frame: FrameType, event: str, _argument: object) -> Any:
        """Trace a thread that begins: all of its functions, if it is one of the store's."""
        if threading.current_thread().name not in COUNTED:
            sys.settrace(None)
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode" and self._counts_now:
            self._counts[THREADS] += 1
        return self.trace_thread

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self._counts[self._package(frame)] += 1
        return self._trace

    def _package(self, frame: FrameType) -> str:
        code = frame.f_code
        package = self._packages.get(code)
        if package is None:
            package = self._packages[code] = package_of(Path(code.co_filename)).partition("/")[0]
        return package


def run(output: Path, arguments: list[str]) -> None:
    """Run the daemon to its end."""
    counting = Counting(output)
    signal.signal(signal.SIGUSR2, counting.begin_or_tell)
    threading.settrace(counting.trace_thread)
    sys.argv = ["recado", *arguments]
    main()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
