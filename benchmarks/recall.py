"""How well and how fast the search in the business's documents is: `make bench-knowledge`.

Recall over the labelled questions in ``knowledge/``: how often the passage that answers is among
the five that the model gets. Then the time of a search in 20,000 passages, put together of the same
sentences: by the wall, which other work on the machine lengthens, and of the processor alone.

With ``EMBEDDINGS=http://…/v1`` (and ``MODEL=``) an embedding server is asked too.
"""

import os
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from daemon.conversation.knowledge.folder import KINDS, knowledge_folder
from daemon.conversation.knowledge.vectors import open_knowledge
from daemon.domain.knowledge.measure import LabelledQuestion, recall
from daemon.domain.knowledge.passages import Passage, passages_of
from daemon.domain.knowledge.ranking import FoundPassage
from daemon.domain.redaction import Redactor
from daemon.ledger.drivers.port import Connection
from daemon.ledger.knowledge import ReadDocument, search
from daemon.ledger.ledger import Store, open_store
from daemon.media import extraction
from daemon.observability.logs import open_log
from daemon.settings import Settings
from daemon.settings.assistant import KnowledgeSettings

HERE = Path(__file__).parent / "knowledge"
TRADES = ("hotel", "shop")
GIVEN = 5
PASSAGES, DOCUMENTS = 20_000, 200
MAX_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A labelled question, and the passages that were found."""

    question: LabelledQuestion
    cross: bool
    """It is asked in another language than its answer is written in."""
    found: Sequence[FoundPassage]


def knowledge(trade: str) -> Settings:
    """The settings of a trade, with the embedding model that the environment names."""
    table = KnowledgeSettings(
        folder=HERE / trade,
        embedding_model=os.environ.get("MODEL", "") if os.environ.get("EMBEDDINGS") else "",
        embedding_base_url=os.environ.get("EMBEDDINGS", ""),
        embedding_timeout_seconds=60,
        similarity=0,
    )
    return Settings(knowledge=table)


async def asked_in(store: Store, trade: str) -> list[Asked]:
    """Read a trade's documents and ask its questions."""
    settings = knowledge(trade)
    log = open_log(
        stream=sys.stderr,
        level="warning",
        format="human",
        redactor=Redactor([]),
        now=lambda: datetime.now(UTC),
    )
    folder = knowledge_folder(settings, store.passages, time.time)
    changes = await folder.bring_in_step()
    await folder.embed(log)
    assert not changes.faults, changes.faults
    rows = tomllib.loads((HERE / f"{trade}.toml").read_text("utf-8"))["question"]
    asked = []
    async with open_knowledge(settings, store.passages, log) as base:
        assert base is not None
        for row in rows:
            question = LabelledQuestion(row["ask"], row.get("file", ""), row.get("section", ""))
            found = await base.ranked(question.text)
            asked.append(Asked(question, row.get("cross", False), found))
    return asked


def report(asked: Sequence[Asked]) -> None:
    """Print the recall, and what the threshold does."""
    threshold = KnowledgeSettings().threshold
    parts = {
        "in the language of the document": [a for a in asked if a.question.file and not a.cross],
        "in the other language": [a for a in asked if a.cross],
    }
    for name, part in parts.items():
        result = recall([(a.question, a.found[:GIVEN]) for a in part])
        kept = recall([(a.question, above(a.found, threshold)) for a in part])
        print(f"{name}: recall@{GIVEN} {result.share:.3f} of {result.asked},", end=" ")
        print(f"{kept.share:.3f} above the threshold of {threshold}")
        if "--show" in sys.argv:
            print("\n".join(f"  missed: {text}" for text in result.missed))
    nothing = [a for a in asked if not a.question.file]
    refused = sum(not above(a.found, threshold) for a in nothing)
    print(f"without an answer: {refused} of {len(nothing)} recognised by the threshold")


def above(found: Sequence[FoundPassage], threshold: float) -> Sequence[FoundPassage]:
    """What the model gets."""
    best = max((passage.score for passage in found), default=0.0)
    return found[:GIVEN] if best >= threshold else ()


async def fill(store: Store, folder: str) -> None:
    """Store 20,000 passages, each of some sentences of the documents and a word of its own."""
    rng = random.Random(1)  # noqa: S311 - repeatable on purpose
    sentences = []
    for file in sorted(HERE.glob("*/*")):
        text = extraction.read(KINDS[file.suffix], file.read_bytes(), pages=1, characters=MAX_BYTES)
        for passage in passages_of(text, file.name):
            sentences += passage.text.replace("\n", " ").split(". ")
    for number in range(DOCUMENTS):
        passages = [
            Passage("", ". ".join([*rng.sample(sentences, 6), f"word{rng.randrange(5000)}"]))
            for _ in range(PASSAGES // DOCUMENTS)
        ]
        document = ReadDocument(
            path=f"{number}.md", size=1, modified=1, digest="", title="", passages=passages
        )
        await store.passages.store(folder, document, now=1.0)


async def times(store: Store, questions: Sequence[str]) -> None:
    """Print how long a search takes."""
    folder = "/twenty thousand"
    await fill(store, folder)
    walls, processor = [], []

    def timed(connection: Connection, question: str) -> float:
        began = time.thread_time()
        search(connection, folder, question)
        return time.thread_time() - began

    for question in questions:
        began = time.perf_counter()
        processor.append(await store.database.read(partial(timed, question=question)))
        walls.append(time.perf_counter() - began)
    for name, values in (("by the wall", walls), ("of the processor", processor)):
        in_order = sorted(values)
        at = [in_order[min(len(in_order) - 1, int(len(in_order) * share))] for share in (0.5, 0.99)]
        print(f"a search in {PASSAGES:,} passages, {name}: p50 {at[0] * 1000:.1f} ms,", end=" ")
        print(f"p99 {at[1] * 1000:.1f} ms")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder), clock=time.perf_counter) as store:
            asked = [one for trade in TRADES for one in await asked_in(store, trade)]
            report(asked)
            await times(store, [one.question.text for one in asked])


if __name__ == "__main__":
    trio.run(main)
