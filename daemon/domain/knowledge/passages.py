"""Cuts a document into passages, each under its headings. Pure.

A document comes as light Markdown: ``#`` headings, blank lines between paragraphs, a form feed
between pages. A passage is short enough to be sent to the model with others, and repeats the end of
the one before it, so that no sentence is torn from what it refers to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

PASSAGE_CHARACTERS = 900
"""Of one passage, without what it repeats. Some 200 tokens: five of them are a small part of a
prompt, and one still holds a whole rule of a house."""

OVERLAP_CHARACTERS = 150
"""Of the passage before that are repeated, in whole sentences."""

HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
PAGE_BREAK = "\f"

_SENTENCE = re.compile(r"(?<=[.!?…:;])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Passage:
    """One piece of a document."""

    location: str
    """Where it is: its headings, outermost first, and the page of a paged document."""
    text: str


@dataclass(frozen=True, slots=True)
class _Section:
    headings: tuple[str, ...]
    page: int
    paragraphs: tuple[str, ...]

    @property
    def location(self) -> str:
        page = (f"page {self.page}",) if self.page else ()
        return " > ".join((*self.headings, *page))


def title_of(text: str, name: str) -> str:
    """The title of a document: its first heading, else the name of its file without the ending."""
    for line in text.splitlines():
        if found := HEADING.fullmatch(line.strip()):
            return _plain(found[2])
        if line.strip():
            break
    return name.rpartition("/")[2].rpartition(".")[0].replace("_", " ").replace("-", " ")


def passages_of(text: str, title: str) -> list[Passage]:
    """Cut a document into its passages. A heading that is only the title is not repeated."""
    found = []
    for section in _sections(text, title):
        before = ""
        for piece in _pieces(section.paragraphs):
            found.append(Passage(section.location, f"{before}{piece}"))
            before = _end_of(piece)
    return found


def _sections(text: str, title: str) -> Iterator[_Section]:
    headings: list[str] = []
    pages = text.split(PAGE_BREAK)
    for number, page in enumerate(pages, 1):
        lines: list[str] = []
        shown = number if len(pages) > 1 else 0
        for line in page.splitlines():
            if not (heading := HEADING.fullmatch(line.strip())):
                lines.append(line)
                continue
            if any(map(str.strip, lines)):
                yield _Section(_without(headings, title), shown, _paragraphs(lines))
            lines = []
            headings = [*headings[: len(heading[1]) - 1], _plain(heading[2])]
        if any(map(str.strip, lines)):
            yield _Section(_without(headings, title), shown, _paragraphs(lines))


def _without(headings: list[str], title: str) -> tuple[str, ...]:
    kept = [heading for heading in headings if heading]
    return tuple(kept[1:] if kept[:1] == [title] else kept)


def _plain(heading: str) -> str:
    return " ".join(heading.strip("# \t*_`").split())


def _paragraphs(lines: list[str]) -> tuple[str, ...]:
    blocks = re.split(r"\n\s*\n", "\n".join(line.rstrip() for line in lines))
    return tuple(block.strip() for block in blocks if block.strip())


def _pieces(paragraphs: tuple[str, ...]) -> Iterator[str]:
    """Put paragraphs together until a passage is full; a longer one is cut between sentences."""
    piece = ""
    for part in (part for paragraph in paragraphs for part in _parts(paragraph)):
        if piece and len(piece) + len(part) > PASSAGE_CHARACTERS:
            yield piece
            piece = ""
        piece = f"{piece}\n{part}" if piece else part
    if piece:
        yield piece


def _parts(paragraph: str) -> Iterator[str]:
    if len(paragraph) <= PASSAGE_CHARACTERS:
        yield paragraph
        return
    part = ""
    for sentence in filter(None, _SENTENCE.split(paragraph)):
        for start in range(0, len(sentence), PASSAGE_CHARACTERS):
            bit = sentence[start : start + PASSAGE_CHARACTERS]
            if part and len(part) + len(bit) > PASSAGE_CHARACTERS:
                yield part
                part = ""
            part = f"{part} {bit}" if part else bit
    if part:
        yield part


def _end_of(piece: str) -> str:
    """The last whole sentences of a passage, as the next one repeats them."""
    kept = ""
    for sentence in reversed([s for s in _SENTENCE.split(piece) if s]):
        if len(kept) + len(sentence) > OVERLAP_CHARACTERS:
            break
        kept = f"{sentence} {kept}" if kept else sentence
    return f"… {kept}\n" if kept else ""
