"""The port of the files of messages: `folder` and `s3` implement it.

A file is written to this machine first, at `FileStore.path`, complete and durable. `share` puts it
where the other nodes find it, before a row of the ledger names it; `fetch` brings it back to the
disk of the node that needs it. A name stands for contents that never change: it is their hash, or
holds a random number.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class FileStore(Protocol):
    """The files of messages, by folder and name. Any task may use it, on several nodes at once.

    Each method that waits ends within a time. They raise FilesUnavailable, which is an OSError, if
    the store cannot be used now; other errors of the disk are OSErrors too.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other nodes have the same files; what is on this machine's disk is a copy."""

    def path(self, folder: str, name: str) -> Path:
        """The place of a file on this machine, whether it is there or not."""

    async def share(self, folder: str, name: str) -> None:
        """Make a file that is on this machine's disk durable for all nodes."""

    async def fetch(self, folder: str, name: str) -> bool:
        """Have a file on this machine's disk; False if there is none of this name any more."""

    async def delete(self, folder: str, names: Sequence[str]) -> None:
        """Delete files for all nodes; one that is gone is no error."""

    async def old(self, folder: str, *, before: float) -> list[str]:
        """The names of the files that were written before a time, Unix seconds."""

    async def drop_copies(self, *, before: float) -> int:
        """Delete what this machine has copies of since before a time; gives how many."""

    async def check(self) -> list[str]:
        """Try to write, read and delete; gives what an operator should know besides."""
