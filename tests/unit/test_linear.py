"""No text from outside takes more than linear time: patterns, and functions of texts.

Every pattern of the daemon is found by itself: those that modules hold, and those that are written
where they are used. So is every function of the pure modules that takes texts; the table below
makes what the others take.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.pathological import (
    FUNCTION_SECONDS,
    FUNCTION_SIZES,
    GENERIC,
    SIZES,
    SUSPICIOUS_SECONDS,
    growth,
    matching,
    texts_for,
    texts_of,
)
from test_layering import MODULES, is_pure

import daemon
from daemon.domain.messages import (
    ChatKey,
    ContactCard,
    Contacts,
    Media,
    Message,
    Other,
    Quote,
    Text,
)
from daemon.domain.prompt.message_text import as_lines, burst_item, data_item
from daemon.domain.records import StoredMessage
from daemon.domain.redaction import Redactor
from daemon.domain.validation.builtin_validators import in_order
from daemon.domain.validation.results import Candidate, judge
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.ledger.forget.other_texts import RepeatedWords
from daemon.media.files import open_body

NOT_OF_THE_DAEMON = ("daemon.sandbox", "daemon.__main__")


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(daemon.__path__, "daemon."):
        if not found.name.startswith(NOT_OF_THE_DAEMON):
            yield importlib.import_module(found.name)


def patterns_in(value: object, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, tuple | list | set | frozenset):
        for inner in value:
            yield from patterns_in(inner, depth - 1)
    elif depth and isinstance(value, dict):
        yield from patterns_in(list(value.values()), depth - 1)


def written_in(module: Any) -> Iterator[re.Pattern[Any]]:
    """The patterns that are given to functions of ``re`` as they are."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=raw), *_]
            ):
                yield re.compile(raw)


def every_pattern() -> dict[tuple[Any, int], str]:
    """Each pattern once, by where it was found first."""
    found: dict[tuple[Any, int], str] = {}
    for module in modules():
        for name, value in vars(module).items():
            for pattern in patterns_in(value):
                found.setdefault((pattern.pattern, pattern.flags), f"{module.__name__}.{name}")
        for pattern in written_in(module):
            found.setdefault((pattern.pattern, pattern.flags), module.__name__)
    return found


def steepest(
    work: Callable[[str], object],
    texts: Iterable[Callable[[int], str]],
    seconds: float = SUSPICIOUS_SECONDS,
    sizes: Sequence[int] = SIZES,
) -> str:
    """The first text for which the time grows too steeply; empty if there is none."""
    for text in texts:
        if found := growth(work, text, seconds=seconds, sizes=sizes):
            return f"{found:.1f} times as long for four times {text(20)!r}"
    return ""


def test_every_pattern_takes_linear_time() -> None:
    found = every_pattern()
    assert len(found) > 80
    slow = {}
    for (raw, flags), where in found.items():
        pattern = re.compile(raw, flags)
        if told := steepest(matching(pattern), texts_for(pattern)):
            slow[where] = told
    assert slow == {}


@pytest.mark.parametrize(
    "raw",
    [
        r"\b[\w-]+\.(?:com|co)\b",
        r"\d[\d.,]*\s*(?:mil|pesos)\b",
        r"\s*(?:[•*-]|\d{1,2}[.)])\s+",
        r"<(?:\w+:)?(tools?)\b[^>]*>",
        r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*",
        r"^>+[ \t]?(?:>[ \t]?)*(?=\S|$)(.*)",
        r"(a{1,3})+b",
    ],
)
def test_steep_patterns_are_found(raw: str) -> None:
    pattern = re.compile(raw)
    assert steepest(matching(pattern), texts_for(pattern))


# -- functions -------------------------------------------------------------------------------------

UNITS = (
    *GENERIC,
    *("*", "_", "**a", "~~a ", "`", "``a", "> ", "# a #", "- a\n", "| a ", "|-", "\n\n", "[a](b "),
    *(
        "http://a).",
        "www.",
        ").",
        "<br>",
        "  <br",
        "&amp;",
        "&#42;",
        "\\*",
        "1.",
        "$1 ",
        "1,",
        "5% ",
    ),
    *("<think>", "</think>", "<tool ", "<tool>", "{", '{"', "```\n", "```tool_code", "user: "),
    *(
        "call_",
        "turn1",
        "\u3010",
        "http",
        "a@",
        "a.b@",
        "@",
        "+",
        "4111 ",
        "\u0661",
        "to: ",
        "(1",
        "--",
    ),
    *("BEGIN:", "TEL:1\n", "a=b;", "=0A=", "<recado_data", "\x00", "\u202e", "é", "\U0001f600"),
)
SIMPLE: Mapping[Any, Callable[[str], object]] = {
    str: lambda text: text,
    bytes: lambda text: text.encode("utf-8", "replace"),
    int: lambda _: 1000,
    float: lambda _: 1.0,
    bool: lambda _: False,
    Any: lambda text: text,
    object: lambda text: text,
    Iterable[str]: lambda text: [text],
    Sequence[str]: lambda text: [text],
    Mapping[str, str]: lambda text: {text: text},
    Mapping[str, Any]: lambda text: {text: text},
    Mapping[str, object]: lambda text: {text: text},
    dict[str, Any]: lambda text: {text: text},
}
"""What a function is given for a type of argument."""


