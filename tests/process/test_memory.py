"""The memory of the whole process tree under the largest calls, and with a document beside them."""

import base64
import http.client
import io
import json
import os
import zipfile
from pathlib import Path

import docx
import trio
from support.process import DaemonProcess, Site, until
from support.rows import select
from support.stage import text_webhook

MOST_BYTES = 700 * 1024 * 1024
"""Of the daemon and its reading programs together; the unit's MemoryMax is 1 GB."""


BODIES = 8
BODY_BYTES = 40 * 1024 * 1024
WORDS_BYTES = 15 * 1024 * 1024
"""Of a call without files: nearly the most that is taken (docs/security.md)."""


def tree_bytes(pid: int) -> int:
    """Resident memory of a process and its children, as proc(5) tells it."""
    total = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0  # it has just ended
    total += pages * os.sysconf("SC_PAGE_SIZE")
    return total + sum(tree_bytes(int(child)) for child in children)


def swollen_letter() -> bytes:
    """A Word document of 140 kB whose parsed tree would take a gigabyte."""
    plain, swollen = io.BytesIO(), io.BytesIO()
    docx.Document().save(plain)
    with (
        zipfile.ZipFile(plain) as given,
        zipfile.ZipFile(swollen, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for member in given.infolist():
            content = given.read(member)
            if member.filename == "word/document.xml":
                content = content.replace(b"<w:sectPr", b"<w:p/>" * 2_500_000 + b"<w:sectPr", 1)
            made.writestr(member.filename, content)
    return swollen.getvalue()


def with_file(content: bytes, mime: str, message_id: str) -> bytes:
    """A webhook body of one document, its bytes inside."""
    link = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    part = {"id": "x", "mime_type": mime, "file_size": len(content), "link": link}
    return json.dumps(
        text_webhook("", message_id, chat="573001234560", type="document", document=part)
    ).encode()


def spoken(size: int, message_id: str) -> bytes:
    """A webhook body of about this size: one text."""
    words = "Tienen una habitacion? "
    return json.dumps(text_webhook(words * (size // len(words)), message_id)).encode()


async def test_the_largest_calls_and_documents_together_stay_below_the_limit(site: Site) -> None:
    """Some are put off with 503 and repeated, as Whapi does, until all are stored.

    Calls that are too long beside the files in them are refused for good, and cost no more either.
    """
    process = await site.launch()
    url = await site.opened(process)
    large = os.urandom(BODY_BYTES // 4 * 3 - 2000)
    mime = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    letter = swollen_letter()
    bodies = [with_file(large, "application/octet-stream", f"file-{n}") for n in range(BODIES // 2)]
    bodies += [spoken(WORDS_BYTES, f"text-{n}") for n in range(2)]
    bodies += [with_file(letter, mime, f"letter-{n}") for n in range(2)]
    too_long = [spoken(BODY_BYTES, f"long-{n}") for n in range(BODIES // 2)]
    peak = await peak_until_read(process, url, bodies, too_long, site.data_dir)
    assert peak < MOST_BYTES
    assert unread_letters(site.data_dir) == [("it cannot be read: XMLSyntaxError",)] * 2


def unread_letters(data_dir: Path) -> list[tuple[str]]:
    """Why each letter could not be read."""
    where = {"message_id LIKE": "letter-%", "words_error !=": ""}
    return select(data_dir, "media", "words_error", where=where)


def status_of(url: str, body: bytes) -> int:
    """Post one body from a thread; 0 if it was refused before it was sent."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", "/hook", body)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


async def peak_until_read(
    process: DaemonProcess, url: str, bodies: list[bytes], too_long: list[bytes], data_dir: Path
) -> int:
    """Post all at once, each until it is stored, and wait until the documents have been tried.

    What is too long is refused. Gives the most memory that was seen meanwhile.
    """
    peak = 0

    async def measure() -> None:
        nonlocal peak
        while True:
            peak = max(peak, tree_bytes(process.process.pid))
            await trio.sleep(0.01)  # nobody tells of memory

    async def post(body: bytes, end: int) -> None:
        while (status := await trio.to_thread.run_sync(status_of, url, body)) != end:
            assert status in {0, 503}
            await trio.sleep(0.05)

    async with trio.open_nursery() as measuring:
        measuring.start_soon(measure, name="measure")
        async with trio.open_nursery() as posting:
            for body in bodies:
                posting.start_soon(post, body, 200, name="post")
            for body in too_long:
                posting.start_soon(post, body, 413, name="post")
        await until(lambda: len(unread_letters(data_dir)) == 2)
        measuring.cancel_scope.cancel()
    return peak
