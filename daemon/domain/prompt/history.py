"""How much of a conversation the model is told: the newest turns that fit into a budget.

Pure: items and a budget in, items out. A turn is kept whole or left out, so that a function call
never loses its output.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from daemon.domain.messages import JsonObject

BYTES_PER_TOKEN = 3
"""A cautious estimate: Spanish runs at 3.5 to 4 bytes of text a token, JSON at about 3."""

ITEM_TOKENS = 4
"""What the frame of one item costs beside its text."""


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of one item from its JSON text; on the high side."""
    return tokens_of_bytes(len(text.encode("utf-8", "replace")))


def tokens_of_bytes(size: int) -> int:
    """Estimate the tokens of one item from the bytes of its JSON text, in UTF-8."""
    return ITEM_TOKENS + size // BYTES_PER_TOKEN


def fit(
    items: Iterable[tuple[int | None, JsonObject, int]], *, budget: int
) -> tuple[JsonObject, ...]:
    """The newest turns of a thread whose tokens together are at most ``budget``.

    ``items``: turn (None for what belongs to none), item and its tokens, oldest first.
    """
    entries = list(items)
    first = first_that_fits([(turn, tokens) for turn, _, tokens in entries], budget=budget)
    return consistent([item for _, item, _ in entries[first:]])


def first_that_fits(sizes: Sequence[tuple[int | None, int]], *, budget: int) -> int:
    """Where the newest turns begin whose tokens together are at most ``budget``.

    ``sizes``: turn and tokens of each item, oldest first. Their number if not one turn fits.
    """
    first = len(sizes)
    for turn in reversed(turns_of(sizes)):
        budget -= sum(sizes[place][1] for place in turn)
        if budget < 0:
            break
        first = turn.start
    return first


def turns_of(sizes: Sequence[tuple[int | None, int]]) -> list[range]:
    """The places of the items that belong together, oldest first."""
    groups = groupby(range(len(sizes)), key=lambda place: _turn_of(place, sizes[place][0]))
    turns: list[range] = []
    for _, places in groups:
        start = next(places)
        turns.append(range(start, start + 1 + sum(1 for _ in places)))
    return turns


def _turn_of(place: int, turn_id: int | None) -> tuple[str, int]:
    """Group the items of one turn; an item without a turn stands alone."""
    return ("alone", place) if turn_id is None else ("turn", turn_id)


def consistent(items: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """Leave out calls without output, outputs without call, and repeated item ids.

    Reasoning goes with the item it led to. The server refuses the whole request for any of them.
    """
    calls = {i["call_id"] for i in items if i.get("type") == "function_call"}
    outputs = {i["call_id"] for i in items if i.get("type") == "function_call_output"}
    answered = calls & outputs
    seen: set[tuple[str, str]] = set()
    kept: list[JsonObject] = []
    for item in items:
        kind = str(item.get("type", "message"))
        if kind in {"function_call", "function_call_output"} and item["call_id"] not in answered:
            if kept and kept[-1].get("type") == "reasoning":
                kept.pop()
            continue
        name = (kind, str(item.get("call_id") or item.get("id") or id(item)))
        if name not in seen:
            seen.add(name)
            kept.append(item)
    return tuple(kept)
