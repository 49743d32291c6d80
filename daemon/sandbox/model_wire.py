"""The Responses API seen from the server: response objects, events, refusals. Pure.

Shapes follow the types of the OpenAI SDK 3.54; the wordings of the refusals are those seen from
api.openai.com.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.domain.messages import JsonObject


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the customer."""

    text: str
    phase: str = ""
    """``commentary`` or ``final_answer``, as models from gpt-5.3 on say; empty: not said."""


@dataclass(frozen=True, slots=True)
class CallTool:
    """A function call with its arguments as JSON text, so that broken JSON can be sent too."""

    name: str
    arguments: str = "{}"


Output = Say | CallTool


@dataclass(frozen=True, slots=True)
class ApiRefusal:
    """An HTTP error in OpenAI's shape."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None

    def body(self) -> JsonObject:
        """Return the JSON body of the answer."""
        kind = "invalid_request_error" if self.status < 429 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


EMBEDDED = re.compile(r'"data:[^"]*"')
FILE_TOKENS = 800
"""Tokens of a picture or a file, whatever its size."""


def tokens_of(value: object) -> int:
    """Return about how many tokens `value` is as JSON: four characters each."""
    text, files = EMBEDDED.subn('""', json.dumps(value, ensure_ascii=False))
    return len(text) // 4 + files * FILE_TOKENS


def refusal_of(body: JsonObject, *, context_tokens: int) -> ApiRefusal | None:
    """Return why the API would refuse a request of `POST /responses`, or None if it would not."""
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        return ApiRefusal(400, "Missing required parameter: 'input'.", None, "input")
    if not body.get("model"):
        return ApiRefusal(400, "Missing required parameter: 'model'.", None, "model")
    if body.get("background") and body.get("store") is False:
        return ApiRefusal(400, "Background mode requires 'store' to be true.", None, "background")
    if tokens_of([items, body.get("instructions")]) > context_tokens:
        text = (
            "Your input exceeds the context window of this model."
            " Please adjust your input and try again."
        )
        return ApiRefusal(400, text, "context_length_exceeded", "input")
    return _broken_items(items) or _broken_tools(body.get("tools") or ())


def _broken_items(items: Sequence[Mapping[str, Any]]) -> ApiRefusal | None:
    """Check ids, references and the pairing of calls with their outputs."""
    ids: set[str] = set()
    open_calls: dict[str, None] = {}
    for item in items:
        item_id, kind, call_id = item.get("id"), item.get("type"), str(item.get("call_id"))
        if item_id in ids:
            text = f"Duplicate item found with id {item_id}. Remove duplicate items and try again."
            return ApiRefusal(400, text, None, "input")
        if item_id:
            ids.add(str(item_id))
        if kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content")):
            return ApiRefusal(404, f"Item with id '{item_id}' not found.", None, "input")
        if kind == "function_call":
            open_calls[call_id] = None
        elif kind == "function_call_output":
            if call_id not in open_calls:
                text = f"No tool call found for function call output with call_id {call_id}."
                return ApiRefusal(400, text, None, "input")
            del open_calls[call_id]
    for call_id in open_calls:
        return ApiRefusal(400, f"No tool output found for function call {call_id}.", None, "input")
    return None


def _broken_tools(tools: Sequence[Mapping[str, Any]]) -> ApiRefusal | None:
    for number, tool in enumerate(tools):
        name = str(tool.get("name"))
        if tool.get("type") == "function" and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            text = f"Invalid 'tools[{number}].name': string does not match pattern."
            return ApiRefusal(400, text, "invalid_value", f"tools[{number}].name")
    return None


def response_object(response_id: str, body: JsonObject, *, created_at: float) -> JsonObject:
    """Return the response object for a request as it is when the response has just begun."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(created_at),
        "status": "queued" if body.get("background") else "in_progress",
        "background": bool(body.get("background")),
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body.get("model"),
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": body.get("metadata") or {},
    }


def finished_response(
    response: JsonObject,
    items: Sequence[JsonObject],
    *,
    status: str,
    error: str = "",
    reason: str = "",
    input_tokens: int = 0,
) -> JsonObject:
    """Return a response object as it is at its end."""
    output_tokens = tokens_of(list(items))
    return {
        **response,
        "status": status,
        "output": list(items),
        "error": {"code": error, "message": "The response failed."} if error else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "usage": {
            "input_tokens": input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        },
    }


def item_events(output: Output, index: int, key: str) -> Iterator[JsonObject]:
    """Yield the events of one output item; the last one carries the whole item.

    `key` makes the item's ids unique.
    """
    if isinstance(output, Say):
        yield from _message_events(output, index, f"msg_{key}{index}")
    else:
        yield from _call_events(output, index, f"fc_{key}{index}", f"call_{key}{index}")


def _message_events(output: Say, index: int, item_id: str) -> Iterator[JsonObject]:
    item: JsonObject = {"id": item_id, "type": "message", "role": "assistant", "content": []}
    if output.phase:
        item["phase"] = output.phase
    place = {"item_id": item_id, "output_index": index, "content_index": 0}
    empty: JsonObject = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    started = {**item, "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": index, "item": started}
    yield {"type": "response.content_part.added", **place, "part": empty}
    for token in re.findall(r"\s*\S+\s*$|\s*\S+", output.text):
        yield {"type": "response.output_text.delta", **place, "delta": token, "logprobs": []}
    part = {**empty, "text": output.text}
    yield {"type": "response.output_text.done", **place, "text": output.text, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    item = {**item, "status": "completed", "content": [part]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _call_events(output: CallTool, index: int, item_id: str, call_id: str) -> Iterator[JsonObject]:
    item: JsonObject = {"id": item_id, "type": "function_call", "call_id": call_id}
    item |= {"name": output.name, "arguments": "", "status": "in_progress"}
    place = {"item_id": item_id, "output_index": index}
    yield {"type": "response.output_item.added", "output_index": index, "item": item}
    for start in range(0, len(output.arguments), 16):
        delta = output.arguments[start : start + 16]
        yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
    done = {**place, "name": output.name, "arguments": output.arguments}
    yield {"type": "response.function_call_arguments.done", **done}
    item = {**item, "arguments": output.arguments, "status": "completed"}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}
