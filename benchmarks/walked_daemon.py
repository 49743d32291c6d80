"""The daemon with a recorder in it: which of its functions are entered, in any thread.

Usage: python walked_daemon.py FILE run. At the first SIGUSR2 it begins to record, at the second the
functions are written to the file, in the order in which they were entered first.
"""

import json
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import trio

import daemon
from daemon.__main__ import main

HOME = Path(daemon.__file__).parent

BY_THE_CLOCK = frozenset(
    {"event loop lag", "figures", "recovery", "samples", "status", "sweep", "watchdog"}
)
"""Names of tasks that run periodically whether or not a message comes; they do not count."""


class Recorder:
    """Records the functions that are entered from the first signal to the second."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._entered: dict[CodeType, None] = {}
        self._recording = False

    def begin_or_write(self, _number: int, _frame: FrameType | None) -> None:
        """Begin; at the second signal, write what was entered since."""
        if not self._recording:
            self._recording = True
            return
        self._recording = False
        functions = [
            [str(path.relative_to(HOME)), code.co_qualname]
            for code in self._entered
            if HOME in (path := Path(code.co_filename)).parents
        ]
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(functions))
        new.rename(self._output)

    def enter(self, frame: FrameType, event: str, _argument: object) -> None:
        """See `sys.setprofile`."""
        if self._recording and event == "call" and not _is_periodic():
            self._entered.setdefault(frame.f_code)


def _is_periodic() -> bool:
    try:
        return trio.lowlevel.current_task().name in BY_THE_CLOCK
    except RuntimeError:  # between two tasks, or in another thread
        return False


def run(output: Path, arguments: list[str]) -> None:
    """Run the daemon to its end."""
    recorder = Recorder(output)
    signal.signal(signal.SIGUSR2, recorder.begin_or_write)
    threading.setprofile(recorder.enter)
    sys.setprofile(recorder.enter)
    sys.argv = ["recado", *arguments]
    main()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
