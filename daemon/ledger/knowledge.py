"""The business's documents in the ledger: their passages, the search, and questions without answer.

The functions of a connection are for commands; `Passages` and `Questions` are the daemon's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.domain.knowledge.passages import Passage
from daemon.domain.knowledge.ranking import (
    AskedQuestion,
    FoundPassage,
    Groups,
    by_words,
    weights,
)
from daemon.domain.knowledge.reply import Reason
from daemon.domain.knowledge.words import asked_terms, language_of, terms_of
from daemon.domain.records import Turn
from daemon.domain.states import CURRENT, GROWING, OUTDATED
from daemon.domain.versions import hash_of
from daemon.ledger.drivers.port import (
    Connection,
    Role,
    Transactions,
    marks,
    named,
    query,
    reading,
    transaction,
    writing,
)

IS_CURRENT = f"state = '{CURRENT}'"

PASSAGES_A_WRITE = 50
"""Stored or deleted in one transaction: a few milliseconds, since webhooks wait for it."""

CANDIDATES = 50
"""Passages of the index that are ranked."""

MOST_MATCHES = 1_500
"""Passages that one search of the index ranks, about: words that more passages have only count when
what the rarer words have found is ranked. The index takes some 4 µs for each."""

ABANDONED_SECONDS = 600.0
"""After so long a version that was not completed belongs to a process that is gone."""

LONGEST_QUESTION = 500
"""Characters of a question that count."""

QUESTIONS_KEPT = 5_000
"""The newest questions without an answer; older ones are deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDocument:
    """One document as it was read."""

    id: int
    path: str
    size: int
    """In bytes."""
    modified: int
    """As the file system says it, in nanoseconds."""
    digest: str
    title: str
    error: str
    """Why it cannot be read, or not all of it; empty if it was."""
    passages: int
    stored_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """One document of a folder as it was read now."""

    path: str
    size: int
    modified: int
    digest: str
    title: str = ""
    language: str = "es"
    """Of what does not show its own."""
    error: str = ""
    passages: Sequence[Passage] = ()


def documents_of(connection: Connection, folder: str) -> list[KnownDocument]:
    """The current documents of a folder, by their paths."""
    rows = connection.execute(
        "SELECT id, path, size, modified, digest, title, error, (SELECT COUNT(*) FROM"
        " knowledge_passages WHERE document_id = knowledge_documents.id) AS passages, stored_at"
        f" FROM knowledge_documents WHERE folder = ? AND {IS_CURRENT} ORDER BY path, id",
        (folder,),
    )
    return [KnownDocument(**row) for row in named(rows)]


def begin_document(
    connection: Connection, folder: str, document: ReadDocument, *, now: float
) -> int:
    """Begin a version of a document, which is not searched yet; gives its id."""
    row = connection.execute(
        "INSERT INTO knowledge_documents (folder, path, size, modified, digest, title, error,"
        " stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            folder,
            document.path,
            document.size,
            document.modified,
            document.digest,
            document.title,
            document.error,
            now,
        ),
    ).fetchone()
    return int(row[0])


def add_passages(
    connection: Connection,
    document_id: int,
    document: ReadDocument,
    passages: Sequence[Passage],
) -> None:
    """Store some passages of a version. The words of its headings count twice."""
    rows = []
    for passage in passages:
        language = language_of(passage.text, document.language)
        heading = terms_of(f"{document.title} {passage.location}", language)
        terms = [*terms_of(passage.text, language), *heading * 2]
        rows.append((document_id, passage.location, passage.text, " ".join(terms)))
    connection.executemany(
        "INSERT INTO knowledge_passages (document_id, location, body, terms) VALUES (?, ?, ?, ?)",
        rows,
    )


def make_current(connection: Connection, folder: str, path: str, document_id: int) -> None:
    """Let a complete version take the place of the one before."""
    connection.execute(
        f"UPDATE knowledge_documents SET state = '{OUTDATED}'"
        f" WHERE folder = ? AND path = ? AND {IS_CURRENT}",
        (folder, path),
    )
    connection.execute(
        f"UPDATE knowledge_documents SET state = '{CURRENT}' WHERE id = ?", (document_id,)
    )


def note_unchanged(connection: Connection, document_id: int, *, modified: int) -> None:
    """Note that a file has another time and the same bytes."""
    connection.execute(
        "UPDATE knowledge_documents SET modified = ? WHERE id = ?", (modified, document_id)
    )


