"""The files that tools send: taken from one folder, and copied before anything relies on them."""

import mimetypes
from dataclasses import replace
from pathlib import Path

import trio

from daemon.chats.dependencies import Dependencies
from daemon.ledger import NewPart

MAX_BYTES = 16 * 1024 * 1024
"""WhatsApp's limit for media; documents may be larger, but go along in one request."""


async def keep_file(part: NewPart, needs: Dependencies) -> NewPart:
    """Copy the file that a message names and name the copy in its place.

    What is sent later, perhaps by another process, is the file as it was now. Raises ValueError in
    words if there is no such file in `tools.files_folder`, or it cannot be sent.
    """
    source = await trio.to_thread.run_sync(
        _within, needs.rules.files_folder, part.payload["source"]
    )
    mime_type = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    if part.kind == "image" and not mime_type.startswith("image/"):
        raise ValueError(f"{source.name} is no picture by its name")
    try:
        name, _size = await needs.store.files.keep_copy(source, most=MAX_BYTES)
    except OSError as error:
        raise ValueError(f"{source.name} cannot be read: {error.strerror}") from error
    payload = {"filename": source.name, **part.payload, "file": name, "mime_type": mime_type}
    del payload["source"]
    return replace(part, payload=payload)


def _within(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise ValueError("tools.files_folder is not set: only https addresses can be sent")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"there is no file {name} in tools.files_folder")
    return path
