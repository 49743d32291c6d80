"""How much of a conversation the model is told, and that the server will accept it."""

import json
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.history import Entry, fit

from daemon.domain.messages import JsonObject
from daemon.domain.prompt.history_budget import (
    BYTES_PER_TOKEN,
    ITEM_TOKENS,
    consistent,
    estimate_tokens,
)


def _said(words: str) -> JsonObject:
    return {"role": "user", "content": words}


def _call(call_id: str) -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": "{}"}


def _output(call_id: str) -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": "2"}


@st.composite
def threads(draw: st.DrawFn) -> list[Entry]:
    """Threads as the store has them: turns one after the other, notes in between."""
    entries: list[Entry] = []
    for turn_id in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from([turn_id, None]))
        for _ in range(draw(st.integers(1, 4))):
            entries.append((name, _said(f"words {len(entries)}"), draw(st.integers(1, 20))))
    return entries


calls = st.lists(
    st.sampled_from("abcd").flatmap(
        lambda name: st.sampled_from([_call(name), _output(name), _said(name)])
    )
    | st.builds(lambda name: {"type": "reasoning", "id": name}, st.sampled_from("xy")),
    max_size=14,
)


def _tokens(entries: list[Entry], kept: tuple[JsonObject, ...]) -> int:
    return sum(tokens for _, item, tokens in entries if item in kept)


def test_the_newest_turns_that_fit_are_kept_in_order() -> None:
    entries: list[Entry] = [
        (1, _said("a"), 10),
        (1, _said("b"), 10),
        (None, _said("note"), 5),
        (2, _said("c"), 10),
    ]
    contents = {
        budget: [item["content"] for item in fit(entries, budget=budget)]
        for budget in (9, 10, 14, 15, 34, 35)
    }
    assert contents == {
        9: [],
        10: ["c"],
        14: ["c"],
        15: ["note", "c"],
        34: ["note", "c"],
        35: ["a", "b", "note", "c"],
    }


def test_a_gap_is_not_bridged() -> None:
    """An old turn that would fit is not told beside a newer one that does not."""
    entries: list[Entry] = [(1, _said("a"), 1), (2, _said("b"), 100), (3, _said("c"), 1)]
    assert fit(entries, budget=50) == (_said("c"),)


@given(threads(), st.integers(0, 150))
def test_the_budget_is_kept_and_used(entries: list[Entry], budget: int) -> None:
    kept = fit(entries, budget=budget)
    assert _tokens(entries, kept) <= budget
    rest = entries[: len(entries) - len(kept)]
    if rest:
        last_turn = [
            list(group)
            for _, group in groupby(
                enumerate(rest), key=lambda e: e[1][0] if e[1][0] is not None else (e[0], "alone")
            )
        ][-1]
        needed = sum(tokens for _, (_, _, tokens) in last_turn)
        assert _tokens(entries, kept) + needed > budget


@given(threads(), st.integers(0, 150))
def test_turns_are_kept_whole_and_in_order(entries: list[Entry], budget: int) -> None:
    kept = fit(entries, budget=budget)
    items = [item for _, item, _ in entries]
    assert list(kept) == items[len(items) - len(kept) :]
    cut = len(items) - len(kept)
    if 0 < cut < len(entries) and entries[cut][0] is not None:
        assert entries[cut - 1][0] != entries[cut][0]


@given(calls)
def test_only_items_that_the_server_accepts_are_sent(items: list[JsonObject]) -> None:
    kept = consistent(items)
    asked = [i["call_id"] for i in kept if i.get("type") == "function_call"]
    answered = [i["call_id"] for i in kept if i.get("type") == "function_call_output"]
    assert sorted(asked) == sorted(answered)
    assert len(set(asked)) == len(asked)
    reasons = [i["id"] for i in kept if i.get("type") == "reasoning"]
    assert len(set(reasons)) == len(reasons)


@given(calls)
def test_only_items_that_the_server_refuses_are_left_out(items: list[JsonObject]) -> None:
    items = [dict(item) for item in items]
    kept = consistent(items)
    words = [i for i in items if "role" in i]
    assert [i for i in kept if "role" in i] == words
    assert consistent(kept) == kept
    positions = [next(n for n, item in enumerate(items) if item is k) for k in kept]
    assert positions == sorted(positions)


def test_a_call_cut_from_its_output_is_left_out() -> None:
    items = [_said("a"), _call("1"), _call("2"), _output("2"), _output("3")]
    assert consistent(items) == (_said("a"), _call("2"), _output("2"))


@given(st.text(st.characters(exclude_categories=())))
def test_the_estimate_is_on_the_high_side(words: str) -> None:
    item: dict[str, Any] = {"role": "user", "content": words}
    text = json.dumps(item, ensure_ascii=False)
    estimate = estimate_tokens(text)
    assert estimate >= ITEM_TOKENS
    assert estimate >= len(text) / (BYTES_PER_TOKEN + 1)
    assert estimate_tokens(text + "x" * BYTES_PER_TOKEN) == estimate + 1


def test_reasoning_is_left_out_with_its_call() -> None:
    """A server refuses reasoning without what it led to, too."""
    reasoning = {"type": "reasoning", "encrypted_content": "x", "summary": []}
    call = {"type": "function_call", "call_id": "c1", "name": "book", "arguments": "{}"}
    words = {"role": "assistant", "content": "Listo"}
    assert consistent([reasoning, call, words]) == (words,)
