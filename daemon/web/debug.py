"""Looking into the process: `/debug/memory` says which lines of code its memory is from.

``POST`` begins to watch, or tells what has grown since it began; ``DELETE`` ends it. Watching makes
the daemon about half as fast and a report holds it up for a moment, so it is off until it is asked
for.
"""

from quart import Blueprint
from quart.typing import ResponseReturnValue

from daemon.web.facade import Daemon


def create_debug(daemon: Daemon) -> Blueprint:
    """Return the route; the caller puts the guard in front of it."""
    debug = Blueprint("debug", __name__)

    @debug.post("/debug/memory")
    async def watch() -> ResponseReturnValue:
        return daemon.trace_memory()

    @debug.delete("/debug/memory")
    async def end() -> ResponseReturnValue:
        daemon.end_memory_trace()
        return {"watching": False}

    return debug
