"""Where a text is worked on: short ones at once, large ones beside the event loop."""

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

LARGE_CHARACTERS = 8_000
"""A text of this length takes a few milliseconds; a handover to a thread takes a tenth of one."""

MOST_CHARACTERS = 200_000
"""Of a model's answer that are looked at; a customer gets far less of it."""


async def work_on(text: str, work: Callable[[str], T]) -> T:
    """Give what ``work`` makes of a text; of a large one in a thread, and of no more than the most.

    ``work`` is pure. Any task may call it; a cancelled one leaves the thread behind, which ends by
    itself since the text is bounded.
    """
    if len(text) <= LARGE_CHARACTERS:
        return work(text)
    return await trio.to_thread.run_sync(work, text[:MOST_CHARACTERS], abandon_on_cancel=True)
