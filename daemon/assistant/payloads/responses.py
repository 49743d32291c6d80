"""The Responses API as values: what is sent, and what comes back.

Pure: no I/O, no clock. What becomes of the single items of an answer is decided in `output_items`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from daemon.assistant.payloads.output_items import (
    list_in,
    object_in,
    reusable_items,
    unanswered,
    words_in,
)
from daemon.domain.messages import (
    JsonObject,
    ModelRequest,
    ModelResponse,
    ToolSpec,
    Usage,
    is_for_customer,
)
from daemon.domain.prompt.data import RULE
from daemon.domain.strict_schema import fits_strict

MOST_TOKENS = 10**9
"""Of one call; what a server counts beyond is no count."""

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
        # Nor do words between tool calls, without the phase that tells them from an answer.
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
        "strict": fits_strict(spec.parameters),
    }


def response_from(body: Mapping[str, Any]) -> ModelResponse:
    """Return the answer held by a finished response object of the API.

    What is of another type than it should be is left out; nothing is raised.
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
    """Return the token counts of a response; what is no count, or not counted, is 0."""
    heard, said = (object_in(usage, f"{way}_tokens_details") for way in ("input", "output"))
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        cached_tokens=_count(heard, "cached_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        reasoning_tokens=_count(said, "reasoning_tokens"),
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    found = counts.get(name)
    return found if type(found) is int and 0 <= found <= MOST_TOKENS else 0


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
