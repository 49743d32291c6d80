"""How far long work has come, for whoever watches it."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with what is done, all there is (0: not known), and what is under way (may be empty)."""


def unwatched(_done: int, _total: int, _item: str) -> None:
    """Show nothing: nobody watches."""
