"""Cutting a reply into the messages that a person would send.

Pure. By paragraphs where there are any; else by lines, where a heading with its list is one
message. A greeting or a signature joins its neighbour, a code block stays in one piece where it
fits, no message is longer than WhatsApp shows, and an answer has only so many of them.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

MAX_CHUNK = 4096
"""WhatsApp's limit for a text message, as users meet it."""

MAX_BUBBLES = 4
"""Messages of one answer, where no setting says otherwise."""

MAX_WRITTEN = 16_000
"""Characters of an answer that is still sent as messages."""

SHORT = 40
"""Characters below which a paragraph is no message of its own, where no setting says otherwise."""

_GAP = "\n\n"
_FENCE = "```"
_FENCE_LINE = re.compile(r"^ {0,3}```+[^`\n]*$", re.MULTILINE)
_FENCES = 2 * (len(_FENCE) + 1)
"""Characters that a cut through a code block adds: an end before it, a beginning after it."""

_BULLET = re.compile(r"(?<!\s)\s*+(?:[•*\-\u2013]|\d{1,2}[.)])\s+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")

_MANY = 100
"""Pieces beyond which a text is cut anew at once: joining them one by one would take long."""


def split_reply(
    text: str, *, max_chunk: int = MAX_CHUNK, max_bubbles: int = MAX_BUBBLES, short: int = SHORT
) -> list[str]:
    """The messages of a reply in order: none empty, none longer than ``max_chunk`` characters.

    At most ``max_bubbles`` of them, unless the text does not fit into so many. Paragraphs of fewer
    than ``short`` characters join their neighbour. Takes time in proportion to the text.
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
    """What blank lines keep apart; those inside a code block keep nothing apart."""
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
    """Let what is short go with the block after it, and at the end with the one before it.

    Code is copied, and stays by itself.
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
    """Put neighbours together, the shortest first, until there are no more than ``max_bubbles``.

    If they do not fit together as they are, the text is cut anew, into messages as full as may be.
    """
    while len(pieces) > max_bubbles:
        sizes = [len(a) + len(gap) + len(b) for a, b in pairwise(pieces)]
        at = min(range(len(sizes)), key=sizes.__getitem__)
        if sizes[at] > max_chunk or len(pieces) > _MANY:
            return _within(text, max_chunk, most=max_bubbles)
        pieces[at : at + 2] = [f"{pieces[at]}{gap}{pieces[at + 1]}"]
    return pieces


def _within(block: str, limit: int, most: int = 0) -> list[str]:
    """Cut what is too long at the last line end, sentence end or space before the limit.

    ``most``: cut late enough that the rest fits into so many pieces together, if it can.
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
