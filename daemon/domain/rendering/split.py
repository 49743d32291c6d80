"""Cutting a reply into the messages or voice notes that a person would send. Pure.

Text is cut by paragraphs where there are any, else by lines, with a heading and its list in one
message. A greeting or a signature joins its neighbour, and a code block stays in one piece where it
fits. Only words are spoken: what has to be read again, copied, tapped or compared is written
(prices, numbers that matter, links, codes, addresses, lists, tables).
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

MAX_CHUNK = 4096
"""WhatsApp's limit for a text message, in practice."""

MAX_BUBBLES = 4
"""Messages of one answer, by default."""

MAX_WRITTEN = 16_000
"""Characters; a longer answer is sent as a document."""

SHORT = 40
"""Characters; a shorter paragraph joins its neighbour, by default."""

_GAP = "\n\n"
_FENCE = "```"
_FENCE_LINE = re.compile(r"^ {0,3}```+[^`\n]*$", re.MULTILINE)
_FENCES = 2 * (len(_FENCE) + 1)
"""Characters that a cut through a code block adds: a closing and an opening fence."""

_BULLET = re.compile(r"(?<!\s)\s*+(?:[•*\-\u2013]|\d{1,2}[.)])\s+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")

_MANY = 100
"""With more pieces the text is cut again at once: joining them one by one would take long."""


def split_reply(
    text: str, *, max_chunk: int = MAX_CHUNK, max_bubbles: int = MAX_BUBBLES, short: int = SHORT
) -> list[str]:
    """The messages of a reply in order: none empty, none longer than ``max_chunk`` characters.

    At most ``max_bubbles`` of them, unless the text does not fit. Paragraphs of fewer than
    ``short`` characters join their neighbour. Takes time in proportion to the text.
    """
    paragraphs = list(_paragraphs(text))
    blocks = _with_their_lists(paragraphs) if len(paragraphs) > 1 else _by_lists(text.strip())
    gap = _GAP if len(paragraphs) > 1 else "\n"
    blocks = _with_their_neighbours(blocks, gap, short, max_chunk)
    pieces = [piece for block in blocks for piece in _within(block, max_chunk)]
    return _merged(pieces, gap, text.strip(), max_chunk, max_bubbles)


def pause_before_next(chunk: str) -> float:
    """Seconds to wait after a chunk: 2 ms a character, at most 1 s."""
    return min(1.0, 0.002 * len(chunk))


def _paragraphs(text: str) -> Iterator[str]:
    """Split at blank lines, except inside code blocks."""
    start = seen = 0
    in_code = False
    for gap in _PARAGRAPH.finditer(text):
        if len(_FENCE_LINE.findall(text, seen, gap.start())) % 2:
            in_code = not in_code
        seen = gap.start() + 1
        if not in_code:
            if text[start : gap.start()].strip():
                yield text[start : gap.start()].strip()
            start = gap.end()
    if text[start:].strip():
        yield text[start:].strip()


def _with_their_lists(paragraphs: list[str]) -> list[str]:
    """Keep a list together with the heading above it, blank lines between its items or not."""
    blocks: list[list[str]] = []
    for paragraph in paragraphs:
        follows = bool(blocks) and (
            blocks[-1][-1].endswith(":")
            or _BULLET.match(blocks[-1][-1].splitlines()[-1]) is not None
        )
        if follows and _BULLET.match(paragraph):
            blocks[-1].append(paragraph)
        else:
            blocks.append([paragraph])
    return ["\n".join(block) for block in blocks]


def _by_lists(text: str) -> list[str]:
    """Cut single-spaced text before a heading with its list, and after the list's end."""
    blocks: list[list[str]] = [[]]
    lines = [line.rstrip() for line in text.splitlines()]
    in_list = in_code = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        in_code ^= line.startswith(_FENCE)
        bullet = bool(_BULLET.match(line)) and not in_code
        heading = line.endswith(":") and bool(_BULLET.match(following))
        if not in_code and (heading or (in_list and not bullet and line.strip())):
            blocks.append([])
        if line.strip() or in_code:
            blocks[-1].append(line)
            in_list = bullet
    return ["\n".join(block).strip() for block in blocks if block]


def _with_their_neighbours(blocks: list[str], gap: str, short: int, max_chunk: int) -> list[str]:
    """Join a short block to the one after it, and the last to the one before it.

    Customers copy code, so a code block stays by itself.
    """
    joined: list[str] = []

    def is_short(block: str) -> bool:
        return len(block) < short and not block.startswith(_FENCE)

    for block in blocks:
        fits = bool(joined) and len(joined[-1]) + len(gap) + len(block) <= max_chunk
        is_last = block is blocks[-1]
        if fits and (is_short(joined[-1]) or (is_last and is_short(block))):
            joined[-1] = f"{joined[-1]}{gap}{block}"
        else:
            joined.append(block)
    return joined


def _merged(pieces: list[str], gap: str, text: str, max_chunk: int, max_bubbles: int) -> list[str]:
    """Join neighbours, the shortest first, until there are at most ``max_bubbles``.

    If they do not fit together, the text is cut again into messages as full as possible.
    """
    while len(pieces) > max_bubbles:
        sizes = [len(a) + len(gap) + len(b) for a, b in pairwise(pieces)]
        at = min(range(len(sizes)), key=sizes.__getitem__)
        if sizes[at] > max_chunk or len(pieces) > _MANY:
            return _within(text, max_chunk, most=max_bubbles)
        pieces[at : at + 2] = [f"{pieces[at]}{gap}{pieces[at + 1]}"]
    return pieces