def drop_document(connection: Connection, folder: str, path: str) -> None:
    """Search a document no more that is gone."""
    connection.execute(
        f"UPDATE knowledge_documents SET state = '{OUTDATED}' WHERE folder = ? AND path = ?",
        (folder, path),
    )


def sweep(connection: Connection, *, now: float) -> bool:
    """Delete some passages that are searched no more; False if there are none left."""
    row = connection.execute(
        f"SELECT id FROM knowledge_documents WHERE state = '{OUTDATED}'"
        f" OR (state = '{GROWING}' AND stored_at < ?) ORDER BY id LIMIT 1",
        (now - ABANDONED_SECONDS,),
    ).fetchone()
    if row is None:
        return False
    some = (row[0], PASSAGES_A_WRITE)
    connection.execute(
        "DELETE FROM knowledge_vectors WHERE passage_id IN (SELECT id FROM knowledge_passages"
        " WHERE document_id = ? ORDER BY id LIMIT ?)",
        some,
    )
    deleted = connection.execute(
        "DELETE FROM knowledge_passages WHERE id IN (SELECT id FROM knowledge_passages"
        " WHERE document_id = ? ORDER BY id LIMIT ?)",
        some,
    )
    if deleted.rowcount < PASSAGES_A_WRITE:
        connection.execute("DELETE FROM knowledge_documents WHERE id = ?", (row[0],))
    return True


def search(connection: Connection, folder: str, question: str) -> list[FoundPassage]:
    """Rank the passages of a folder by the words of a question, the best first."""
    groups, index = asked_terms(question), connection.text_index
    counts = index.passage_counts([term for group in groups for term in group])
    (passages,) = connection.execute(
        "SELECT COUNT(*) FROM knowledge_passages JOIN knowledge_documents"
        f" ON knowledge_documents.id = document_id WHERE folder = ? AND {IS_CURRENT}",
        (folder,),
    ).fetchone()
    terms, matches = _rarest(groups, counts)
    if not terms:
        return []
    ranked = matches <= 2 * MOST_MATCHES  # one word that nearly every passage has ranks none
    found = index.passages(terms, folder=folder, most=CANDIDATES, ranked=ranked)
    return by_words(passages_by_id(connection, found), weights(groups, counts, passages))


def _rarest(groups: Groups, counts: dict[str, int]) -> tuple[list[str], int]:
    """The rarest terms of the question, and how many passages have them at most."""
    sizes = sorted((sum(counts.get(term, 0) for term in group), group) for group in groups)
    terms: list[str] = []
    matches = 0
    for size, group in sizes:
        if terms and matches + size > MOST_MATCHES:
            break
        matches += size
        terms += [term for term in group if term in counts]
    return terms, matches


def passages_by_id(connection: Connection, ids: Sequence[int]) -> list[FoundPassage]:
    """Read passages with their documents."""
    rows = connection.execute(
        "SELECT knowledge_passages.id, title, path, location, body AS text, terms"
        " FROM knowledge_passages JOIN knowledge_documents ON knowledge_documents.id = document_id"
        f" WHERE knowledge_passages.id IN ({marks(ids)})",
        list(ids),
    )
    return [FoundPassage(**row) for row in named(rows)]


StoredVectors = list[tuple[int, bytes]]
"""Passages with their vectors: little-endian floats of four bytes, of length 1."""

_OF_FOLDER = (
    "FROM knowledge_passages JOIN knowledge_documents ON knowledge_documents.id = document_id"
    " LEFT JOIN knowledge_vectors ON knowledge_vectors.passage_id = knowledge_passages.id"
    " AND knowledge_vectors.model = :model"
    f" WHERE folder = :folder AND {IS_CURRENT}"
)


