"""The daemon with a recorder in it: which of its functions are entered, in any thread.

Usage: python walked_daemon.py FILE run. The first SIGUSR2 begins the record of an idle daemon, the
second that of a message; at the third its functions are written to the file, in the order in which
they were entered first. A file of which the idle daemon enters the same functions does not count:
periodic tasks are no part of a message's way.
"""

import json
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import daemon
from daemon.__main__ import main
from daemon.ops.maintenance import tasks

HOME = Path(daemon.__file__).parent

LATER_SECONDS = 3600.0
"""When the task of the search's index looks again: it is periodic, and indexes after the answer."""

Entered = dict[CodeType, None]


class Recorder:
    """Records the functions that are entered from the first signal to the third."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._records: list[Entered] = []

    def next(self, _number: int, _frame: FrameType | None) -> None:
        """Begin the next record; at the third signal, write the second one."""
        if len(self._records) < 2:
            self._records = [*self._records, {}]
            return
        idle, message = self._records
        self._records = []
        found = [code for code in message if HOME in Path(code.co_filename).parents]
        files = {code.co_filename for code in found if code not in idle}
        functions = [
            [str(Path(code.co_filename).relative_to(HOME)), code.co_qualname]
            for code in found
            if code.co_filename in files
        ]
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(functions))
        new.rename(self._output)

    def enter(self, frame: FrameType, event: str, _argument: object) -> None:
        """See `sys.setprofile`."""
        if event == "call" and (records := self._records):
            records[-1].setdefault(frame.f_code)


def run(output: Path, arguments: list[str]) -> None:
    """Run the daemon to its end."""
    recorder = Recorder(output)
    tasks.SEARCH_SECONDS = LATER_SECONDS
    signal.signal(signal.SIGUSR2, recorder.next)
    threading.setprofile(recorder.enter)
    sys.setprofile(recorder.enter)
    sys.argv = ["recado", *arguments]
    main()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
