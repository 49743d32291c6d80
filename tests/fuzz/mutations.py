"""What is done to texts, bytes and JSON values. The same for the same source of chance."""

import random
from collections.abc import Callable, Sequence
from typing import Any

MOST_TEXT = 3_000
"""Characters; how time grows beyond is shown by tests/unit/test_linear.py."""

SIGNS = (
    *("\n```\n", "&amp;amp;lt;", "\\\\*"),
    *("", " ", "\n", "\r\n", "\t", "\x00", "\x1b[2J", "\u2028", "\u202e", "\u200b", "\ufeff"),
    *(
        "é",
        "\u0301",
        "\U0001f600",
        "\ufe0f\u20e3",
        "\u0663",
        "\uff11",
        "\ud800",
        "|",
        ":",
        ";",
        ",",
    ),
    *(
        "<",
        ">",
        "&lt;",
        "&amp;",
        "<br>",
        "</b>",
        "```",
        "`",
        "*",
        "**",
        "_",
        "~~",
        "# ",
        "- ",
        "> ",
    ),
    *(
        "[",
        "](",
        ")",
        "{",
        '{"',
        '"}',
        "}",
        "\\",
        "/",
        "@",
        "www.",
        "http://a.co/",
        "1.",
        "1. ",
        "==",
    ),
    *("|---|", "$1.200.000", "180 mil", "5%", "+57 300 123 4567", "A1B2", "<think>", "</tool>"),
    *("hola", "Laura", "¿Hay cupo?", "user: ", "x" * 60, "9" * 60, "-" * 60, " " * 60),
    *("<recado_data", "</recado_data>", "RECADO_DATA", "recado_", "[agent]: "),
)
ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 10**30, 1.5, -1e308, "", "0", "-1", "1e999", "null"),
    *([], {}, [None], [[]], {"": None}, [{}], {"type": []}),
)


def any_text(chance: random.Random) -> str:
    """A text of signs that mean something to a parser, with random characters between them."""
    parts = [
        chance.choice(SIGNS) if chance.random() < 0.9 else chr(chance.randrange(0x3000))
        for _ in range(int(chance.expovariate(0.05)))
    ]
    if parts and chance.random() < 0.1:
        parts *= chance.randint(2, 60)
    return "".join(parts)[:MOST_TEXT]


def mutated_text(text: str, chance: random.Random) -> str:
    """A text that is cut, repeated and added to in a few places."""
    for _ in range(1 + int(chance.expovariate(0.5))):
        start = chance.randint(0, len(text))
        end = min(len(text), start + int(chance.expovariate(0.1)))
        middle = chance.choice(
            ("", chance.choice(SIGNS), text[start:end] * chance.randint(2, 4), any_text(chance))
        )
        text = text[:start] + middle + text[end:]
    return text[:MOST_TEXT]


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Bytes that are cut, repeated, flipped and added to in a few places."""
    for _ in range(1 + int(chance.expovariate(0.5))):
        start = chance.randint(0, len(data))
        end = min(len(data), start + int(chance.expovariate(0.1)))
        middle = chance.choice(
            (
                b"",
                chance.randbytes(end - start),
                data[start:end] * chance.randint(2, 4),
                chance.choice(SIGNS).encode("utf-8", "surrogatepass"),
            )
        )
        data = data[:start] + middle + data[end:]
    return data


def mutated_value(value: Any, chance: random.Random) -> Any:
    """A JSON value with odd values, lost and double keys, and other parts of it in some places."""
    for _ in range(1 + int(chance.expovariate(0.5))):
        value = _changed(value, chance, value)
    return value


def _changed(value: Any, chance: random.Random, whole: Any) -> Any:
    """Change one place, found by going down."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = chance.choice(places)
        copy: Any = value.copy()
        deed = chance.random()
        if deed < 0.1:
            del copy[place]
        elif deed < 0.15 and isinstance(copy, dict):
            copy[chance.choice(SIGNS)] = copy.pop(place)
        elif deed < 0.2 and isinstance(copy, list):
            copy *= 2
        else:
            copy[place] = _changed(copy[place], chance, whole)
        return copy
    return chance.choice(_VALUES)(value, chance, whole)


def _odd(_value: Any, chance: random.Random, _whole: Any) -> Any:
    return chance.choice(ODD)


def _text(value: Any, chance: random.Random, _whole: Any) -> Any:
    return mutated_text(value, chance) if isinstance(value, str) else any_text(chance)


def _wrapped(value: Any, chance: random.Random, _whole: Any) -> Any:
    for _ in range(chance.choice((1, 2, 60))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def _part(_value: Any, chance: random.Random, whole: Any) -> Any:
    """Another part of the same value."""
    while isinstance(whole, dict | list) and whole and chance.random() < 0.7:
        whole = chance.choice(list(whole.values()) if isinstance(whole, dict) else whole)
    return whole


_VALUES: Sequence[Callable[[Any, random.Random, Any], Any]] = (_odd, _text, _text, _wrapped, _part)