class Passages(Role):
    """The documents, kept in step by one task a folder; searched by the tasks of chats."""

    def __init__(self, database: Transactions) -> None:
        super().__init__(database)
        self.digests: dict[str, str] = {}
        """A hash of the documents of each folder, as last looked at by this process."""

    async def look(self, folder: str) -> list[KnownDocument]:
        """The current documents of a folder, whose hash is remembered. Raises StoreUnavailable."""
        found = await self.documents(folder)
        self.digests[folder] = hash_of(*(f"{one.path} {one.digest}" for one in found))
        return found

    documents = reading(documents_of)

    @query
    def search(self, connection: Connection, folder: str, question: str) -> list[FoundPassage]:
        """Rank the passages of a folder by the words of a question, the best first."""
        return search(connection, folder, question[:LONGEST_QUESTION])

    async def store(self, folder: str, document: ReadDocument, *, now: float) -> None:
        """Put a version of a document in place of the one before. Raises StoreUnavailable."""
        number = await self._begin(folder, document, now=now)
        for start in range(0, len(document.passages), PASSAGES_A_WRITE):
            some = document.passages[start : start + PASSAGES_A_WRITE]
            await self._add(number, document, some)
        await self._make_current(folder, document.path, number)

    _begin = writing(begin_document)

    _add = writing(add_passages)

    _make_current = writing(make_current)

    note_unchanged = writing(note_unchanged)

    drop = writing(drop_document)

    by_ids = reading(passages_by_id)

    @query
    def without_vectors(
        self, connection: Connection, folder: str, model: str, most: int
    ) -> list[tuple[int, str]]:
        """Some passages of a folder that lack a vector of a model, each with its whole text."""
        rows = connection.execute(
            f"SELECT knowledge_passages.id, title, location, body {_OF_FOLDER}"
            " AND vector IS NULL ORDER BY knowledge_passages.id LIMIT :most",
            {"folder": folder, "model": model, "most": most},
        )
        return [(int(row[0]), "\n".join(filter(None, row[1:]))) for row in rows]

    @transaction
    def store_vectors(self, connection: Connection, model: str, vectors: StoredVectors) -> None:
        """Store vectors of passages, in place of those of another model."""
        connection.executemany(
            "INSERT INTO knowledge_vectors (passage_id, model, vector)"
            " SELECT id, ?, ? FROM knowledge_passages WHERE id = ?"
            " ON CONFLICT (passage_id) DO UPDATE SET model = excluded.model,"
            " vector = excluded.vector",
            [(model, vector, number) for number, vector in vectors],
        )

    @query
    def vectors_version(self, connection: Connection, folder: str, model: str) -> tuple[int, ...]:
        """What changes when the vectors of a folder do."""
        row = connection.execute(
            "SELECT COUNT(*), COALESCE(MAX(knowledge_passages.id), 0),"
            f" COALESCE(SUM(document_id), 0) {_OF_FOLDER} AND vector IS NOT NULL",
            {"folder": folder, "model": model},
        ).fetchone()
        return tuple(map(int, row))

    @query
    def vectors(self, connection: Connection, folder: str, model: str) -> StoredVectors:
        """The vectors of a folder's passages."""
        rows = connection.execute(
            f"SELECT knowledge_passages.id, vector {_OF_FOLDER} AND vector IS NOT NULL"
            " ORDER BY knowledge_passages.id",
            {"folder": folder, "model": model},
        )
        return [(int(row[0]), bytes(row[1])) for row in rows]

    sweep = writing(sweep)


# -- questions that the documents do not answer ------------------------------------------------


class Questions(Role):
    """Questions without an answer. Written by the tasks of chats."""

    @transaction
    def keep(
        self,
        connection: Connection,
        turn: Turn,
        questions: Sequence[tuple[str, Reason]],
        *,
        now: float,
    ) -> None:
        """Keep questions of a turn, each once."""
        connection.executemany(
            "INSERT INTO knowledge_questions (channel, chat, turn_id, question, reason, asked_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (turn_id, question) DO NOTHING",
            [
                (*turn.key, turn.id, question[:LONGEST_QUESTION], reason, now)
                for question, reason in questions
            ],
        )
        connection.execute(
            "DELETE FROM knowledge_questions WHERE id <= (SELECT MAX(id) FROM knowledge_questions)"
            " - ?",
            (QUESTIONS_KEPT,),
        )


def questions_of(
    connection: Connection, *, since: float = 0.0, most: int = QUESTIONS_KEPT
) -> list[AskedQuestion]:
    """The questions without an answer since a time (Unix seconds), newest first."""
    rows = connection.execute(
        "SELECT question, asked_at, channel FROM knowledge_questions WHERE asked_at >= ?"
        " ORDER BY asked_at DESC, id DESC LIMIT ?",
        (since, most),
    )
    return [AskedQuestion(str(row[0]), float(row[1]), str(row[2])) for row in rows]
