"""The text of documents: read by a process of its own, with limits on what it may take."""

import sys
from dataclasses import dataclass
from pathlib import Path

import trio

from daemon.errors import MediaDelayed, MediaRefused
from daemon.media import extraction
from daemon.media.kinds import DOCX, PDF

SECONDS = 20.0
"""For one document; the process limits its processor time to less."""

PROCESSES = 1
"""Documents read at once: each may take as much memory as all the rest of the daemon."""

_KINDS = {PDF: "pdf", DOCX: "docx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRules:
    """How much of a document is read."""

    pages: int
    characters: int


class DocumentReader:
    """Reads documents, one after the other. Any task may call it."""

    def __init__(self, rules: DocumentRules, *, seconds: float = SECONDS) -> None:
        self._rules = rules
        self._seconds = seconds
        self._places = trio.CapacityLimiter(PROCESSES)

    @staticmethod
    def reads(mime: str) -> bool:
        """Whether documents of this type can be read."""
        return _kind(mime) != ""

    async def read(self, path: Path, mime: str) -> str:
        """The text of a document, empty if it has none (a scan).

        Raises MediaRefused if it cannot be read within the limits, MediaDelayed if it could not be
        tried.
        """
        if not _kind(mime):
            raise MediaRefused(f"documents of type {mime} cannot be read")
        async with self._places:
            with trio.move_on_after(self._seconds):
                return await self._run(path, _kind(mime))
        raise MediaRefused("reading it takes too long")

    async def _run(self, path: Path, kind: str) -> str:
        """Run the reading program; cancelling this ends it."""
        rules = self._rules
        # -I: neither the environment nor the current folder has a say in what it imports.
        command = [sys.executable, "-I", extraction.__file__, kind]
        try:
            with path.open("rb") as file:
                done = await trio.run_process(
                    [*command, str(rules.pages), str(rules.characters)],
                    stdin=file,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env={"LANG": "C.UTF-8"},
                    deliver_cancel=_kill,
                )
        except OSError as error:
            raise MediaDelayed(f"the document cannot be read now: {error.strerror}") from error
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "replace")
        if done.returncode == extraction.UNREADABLE:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise MediaRefused(lines[-1] if lines else "it cannot be read")
        raise MediaRefused("reading it takes too much")


async def _kill(process: trio.Process) -> None:
    """End the program at once: it has nothing to tidy up."""
    process.kill()


def _kind(mime: str) -> str:
    return "txt" if mime.startswith("text/") else _KINDS.get(mime, "")
