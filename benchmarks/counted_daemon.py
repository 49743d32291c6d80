"""The daemon with a counter in it: how many instructions of Python its main thread executes.

Usage: python counted_daemon.py FILE run. At the first SIGUSR2 it begins to count, at the second the
counts are written to the file, by package. What trio does itself is left out: how often tasks take
turns depends on what else the machine does.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from profiled_daemon import package_of

from daemon.__main__ import main

LEFT_OUT = frozenset({"trio", "outcome", "attr", "attrs"})


class Counting:
    """Counts the instructions of each package from the first signal to the second."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._counts: Counter[str] = Counter()
        self._packages: dict[CodeType, str] = {}
        self._began = False

    def begin_or_tell(self, _number: int, _frame: FrameType | None) -> None:
        """Begin; at the second signal, write what was counted since."""
        if not self._began:
            self._began = True
            sys.settrace(self._trace)
            return
        sys.settrace(None)
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(self._counts))
        new.rename(self._output)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "call":
            if self._package(frame) in LEFT_OUT:
                return None
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
    signal.signal(signal.SIGUSR2, Counting(output).begin_or_tell)
    sys.argv = ["recado", *arguments]
    main()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
