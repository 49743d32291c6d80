"""The built-in validators, and the order in which they and an operator's own run. Pure.

The shapes of leaked ids and calls are those of the Responses API (``call_…``, ``msg_…``,
citations as ``【4:0†source】`` or in the private characters U+E200 to U+E202), of the harmony
format of open models (``<|channel|>…``), and of models that write ``<think>`` or ``<tool_call>``.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from daemon.domain.rendering.whatsapp_format import to_whatsapp
from daemon.domain.validation.amount_sources import read_sources
from daemon.domain.validation.amounts import unexplained_amounts
from daemon.domain.validation.results import KEEP, Candidate, Doubt, Fix, Retry, Validator, Verdict
from daemon.errors import ValidatorError

# -- form: empty, cut, echoed, or showing internals ------------------------------------------------


_GAP = re.compile(r"[ \t]{2,}")
_BEFORE_POINT = re.compile(r"(?<=[^\s\d])[ \t]+(?=[.,;:!?](?:\s|$))")

# -- nothing, half of it, or the customer's own words ----------------------------------------------


def empty(candidate: Candidate) -> Verdict:
    """An answer must say something."""
    if candidate.text.strip():
        return KEEP
    return Retry("It had no text. Answer the customer now.")


def cut_off(candidate: Candidate) -> Verdict:
    """An answer that the server cut off is not sent as if it were complete."""
    if not candidate.incomplete:
        return KEEP
    return Retry("It was cut off before its end. Answer again, shorter.")


SENTENCE_WORDS = 4
"""Shorter answers may equal the customer's words: "Sí", "Hola", "Muchas gracias"."""


def echo(candidate: Candidate) -> Verdict:
    """An answer is more than a copy of a sentence that the customer wrote."""
    answer = _plain(candidate.text)
    if len(answer.split()) < SENTENCE_WORDS:
        return KEEP
    if answer in {_plain(words) for words in (candidate.inbound, *candidate.inbound.splitlines())}:
        return Retry("It only repeated the customer's words. Answer them.")
    return KEEP


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


# -- ids and citations -----------------------------------------------------------------------------

_CITATION = re.compile(
    r"[ \t]?(?:【[^】\n]{0,200}】|\ue200[^\ue201\n]{0,300}\ue201|\[\d+(?::\d+)?†[^\]\n]{0,120}\])"
    r"|[\ue200-\ue206]|[ \t]?\b(?:cite)?turn\d+(?:search|news|view|file|image)\d+\b"
)
_CITED = re.compile(r"[【†\ue200-\ue206]|turn\d")
"""Part of every citation; quick to search, and most answers have none."""

_ID = re.compile(
    r"\b(?:call|resp|msg|run|thread|asst|rs|fc|fs|ws|mcp|step|turn|req|chatcmpl|file)[_-]"
    r"(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{8,}\b"
)
_EMPTIED = re.compile(
    r"(?:(?<![ \t])[ \t]++)?[(\[]\s*+(?:(?:id|ids|ref|turn|file|archivo)\b\s*+)?"
    r"(?:[:#]\s*+)?[)\]]",
    re.IGNORECASE,
)
_TRACKING = re.compile(r"\?utm_source=(?:openai|chatgpt\.com)(?:&|(?![\w&=]))")
_SANDBOX = re.compile(r"\(?sandbox:/[^\s)]*\)?")


def internal_ids(candidate: Candidate) -> Verdict:
    """Citations and ids of the model's server mean nothing to a customer.

    An id that a tool or the customer used is a reference of the business, and stays.
    """
    known = "\n".join((candidate.inbound, candidate.instructions, *candidate.tool_outputs))
    text = candidate.text
    if _CITED.search(text):
        text = _CITATION.sub("", text)
    text = _SANDBOX.sub("", text)
    text = _TRACKING.sub(lambda m: "?" if m[0].endswith("&") else "", text)
    bare = _ID.sub(lambda m: m[0] if m[0] in known else "", text)
    if bare != text:
        bare = _EMPTIED.sub("", bare)
    return KEEP if bare == candidate.text else Fix(_tidy(bare))


