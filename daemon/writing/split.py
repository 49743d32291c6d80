"""Cutting a reply into the messages that a person would send.

Pure. By paragraphs where there are any; else by lines, where a heading with its list is one
message. No chunk is longer than WhatsApp shows in one piece.
"""

import re

MAX_CHUNK = 4096
"""WhatsApp's limit for a text message, as users meet it."""

_BULLET = re.compile(r"\s*(?:[•*\-\u2013]|\d{1,2}[.)])\s+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")


def split_reply(text: str, *, max_chunk: int = MAX_CHUNK) -> list[str]:
    """The chunks of a reply in order, none empty, none longer than ``max_chunk`` characters."""
    paragraphs = [p.strip() for p in _PARAGRAPH.split(text.strip()) if p.strip()]
    blocks = _with_their_lists(paragraphs) if len(paragraphs) > 1 else _by_lists(text.strip())
    return [piece for block in blocks for piece in _within(block, max_chunk)]


def pause_before_next(chunk: str) -> float:
    """Seconds to wait after a chunk: 2 ms a character, at most 1 s."""
    return min(1.0, 0.002 * len(chunk))


def _with_their_lists(paragraphs: list[str]) -> list[str]:
    """Keep a list together with the heading above it, blank lines between its items or not."""
    blocks: list[str] = []
    for paragraph in paragraphs:
        follows = bool(blocks) and (
            blocks[-1].endswith(":") or _BULLET.match(blocks[-1].splitlines()[-1]) is not None
        )
        if follows and _BULLET.match(paragraph):
            blocks[-1] += "\n" + paragraph
        else:
            blocks.append(paragraph)
    return blocks


def _by_lists(text: str) -> list[str]:
    """Cut single-spaced text before a heading with its list, and after the list's end."""
    blocks: list[list[str]] = [[]]
    lines = [line.rstrip() for line in text.splitlines()]
    in_list = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        bullet = bool(_BULLET.match(line))
        heading = line.endswith(":") and bool(_BULLET.match(following))
        if heading or (in_list and not bullet and line.strip()):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
            in_list = bullet
    return ["\n".join(block).strip() for block in blocks if block]


def _within(block: str, limit: int) -> list[str]:
    """Cut what is too long at the last line end, sentence end or space before the limit."""
    pieces = []
    while len(block) > limit:
        head = block[:limit]
        cut = max(head.rfind("\n"), head.rfind(". ") + 1, 0) or head.rfind(" ")
        if cut <= 0:
            cut = limit
        pieces.append(block[:cut].strip())
        block = block[cut:].strip()
    return [p for p in (*pieces, block) if p]