def _within(block: str, limit: int, most: int = 0) -> list[str]:
    """Cut a block that is too long at the last line end, sentence end or space before the limit.

    ``most``: cut late enough that there are at most this many pieces, if possible.
    """
    pieces: list[str] = []
    room = limit - _FENCES if _FENCE in block and limit > 4 * _FENCES else limit
    while len(block) > limit:
        # A cut right after a fence would take nothing of the code, for ever.
        earliest = _FENCES if room < limit else 1
        if left := max(0, most - len(pieces) - 1):
            earliest = min(max(earliest, len(block) - left * room), room)
        cut = _last_break(block, earliest, room)
        head, block = block[:cut].strip(), block[cut:].strip()
        if room < limit and len(_FENCE_LINE.findall(head)) % 2:
            head, block = f"{head}\n{_FENCE}", f"{_FENCE}\n{block}"
        pieces.append(head)
    return [piece for piece in (*pieces, block) if piece]


def _last_break(text: str, earliest: int, limit: int) -> int:
    """Where to cut a text between two places: the last line or sentence end, else a space."""
    end = max(text.rfind("\n", earliest, limit), text.rfind(". ", earliest, limit) + 1)
    cut = end if end > 0 else text.rfind(" ", earliest, limit)
    return cut if cut > 0 else limit


# -- voice notes -----------------------------------------------------------------------------------


MAX_INPUT = 4096
"""Characters that a speech model accepts at once (OpenAI, ``/audio/speech``)."""

MAX_PARTS = 7
"""The limit of voice notes in one answer (the replaced system's value)."""

MAX_LIST_ITEMS = 2
"""Longer lists are written."""

_LINK = re.compile(
    r"https?://|www\.|\bwa\.me/|@\w|(?<![\w-])[\w-]++\.(?:com|co|net|org|io|me|app|info|es|mx)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[$€£¥₡₲₱]|\d\s*+%|\b(?:usd|eur|cop|mxn|clp|ars|pen)\b|\d[.,]*+\s*+"
    r"(?:mil|millón|millon|millones|pesos?|d[óo]lar(?:es)?|euros?|soles|dollars?|bucks)\b",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"\d(?:[\s().,-]?\d){3,}")
"""Four digits or more, as in amounts, phone numbers and bookings."""

_YEAR = re.compile(r"(?<![\d.,-])(?:19|20)\d\d(?![\d.,-]*\d)")
_TIME = re.compile(r"\b\d{1,2}:\d\d\b")
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[\w-]{3,}|`|(?<!\w)[A-Z]{2,}-\w")
"""Letters and digits in one word (``A1B2``), or something marked as code."""

_UNIT = re.compile(r"\b\d+(?:am|pm|hs?|hrs?|kms?|kg|min|st|nd|rd|th|er|do|ra|a|o)\b", re.IGNORECASE)
"""Numbers with a unit that are read as one word: ``3pm``, ``2do``."""
_LIST_ITEM = re.compile(r"^[ \t]*(?:[•*\-\u2013]|\d{1,2}[.)])\s+", re.MULTILINE)
_TABLE = re.compile(r"^[^\n|]*\|[^\n|]*\|", re.MULTILINE)
_MARKS = re.compile(r"(?<![^\W_])[*_~]+|[*_~]+(?![^\W_])|^>\s*", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?…])[\"»”)]*\s+|\n+")


def is_fit(text: str) -> bool:
    """True if an answer may be spoken instead of written."""
    if len(text) > MAX_PARTS * MAX_INPUT:
        return False
    plain = _TIME.sub(" ", _YEAR.sub(" ", text))
    plain = _UNIT.sub(" ", plain)
    for sign in (_LINK, _MONEY, _LONG_NUMBER, _CODE, _TABLE):
        if sign.search(plain):
            return False
    if len(_LIST_ITEM.findall(text)) > MAX_LIST_ITEMS:
        return False
    return _has_words(text)


def spoken_words(text: str) -> str:
    """The words for a voice: without emoji, formatting marks and list signs."""
    bare = _MARKS.sub("", _LIST_ITEM.sub("", text))
    kept = (c for c in bare if not _is_symbol(c))
    lines = (" ".join(line.split()) for line in "".join(kept).splitlines())
    return "\n".join(line for line in lines if line)[:MAX_INPUT]


def spoken_parts(text: str, *, most: int) -> list[str]:
    """Cut an answer into voice notes of at most ``most`` characters, between sentences.

    As few as possible. Empty if it needs more than `MAX_PARTS`, or a cut inside a sentence: then
    it is better written. The parts keep their formatting, since a part that cannot be spoken in the
    end is sent as text.
    """
    text = text.strip()
    parts: list[str] = []
    start = last = 0
    for end in (*(found.end() for found in _SENTENCE.finditer(text)), len(text)):
        if len(text[start:end].strip()) > most:
            parts.append(text[start:last].strip())
            start = last
        if len(text[start:end].strip()) > most:
            return []
        last = end
    parts.append(text[start:].strip())
    if len(parts) > MAX_PARTS or not all(map(_has_words, parts)):
        return []
    return parts


def _has_words(text: str) -> bool:
    return any(map(str.isalpha, spoken_words(text)))


def _is_symbol(character: str) -> bool:
    """True for emoji, arrows and other signs, and for the joiners and modifiers of emoji."""
    return character in "\ufe0f\ufe0e\u200d\u20e3" or unicodedata.category(character) in {
        "So",
        "Sk",
        "Cs",
        "Co",
        "Cn",
    }
