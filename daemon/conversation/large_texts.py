"""Where a text is worked on: short ones at once, large ones beside the event loop."""

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

LARGE_CHARACTERS = 8_000
"""A text of this length takes a few milliseconds; a handover to a thread takes a tenth of one."""

MOST_CHARACTERS = 200_000
"""Of a model's answer that are looked at; a customer gets far less of it."""


async def work_on(characters: int, work: Callable[[], T]) -> T:
    """Give what ``work`` makes of so many characters; of many in a thread.

    ``work`` is pure. Any task may call it; a cancelled one leaves the thread behind, which ends by
    itself since its texts are bounded.
    """
    if characters <= LARGE_CHARACTERS:
        return work()
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
