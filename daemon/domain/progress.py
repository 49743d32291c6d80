"""The progress of long work, for a display."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with the count done, the total (0: unknown), and the item under way (may be empty)."""


def unwatched(_done: int, _total: int, _item: str) -> None:
    """Show nothing."""
