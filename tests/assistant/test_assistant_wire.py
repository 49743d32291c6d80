"""The pure side of the engine: requests, items, schemas, events, and the choice of an error."""

import json
from typing import Any

import pytest

from daemon.assistant.payloads import failures, responses, stream_events
from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.domain.messages import JsonObject, ModelRequest, ToolSpec
from daemon.errors import AssistantError, ContextTooLong, ModelRejected, ModelTemporary

CLOSED = {"type": "object", "additionalProperties": False}


def profile(**fields: Any) -> responses.ServerProfile:
    return responses.ServerProfile(
        **{"model": "gpt-6-luna", "background": False, "openai": False, **fields}
    )


REQUEST = ModelRequest(
    instructions="Be kind.",
    items=({"role": "user", "content": "hola"},),
    contact_hash="c" * 100,
)


@pytest.mark.parametrize(
    ("url", "openai", "keeps"),
    [
        ("https://api.openai.com/v1", True, True),
        ("https://eu.api.openai.com/v1", True, True),
        ("https://mine.openai.azure.com/openai/v1/", False, True),
        ("https://api.openai.com.evil.example/v1", False, False),
        ("http://127.0.0.1:11434/v1", False, False),
    ],
)
def test_capabilities_of_a_server_by_its_host_name(url: str, *, openai: bool, keeps: bool) -> None:
    assert (responses.is_openai(url), responses.keeps_responses(url)) == (openai, keeps)


def test_openai_gets_the_contacts_hash_and_sealed_reasoning() -> None:
    """Its abuse signals and cache are per contact; identifiers have a longest length."""
    body = responses.request_body(REQUEST, profile(openai=True, background=True))
    assert body["safety_identifier"] == "c" * 100
    assert body["prompt_cache_key"] == "c" * 64
    assert body["include"] == ["reasoning.encrypted_content"]
    assert (body["store"], body["background"]) == (True, True)


def test_models_without_reasoning_are_not_asked_for_it() -> None:
    """They refuse the field."""
    assert "include" not in responses.request_body(
        REQUEST, profile(openai=True, model="gpt-4o-mini")
    )


def test_options_add_but_do_not_replace() -> None:
    """The operator's hosted tools stand beside ours; the input stays ours."""
    hosted = {"type": "web_search"}
    request = ModelRequest(
        instructions="",
        items=REQUEST.items,
        tools=(ToolSpec(name="a", description="A.", parameters=CLOSED),),
    )
    options = {"tools": [hosted], "input": "mine", "stream": False, "service_tier": "flex"}
    body = responses.request_body(request, profile(options=options))
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
    assert (body["stream"], body["service_tier"]) == (True, "flex")
    assert body["input"] == list(REQUEST.items)
    assert options["tools"] == [hosted], "the settings are not changed"


def test_other_servers_get_the_assistants_words_the_short_way() -> None:
    """Some know parts only together with ids."""
    said = responses.reusable_items([_message("uno")])[0]
    request = ModelRequest(instructions="", items=(said,))
    assert responses.request_body(request, profile())["input"][0]["content"] == "uno"
    assert responses.request_body(request, profile(openai=True))["input"] == [said]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({**CLOSED, "properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {"a": {"type": "string"}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "default": ""}}}, False),
        ({"type": "object", "properties": {}}, False),
        ({**CLOSED, "properties": {"a": {"type": "object"}}, "required": ["a"]}, False),
        (CLOSED, True),
        ({}, False),
        (
            {
                **CLOSED,
                "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}},
                "required": ["a"],
                "$defs": {"A": {"type": ["object", "null"], "properties": {}}},
            },
            False,
        ),
    ],
)
def test_strict_only_where_the_schema_allows(schema: JsonObject, *, strict: bool) -> None:
    """A tool declared strict with another schema is refused with the whole request."""
    spec = ToolSpec(name="a", description="A.", parameters=schema)
    assert responses.function_tool(spec)["strict"] is strict


def _message(text: str, **fields: Any) -> JsonObject:
    part = {"type": "output_text", "text": text, "annotations": [{}], "logprobs": []}
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
        **fields,
    }


def test_items_lose_fields_that_are_references() -> None:
    call = {"id": "fc_1", "type": "function_call", "status": "completed"}
    call |= {"call_id": "call_1", "name": "a", "arguments": "{}"}
    items = responses.reusable_items([call, _message("uno", phase="final_answer")])
    assert items == (
        {"type": "function_call", "call_id": "call_1", "name": "a", "arguments": "{}"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "uno", "annotations": []}],
            "phase": "final_answer",
        },
    )


def test_reasoning_is_kept_encrypted_beside_its_output() -> None:
    """Left alone at the end or before a dropped item, the server refuses it."""
    sealed = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "x"}
    bare = {"id": "rs_2", "type": "reasoning", "summary": []}
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    kinds = [i["type"] for i in responses.reusable_items([sealed, search, sealed, _message("uno")])]
    assert kinds == ["reasoning", "message"]
    assert responses.reusable_items([bare, search, sealed, "nonsense"]) == ()


def test_usage_of_servers_that_count_less() -> None:
    usage = responses.usage_from({"input_tokens": 5, "input_tokens_details": None})
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (5, 0, 0)


