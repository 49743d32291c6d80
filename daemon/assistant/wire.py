"""The Responses API as values: what is sent, what comes back, and what of it may be sent again.

Pure: no I/O, no clock. The rules on item ids come from how the API treats items that it does not
keep; see `reusable_items`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from daemon.assistant.strictness import fits_strict
from daemon.model import JsonObject, ModelRequest, ModelResponse, ToolSpec, Usage
from daemon.prompt.data import RULE

CACHE_KEY_CHARACTERS = 64
"""OpenAI's limit for `prompt_cache_key`; `safety_identifier` takes 128."""

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""`include` value that makes reasoning items usable without a stored response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProfile:
    """Which server it is, and how it is to be asked."""

    model: str
    background: bool
    openai: bool
    """True for OpenAI itself: fields beyond the subset that other servers know are sent."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The operator's own fields of the request: reasoning, text, service_tier, hosted tools …"""


def is_openai(base_url: str) -> bool:
    """Return True for OpenAI's own hosts, the regional ones such as eu.api.openai.com included."""
    host = urlsplit(base_url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def keeps_responses(base_url: str) -> bool:
    """Return True for servers known to support `background`: OpenAI's, and OpenAI on Azure."""
    host = urlsplit(base_url).hostname or ""
    return is_openai(base_url) or host.endswith(".openai.azure.com")


def compacts(base_url: str, model: str) -> bool:
    """Return True for servers and models known to compact a conversation by themselves."""
    return is_openai(base_url) and _reasons(model)


def request_body(request: ModelRequest, server: ServerProfile) -> JsonObject:
    """Return the JSON body of `POST /responses` for one call.

    The operator's options come first, so that they cannot replace what Recado depends on, except
    that their tools and includes are added to ours.
    """
    options = dict(server.options)
    tools = [function_tool(spec) for spec in request.tools] + list(options.pop("tools", ()))
    includes = list(options.pop("include", ()))
    body: JsonObject = {
        **options,
        "model": server.model,
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
        if _reasons(server.model) and ENCRYPTED_REASONING not in includes:
            includes.append(ENCRYPTED_REASONING)
        if request.contact_hash:
            body["safety_identifier"] = request.contact_hash[:128]
            body["prompt_cache_key"] = request.contact_hash[:CACHE_KEY_CHARACTERS]
        if request.compact_at:
            threshold = {"type": "compaction", "compact_threshold": request.compact_at}
            body.setdefault("context_management", [threshold])
    else:
        # Another server's compaction says nothing to this one.
        items = (item for item in request.items if item.get("type") != "compaction")
        body["input"] = [_portable(item) for item in items]
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
        "strict": fits_strict(spec.parameters),
    }


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


def response_from(body: Mapping[str, Any]) -> ModelResponse:
    """Return the answer held by a finished response object of the API."""
    details = body.get("incomplete_details") or {}
    incomplete = body.get("status") == "incomplete"
    return ModelResponse(
        id=str(body.get("id") or ""),
        items=reusable_items(body.get("output") or ()),
        usage=usage_from(body.get("usage") or {}),
        incomplete=str(details.get("reason") or "unknown") if incomplete else "",
    )


def usage_from(usage: Mapping[str, Any]) -> Usage:
    """Return the token counts of a response; what the server does not count is 0."""
    return Usage(
        input_tokens=usage.get("input_tokens") or 0,
        cached_tokens=(usage.get("input_tokens_details") or {}).get("cached_tokens") or 0,
        output_tokens=usage.get("output_tokens") or 0,
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0,
    )


def _reasons(model: str) -> bool:
    """Return False for models that refuse to include encrypted reasoning, having none."""
    return re.match(r"(ft:)?(gpt-3|gpt-4|chatgpt)", model) is None


def _portable(item: JsonObject) -> JsonObject:
    """Write the assistant's messages the short way, which every server reads.

    Several servers take a list of parts only together with the id that was taken out.
    """
    parts = item.get("content")
    if item.get("role") != "assistant" or not isinstance(parts, list):
        return item
    text = "\n\n".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
    return {"type": "message", "role": "assistant", "content": text}


def _reusable(item: JsonObject) -> JsonObject | None:
    """Return one output item cleaned, or None if it cannot be used again."""
    match item.get("type"):
        case "message":
            return _message(item)
        case "function_call":
            return _function_call(item)
        case "reasoning" if item.get("encrypted_content"):
            names = ("type", "summary", "encrypted_content")
            return {"summary": [], **{name: item[name] for name in names if name in item}}
        case "compaction" if item.get("encrypted_content"):
            return {"type": "compaction", "encrypted_content": item["encrypted_content"]}
    return None


def _message(item: JsonObject) -> JsonObject | None:
    parts: list[JsonObject] = []
    for part in item.get("content") or ():
        if part.get("type") == "output_text" and part.get("text"):
            parts.append({"type": "output_text", "text": part["text"], "annotations": []})
        elif part.get("type") == "refusal" and part.get("refusal"):
            parts.append({"type": "refusal", "refusal": part["refusal"]})
    if not parts:
        return None
    clean: JsonObject = {"type": "message", "role": "assistant", "content": parts}
    if item.get("phase"):  # models of 2026 answer worse if it is lost
        clean["phase"] = item["phase"]
    return clean


def _function_call(item: JsonObject) -> JsonObject | None:
    call_id = item.get("call_id") or item.get("id")
    if not call_id or not item.get("name") or item.get("status") in {"incomplete", "in_progress"}:
        return None
    arguments = item.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    clean = {"type": "function_call", "call_id": call_id, "name": item["name"]}
    if item.get("namespace"):
        clean["namespace"] = item["namespace"]
    return {**clean, "arguments": arguments}