def _tidy(text: str) -> str:
    """Close the gaps that removed parts leave in a line."""
    lines = (_BEFORE_POINT.sub("", _inner_gaps(line)).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip()


def _inner_gaps(line: str) -> str:
    indent = len(line) - len(line.lstrip(" \t"))
    return line[:indent] + _GAP.sub(" ", line[indent:])


# -- reasoning and calls ---------------------------------------------------------------------------

_THOUGHT_NAMES = r"think|thinking|thought|thoughts|reasoning|analysis|scratchpad|reflection"
_THOUGHT = re.compile(rf"<(/?)({_THOUGHT_NAMES})>", re.IGNORECASE)
_THOUGHT_END = re.compile(rf"^.*</(?:{_THOUGHT_NAMES})>\s*", re.DOTALL | re.IGNORECASE)
_THOUGHT_START = re.compile(rf"<(?:{_THOUGHT_NAMES})>.*$", re.DOTALL | re.IGNORECASE)
_HARMONY_FINAL = re.compile(r"^.*<\|channel\|>\s*final\s*<\|message\|>", re.DOTALL)
_HARMONY = re.compile(r"<\|[a-z_]{2,20}\|>")
_CALL_NAMES = r"tool_calls?|function_calls?|function_results?|tool_code|tool_outputs?|tools?|invoke"
_CALL_TAG = re.compile(
    rf"<(?:\w+:)?({_CALL_NAMES})\b[^<>]*>.*?(?:</(?:\w+:)?\1>|$)", re.DOTALL | re.IGNORECASE
)
_CALL_FENCE = re.compile(
    r"```(?:tool_code|tool_call|tool_outputs|function_call)\b.*?(?:```|$)", re.DOTALL
)
_CALL_LINE = re.compile(
    r"^.*?(?:\bto=functions\.\w+|\bfunctions\.\w+\(|\bmulti_tool_use\b"
    r"|\[(?:tool_calls?|function_call|TOOL_CALLS?)\]|\bfunction_call(?:_output)?\b|\btool_code\b"
    r"|<function=\w+).*$",
    re.MULTILINE,
)
_CALL_WORDS = ("function", "tool", "TOOL")
"""One of them is in every line that `_CALL_LINE` removes, and in hardly any answer."""

_CALL_KEYS = (
    frozenset({"name", "arguments"}),
    frozenset({"name", "parameters"}),
    frozenset({"tool", "arguments"}),
    frozenset({"recipient_name", "parameters"}),
    frozenset({"tool_calls"}),
    frozenset({"tool_uses"}),
    frozenset({"function_call"}),
    frozenset({"call_id"}),
)
_ANSWER_KEYS = (
    *("text", "message", "reply", "response", "answer", "content"),
    *("respuesta", "mensaje", "texto", "contenido"),
)
_ROLE = re.compile(r"\A\s*(?:assistant|asistente|bot|ai|model)\s*:\s*", re.IGNORECASE)
_OTHER_ROLE = re.compile(
    r"^(?:user|human|system|developer)\s*:.*\Z", re.DOTALL | re.MULTILINE | re.IGNORECASE
)

MOST_GAP = 1000
"""Blank characters that are removed with the reasoning before them."""

MOST_OBJECTS = 500
"""Braces at which JSON is searched; no answer for a customer has more."""

CALL_NOTE = "It showed a tool call as text. Call tools only as tools, never in the answer."
THOUGHT_NOTE = "It showed your reasoning. Write only what the customer should read."
JSON_NOTE = "It was JSON. Write it as a person would."


def leaks(candidate: Candidate) -> Verdict:
    """Reasoning, calls written as text, JSON and role names must not reach customers."""
    text = _THOUGHT_END.sub("", _without_thoughts(candidate.text))
    if "<|" in text:
        text = _HARMONY.sub("", _HARMONY_FINAL.sub("", text))
    without_thought = _THOUGHT_START.sub("", text)
    if without_thought != text:
        return Retry(THOUGHT_NOTE, instead=without_thought.strip())
    words = _answer_in_json(text)
    if words is not None:
        return Fix(words) if words else Retry(JSON_NOTE)
    without_call = _without_calls(text)
    if without_call != text:
        return Retry(CALL_NOTE, instead=_tidy(without_call))
    text = _without_roles(text)
    return KEEP if text == candidate.text else Fix(text.strip())


def _without_thoughts(text: str) -> str:
    """Remove reasoning from its tag to the next end tag of the same name, in one pass."""
    tags = list(_THOUGHT.finditer(text))
    ends: dict[str, list[int]] = {}
    for tag in reversed(tags):
        if tag[1]:
            ends.setdefault(tag[2].lower(), []).append(tag.end())
    kept: list[str] = []
    at = 0
    for tag in tags:
        later = ends.get(tag[2].lower(), [])
        while later and later[-1] <= tag.end():
            later.pop()
        if not tag[1] and later and tag.start() >= at:
            kept.append(text[at : tag.start()])
            at = later[-1]
            at += len(text[at : at + MOST_GAP]) - len(text[at : at + MOST_GAP].lstrip())
    return "".join((*kept, text[at:]))


def _without_calls(text: str) -> str:
    for pattern in (_CALL_FENCE, _CALL_TAG):
        text = pattern.sub("", text)
    text = _without_call_objects(text)
    return _CALL_LINE.sub("", text) if any(word in text for word in _CALL_WORDS) else text


def _without_call_objects(text: str) -> str:
    """Remove JSON objects that are tool calls, wherever they stand."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(MOST_OBJECTS):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if any(keys <= value.keys() for keys in _CALL_KEYS):
            text = text[:at] + text[end:]
        else:
            at = end
    return text


def _answer_in_json(text: str) -> str | None:
    """The words in an answer that is one JSON value; empty without words, None if it is no JSON."""
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not bare.startswith(("{", "[{", '["')):
        return None
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and not any(keys <= value.keys() for keys in _CALL_KEYS):
        words = [value[key] for key in _ANSWER_KEYS if isinstance(value.get(key), str)]
        return words[0].strip() if words else ""
    return ""


def _without_roles(text: str) -> str:
    """Remove a leading role name, and the lines of other roles that the model went on to write."""
    bare = _ROLE.sub("", text)
    return _OTHER_ROLE.sub("", bare) if bare != text else text


# -- what only the model reads ---------------------------------------------------------------------

_DIGITS = re.compile(r"\d+")

SHORTEST_COPY = 12
"""Characters; a shorter line may be the same by chance."""


def context_lines(candidate: Candidate) -> Verdict:
    """The context line and notes are for the model; some models repeat them."""
    prompt_lines = {_shape(line) for lines in candidate.internal for line in lines.splitlines()}
    prompt_lines = {line for line in prompt_lines if len(line) >= SHORTEST_COPY}
    note = _note_pattern(candidate.agent_note)
    lines = candidate.text.splitlines()
    kept = [
        note.sub("", line) if note else line for line in lines if _shape(line) not in prompt_lines
    ]
    return KEEP if kept == lines else Fix("\n".join(kept).strip())


def _shape(line: str) -> str:
    """A line without its digits, since the time in a copied line may differ."""
    return _DIGITS.sub("0", " ".join(line.split()).casefold()).strip("[]* ")


def _note_pattern(template: str) -> re.Pattern[str] | None:
    if len(template.replace("{name}", "").strip("[]: ")) < 5:
        return None
    parts = (re.escape(part) for part in template.split("{name}"))
    return re.compile(rf"^\s*{'.{0,80}?'.join(parts)}\s*")


# -- amounts ---------------------------------------------------------------------------------------


NAMED = 5
"""Amounts that one note to the model names."""


def doubtful_amounts(candidate: Candidate) -> Verdict:
    """An amount of money without a source, and that does not follow from one, is doubtful.

    Only answers for which a tool was called are checked: then the model had the facts, and a
    changed amount is an error and not small talk.
    """
    if not candidate.tool_outputs:
        return KEEP
    sources = read_sources(
        inbound=candidate.inbound,
        tools=candidate.tool_outputs,
        instructions=(candidate.instructions, *candidate.internal),
        before=candidate.remembered,
    )
    unexplained = unexplained_amounts(candidate.text, sources)
    if not unexplained:
        return KEEP
    listed = ", ".join(dict.fromkeys([amount.written for amount in unexplained][:NAMED]))
    return Doubt(
        f"It says {listed}, which no tool gave and which does not follow from what the tools gave."
        " Use amounts exactly as the tools gave them, and calculate again."
    )


def whatsapp(candidate: Candidate) -> Verdict:
    """Markdown becomes WhatsApp's formatting."""
    text = to_whatsapp(candidate.text)
    return KEEP if text == candidate.text else Fix(text)


FIRST = (
    Validator(name="empty", judge=empty),
    Validator(name="cut_off", judge=cut_off),
    Validator(name="echo", judge=echo),
    Validator(name="internal_ids", judge=internal_ids),
    Validator(name="leaks", judge=leaks),
    Validator(name="context_lines", judge=context_lines),
    Validator(name="amounts", judge=doubtful_amounts),
)
LAST = (Validator(name="whatsapp", judge=whatsapp),)

BUILT_IN = tuple(validator.name for validator in (*FIRST, *LAST))
"""Their names, in order."""


def blocked_amounts(candidate: Candidate) -> Verdict:
    """As `doubtful_amounts`, but a doubtful amount is not sent."""
    verdict = doubtful_amounts(candidate)
    return Retry(verdict.note) if isinstance(verdict, Doubt) else verdict


def in_order(
    own: Sequence[Validator],
    *,
    disabled: Sequence[str] = (),
    amounts: Literal["flag", "block"] = "flag",
) -> tuple[Validator, ...]:
    """All validators in their order: form and amounts, an operator's ``own``, then the format.

    ``disabled`` names those to leave out. ``amounts``: whether an answer with a doubtful amount is
    flagged and sent after its second try, or blocked. Raises ValidatorError for an unknown name in
    ``disabled``, or two validators of one name.
    """
    everyone = (*FIRST, *own, *LAST)
    if amounts == "block":
        everyone = tuple(
            replace(each, judge=blocked_amounts) if each.judge is doubtful_amounts else each
            for each in everyone
        )
    names = [validator.name for validator in everyone]
    for name in names:
        if names.count(name) > 1:
            raise ValidatorError(f"two validators are called {name}")
    for name in disabled:
        if name not in names:
            raise ValidatorError(
                f"validators.disabled: there is no validator {name}; there are {', '.join(names)}"
            )
    return tuple(validator for validator in everyone if validator.name not in disabled)
