"""The functions of texts: what they promise holds for any text."""

import random
import re
from datetime import UTC, datetime

from daemon.domain.messages import ChatKey, Message, Text
from daemon.domain.prompt.context_line import context_item, context_line, subject_of
from daemon.domain.prompt.message_text import (
    TAG,
    as_lines,
    data_item,
    from_store,
    is_data,
    unmarked,
)
from daemon.domain.records import ChatRecord
from daemon.domain.redaction import Redactor, mask_private
from daemon.domain.rendering.split import (
    MAX_BUBBLES,
    MAX_PARTS,
    is_fit,
    split_reply,
    spoken_parts,
    spoken_words,
)
from daemon.domain.rendering.whatsapp_format import to_whatsapp
from daemon.domain.texts import texts
from daemon.domain.validation.builtin_validators import in_order
from daemon.domain.validation.results import Candidate, judge
from fuzz.checks import Check
from fuzz.mutations import any_text

# -- masking ---------------------------------------------------------------------------------------

BETWEEN = (
    "",
    "",
    " ",
    "-",
    ".",
    " - ",
    "\u00a0",
    "\u2011",
    "\u200b",
    ")",
    "(",
    "\n",
    "\ufe0f\u20e3",
)
AROUND = (
    " ",
    "\n",
    "?",
    "!",
    "@",
    "/",
    "[",
    "]",
    "<",
    ">",
    '"',
    "'",
    "#",
    "*",
    "é ",
    "\U0001f642",
    ";",
)
ZEROS = ("0", "0", "\u0660", "\uff10", "\u06f0")
SECRET = "whapi-token-Zx81q"


def make_number(chance: random.Random) -> tuple[str, str]:
    """A text with a phone number in it, in some script and spelling, and the number's digits."""
    digits = chance.choice("123456789") + "".join(
        chance.choices("0123456789", k=chance.randint(9, 14))
    )
    zero = ord(chance.choice(ZEROS))
    between = [chance.choice(BETWEEN)] * 2 if chance.random() < 0.5 else BETWEEN
    plus = chance.choice(("+", "")) if between is not BETWEEN else "+"
    told = plus + "".join(chr(zero + int(d)) + chance.choice(between) for d in digits)
    around = ["".join(chance.choices(AROUND, k=chance.randint(1, 5))) for _ in range(2)]
    return f"{around[0]}{told.rstrip()}{around[1]}", digits


def hold_number(given: tuple[str, str]) -> None:
    """At least four of its digits are gone."""
    text, digits = given
    masked = mask_private(text)
    left = "".join(str(int(sign)) for sign in masked if sign.isdecimal())
    assert len(left) <= len(digits) - 4
    assert mask_private(masked) == masked


def hold_log(text: str) -> None:
    """A secret is nowhere, and no value is too odd to be shown."""
    redacted = Redactor([SECRET])
    assert SECRET not in redacted.text(f"{text}{SECRET}{text}")
    redacted.value({text: [text, {"a": text}]})


# -- what is sent ----------------------------------------------------------------------------------


def hold_format(text: str) -> None:
    """Formatting a formatted text changes nothing, but where it is escaped without an end."""
    once = to_whatsapp(text)
    if max(len(run) for run in ("", *re.findall(r"(?:amp;|\\)+", text))) < 60:
        assert to_whatsapp(once) == once


def make_split(chance: random.Random) -> tuple[str, int]:
    """A text, and the most characters of a message."""
    return any_text(chance), chance.choice((5, 30, 60, 400, 4096))


def hold_split(given: tuple[str, int]) -> None:
    """No message is empty or too long, and no word is lost or moved but the fences of code."""
    text, most = given
    chunks = split_reply(text, max_chunk=most)
    assert all(chunk == chunk.strip() != "" and len(chunk) <= most for chunk in chunks)
    assert len(chunks) <= max(MAX_BUBBLES, 8 * len(text) / most + 8)
    assert _bare("".join(chunks)) == _bare(text)


def _bare(text: str) -> str:
    return "".join(text.split()).replace("`", "")


def hold_spoken(text: str) -> None:
    """Voice notes have all the words in order, or there are none."""
    is_fit(text)
    spoken_words(text)
    parts = spoken_parts(text, most=200)
    assert len(parts) <= MAX_PARTS
    assert all(0 < len(part) <= 200 for part in parts)
    assert "".join("".join(parts).split()) in {"", "".join(text.split())}


def make_answer(chance: random.Random) -> Candidate:
    """An answer, and what was said around it."""
    said = [any_text(chance) for _ in range(5)]
    return Candidate(
        text=said[0],
        inbound=said[1],
        instructions=said[2],
        internal=(said[3],),
        agent_note="[{name} writes]",
        tool_outputs=(said[4], '{"items": [{"name": "Suite", "price": 180000}]}'),
        remembered=(said[1],),
        language=chance.choice(("es", "en")),
    )


def hold_answer(given: Candidate) -> None:
    """No validator fails."""
    assert judge(given, in_order([])).faults == ()


# -- what the model is told ------------------------------------------------------------------------


def hold_prompt(text: str) -> None:
    """No text ends a block of data, begins one, or has the operator's role."""
    item = data_item("note", text)
    content = item["content"]
    inside = content.removeprefix(f'<{TAG} kind="note">\n').removesuffix(f"\n</{TAG}>")
    assert len(content) - len(inside) == len(f'<{TAG} kind="note">\n\n</{TAG}>')
    assert "<" not in inside
    assert TAG not in unmarked(text).lower()
    message = Message(
        id="m", key=ChatKey("c", "d"), kind="text", content=Text(body=text), author_name=text
    )
    assert not is_data({"role": "user", "content": as_lines(message)})
    subject = subject_of(ChatRecord(contact_name=text), saved_name=f"a{text}", labels=[text])
    line = context_line(texts("es"), subject, datetime(2026, 3, 2, tzinfo=UTC))
    assert len(line.splitlines()) == 1
    assert line.count("|") <= 5
    assert is_data(context_item(line))
    stored = [{"role": role, "content": text} for role in ("developer", "system", "user")]
    assert {i["role"] for i in from_store(stored)} == {"user"}


TEXTS = {
    "numbers": Check(make_number, hold_number),
    "log": Check(any_text, hold_log),
    "format": Check(any_text, hold_format),
    "split": Check(make_split, hold_split),
    "spoken": Check(any_text, hold_spoken),
    "validators": Check(make_answer, hold_answer),
    "prompt": Check(any_text, hold_prompt),
}
