"""The text of documents, honest and hostile, read by a process of its own."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
import trio

from daemon.errors import MediaRefused
from daemon.media.kinds import DOCX, PDF
from daemon.media.model_files import DocumentReader, DocumentRules

RULES = DocumentRules(pages=2, characters=500)


async def read(
    folder: Path, content: bytes, mime: str, rules: DocumentRules = RULES, seconds: float = 20
) -> str:
    """Read one document."""
    path = folder / "document"
    path.write_bytes(content)
    with trio.fail_after(40):
        return await DocumentReader(rules, seconds=seconds).read(path, mime)


def pdf(*pages: str, stream: bytes = b"") -> bytes:
    """A small PDF with a line of text on each page, or with one packed stream for all pages."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents"
        font = "/Resources << /Font << /F1 3 0 R >> >> >>"
        objects.append(f"{page} {5 + 2 * number} 0 R {font}".encode())
        packed = stream or zlib.compress(f"BT /F1 12 Tf 9 99 Td ({text}) Tj ET".encode())
        head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + packed + b"\nendstream")
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    xref = f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer << /Root 1 0 R /Size {len(offsets) + 1} >>\nstartxref\n{len(body)}\n%%EOF"
    return body + (xref + trailer).encode()


def word(*paragraphs: str) -> bytes:
    """A Word document with these paragraphs and a table."""
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Noche", "180000"
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


async def test_documents_are_read_up_to_their_limits(tmp_path: Path) -> None:
    """Pages and characters are counted, and what is left out is said."""
    assert "Reserva 8123" in await read(tmp_path, pdf("Reserva 8123"), PDF)
    three = await read(tmp_path, pdf("uno", "dos", "tres"), PDF)
    assert three.split("\n") == ["uno", "dos", "[the rest is left out]"]
    assert await read(tmp_path, word("Hola", "Adiós"), DOCX) == "Hola\nAdiós\nNoche | 180000"
    long = await read(tmp_path, "ñandú ".encode() * 1000, "text/plain")
    assert long.startswith("ñandú ñandú")
    assert len(long) < 550
    assert long.endswith("[the rest is left out]")


def zip_bomb() -> bytes:
    """A Word document that would unpack to more than 100 MB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        for number in range(2):
            with archive.open(f"word/document{number}.xml", "w", force_zip64=True) as member:
                for _ in range(55):
                    member.write(bytes(1024 * 1024))
    return target.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a zip bomb": (zip_bomb, DOCX),
    "no zip at all": (lambda: b"PK\x03\x04" + bytes(500), DOCX),
    "no PDF at all": (lambda: b"%PDF-1.4\n" + bytes(range(256)) * 50, PDF),
    "a PDF cut in the middle": (lambda: pdf("Hola")[:150], PDF),
    "a PDF that unpacks to too much": (
        lambda: pdf("x", stream=zlib.compress(bytes(120 * 1024 * 1024), 1)),
        PDF,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_document_is_refused_or_has_no_words(tmp_path: Path, name: str) -> None:
    """Whatever it does, it does it to a process of its own, and not for long."""
    make, mime = HOSTILE[name]
    try:
        text = await read(tmp_path, make(), mime)
    except MediaRefused:
        return
    assert len(text) < 1000


async def test_a_document_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(MediaRefused, match="too long"):
        await read(tmp_path, pdf("Hola"), PDF, seconds=0.01)


async def test_other_types_are_not_read_as_documents(tmp_path: Path) -> None:
    assert not DocumentReader.reads("application/octet-stream")
    with pytest.raises(MediaRefused, match="cannot be read"):
        await read(tmp_path, b"MZ", "application/octet-stream")
