"""What falls out of a conversation that is too long, and what is told in its place."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.assistant.payloads.responses import ServerProfile, compacts, request_body
from daemon.domain.messages import JsonObject, ModelRequest, ToolSpec
from daemon.domain.prompt.history_budget import (
    HIGHEST_RATIO,
    LOWEST_RATIO,
    SUMMARY_NOTE,
    as_input,
    calibrated,
    estimate_tokens,
    estimated_budget,
    items_to_compact,
    request_estimate,
    shown,
    split_at_compaction,
    summary_item,
    summary_request,
    surely_fits,
)
from daemon.domain.prompt.message_text import data_item, is_data
from daemon.domain.records import ChatRecord, Recollection, ThreadHead, ThreadItem


def _said(words: str, role: str = "user") -> JsonObject:
    return {"role": role, "content": words}


def _thread(*sizes: tuple[int | None, int], ratio: float = 1, head: int = 0) -> Recollection:
    items = tuple(
        ThreadItem(turn, _said(f"words {place}"), tokens, place + 1)
        for place, (turn, tokens) in enumerate(sizes)
    )
    summary = _said("summary", "developer") if head else None
    return Recollection(ChatRecord(token_ratio=ratio), ThreadHead(summary, head), items)


@st.composite
def threads(draw: st.DrawFn) -> Recollection:
    """Threads as the store has them, with or without a head."""
    sizes: list[tuple[int | None, int]] = []
    for turn in range(draw(st.integers(0, 8))):
        name = draw(st.sampled_from([turn, None]))
        tokens = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
        sizes += [(name, size) for size in tokens]
    ratio = draw(st.floats(0.5, 2))
    return _thread(*sizes, ratio=ratio, head=draw(st.sampled_from([0, 10])))


def test_nothing_is_dropped_from_a_thread_that_fits() -> None:
    memory = _thread((1, 50), (2, 50))
    assert items_to_compact(memory, budget=100) == 0
    assert len(shown(memory, budget=100)) == 2


def test_a_compaction_makes_room_for_more_than_one_turn() -> None:
    """Else it would be made anew after each turn, and no beginning of a request would last."""
    memory = _thread(*((turn, 20) for turn in range(6)))
    assert items_to_compact(memory, budget=100) == 4


def test_the_newest_turn_stays_if_it_fits_at_all() -> None:
    assert items_to_compact(_thread((1, 50), (2, 45), (2, 45)), budget=100) == 1
    assert items_to_compact(_thread((1, 50), (2, 145), (2, 45)), budget=100) == 3


@given(threads(), st.integers(1, 300))
def test_the_shown_part_and_the_kept_part_fit(memory: Recollection, budget: int) -> None:
    room = max(0, estimated_budget(budget, memory.chat.token_ratio) - memory.head.tokens)
    assert sum(entry.tokens for entry in shown(memory, budget=budget)) <= room
    count = items_to_compact(memory, budget=budget)
    kept = replace(memory, items=memory.items[count:])
    assert items_to_compact(kept, budget=budget) == 0
    assert shown(kept, budget=budget) == kept.items
    if 0 < count < len(memory.items) and memory.items[count].turn_id is not None:
        assert memory.items[count - 1].turn_id != memory.items[count].turn_id


@given(threads(), st.integers(1, 300))
def test_nothing_is_dropped_from_a_thread_that_certainly_fits(
    memory: Recollection, budget: int
) -> None:
    tokens = memory.head.tokens + sum(entry.tokens for entry in memory.items)
    if surely_fits(tokens, budget=budget):
        assert items_to_compact(memory, budget=budget) == 0


def test_a_small_thread_is_known_to_fit() -> None:
    assert surely_fits(50, budget=100)
    assert not surely_fits(51, budget=100)


def test_the_ratio_corrects_the_estimate_within_bounds() -> None:
    assert calibrated(100, 150) == 1.5
    assert calibrated(100, 10_000) == HIGHEST_RATIO
    assert calibrated(100, 1) == LOWEST_RATIO
    assert calibrated(100, 0) == calibrated(None, 100) == calibrated(0, 100) == 0
    assert estimated_budget(100, 2) == 50
    assert estimated_budget(100, 0.5) == 200
    assert estimated_budget(100, 40) == 50


def test_a_request_is_estimated_with_all_that_is_text_in_it() -> None:
    bare = ModelRequest(instructions="", items=(_said("Hola"),))
    tool = ToolSpec(name="look", description="Look.", parameters={"type": "object"})
    sizes = [
        request_estimate(request) or 0
        for request in (
            bare,
            ModelRequest(instructions="Be kind.", items=bare.items),
            ModelRequest(instructions="Be kind.", items=bare.items, tools=(tool,)),
        )
    ]
    assert sizes == sorted(set(sizes))
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}
    assert request_estimate(ModelRequest(instructions="", items=(picture,))) is None


def test_the_head_is_sent_before_the_items() -> None:
    memory = _thread((1, 5), head=10)
    assert as_input(memory, memory.items) == (data_item("note", "summary"), _said("words 0"))
    lone = {"type": "function_call_output", "call_id": "c", "output": "2"}
    cut = replace(memory, items=(ThreadItem(1, lone, 5), *memory.items))
    assert lone not in as_input(cut, cut.items)


def test_a_summary_is_made_of_the_earlier_one_and_of_messages_and_tool_calls() -> None:
    items: list[JsonObject] = [
        _said("¿Hay cupo?"),
        {"type": "reasoning", "encrypted_content": "sealed"},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"n": 2}'},
        {"type": "function_call_output", "call_id": "c", "output": "two rooms"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Sí, dos."}]},
    ]
    entries = tuple(ThreadItem(1, item, 10, place) for place, item in enumerate(items))
    memory = replace(_thread(head=10), items=entries)
    request = summary_request(memory, entries, budget=1000, contact_hash="h")
    (asked,) = request.items
    assert asked["content"].splitlines() == [
        '<recado_data kind="conversation">',
        '{"note":"summary"}',
        '{"customer":"¿Hay cupo?"}',
        r'{"business used a tool":"look {\"n\": 2}"}',
        '{"result of the tool":"two rooms"}',
        '{"business":"Sí, dos."}',
        "</recado_data>",
    ]
    assert not request.tools
    assert request.contact_hash == "h"


def test_a_summary_is_made_of_no_more_than_a_model_can_read() -> None:
    entries = tuple(ThreadItem(n, _said(f"{n} " + "palabra " * 50), 140, n) for n in range(100))
    request = summary_request(_thread(), entries, budget=500, contact_hash="")
    assert estimate_tokens(str(request.items)) < 4 * 500
    assert '"customer":"99 ' in request.items[0]["content"]
    assert '"customer":"0 ' not in request.items[0]["content"]


def inside(content: str) -> str:
    """What stands between the marks of data."""
    return "\n".join(content.split("\n")[1:-1]).replace("&lt;", "<")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(1, 20_000))
def test_a_summary_takes_a_part_of_the_budget_only(text: str, budget: int) -> None:
    item = summary_item(text, budget=budget)
    if item is None:
        assert not text.strip() or budget < 8
        return
    assert is_data(item)
    _, note, words = inside(item["content"]).partition(f"{SUMMARY_NOTE}\n")
    assert note
    assert words
    assert text.strip().encode("utf-8", "replace").decode().startswith(words)
    assert len(words.encode()) <= 3 * budget // 4


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_summary_is_none(text: str) -> None:
    assert summary_item(text, budget=1000) is None


def test_the_servers_own_compaction_replaces_earlier_items() -> None:
    first, second = ({"type": "compaction", "encrypted_content": name} for name in "ab")
    items = [_said("x"), first, _said("y"), second, _said("z")]
    assert split_at_compaction(items) == (items[:3], second, items[4:])
    assert split_at_compaction(items[:1]) == ((), None, items[:1])


def test_only_a_server_that_can_is_asked_to_compact() -> None:
    """And what one server has compacted is not shown to another."""
    sealed = {"type": "compaction", "encrypted_content": "a"}
    request = ModelRequest(instructions="", items=(sealed, _said("Hola")), compact_at=900)
    able = ServerProfile(model="gpt-6-luna", background=False, openai=True)
    body = request_body(request, able)
    assert body["context_management"] == [{"type": "compaction", "compact_threshold": 900}]
    assert body["input"][0] == sealed
    body = request_body(request, replace(able, openai=False))
    assert "context_management" not in body
    assert body["input"] == [_said("Hola")]
    assert compacts("https://api.openai.com/v1", "gpt-6-luna")
    assert not compacts("https://api.openai.com/v1", "gpt-4o-mini")
    assert not compacts("http://127.0.0.1:11434/v1", "gpt-6-luna")
