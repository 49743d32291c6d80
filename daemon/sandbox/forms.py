"""Read ``multipart/form-data`` (RFC 7578), as HTTP clients write it."""

import re
from dataclasses import dataclass
from email.message import Message


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came in a request."""

    data: bytes
    mime_type: str
    file_name: str = ""


def read_form(body: bytes, content_type: str) -> dict[str, str | Upload] | None:
    """Return the fields of a form, files as uploads; None if it is no such form."""
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or not boundary:
        return None
    fields: dict[str, str | Upload] = {}
    for part in body.split(b"--" + boundary.encode("latin-1"))[1:-1]:
        raw_head, found, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not found:
            return None
        headers = raw_head.decode("utf-8", "replace")
        name = re.search(r'\bname="([^"]*)"', headers)
        file_name = re.search(r'\bfilename="([^"]*)"', headers)
        kind = re.search(r"^content-type:\s*(.+)$", headers, re.IGNORECASE | re.MULTILINE)
        content = content.removesuffix(b"\r\n")
        if name is None:
            return None
        if file_name or kind:
            mime_type = kind[1].strip() if kind else "application/octet-stream"
            upload = Upload(content, mime_type, file_name[1] if file_name else "")
            fields[name[1]] = upload
        else:
            fields[name[1]] = content.decode("utf-8", "replace")
    return fields
