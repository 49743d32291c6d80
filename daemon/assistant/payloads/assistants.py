"""The Assistants API as values: a whole input as a thread, a run's answer as items.

Pure: no I/O, no clock. Shapes follow version 2 of that API (header ``OpenAI-Beta: assistants=v2``).
"""

from collections.abc import Sequence

import msgspec

from daemon.assistant.payloads.responses import ServerProfile, function_tool
from daemon.domain.messages import (
    FunctionCall,
    JsonObject,
    ModelRequest,
    ModelResponse,
    Usage,
    is_for_customer,
)
from daemon.domain.prompt.message_text import RULE, data_item
from daemon.errors import ModelTemporary

_json = msgspec.json.Encoder()

MOST_MESSAGES = 32
"""A thread is created with at most this many messages; older ones are folded into the first."""

MOST_CHARACTERS = 256_000
"""The API's limit for the text of one message, and for a run's instructions."""

MOST_FOLDED = MOST_CHARACTERS - 1000

ENDED = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
"""Statuses of a run after which nothing more comes."""

ACTIVE = frozenset({"queued", "in_progress", "requires_action"})
"""Statuses of a run that blocks its thread and may be cancelled."""


class ThreadBusy(ModelTemporary):
    """A run is active on the thread; nothing was done."""


def split_notes(items: tuple[JsonObject, ...]) -> tuple[list[JsonObject], list[str]]:
    """Separate the developer's notes.

    They are fixed texts about the answer to be given, and become instructions of the run.
    """
    kept: list[JsonObject] = []
    notes: list[str] = []
    for item in items:
        if item.get("role") in {"developer", "system"}:
            notes.append(_words(item))
        else:
            kept.append(item)
    return kept, notes


def thread_body(request: ModelRequest) -> JsonObject:
    """Return the body of ``POST /threads``: the whole input as messages of a new thread.

    A thread knows two roles and no tool items, so calls and their outputs are written as text.
    """
    kept, _ = split_notes(request.items)
    sent = filter(is_for_customer, kept)
    messages = [message for item in sent if (message := _message(item)) is not None]
    if len(messages) > MOST_MESSAGES:
        older = messages[: len(messages) - MOST_MESSAGES + 1]
        messages = [_folded(older), *messages[len(older) :]]
    return {"messages": messages}


def run_body(request: ModelRequest, server: ServerProfile, assistant_id: str) -> JsonObject:
    """Return the body of ``POST /threads/{id}/runs``.

    Our model, instructions and tools replace those of the assistant; without instructions of ours,
    the assistant's apply.
    """
    options = dict(server.options)
    hosted = list(options.pop("tools", ()))
    body: JsonObject = {
        **options,
        "assistant_id": assistant_id,
        "model": server.model,
        "tools": [_function(tool) for tool in map(function_tool, request.tools)] + hosted,
    }
    if request.instructions:
        body["instructions"] = request.instructions[:MOST_CHARACTERS]
    body["additional_instructions"] = "\n\n".join((RULE, *split_notes(request.items)[1]))
    return body


def outputs_at_end(request: ModelRequest) -> dict[str, str]:
    """Return the tool outputs that end the input, by call id; none if anything else ends it."""
    outputs: dict[str, str] = {}
    for item in reversed(request.items):
        if item.get("type") != "function_call_output":
            break
        outputs[str(item.get("call_id"))] = _text_of(item.get("output"))
    return outputs


def calls_of(run: JsonObject) -> tuple[FunctionCall, ...]:
    """Return the function calls that a run in ``requires_action`` waits for."""
    action = (run.get("required_action") or {}).get("submit_tool_outputs") or {}
    return tuple(
        FunctionCall(
            call_id=str(call["id"]),
            name=str(call["function"]["name"]),
            arguments=str(call["function"].get("arguments") or "{}"),
        )
        for call in action.get("tool_calls") or ()
        if call.get("type") == "function"
    )


def response_with_calls(thread_id: str, run: JsonObject) -> ModelResponse:
    """Return the answer of a run that waits for tool outputs. Its usage comes at its end."""
    items: list[JsonObject] = [
        {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        }
        for call in calls_of(run)
    ]
    return ModelResponse(id=thread_id, items=tuple(items))


