"""What becomes of each item of a response's output, as a table."""

import typing
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseOutputItem

from daemon.assistant.payloads.responses import ITEMS, response_from, usage_from
from daemon.domain.messages import JsonObject, ModelResponse, Usage

ENGINES_PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def answer(*output: JsonObject, **fields: Any) -> ModelResponse:
    return response_from({"id": "resp_1", "status": "completed", "output": output, **fields})


def message(*parts: JsonObject, **fields: Any) -> JsonObject:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": parts, **fields}


def text(words: str, **fields: Any) -> JsonObject:
    return {"type": "output_text", "text": words, "annotations": [], **fields}


def test_every_type_of_the_installed_sdk_is_decided() -> None:
    union = typing.get_args(typing.get_args(ResponseOutputItem)[0])
    known = {typing.get_args(one.model_fields["type"].annotation)[0] for one in union}
    assert known == set(ITEMS)


def test_every_type_is_on_the_page_of_engines() -> None:
    page = ENGINES_PAGE.read_text()
    assert [kind for kind in ITEMS if f"`{kind}`" not in page] == []


WITH_FIELDS: dict[str, JsonObject] = {
    "message": {"role": "assistant", "content": [text("Hola")]},
    "function_call": {"call_id": "call_1", "name": "a", "arguments": "{}"},
    "compaction": {"encrypted_content": "x"},
}


@pytest.mark.parametrize("kind", [kind for kind in ITEMS if kind != "reasoning"])
def test_each_type_of_item_is_sent_kept_or_dropped(kind: str) -> None:
    item = {"id": "item_1", "type": kind, "status": "completed", **WITH_FIELDS.get(kind, {})}
    got = answer(item, message(text("Hola")))
    kept = [one["type"] for one in got.items]
    assert kept == [kind, "message"] if ITEMS[kind] == "kept" else kept == ["message"]
    assert got.left_out == ((kind,) if ITEMS[kind] == "reported" else ())
    assert "id" not in got.items[0]


SEALED = {"id": "rs_1", "type": "reasoning", "summary": [{"text": "No."}], "encrypted_content": "x"}
CONTAINER = {"type": "container_reference", "container_id": "c"}
PROGRAM_CALL = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "a",
    "caller": {"type": "program", "caller_id": "call_0"},
}


HOLOGRAM = {"type": "hologram", "id": "h_1"}
SAYS_AUDIO = {"type": "output_audio", "data": "x"}
CITED = text("Hay", annotations=[{"type": "url_citation", "url": "https://a.example"}])
CUT_CALL = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "a",
    "arguments": '{"x',
    "status": "incomplete",
}
REFUSAL = {"type": "refusal", "refusal": "No puedo."}
COMMENTARY = message(text("Miro"), phase="commentary")

CASES: dict[str, tuple[list[JsonObject], str, list[str], tuple[str, ...]]] = {
    # what the server says: what the customer hears, what is kept, what is reported
    "reasoning": ([SEALED, message(text("Hay"))], "Hay", ["reasoning", "message"], ()),
    "reasoning alone": ([SEALED], "", [], ()),
    "commentary before the answer": (
        [COMMENTARY, message(text("Hay"), phase="final_answer")],
        "Hay",
        ["message", "message"],
        (),
    ),
    "commentary alone": ([COMMENTARY], "", ["message"], ()),
    "unknown phase": ([message(text("Mmm"), phase="analysis")], "", ["message"], ()),
    "no phase": ([message(text("Hay"), phase=None)], "Hay", ["message"], ()),
    "several messages and parts": (
        [message(text("Uno"), text("dos")), message(text("tres"))],
        "Uno\n\ndos\n\ntres",
        ["message", "message"],
        (),
    ),
    "refusal": ([message(REFUSAL)], "No puedo.", ["message"], ()),
    "unknown part": ([message(text("Hay"), SAYS_AUDIO)], "Hay", ["message"], ()),
    "only an unknown part": ([message(SAYS_AUDIO)], "", [], ()),
    "annotations": ([message(CITED)], "Hay", ["message"], ()),
    "unknown item": ([HOLOGRAM, message(text("Hay"))], "Hay", ["message"], ("hologram",)),
    "item without a type": ([{"id": "h_1"}], "", [], ("no type",)),
    "the server's own shell": ([{"type": "shell_call", "environment": CONTAINER}], "", [], ()),
    "search by the client": (
        [{"type": "tool_search_call", "execution": "client"}],
        "",
        [],
        ("tool_search_call",),
    ),
    "call by a program": ([PROGRAM_CALL], "", [], ("program",)),
    "call cut in its arguments": ([CUT_CALL], "", [], ()),
}


@pytest.mark.parametrize(("output", "words", "kinds", "left_out"), CASES.values(), ids=CASES)
def test_items_that_are_sent_and_items_that_are_kept(
    output: list[JsonObject], words: str, kinds: list[str], left_out: tuple[str, ...]
) -> None:
    got = answer(*output)
    assert (got.text, [item["type"] for item in got.items], got.left_out) == (
        words,
        kinds,
        left_out,
    )


@pytest.mark.parametrize(
    "reason", ["max_output_tokens", "max_messages", "content_filter", "steered"]
)
def test_an_incomplete_answer_has_the_reason(reason: str) -> None:
    got = answer(message(text("Hay")), status="incomplete", incomplete_details={"reason": reason})
    assert (got.text, got.incomplete) == ("Hay", reason)


ODD: tuple[Any, ...] = (7, True, "x", ["x"], {"a": ["x"]}, [{"text": 7}], -1, 10**30)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_value_costs_only_itself(odd: Any) -> None:
    """Whatever a server sends in place of what is read, there is an answer with the rest."""
    kinds: tuple[JsonObject, ...] = (
        {"type": "message", **WITH_FIELDS["message"]},
        {"type": "function_call", **WITH_FIELDS["function_call"]},
        {"type": "compaction", **WITH_FIELDS["compaction"]},
        {"type": "shell_call"},
        {**SEALED},
    )
    names = {"phase", "status", "namespace", "environment", "caller"}.union(*kinds)
    odd_items = [{**item, name: odd} for item in kinds for name in names]
    parts = [{**text("Hola"), "text": odd}, odd, {"type": "refusal", "refusal": odd}]
    got = answer(odd, *odd_items, message(*parts), message(text("Hola")))
    assert got.text.endswith("Hola")
    assert all(isinstance(call.name, str) for call in got.calls)
    for name in ("output", "incomplete_details", "usage"):
        assert isinstance(response_from({"status": "incomplete", name: odd}), ModelResponse)


@pytest.mark.parametrize("odd", ODD[1:])
def test_invalid_token_counts_are_ignored(odd: Any) -> None:
    names = ("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
    assert usage_from(dict.fromkeys(names, odd)) == Usage()
    assert usage_from({"input_tokens_details": {"cached_tokens": odd}, "input_tokens": 7}) == Usage(
        input_tokens=7
    )
