"""What an answer was made with, as one short name: instructions, tools, documents, model."""

import hashlib
from dataclasses import dataclass

DIGITS = 16
"""Of a hash, in hexadecimal: enough to tell the versions of one installation apart."""

SHOWN_DIGITS = 8
"""Of a version's name, where people read it."""

PARTS = ("instructions", "tools", "validators", "knowledge", "model")
"""What a version consists of."""


def hash_of(*parts: str | bytes) -> str:
    """A hash of texts, in which their order and their limits count."""
    digest = hashlib.sha256()
    for part in parts:
        value = part.encode("utf-8", "replace") if isinstance(part, str) else part
        digest.update(len(value).to_bytes(8, "big") + value)
    return digest.hexdigest()[:DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The hash of each part."""

    instructions: str = ""
    tools: str = ""
    validators: str = ""
    knowledge: str = ""
    model: str = ""
    model_name: str = ""
    """For people; the hash is over the engine, the server and the options too."""

    @property
    def digest(self) -> str:
        """The name of the version."""
        return hash_of(*(getattr(self, name) for name in PARTS))


def is_in_share(number: str, chat: str, share: float) -> bool:
    """Whether a chat belongs to a share (0 to 1) of all. It stays there while the share grows."""
    digest = hashlib.sha256(f"{number}/{chat}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionResults:
    """What the turns of a version came to."""

    turns: int = 0
    answered: int = 0
    """Without a person being asked for."""
    handed_over: int = 0
    last_at: float = 0.0
    """When the last of them began, Unix seconds; 0 if none is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUse:
    """A version that was used."""

    version: Version
    digest: str
    text: str
    """The instructions themselves."""
    first_at: float
    """Unix seconds."""
    results: VersionResults


def changed_parts(before: Version | None, after: Version) -> list[str]:
    """The parts in which a version differs from the one before; none of the first."""
    if before is None:
        return []
    return [name for name in PARTS if getattr(before, name) != getattr(after, name)]
