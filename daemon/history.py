"""How much of a conversation the model is told: the newest turns that fit into a budget.

Pure: items and a budget in, items out. A turn is kept whole or left out, so that a function call
never loses its output.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from daemon.model import JsonObject

BYTES_PER_TOKEN = 3
"""A cautious estimate: Spanish runs at 3.5 to 4 bytes of text a token, JSON at about 3."""

ITEM_TOKENS = 4
"""What the frame of one item costs beside its text."""


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of one item from its JSON text; on the high side."""
    return ITEM_TOKENS + len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN


def fit(
    items: Iterable[tuple[int | None, JsonObject, int]], *, budget: int
) -> tuple[JsonObject, ...]:
    """The newest turns of a thread whose tokens together are at most ``budget``.

    ``items``: turn (None for what belongs to none), item and its tokens, oldest first.
    """
    turns = [
        list(group)
        for _, group in groupby(enumerate(items), key=lambda entry: _turn_of(entry[0], entry[1]))
    ]
    kept: list[JsonObject] = []
    for turn in reversed(turns):
        budget -= sum(tokens for _, (_, _, tokens) in turn)
        if budget < 0:
            break
        kept[:0] = [item for _, (_, item, _) in turn]
    return consistent(kept)


def _turn_of(index: int, entry: tuple[int | None, JsonObject, int]) -> tuple[str, int]:
    """Group the items of one turn; an item without a turn stands alone."""
    turn_id = entry[0]
    return ("alone", index) if turn_id is None else ("turn", turn_id)


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