def response_with_words(thread_id: str, run: JsonObject, messages: JsonObject) -> ModelResponse:
    """Return the answer of a run that has ended: all its messages, in order.

    `messages` is the answer of ``GET /threads/{id}/messages`` in ascending order.
    """
    items: list[JsonObject] = []
    for message in messages.get("data") or ():
        if message.get("role") != "assistant" or message.get("run_id") != run.get("id"):
            continue
        text = _text_of(message.get("content"))
        if text:
            part = {"type": "output_text", "text": text, "annotations": []}
            items.append({"type": "message", "role": "assistant", "content": [part]})
    details = run.get("incomplete_details") or {}
    incomplete = run.get("status") == "incomplete"
    return ModelResponse(
        id=thread_id,
        items=tuple(items),
        usage=usage_of(run.get("usage") or {}),
        incomplete=str(details.get("reason") or "unknown") if incomplete else "",
    )


def usage_of(usage: JsonObject) -> Usage:
    """Return the token counts of a run, for all its steps together."""
    details = usage.get("prompt_token_details") or usage.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=details.get("cached_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
    )


def is_race(message: str) -> bool:
    """Return True for the refusal because a run is active on the thread; it has no code.

    "Can't add messages to thread_X while a run run_Y is active." and "Thread thread_X already has
    an active run run_Y."
    """
    return "while a run" in message or "already has an active run" in message


def _function(tool: JsonObject) -> JsonObject:
    """Write a function tool of the Responses API the older way, one level deeper."""
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _message(item: JsonObject) -> JsonObject | None:
    match item.get("type", "message"):
        case "message" if item.get("role") == "assistant":
            return _text_message("assistant", _words(item))
        case "message":
            return _from_customer(item)
        case "function_call":
            return _text_message(
                "assistant", f"[Called {item.get('name')}: {item.get('arguments')}]"
            )
        case "function_call_output":
            output = _text_of(item.get("output"))[: MOST_CHARACTERS // 4]
            return data_item("result of the call", output)
    return None  # reasoning, and items of hosted tools


def _from_customer(item: JsonObject) -> JsonObject | None:
    """Write a customer's message; without an upload, pictures can only be URLs."""
    content = item.get("content")
    if not isinstance(content, list):
        return _text_message("user", _text_of(content))
    images: list[JsonObject] = []
    for part in content:
        url = str(part.get("image_url") or "")
        if part.get("type") == "input_image" and url.startswith("https://"):
            images.append({"type": "image_url", "image_url": {"url": url}})
    text = _words(item)
    if not images:
        return _text_message("user", text)
    parts = [{"type": "text", "text": text}] if text else []
    return {"role": "user", "content": [*parts, *images]}


def _folded(messages: Sequence[JsonObject]) -> JsonObject:
    """Fold messages into one, one JSON object a line; if too long, only the newest."""
    lines: list[str] = []
    room = MOST_FOLDED
    for message in reversed(messages):
        line = _json.encode({message["role"]: _text_of(message["content"])}).decode()
        room -= len(line.replace("<", "&lt;")) + 1
        if room < 0:
            break
        lines.append(line)
    return data_item("conversation", "\n".join(("[The conversation so far]", *reversed(lines))))


def _text_message(role: str, text: str) -> JsonObject | None:
    return {"role": role, "content": text[:MOST_CHARACTERS]} if text.strip() else None


def _words(item: JsonObject) -> str:
    return _text_of(item.get("content"))


def _text_of(content: object) -> str:
    """Return the text of a message's content or of a tool's output, in any of their forms."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else msgspec.json.encode(content).decode()
    texts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "input_image" and not str(part.get("image_url") or "").startswith("https://"):
            texts.append("[a picture that cannot be shown here]")
        elif kind in {"text", "input_text", "output_text", "refusal"}:
            value = part.get("text") or part.get("refusal") or ""
            texts.append(str(value.get("value") or "") if isinstance(value, dict) else str(value))
    return "\n\n".join(text for text in texts if text)
