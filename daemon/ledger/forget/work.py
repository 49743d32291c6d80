"""One forgetting under way, and what its stages are made of."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from daemon.domain.audit_chain import Actor
from daemon.ledger.admin.person import Person
from daemon.ledger.drivers.port import Connection
from daemon.ledger.forget.other_texts import RepeatedWords

Kind = Literal["person", "chat"]
"""A person who is forgotten, or a chat that is only too old: its rows go, and nobody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One forgetting, as far as it has come."""

    id: int
    name: str
    """What the person's rows are called afterwards."""
    kind: Kind
    by: Actor
    asked_at: float
    names: Mapping[str, str]
    """By chat id: what the chat is called afterwards. Empty if its rows are deleted."""
    stage: str
    """``cut``, or one of `STAGES`."""
    place: tuple[Any, ...]
    """Where the next look of the stage begins; each stage has its own."""
    marks: Mapping[str, int]
    """The last row of each table that is the person's, once they are cut off."""
    counts: Counter[str]
    person: Person
    words: RepeatedWords
    data_dir: Path
    share: float = 1.0
    """Of the most rows that one write may change: less on a disk that is slow."""

    def most(self, rows: int) -> int:
        """How many of so many rows the next write may change."""
        return max(1, int(rows * self.share))

    @property
    def deletes(self) -> bool:
        """True if rows go; False if they stay without words."""
        return self.kind == "chat"


class Batch(NamedTuple):
    """What one look has found."""

    rows: Sequence[Any]
    place: tuple[Any, ...] = ()
    last: bool = False
    """True if the stage is over with it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a look, and the write that follows it."""

    name: str
    look: Callable[[Connection, Work], Batch]
    write: Callable[[Connection, Work, Sequence[Any], float], Counter[str]]
    held: bool = False
    """The daemon starts no task for the person's chats and groups before it is over."""
    for_chats: bool = False
    """A chat that is only too old has it too."""
