"""Passages by their meaning: the vectors beside them, compared with a question's in a thread.

Numpy is imported at the first use: only who names an embedding model needs the extra.
"""

import importlib.util
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from daemon.assistant.embeddings import TEXTS_A_CALL, Embedder
from daemon.assistant.port import connection_to
from daemon.conversation.knowledge.base import (
    KnowledgeBase,
    Meanings,
    folder_name,
    search_rules,
)
from daemon.domain.progress import Progress, unwatched
from daemon.errors import AssistantError, SettingsError
from daemon.ledger.knowledge import Passages, StoredVectors
from daemon.observability.logs import Log
from daemon.settings import Settings

CANDIDATES = 50
"""Passages that are merged with those found by words."""

PASSAGES_SECONDS = 60.0
"""Time limit for the vectors of some passages."""

LONGEST_TEXT = 4_000
"""Characters of a passage that are embedded, with its headings."""


def vectors_fault(settings: Settings) -> str:
    """Why vectors cannot be used; empty if they can be, or are not wanted."""
    wanted = settings.knowledge.embedding_model
    if wanted and importlib.util.find_spec("numpy") is None:
        return "knowledge.embedding_model: needs numpy: pip install 'recado[vectors]'"
    return ""


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedding model of a number, not yet connected; None if it has none.

    Raises SettingsError if vectors cannot be used.
    """
    knowledge = settings.knowledge
    if not knowledge.embedding_model:
        return None
    if fault := vectors_fault(settings):
        raise SettingsError([fault])
    key = knowledge.embedding_api_key
    if key is None and not knowledge.embedding_base_url:  # the assistant's key goes nowhere else
        key = settings.assistant.api_key
    connection = connection_to(
        base_url=knowledge.embedding_base_url or settings.assistant.base_url,
        api_key=key.get_secret_value() if key else "",
        idle_seconds=PASSAGES_SECONDS,
    )
    return Embedder(connection, model=knowledge.embedding_model)


async def embed_missing(
    passages: Passages,
    folder: str,
    embedder: Embedder,
    log: Log,
    progress: Progress = unwatched,
) -> int:
    """Store the vectors that a folder's passages lack; gives how many.

    An error of the server is logged: the next look goes on.
    """
    done = 0
    while missing := await passages.without_vectors(folder, embedder.model, TEXTS_A_CALL):
        texts = [text[:LONGEST_TEXT] for _, text in missing]
        try:
            vectors = await embedder.embed(texts, timeout_seconds=PASSAGES_SECONDS)
        except AssistantError as error:
            log.warning("passages have no vectors yet", error=str(error))
            break
        stored = await trio.to_thread.run_sync(_normalised, vectors)
        rows = [(number, row) for (number, _), row in zip(missing, stored, strict=True)]
        await passages.store_vectors(embedder.model, rows)
        done += len(missing)
        progress(done, 0, "passages")
    return done


def _normalised(vectors: Sequence[Sequence[float]]) -> list[bytes]:
    import numpy as np  # noqa: PLC0415 - an extra

    matrix = np.asarray(vectors, dtype="<f4")
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return [row.tobytes() for row in matrix / np.maximum(lengths, 1e-12)]


class VectorIndex(Meanings):
    """The vectors of one folder, in memory while they do not change. Used by the tasks of chats."""

    def __init__(
        self, passages: Passages, embedder: Embedder, settings: Settings, log: Log
    ) -> None:
        assert settings.knowledge.folder is not None  # noqa: S101 - the caller has looked
        self._passages = passages
        self._embedder = embedder
        self._folder = folder_name(settings.knowledge.folder)
        self._seconds = settings.knowledge.embedding_timeout_seconds
        self._log = log
        self._version: object = None
        self._ids: Sequence[int] = ()
        self._matrix: Any = None
        self._loading = trio.Lock()

    async def nearest(self, question: str) -> list[tuple[int, float]]:
        """The passages whose meaning is nearest, each with its similarity (at most 1).

        None if the server does not answer, which is logged. Raises StoreUnavailable.
        """
        try:
            (vector,) = await self._embedder.embed([question], timeout_seconds=self._seconds)
        except AssistantError as error:
            self._log.warning("documents are searched by words alone", error=str(error))
            return []
        async with self._loading:
            await self._refresh()
        if self._matrix is None:
            return []
        return await trio.to_thread.run_sync(_nearest, self._ids, self._matrix, vector)

    async def _refresh(self) -> None:
        """Read the vectors again if they have changed."""
        version = await self._passages.vectors_version(self._folder, self._embedder.model)
        if version == self._version:
            return
        stored = await self._passages.vectors(self._folder, self._embedder.model)
        self._ids, self._matrix = await trio.to_thread.run_sync(_matrix_of, stored)
        self._version = version


def _matrix_of(stored: StoredVectors) -> tuple[Sequence[int], Any]:
    import numpy as np  # noqa: PLC0415 - an extra

    if not stored:
        return (), None
    length = len(stored[-1][1])
    fitting = [row for row in stored if len(row[1]) == length]
    joined = b"".join(vector for _, vector in fitting)
    ids = [number for number, _ in fitting]
    return ids, np.frombuffer(joined, dtype="<f4").reshape(len(ids), -1)


def _nearest(ids: Sequence[int], matrix: Any, vector: Sequence[float]) -> list[tuple[int, float]]:
    import numpy as np  # noqa: PLC0415 - an extra

    asked = np.asarray(vector, dtype="<f4")
    if asked.shape[0] != matrix.shape[1]:
        return []
    near = matrix @ (asked / max(float(np.linalg.norm(asked)), 1e-12))
    best = np.argsort(-near)[:CANDIDATES]
    return [(ids[place], float(near[place])) for place in best]


@asynccontextmanager
async def open_knowledge(
    settings: Settings, passages: Passages, log: Log
) -> AsyncIterator[KnowledgeBase | None]:
    """Open the search in a number's documents; None if it has none.

    Raises SettingsError if vectors cannot be used.
    """
    rules, embedder = search_rules(settings.knowledge), embedder_of(settings)
    if rules is not None:
        await passages.look(rules.folder)
    if rules is None:
        yield None
    elif embedder is None:
        yield KnowledgeBase(passages, rules)
    else:
        try:
            meanings = VectorIndex(passages, embedder, settings, log)
            yield KnowledgeBase(passages, rules, meanings)
        finally:
            await embedder.aclose()
