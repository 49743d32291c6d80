"""A separate program that reads one document: ``extraction.py TYPE PAGES CHARACTERS``.

It reads the document from standard input and writes the text, as UTF-8, to standard output; exit
status 3 and a line on standard error mean that it cannot be read. It imports nothing of the daemon
and runs in a process of its own, since a hostile document may take all memory or never end: it
limits its own memory and processor time, and the daemon kills it after a while.
"""

import resource
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO

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


READERS = {"pdf": pdf_pages, "docx": docx_parts, "txt": plain_text}


def read(kind: str, content: bytes, *, pages: int, characters: int) -> str:
    """Return the text of a document, cut at these numbers of pages and characters."""
    found: list[str] = []
    length = 0
    cut = False
    for number, part in enumerate(READERS[kind](content)):
        cut = (kind == "pdf" and number >= pages) or length > characters
        if cut:
            break
        found.append(part[: characters + 1])
        length += len(part)
    text = ("" if kind == "docx" else "\n").join(found)
    text = text.replace("\0", "").encode("utf-8", "replace").decode().strip()
    if cut or length > characters:
        text = f"{text[:characters]}\n[the rest is left out]"
    return text


def main() -> int:
    """Read one document as the arguments say."""
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
