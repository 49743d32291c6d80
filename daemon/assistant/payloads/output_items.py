"""What becomes of each item of a response's output. Pure.

`ITEMS` has every type that the SDK knows (openai 3.54, `ResponseOutputItem`); a test fails when a
new version knows another. Which parts of a message are said to the customer is decided by
`daemon.domain.messages.ModelResponse.text`. The rules on ids come from how the API treats items
that it does not keep; see `reusable_items`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from daemon.domain.messages import JsonObject

Fate = Literal["kept", "left out", "reported"]

ITEMS: Mapping[str, Fate] = MappingProxyType(
    {
        "message": "kept",
        "function_call": "kept",
        "reasoning": "kept",
        "compaction": "kept",
        # The server has run these itself. What it found is in the message written from it.
        "file_search_call": "left out",
        "web_search_call": "left out",
        "code_interpreter_call": "left out",
        "mcp_call": "left out",
        "mcp_list_tools": "left out",
        "mcp_approval_response": "left out",
        "tool_search_call": "left out",
        "tool_search_output": "left out",
        "additional_tools": "left out",
        "function_call_output": "left out",
        "custom_tool_call_output": "left out",
        "computer_call_output": "left out",
        "shell_call_output": "left out",
        "local_shell_call_output": "left out",
        "apply_patch_call_output": "left out",
        "program_output": "left out",
        # These want something of the client that Recado does not do, or make what it does not send.
        "image_generation_call": "reported",
        "computer_call": "reported",
        "shell_call": "reported",
        "local_shell_call": "reported",
        "apply_patch_call": "reported",
        "custom_tool_call": "reported",
        "mcp_approval_request": "reported",
        "program": "reported",
    }
)
"""``kept``: part of the answer and of the thread. ``left out``: of no further use. ``reported``:
left out, and the log says so, since the operator has switched on something that cannot work. A type
that is not in the table is reported."""


def unanswered(output: Iterable[Any]) -> tuple[str, ...]:
    """Return the types of the items that are to be reported, each once."""
    kinds = (_reported(item) for item in output if isinstance(item, dict))
    return tuple(dict.fromkeys(filter(None, kinds)))


def reusable_items(output: Iterable[Any]) -> tuple[JsonObject, ...]:
    """Return the items of an output in the form in which they can be input of later calls.

    An id in an input item is taken as a reference to something the server has stored: it fails
    once that is gone, and it ties a message or call to the reasoning item that came with it. So
    ids and statuses are left out. Reasoning is kept only if its encrypted content came along and
    the item that it led to is kept too. Calls of hosted tools live on in the message written from
    them, and a function call that was cut in mid-arguments must not be run; both are dropped.
    """
    kept: list[JsonObject] = []
    follower_kept = False
    for item in reversed(list(output)):
        clean = _reusable(item) if isinstance(item, dict) else None
        if clean is None or (clean["type"] == "reasoning" and not follower_kept):
            follower_kept = False
            continue
        follower_kept = True
        kept.append(clean)
    return tuple(reversed(kept))


def object_in(item: Mapping[str, Any], name: str) -> JsonObject:
    """Return the object under a name; empty if there is something else, as odd servers send."""
    found = item.get(name)
    return found if isinstance(found, dict) else {}


def list_in(item: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list under a name, as `object_in`."""
    found = item.get(name)
    return list(found) if isinstance(found, list | tuple) else []


def words_in(item: Mapping[str, Any], name: str) -> str:
    """Return the text under a name, as `object_in`."""
    found = item.get(name)
    return found if isinstance(found, str) else ""


def _reported(item: JsonObject) -> str:
    kind = str(item.get("type") or "")
    environment, caller = object_in(item, "environment"), object_in(item, "caller")
    if kind == "shell_call" and environment.get("type") == "container_reference":
        return ""  # the server runs it in a container of its own
    if kind == "tool_search_call" and item.get("execution") == "client":
        return kind
    if kind == "function_call" and caller.get("type") == "program":
        return "program"
    return kind[:64] or "no type" if ITEMS.get(kind, "reported") == "reported" else ""


def _reusable(item: JsonObject) -> JsonObject | None:
    """Return one output item cleaned, or None if it cannot be used again."""
    sealed = words_in(item, "encrypted_content")
    match item.get("type"):
        case "message":
            return _message(item)
        case "function_call":
            return _function_call(item)
        case "reasoning" if sealed:
            summary = list_in(item, "summary")
            return {"type": "reasoning", "summary": summary, "encrypted_content": sealed}
        case "compaction" if sealed:
            return {"type": "compaction", "encrypted_content": sealed}
    return None


def _message(item: JsonObject) -> JsonObject | None:
    parts: list[JsonObject] = []
    for part in list_in(item, "content"):
        if not isinstance(part, dict):
            continue
        if part.get("type") == "output_text" and (text := words_in(part, "text")):
            parts.append({"type": "output_text", "text": text, "annotations": []})
        elif part.get("type") == "refusal" and (refusal := words_in(part, "refusal")):
            parts.append({"type": "refusal", "refusal": refusal})
    if not parts:
        return None
    clean: JsonObject = {"type": "message", "role": "assistant", "content": parts}
    if phase := words_in(item, "phase"):  # models of 2026 answer worse if it is lost
        clean["phase"] = phase
    return clean


def _function_call(item: JsonObject) -> JsonObject | None:
    call_id = words_in(item, "call_id") or words_in(item, "id")
    name = words_in(item, "name")
    if not call_id or not name or words_in(item, "status") in {"incomplete", "in_progress"}:
        return None
    if _reported(item):
        return None  # its program would have to be sent back, and is not kept
    arguments = item.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    clean = {"type": "function_call", "call_id": call_id, "name": name}
    if namespace := words_in(item, "namespace"):
        clean["namespace"] = namespace
    return {**clean, "arguments": arguments}
