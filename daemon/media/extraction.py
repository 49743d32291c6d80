"""A separate program that reads one document: ``extraction.py TYPE PAGES CHARACTERS``.

It reads the document from standard input and writes the text, as UTF-8, to standard output; exit
status 3 and a line on standard error mean that it cannot be read. It imports nothing of the daemon
and runs in a process of its own, since a hostile document may take all memory or never end: it
limits its own memory and processor time, and the daemon kills it after a while.
"""

import csv
import resource
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO, StringIO
from typing import Any

MEMORY_BYTES = 256 * 1024 * 1024
PROCESSOR_SECONDS = 15

UNPACKED_BYTES = 64 * 1024 * 1024
MARKUP_BYTES = 16 * 1024 * 1024
"""Of all members of a zipped document, and of those that are parsed: their tree takes several
times as much. A novel has 2 MB."""

MEMBERS = 2000
"""A zipped document with more members is a bomb, or no letter that anybody sends."""

UNREADABLE = 3


class UnreadableDocument(Exception):
    """The document cannot be read; the message says why."""


def limit_process() -> None:
    """Set the limits at which the system ends this process."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (OSError, ValueError):
            continue  # a stricter limit is set already, or limits may not be set


def pdf_pages(content: bytes) -> Iterator[str]:
    """Yield the text of each page of a PDF."""
    import pypdf  # noqa: PLC0415 - only the library that this document needs

    reader = pypdf.PdfReader(BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableDocument("it is encrypted")
    for page in reader.pages:
        yield page.extract_text()


def docx_parts(content: bytes) -> Iterator[str]:
    """Yield the text of a Word document, paragraph by paragraph and row by row."""
    import docx  # noqa: PLC0415 - only the library that this document needs

    check_zip(content)
    document = docx.Document(BytesIO(content))
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            for row in block.rows:
                yield " | ".join(cell.text.strip() for cell in row.cells) + "\n"
        else:
            yield f"{block.text}\n"


def check_zip(content: bytes) -> None:
    """Refuse an archive that would unpack to too much, before unpacking any of it.

    The sizes are those of its directory; a member is never unpacked beyond its size there. Raises
    UnreadableDocument.
    """
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = archive.infolist()
    markup = sum(m.file_size for m in members if m.filename.lower().endswith((".xml", ".rels")))
    whole = sum(member.file_size for member in members)
    if len(members) > MEMBERS or whole > UNPACKED_BYTES or markup > MARKUP_BYTES:
        raise UnreadableDocument("it would unpack to too much")


def plain_text(content: bytes) -> Iterator[str]:
    """Yield a plain text."""
    yield content.decode("utf-8-sig", "replace")


# -- with headings, for documents that are searched ------------------------------------------------


def docx_outline(content: bytes) -> Iterator[str]:
    """Yield a Word document as light Markdown: its headings marked, rows of tables as lines."""
    import docx  # noqa: PLC0415 - only the library that this document needs

    check_zip(content)
    for block in docx.Document(BytesIO(content)).iter_inner_content():
        if hasattr(block, "rows"):
            rows = [[" ".join(cell.text.split()) for cell in row.cells] for row in block.rows]
            yield "\n".join(_records(rows)) + "\n\n"
            continue
        style = block.style.name if block.style is not None else ""
        level = style.removeprefix("Heading ") if style.startswith("Heading ") else ""
        if style == "Title":
            level = "1"
        mark = "#" * int(level) + " " if level.isdecimal() and block.text.strip() else ""
        yield f"{mark}{' '.join(block.text.split()) if mark else block.text}\n\n"


_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg"})
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure"),
        *("footer", "form", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "ul"),
    )
)


def html_outline(content: bytes) -> Iterator[str]:
    """Yield a page as light Markdown: its headings marked, rows of tables as lines."""
    from lxml import html  # type: ignore[import-untyped] # noqa: PLC0415 - this type alone

    parser = html.HTMLParser(encoding=_declared(content), remove_comments=True, remove_pis=True)
    yield from _blocks(html.document_fromstring(content, parser=parser))


def _declared(content: bytes) -> str | None:
    """The encoding of a page: UTF-8 if it is that, else what the page says of itself."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _blocks(element: Any) -> Iterator[str]:
    tag = element.tag
    if tag in _HEADINGS:
        yield f"\n\n{_HEADINGS[tag]}{' '.join(element.text_content().split())}\n\n"
    elif tag == "table":
        rows = [
            [" ".join(cell.text_content().split()) for cell in row.iter("th", "td")]
            for row in element.iter("tr")
        ]
        yield "\n\n" + "\n".join(_records(rows)) + "\n\n"
    elif tag not in _UNSEEN:
        block = "\n\n" if tag in _BLOCKS else ""
        yield f"{block}{_spaced(element.text)}"
        for child in element:
            yield from _blocks(child)
            yield _spaced(child.tail)
        yield block


