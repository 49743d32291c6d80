"""The search in a number's documents."""

from dataclasses import dataclass
from pathlib import Path

from daemon.domain.knowledge.ranking import FoundPassage
from daemon.ledger.knowledge import Passages
from daemon.settings.assistant import KnowledgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """How a number's documents are searched."""

    folder: str
    passages: int
    """That one search gives at most."""
    threshold: float
    """Share of the question that one of the passages must have."""


def search_rules(settings: KnowledgeSettings) -> SearchRules | None:
    """The rules of a number; None if it has no documents."""
    if settings.folder is None:
        return None
    return SearchRules(
        folder=folder_name(settings.folder),
        passages=settings.passages,
        threshold=settings.threshold,
    )


def folder_name(folder: Path) -> str:
    """The name of a folder in the ledger."""
    return str(folder.resolve())


class KnowledgeBase:
    """One number's documents. Used by the tasks of chats."""

    def __init__(self, passages: Passages, rules: SearchRules) -> None:
        self._passages = passages
        self._rules = rules

    async def search(self, question: str) -> list[FoundPassage]:
        """The passages that may answer a question, the best first. Raises StoreUnavailable."""
        rules = self._rules
        found = await self._passages.search(rules.folder, question)
        best = max((passage.score for passage in found), default=0.0)
        return found[: rules.passages] if best >= rules.threshold else []
