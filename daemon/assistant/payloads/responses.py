"""The Responses API as values: what is sent, and what comes back.

Pure: no I/O, no clock. The rules on ids follow from how the API treats items that it does not keep;
see `reusable_items`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from daemon.domain.messages import (
    JsonObject,
    ModelRequest,
    ModelResponse,
    ToolSpec,
    Usage,
    is_for_customer,
)
from daemon.domain.prompt.message_text import RULE

# -- what becomes of each item of an output --------------------------------------------------------


ItemUse = Literal["kept", "left out", "reported"]

ITEMS: Mapping[str, ItemUse] = MappingProxyType(
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
left out and logged, since the operator has switched on something that cannot work. A type that is
not in the table is reported."""


READ_ONLY = frozenset({"web_search", "web_search_preview", "file_search", "code_interpreter"})
"""Types of tools that the server runs and that change nothing outside of it; ``mcp`` may."""


def read_only(hosted: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the hosted tools that change nothing."""
    return [tool for tool in hosted if tool.get("type") in READ_ONLY]


def unanswered(output: Iterable[Any]) -> tuple[str, ...]:
    """Return the types of the items to report, each once."""
    kinds = (_reported(item) for item in output if isinstance(item, dict))
    return tuple(dict.fromkeys(filter(None, kinds)))


def reusable_items(output: Iterable[Any]) -> tuple[JsonObject, ...]:
    """Return the items of an output in the form in which they can be input of later calls.

    A server takes an id in an input item as a reference to a stored item: it fails once that is
    gone, and it ties a message or call to the reasoning item that came with it. So ids and statuses
    are left out. Reasoning is kept only if it has its encrypted content and the item that it led to
    is kept too. Calls of hosted tools are in the message written from them, and a function call
    that was cut inside its arguments must not be run; both are dropped.
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
    """Return the object under a name; empty if its type differs, as some servers send."""
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
        return None  # its program would have to be sent back, but is not kept
    arguments = item.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    clean = {"type": "function_call", "call_id": call_id, "name": name}
    if namespace := words_in(item, "namespace"):
        clean["namespace"] = namespace
    return {**clean, "arguments": arguments}


MOST_TOKENS = 10**9
"""Of one call; a larger count is no count."""

CACHE_KEY_CHARACTERS = 64
"""OpenAI's limit for `prompt_cache_key`; `safety_identifier` takes 128."""

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""`include` value that makes reasoning items usable without a stored response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProfile:
    """The server's kind, and how requests to it are made."""

    model: str
    background: bool
    openai: bool
    """True for OpenAI itself, which also gets fields that other servers do not know."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The operator's fields of the request: reasoning, text, service_tier, hosted tools …"""


def is_openai(base_url: str) -> bool:
    """Return True for OpenAI's own hosts, the regional ones such as eu.api.openai.com included."""
    host = urlsplit(base_url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def keeps_responses(base_url: str) -> bool:
    """Return True for servers known to support `background`: OpenAI's, and OpenAI on Azure."""
    host = urlsplit(base_url).hostname or ""
    return is_openai(base_url) or host.endswith(".openai.azure.com")


def compacts(base_url: str, model: str) -> bool:
    """Return True for servers and models known to compact conversations by themselves."""
    return is_openai(base_url) and _reasons(model)


def request_body(request: ModelRequest, server: ServerProfile) -> JsonObject:
    """Return the JSON body of `POST /responses` for one call.

    The operator's options come first, so that they cannot replace fields that Recado depends on;
    their tools and includes are added to ours.
    """
    options, model = dict(server.options), request.model or server.model
    hosted = list(options.pop("tools", ()))
    tools = [function_tool(spec) for spec in request.tools]
    tools += hosted if request.may_act else read_only(hosted)
    includes = list(options.pop("include", ()))
    body: JsonObject = {
        **options,
        "model": model,
        "input": list(request.items),
        "stream": True,
        "store": server.background,
    }
    body["instructions"] = f"{request.instructions}\n\n{RULE}".strip()
    if tools:
        body["tools"] = tools
    if server.background:
        body["background"] = True
    if server.openai:
        if _reasons(model) and ENCRYPTED_REASONING not in includes:
            includes.append(ENCRYPTED_REASONING)
        if request.contact_hash:
            body["safety_identifier"] = request.contact_hash[:128]
            body["prompt_cache_key"] = request.contact_hash[:CACHE_KEY_CHARACTERS]
        if request.compact_at:
            threshold = {"type": "compaction", "compact_threshold": request.compact_at}
            body.setdefault("context_management", [threshold])
    else:
        # Other servers cannot read OpenAI's compaction, and do not know the phase that marks words
        # between tool calls.
        items = (item for item in request.items if item.get("type") != "compaction")
        body["input"] = [_portable(item) for item in items if is_for_customer(item)]
    if includes:
        body["include"] = includes
    return body


def function_tool(spec: ToolSpec) -> JsonObject:
    """Return the function tool for `spec`, strict if its schema allows that.

    `strict` is always written out, since the Responses API takes a missing one as true.
    """
    return {
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
        "strict": spec.is_strict,
    }


def response_from(body: Mapping[str, Any]) -> ModelResponse:
    """Return the answer in a finished response object of the API.

    Values of a wrong type are left out; nothing is raised.
    """
    reason = words_in(object_in(body, "incomplete_details"), "reason")
    incomplete = body.get("status") == "incomplete"
    output = list_in(body, "output")
    return ModelResponse(
        id=str(body.get("id") or ""),
        items=reusable_items(output),
        usage=usage_from(object_in(body, "usage")),
        incomplete=(reason or "unknown") if incomplete else "",
        left_out=unanswered(output),
    )


def usage_from(usage: Mapping[str, Any]) -> Usage:
    """Return the token counts of a response; an invalid or missing one is 0."""
    inbound, outbound = (object_in(usage, f"{way}_tokens_details") for way in ("input", "output"))
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        cached_tokens=_count(inbound, "cached_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        reasoning_tokens=_count(outbound, "reasoning_tokens"),
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    found = counts.get(name)
    return found if type(found) is int and 0 <= found <= MOST_TOKENS else 0


def _reasons(model: str) -> bool:
    """Return False for models without reasoning, which refuse to include it encrypted."""
    return re.match(r"(ft:)?(gpt-3|gpt-4|chatgpt)", model) is None


def _portable(item: JsonObject) -> JsonObject:
    """Write the assistant's messages in the short form, which every server reads.

    Several servers accept a list of parts only with the id that was removed.
    """
    parts = item.get("content")
    if item.get("role") != "assistant" or not isinstance(parts, list):
        return item
    text = "\n\n".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
    return {"type": "message", "role": "assistant", "content": text}
