"""The search in a number's documents."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from daemon.domain.knowledge.ranking import FoundPassage, merged
from daemon.ledger.knowledge import LONGEST_QUESTION, Passages
from daemon.settings.assistant import KnowledgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """How a number's documents are searched."""

    folder: str
    passages: int
    """That one search gives at most."""
    threshold: float
    """Share of the question that one of the passages must have."""
    similarity: float = 1.0
    """Or its similarity, where there are vectors."""


def search_rules(settings: KnowledgeSettings) -> SearchRules | None:
    """The rules of a number; None if it has no documents."""
    if settings.folder is None:
        return None
    return SearchRules(
        folder=folder_name(settings.folder),
        passages=settings.passages,
        threshold=settings.threshold,
        similarity=settings.similarity,
    )


def folder_name(folder: Path) -> str:
    """The name of a folder in the ledger."""
    return str(folder.resolve())


class Meanings(Protocol):
    """Finds passages by their meaning."""

    async def nearest(self, question: str) -> list[tuple[int, float]]:
        """The passages whose meaning is nearest, each with its similarity (at most 1)."""


class KnowledgeBase:
    """One number's documents. Used by the tasks of chats."""

    def __init__(
        self, passages: Passages, rules: SearchRules, meanings: Meanings | None = None
    ) -> None:
        self._passages = passages
        self._rules = rules
        self._meanings = meanings

    @property
    def digest(self) -> str:
        """A hash of the documents; empty if they have not been looked at."""
        return self._passages.digests.get(self._rules.folder, "")

    async def search(self, question: str) -> list[FoundPassage]:
        """The passages that may answer a question, the best first. Raises StoreUnavailable."""
        rules = self._rules
        found = await self.ranked(question)
        answers = any(
            passage.score >= rules.threshold or passage.similarity >= rules.similarity
            for passage in found
        )
        return found[: rules.passages] if answers else []

    async def ranked(self, question: str) -> list[FoundPassage]:
        """All passages that have something of a question, the best first."""
        by_words = await self._passages.search(self._rules.folder, question)
        if self._meanings is None:
            return by_words
        near = dict(await self._meanings.nearest(question[:LONGEST_QUESTION]))
        known = {passage.id: passage for passage in await self._passages.by_ids(list(near))}
        by_meaning = [
            replace(known[number], similarity=similarity)
            for number, similarity in near.items()
            if number in known
        ]
        return merged(by_words, by_meaning)
