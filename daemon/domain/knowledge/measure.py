"""How well a search finds what it should: labelled questions, and the share that is found. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.domain.knowledge.ranking import FoundPassage
from daemon.domain.knowledge.words import folded


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question, and where its answer stands."""

    text: str
    file: str
    """The document's file, by its path in the folder; empty if no document has the answer."""
    section: str = ""
    """Part of the passage's headings; empty: any passage of the file."""

    def is_answered_by(self, passage: FoundPassage) -> bool:
        """True if a passage is the one that was meant."""
        return passage.path == self.file and folded(self.section) in folded(passage.source)


@dataclass(frozen=True, slots=True)
class Recall:
    """The results of labelled questions."""

    found: int
    asked: int
    """Those with an answer in the documents."""
    refused: int
    unanswerable: int
    """Those without; refused are those for which nothing was given."""
    missed: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the answers that were among the passages given; 1 if there are none."""
        return self.found / self.asked if self.asked else 1.0


def recall(results: Sequence[tuple[LabelledQuestion, Sequence[FoundPassage]]]) -> Recall:
    """Count what was found; each question comes with the passages that were given."""
    with_answer = [(q, passages) for q, passages in results if q.file]
    without = [passages for q, passages in results if not q.file]
    missed = tuple(
        question.text
        for question, passages in with_answer
        if not any(map(question.is_answered_by, passages))
    )
    return Recall(
        found=len(with_answer) - len(missed),
        asked=len(with_answer),
        refused=sum(not passages for passages in without),
        unanswerable=len(without),
        missed=missed,
    )
