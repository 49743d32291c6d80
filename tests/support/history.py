"""What a thread gives the model within a budget."""

from collections.abc import Sequence

from daemon.domain.messages import JsonObject
from daemon.domain.prompt.history_budget import consistent, first_that_fits

Entry = tuple[int | None, JsonObject, int]
"""A turn (None for what belongs to none), an item and its tokens."""


def fit(entries: Sequence[Entry], *, budget: int) -> tuple[JsonObject, ...]:
    """The newest turns of a thread, oldest first, whose tokens are at most ``budget`` together."""
    first = first_that_fits([(turn, tokens) for turn, _, tokens in entries], budget=budget)
    return consistent([item for _, item, _ in entries[first:]])