def call(function: Callable[..., object], kinds: Mapping[str, Any], text: str) -> None:
    values = {name: SIMPLE[kind](text) for name, kind in kinds.items()}
    names = inspect.signature(function).parameters
    positional = [
        values.pop(n) for n, p in names.items() if n in values and p.kind < p.KEYWORD_ONLY
    ]
    try:
        result = function(*positional, **values)
        if isinstance(result, Iterator):
            list(result)
    except Exception:  # noqa: BLE001, S110 - it has looked at the text, and says what is wrong
        pass


def functions_of_texts() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Each function of a pure module that can be called with texts and numbers alone."""
    for name in MODULES:
        if not is_pure(name):
            continue
        for own, function in vars(importlib.import_module(name)).items():
            if own.startswith("_") or getattr(function, "__module__", "") != name:
                continue
            if not inspect.isfunction(function):
                continue
            hints = typing.get_type_hints(function)
            needed = {
                n: hints.get(n)
                for n, p in inspect.signature(function).parameters.items()
                if (p.default is p.empty or hints.get(n) is str) and p.kind != p.VAR_POSITIONAL
            }
            if set(needed.values()) <= SIMPLE.keys() and {str, bytes} & set(needed.values()):
                yield f"{name}.{own}", partial(call, function, needed)


KEY = ChatKey("c", "120363012345678901@g.us")


def message(text: str, **fields: Any) -> Message:
    content = fields.pop("content", Text(body=text, title=text, url=text))
    quote = Quote(id="q", body=text)
    return Message(
        id="m", key=KEY, kind="text", content=content, author_name=text, quote=quote, **fields
    )


def whole_webhook(text: str) -> object:
    part = {"id": "m", "chat_id": "573001234567", "type": "text", "text": {"body": text}}
    odd = {**part, "type": text, text: {"caption": text, "options": [text] * 3}}
    return parse_webhook(json.dumps({"messages": [part, odd], "channel_id": text}).encode())


def judged(text: str) -> object:
    given = Candidate(
        text=text, inbound="x", internal=(text,), tool_outputs=(text,), remembered=(text,)
    )
    return judge(given, in_order([]))


def strange(text: str) -> object:
    given = Candidate(text=f"1722-B $1 {text}", tool_outputs=(text,), inbound=text)
    return judge(given, in_order([]))


TABLE: Mapping[str, Callable[[str], object]] = {
    "a message": lambda text: as_lines(message(text)),
    "cards": lambda text: as_lines(
        message(text, content=Contacts(cards=(ContactCard(vcard=f"BEGIN:VCARD\n{text}"),)))
    ),
    "a file": lambda text: as_lines(
        message(text, content=Media(medium="document", file_name=text, caption=text))
    ),
    "another type": lambda text: as_lines(message(text, content=Other(body=text, raw={"a": text}))),
    "a burst": lambda text: burst_item([StoredMessage(1, message(w), 0) for w in text.split()]),
    "a note": lambda text: data_item("note", text),
    "a webhook": whole_webhook,
    "inline files": lambda text: open_body(text.encode(), nonce="n"),
    "an answer": judged,
    "an answer's facts": strange,
    "the log": lambda text: Redactor(["secret-of-the-shop"]).text(text),
    "words of a person": RepeatedWords(
        names=["Laura"], passages=["a a a a a a a a"], instead="x"
    ).taken_out,
}


def test_every_function_of_texts_takes_linear_time() -> None:
    functions = dict(functions_of_texts())
    assert len(functions) > 60
    slow = {}
    for name, work in {**functions, **TABLE}.items():
        if told := steepest(work, texts_of(set(UNITS)), FUNCTION_SECONDS, FUNCTION_SIZES):
            slow[name] = told
    assert slow == {}