def _spaced(text: str | None) -> str:
    """A text whose line breaks and indentation mean nothing."""
    if not text:
        return ""
    inner = " ".join(text.split())
    return f"{' ' * text[:1].isspace()}{inner}{' ' * (text[-1:].isspace() and bool(inner))}"


def csv_records(content: bytes) -> Iterator[str]:
    """Yield each row of a table as a paragraph that names its columns."""
    text = _decoded(content)
    try:
        dialect = csv.Sniffer().sniff(text[:10_000], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows = [row for row in csv.reader(StringIO(text), dialect) if any(map(str.strip, row))]
    for record in _records(rows):
        yield f"{record}\n\n"


def _records(rows: list[list[str]]) -> list[str]:
    """Rows below a first one with the columns' names, each as "name: value"; two at least."""
    if len(rows) < 2 or len(set(rows[0])) < len(rows[0]) or not all(rows[0]):
        return [" | ".join(dict.fromkeys(cell.strip() for cell in row)) for row in rows]
    names = rows[0]
    return [
        "; ".join(
            f"{name.strip()}: {cell.strip()}"
            for name, cell in zip(names, row, strict=False)
            if cell.strip()
        )
        for row in rows[1:]
    ]


def marked_text(content: bytes) -> Iterator[str]:
    """Yield a text or Markdown file, which may be of an older encoding."""
    yield _decoded(content)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


READERS = {
    "pdf": pdf_pages,
    "docx": docx_parts,
    "txt": plain_text,
    "pages": pdf_pages,
    "outline": docx_outline,
    "html": html_outline,
    "csv": csv_records,
    "md": marked_text,
}
"""How each kind is read. The last five keep headings and pages, with a form feed between these."""

JOINS = {"docx": "", "pages": "\n\f\n", "outline": "", "html": "", "csv": ""}
"""What is put between the parts of a document; between others a line break."""

REST = "[the rest is left out]"


def read(kind: str, content: bytes, *, pages: int, characters: int) -> str:
    """Return the text of a document, cut at these numbers of pages and characters."""
    found: list[str] = []
    length = 0
    cut = False
    for number, part in enumerate(READERS[kind](content)):
        cut = (kind in {"pdf", "pages"} and number >= pages) or length > characters
        if cut:
            break
        found.append(part[: characters + 1])
        length += len(part)
    text = JOINS.get(kind, "\n").join(found)
    text = text.replace("\0", "").encode("utf-8", "replace").decode().strip()
    if cut or length > characters:
        text = f"{text[:characters]}\n{REST}"
    return text


def main() -> int:
    """Read one document by the arguments."""
    limit_process()
    kind, pages, characters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        text = read(kind, sys.stdin.buffer.read(), pages=pages, characters=characters)
    except UnreadableDocument as error:
        sys.stderr.write(f"\n{error}\n")
        return UNREADABLE
    except Exception as error:  # noqa: BLE001 - whatever a library makes of a stranger's bytes
        sys.stderr.write(f"\nit cannot be read: {type(error).__name__}\n")
        return UNREADABLE
    sys.stdout.buffer.write(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