def _feed(reader: ResponseReader, *told: object) -> None:
    for event in told:
        text = event if isinstance(event, str) else json.dumps(event)
        reader.feed(f"event: x\ndata: {text}\n\n".encode())


def test_events_without_a_final_output_are_put_together() -> None:
    """Some servers send items one by one and end with an empty response."""
    reader = ResponseReader()
    _feed(
        reader,
        {"type": "response.created", "response": {"id": "resp_1"}, "sequence_number": 0},
        {"type": "response.output_item.done", "item": _message("dos"), "output_index": 1},
        {"type": "response.output_item.done", "item": _message("uno"), "output_index": 0},
    )
    assert (reader.response_id, reader.sequence, reader.outcome) == ("resp_1", 0, None)
    _feed(reader, {"type": "response.completed", "response": {"id": "resp_1"}}, "[DONE]")
    assert reader.outcome is not None
    assert responses.response_from(reader.outcome).text == "uno\n\ndos"


def test_half_an_event_of_a_cut_stream_is_forgotten() -> None:
    reader = ResponseReader("resp_1", sequence=4)
    reader.feed(b'data: {"type": "x",\ndata: "response": {}')
    reader.start_stream()
    _feed(reader, {"type": "response.output_text.delta", "sequence_number": 5}, "{no json")
    assert (reader.sequence, reader.unreadable) == (5, 1)


def _stream(end: str, *texts: str) -> bytes:
    """Write a stream of two lines of data an event, in the way of a server that escapes nothing."""
    stream_events = [
        f'event: x{end}data: {{"type": "response.output_item.done",{end}'
        f"data:{json.dumps({'item': _message(text)}, ensure_ascii=False)[1:]}{end}{end}"
        for text in texts
    ]
    return "".join(stream_events).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_a_stream_may_be_cut_anywhere(end: str, size: int) -> None:
    """Also between CR and LF, and in the middle of a letter."""
    reader = ResponseReader()
    stream = _stream(end, "año", "👩🏽‍🍳") + b": a remark" + end.encode()
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    assert _text(reader) == "año\n\n👩🏽‍🍳"


@pytest.mark.parametrize("mark", list("\u2028\u2029\x85"))
def test_only_cr_and_lf_end_a_line(mark: str) -> None:
    """JSON may hold these as they are, and customers paste them."""
    reader = ResponseReader()
    reader.feed(_stream("\n", f"uno{mark}dos"))
    assert _text(reader) == f"uno{mark}dos"


def test_invalid_utf_8_is_replaced() -> None:
    reader = ResponseReader()
    reader.feed(_stream("\n", "año").replace("ñ".encode(), b"\xf1"))
    assert _text(reader) == "a\N{REPLACEMENT CHARACTER}o"


def test_an_endless_event_is_dropped_and_the_next_one_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_events, "MAX_EVENT_BYTES", 1000)
    reader = ResponseReader()
    for _ in range(20):
        reader.feed(b'data: "' + b"x" * 100)
    for _ in range(20):
        reader.feed(b"\ndata: " + b"x" * 100)
    reader.feed(b"\n\n" + _stream("\n", "luego"))
    assert _text(reader) == "luego"
    assert reader.unreadable == 1


def _text(reader: ResponseReader) -> str:
    _feed(reader, {"type": "response.completed", "response": {"id": "resp_1"}})
    assert reader.outcome is not None
    return responses.response_from(reader.outcome).text


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"message": "This model's maximum context length is 4096 tokens."}, ContextTooLong),
        (400, {"message": "The prompt is longer than the maximum model length"}, ContextTooLong),
        (400, {"type": "exceed_context_size_error"}, ContextTooLong),
        (413, "<html>too large</html>", ContextTooLong),
        (429, {"message": "Request too large for gpt-x on tokens per min"}, ContextTooLong),
        (429, {"message": "Rate limit reached"}, ModelTemporary),
        (402, {"message": "Insufficient Balance"}, ModelTemporary),
        (500, {"message": "context length"}, ModelTemporary),
        (400, None, ModelRejected),
    ],
)
def test_statuses(status: int, error: object, expected: type[AssistantError]) -> None:
    assert type(failures.from_status(status, error, {})) is expected


def test_only_error_codes_are_passed_on() -> None:
    error = {"code": "invalid_value", "param": "input[2].content", "message": "secret"}
    text = str(failures.from_status(400, error, {}))
    assert text == "the model server answered 400 invalid_value at input[2].content"
    assert "key" not in str(failures.from_status(400, {"code": "sk-key"}, {}))


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"retry-after": "2.5"}, "", 2.5),
        (
            {
                "retry-after": "Mon, 23 Nov 2026 12:00:30 GMT",
                "date": "Mon, 23 Nov 2026 12:00:00 GMT",
            },
            "",
            30,
        ),
        ({"retry-after": "soon", "date": "now"}, "", None),
        ({}, "Rate limit reached. Please try again in 120ms.", 0.12),
        ({}, "Please try again in 1.2s.", 1.2),
        ({}, "Please try again in 1.2.3s.", None),
        ({}, "", None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert failures.retry_after(headers, message) == seconds
