"""The daemon as the browser tests start it: ``python -m support.browser_daemon``.

Like ``recado run``, but the dashboard shows the phone of simulators in another process.
"""

import os
import time
from pathlib import Path

import trio

from daemon import __version__
from daemon.app import run
from daemon.conversation.opening import Environment
from daemon.observability.metrics import Metrics
from daemon.settings.sources import load_settings
from daemon.startup import _open_log

PHONE_VARIABLE = "TEST_PHONE_URL"


def main() -> None:
    """Run until killed, or until SIGTERM."""
    settings = load_settings(config=None, environ=os.environ, cwd=Path.cwd()).settings
    environment = Environment(
        log=_open_log(settings, os.environ),
        metrics=Metrics(version=__version__),
        now=time.time,
        clock=time.perf_counter,
        notify=lambda _message: None,
        phone_url=os.environ[PHONE_VARIABLE],
    )
    trio.run(run, settings, environment, strict_exception_groups=True)


if __name__ == "__main__":
    main()
