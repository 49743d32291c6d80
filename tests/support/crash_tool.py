"""The victim's tool: it has an effect that no store can undo, a line in a file."""

import os
from pathlib import Path

from daemon.tools.tool import ToolContext, tool

BOOKINGS_VARIABLE = "CRASH_BOOKINGS"
"""The environment variable that names the file."""


@tool(effects=True)
def book(context: ToolContext, reference: str) -> str:
    """Book a room under a reference."""
    line = f"{context.idempotency_key} {reference}\n".encode()
    descriptor = os.open(
        Path(os.environ[BOOKINGS_VARIABLE]), os.O_WRONLY | os.O_APPEND | os.O_CREAT
    )
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    return f"booked {reference}"
