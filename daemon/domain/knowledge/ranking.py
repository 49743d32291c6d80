"""Which passages answer a question: by its words, and by vectors where there are some. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from daemon.domain.knowledge.words import terms_of
from daemon.domain.redaction import mask_numbers

SATURATION, LENGTH_SHARE = 1.2, 0.75
"""The usual constants of BM25: how fast repetitions of a word stop counting, and how much the
length of a passage counts."""

USUAL_TERMS = 90
"""Of a passage, with those of its headings, which count twice."""

FUSION = 60
"""The usual constant of reciprocal rank fusion: the larger, the less the very first ranks count."""

ALIKE = 0.5
"""Two questions are one if they share this part of their words."""

Groups = Sequence[tuple[str, ...]]
"""The words of a question, each as its possible stems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPassage:
    """A passage that may answer a question."""

    id: int
    title: str
    """Of its document."""
    path: str
    """Of the document's file, in its folder."""
    location: str
    text: str
    terms: str
    """Its stems with those of its headings, separated by spaces."""
    score: float = 0.0
    """How much of the question is in it, 0 to 1: the rarer a word, the more it counts."""
    similarity: float = 0.0
    """Of its meaning, by vectors; 0 without them."""

    @property
    def source(self) -> str:
        """Where it stands, for people."""
        return " > ".join(filter(None, (self.title, self.location)))


def weights(
    groups: Groups, counts: Mapping[str, int], passages: int
) -> dict[tuple[str, ...], float]:
    """The weight of each word of a question: the rarer in ``passages``, the more.

    ``counts``: the passages that have each stem.
    """
    found = {}
    for group in groups:
        having = min(passages, sum(counts.get(term, 0) for term in group))
        found[group] = math.log(1 + (passages - having + 0.5) / (having + 0.5))
    return found


def by_words(
    passages: Iterable[FoundPassage], rarity: Mapping[tuple[str, ...], float]
) -> list[FoundPassage]:
    """Rank passages by the words of a question, the best first, each with its score."""
    whole = sum(rarity.values()) or 1.0
    ranked: list[tuple[float, FoundPassage]] = []
    for passage in passages:
        counts = Counter(passage.terms.split())
        length = LENGTH_SHARE * counts.total() / USUAL_TERMS + 1 - LENGTH_SHARE
        rank = score = 0.0
        for group, weight in rarity.items():
            if times := sum(counts[term] for term in group):
                rank += weight * times * (SATURATION + 1) / (times + SATURATION * length)
                score += weight
        ranked.append((rank, replace(passage, score=score / whole)))
    ranked.sort(key=lambda one: (-one[0], one[1].id))
    return [passage for _, passage in ranked]


def merged(first: Sequence[FoundPassage], second: Sequence[FoundPassage]) -> list[FoundPassage]:
    """Merge two rankings into one by the places that a passage has in both."""
    places: dict[int, float] = {}
    known: dict[int, FoundPassage] = {}
    for ranking in (first, second):
        for place, passage in enumerate(ranking):
            places[passage.id] = places.get(passage.id, 0.0) + 1 / (FUSION + place)
            other = known.get(passage.id, passage)
            known[passage.id] = replace(
                passage,
                score=max(passage.score, other.score),
                similarity=max(passage.similarity, other.similarity),
            )
    return sorted(known.values(), key=lambda one: (-places[one.id], one.id))


# -- questions that nobody could answer ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question without an answer in the documents."""

    text: str
    asked_at: float
    number: str = ""


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    """Questions that ask the same, as far as their words show."""

    text: str
    """The newest of them."""
    count: int
    first_at: float
    last_at: float
    others: tuple[str, ...]
    """Other wordings, newest first."""

    def shown(self) -> dict[str, Any]:
        """Its fields for people, with the phone numbers in customers' words shortened."""
        others = tuple(map(mask_numbers, self.others))
        return asdict(replace(self, text=mask_numbers(self.text), others=others))


def grouped(questions: Sequence[AskedQuestion]) -> list[QuestionGroup]:
    """Put questions together that share most of their words, the most frequent group first."""
    groups: list[tuple[frozenset[str], list[AskedQuestion]]] = []
    for question in sorted(questions, key=lambda one: -one.asked_at):
        terms = frozenset(terms_of(question.text)) or frozenset((question.text,))
        for known, members in groups:
            if len(known & terms) >= ALIKE * len(known | terms):
                members.append(question)
                break
        else:
            groups.append((terms, [question]))
    found = [
        QuestionGroup(
            text=members[0].text,
            count=len(members),
            first_at=members[-1].asked_at,
            last_at=members[0].asked_at,
            others=tuple(dict.fromkeys(m.text for m in members[1:] if m.text != members[0].text)),
        )
        for _, members in groups
    ]
    return sorted(found, key=lambda group: (-group.count, -group.last_at))
